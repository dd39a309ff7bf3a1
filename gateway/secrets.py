"""Secrets by name. The site file holds only the name; the text is looked up where only this service can read it."""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import Halted
from config.find import ETC

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LARGEST = 65_536


@dataclass(frozen=True, slots=True)
class Secrets:
    """Call it with a name to get the secret. Keeps nothing: a changed secret is seen at the next call."""

    site_file: str = field(default="", repr=False)
    """Secrets may also lie in secrets/ beside it."""

    def __call__(self, name: str) -> str:
        """The secret of that name, without the line end of its file. Raises Halted, saying where it was looked for."""
        if not _NAME.fullmatch(name):
            raise Halted(f'"{name}" cannot be the name of a secret: a-z 0-9 . _ -')
        credentials, variable, files = self._credentials(name), environment_name(name), self._files(name)
        for file in credentials:
            if (text := _read(file, check=False)) is not None:
                return text
        if given := os.environ.get(variable):
            return given
        for file in files:
            if (text := _read(file, check=True)) is not None:
                return text
        places = [*map(str, credentials), f"${variable}", *map(str, files)]
        raise Halted(f"secret {name} is missing. It was looked for in {', '.join(places)}")

    def has(self, name: str) -> bool:
        """Is there one?"""
        try:
            self(name)
        except Halted:
            return False
        return True

    @staticmethod
    def _credentials(name: str) -> list[Path]:
        """A credential of that name, or a file of that name in a folder that the unit loads as `secrets`."""
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        return [Path(folder) / name, Path(folder) / f"secrets_{name}"] if folder else []

    def _files(self, name: str) -> list[Path]:
        """Where a file of our own may be: only its owner may read it (systemd looks after its own)."""
        files = [ETC / "secrets" / name]
        if self.site_file:
            files.append(Path(self.site_file).resolve().parent / "secrets" / name)
        return list(dict.fromkeys(files))


def environment_name(name: str) -> str:
    """The variable that may hold a secret.

    >>> environment_name("influx-token")
    'ECOSENTRY_SECRET_INFLUX_TOKEN'
    """
    return "ECOSENTRY_SECRET_" + name.upper().replace("-", "_").replace(".", "_")


def _read(file: Path, *, check: bool) -> str | None:
    """The text of a secret's file; None if there is none. Raises Halted if it must not be used."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return None
            if check and mode & 0o077:
                raise Halted(f"{file} can be read by others (mode {stat.S_IMODE(mode):04o}). → chmod 600 {file}")
            body = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Halted(f"{file} cannot be read: {error.strerror}. → is it owned by the user that runs EcoSentry?") from error
    try:
        text = body.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise Halted(f"{file} is not text") from error
    if not text or len(body) > _LARGEST:
        raise Halted(f"{file} is {'too long for a secret' if text else 'empty'}")
    return text
