"""The file that a scan or a probe writes: its place is looked at before the work begins, and what is there is never written over."""

import os
from pathlib import Path


class NotWrittenError(Exception):
    """The file cannot be written there, in words."""

    def __init__(self, words: str, *, is_denied: bool = False) -> None:
        self.is_denied = is_denied
        super().__init__(words)


def look_at(path: str) -> None:
    """Could a file be written there? Raises ValueError where it is the wrong place, NotWrittenError without permission."""
    if not path:
        return
    file, folder = Path(path), Path(path).absolute().parent
    if file.exists() or file.is_symlink():
        raise ValueError(f"{path} is there already: nothing was done. Give another name, or move it away")
    if not folder.is_dir():
        raise ValueError(f"{path}: there is no folder {folder}: nothing was done. Give another name, or  mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWrittenError(f"{path}: you may not write to {folder}: nothing was done. Give another name, or begin with sudo", is_denied=True)


def write_new(path: str, text: str) -> None:
    """A file that was not there. Raises NotWrittenError."""
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise NotWrittenError(f"{path} could not be written: {error.strerror or error}", is_denied=isinstance(error, PermissionError)) from error
