"""Finds the declared files: this box's own in /etc/ecosentry go before the packaged ones, and every listing says which."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from config.document import Document
from config.errors import ConfigError, Problem
from config.wording import did_you_mean

Folder = Literal["devices", "standards", "sites"]
ETC = Path("/etc/ecosentry")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Found:
    """A declared file; the file name without .toml is its name."""

    name: str
    path: str
    packaged: bool
    body: bytes

    @property
    def origin(self) -> str:
        """Where it comes from, for people: packaged, or the folder."""
        return "packaged" if self.packaged else str(Path(self.path).parent)


def local() -> Path:
    """The folder of this box's own files: $ECOSENTRY_CONFIG, else /etc/ecosentry."""
    return Path(os.environ.get("ECOSENTRY_CONFIG") or ETC)


def find(folder: Folder, name: str) -> Found | None:
    """The file of that name, the box's own first; None if there is none. Raises ConfigError if it cannot be read."""
    if not _NAME.fullmatch(name):
        return None
    for place, packaged in _places(folder):
        file = place.joinpath(f"{name}.toml")
        if file.is_file():
            return _read(file, name, packaged)
    return None


def found(folder: Folder) -> dict[str, Found]:
    """All files of a folder by name, sorted; of two with one name the box's own. Raises ConfigError if one cannot be read."""
    names: dict[str, Found] = {}
    for place, packaged in reversed(list(_places(folder))):
        if place.is_dir():
            for file in place.iterdir():
                name = file.name.removesuffix(".toml")
                if file.name.endswith(".toml") and _NAME.fullmatch(name) and file.is_file():
                    names[name] = _read(file, name, packaged)
    return dict(sorted(names.items()))


def names(folder: Folder) -> frozenset[str]:
    """The names of all files of a folder, unread."""
    listed = [file.name for place, _ in _places(folder) if place.is_dir() for file in place.iterdir()]
    return frozenset(name.removesuffix(".toml") for name in listed if name.endswith(".toml"))


def no_such(folder: Folder, name: str) -> tuple[str, str]:
    """What to say about a name that is not there: what is wrong, and the repair."""
    word = {"devices": "device profile", "standards": "standard", "sites": "site"}[folder]
    near = did_you_mean(name, names(folder), f"ecosentry {folder} lists them" if folder != "sites" else "")
    return f"there is no {word} {name}", near


def _places(folder: Folder) -> Iterator[tuple[Traversable, bool]]:
    yield local() / folder, False
    yield files("config").joinpath(folder), True


def _read(file: Traversable, name: str, packaged: bool) -> Found:
    path = str(file)
    try:
        return Found(name, path, packaged, file.read_bytes())
    except OSError as error:
        raise ConfigError([unreadable(path, error)]) from error


def unreadable(path: str, error: OSError) -> Problem:
    """What to say about a file that is there and cannot be read, or is not there."""
    why = {FileNotFoundError: "there is no such file", PermissionError: "no permission to read it", IsADirectoryError: "is a folder"}
    what = next((words for kind, words in why.items() if isinstance(error, kind)), f"cannot be read: {error.strerror or error}")
    return Problem(path, what, "sudo, or the group ecosentry?" if isinstance(error, PermissionError) else "")


def open_site(path: str) -> Document:
    """The text of a site file. Raises ConfigError."""
    try:
        body = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        problem = unreadable(path, error if isinstance(error, OSError) else OSError(str(error)))
        if isinstance(error, FileNotFoundError):
            problem = replace(problem, repair="name one with --site FILE; a first one:  ecosentry scan --write site.toml")
        raise ConfigError([problem]) from error
    return Document(path, body)
