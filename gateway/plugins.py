"""Finds plug-ins by kind: a file without leading `_` in the folder of its section. Imports one when it is first used.

Only names that were listed here themselves are ever imported, so no name in a site file can reach another module.
"""

import importlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import cast

from config.errors import ConfigError, Problem
from config.kinds import Section
from config.table import Table
from drivers.driver import Asked, AskedLine, Device, Told, ToldLine
from gateway.contracts import Channel, Sink, Surroundings

_FOLDERS: dict[Section, tuple[str, str]] = {
    "lines": ("drivers", "lines"), "protocols": ("drivers", "protocols"), "sinks": ("gateway", "sinks"), "channels": ("gateway", "channels")}

MakeLine = Callable[[str, Table, Callable[[str], str]], AskedLine | ToldLine]
"""name, options, secret → line."""
MakeDriver = Callable[[Device], Asked | Told]
"""Raises ConfigError or ValueError if the device cannot work."""
MakeSink = Callable[[Table, Surroundings], Sink]
MakeChannel = Callable[[Table, Surroundings], Channel]


class Plugins:
    """The plug-ins of this installation; see config.kinds.Kinds for what the reader of site files asks."""

    def names(self, section: Section) -> tuple[str, ...]:
        """The kinds of a section, sorted."""
        return _names(section)

    def module(self, section: Section, kind: str) -> ModuleType:
        """The plug-in itself. KeyError for a kind that is not listed; ConfigError if a package that it needs is missing."""
        if kind not in _names(section):
            raise KeyError(kind)
        try:
            return importlib.import_module(".".join((*_FOLDERS[section], kind)))
        except ModuleNotFoundError as error:
            if error.name and error.name.partition(".")[0] in ("drivers", "gateway", "config", "analytics"):
                raise
            what = f"kind {kind} of {section.removesuffix('s')} needs the Python package {error.name}, which is not installed"
            raise ConfigError([Problem("", what, f"install it into EcoSentry's environment: pip install {error.name}")]) from error

    def options(self, section: Section, kind: str) -> type[Table]:
        """Its `Options`."""
        return cast("type[Table]", self.module(section, kind).Options)

    def row(self, protocol: str) -> type[Table]:
        """Its `Row`."""
        return cast("type[Table]", self.module("protocols", protocol).Row)

    def timing(self, protocol: str) -> type[Table] | None:
        """Its `Timing`, if it has one."""
        return cast("type[Table] | None", getattr(self.module("protocols", protocol), "Timing", None))

    def command(self, protocol: str) -> type[Table] | None:
        """Its `Command`, if its devices can be told something."""
        return cast("type[Table] | None", getattr(self.module("protocols", protocol), "Command", None))

    def status(self, protocol: str) -> type[Table] | None:
        """Its `Status`, if it reads what its devices say of themselves."""
        return cast("type[Table] | None", getattr(self.module("protocols", protocol), "Status", None))

    def history(self, protocol: str) -> type[Table] | None:
        """Its `History`, if it can read what its devices have recorded."""
        return cast("type[Table] | None", getattr(self.module("protocols", protocol), "History", None))

    def lines(self, protocol: str) -> frozenset[str]:
        """The kinds of line that it works on, its `LINES`; empty = any."""
        return frozenset(getattr(self.module("protocols", protocol), "LINES", ()))

    def is_alone(self, protocol: str) -> bool:
        """Its `ALONE`."""
        return bool(getattr(self.module("protocols", protocol), "ALONE", False))

    def line(self, kind: str) -> MakeLine:
        """Makes a line."""
        return cast("MakeLine", self.module("lines", kind).Line)

    def driver(self, protocol: str) -> MakeDriver:
        """Makes a driver."""
        return cast("MakeDriver", self.module("protocols", protocol).Driver)

    def sink(self, kind: str) -> MakeSink:
        """Makes a sink."""
        return cast("MakeSink", self.module("sinks", kind).Sink)

    def channel(self, kind: str) -> MakeChannel:
        """Makes a channel to one address."""
        return cast("MakeChannel", self.module("channels", kind).Channel)


KINDS = Plugins()
"""The plug-ins of this installation."""


@cache
def _names(section: Section) -> tuple[str, ...]:
    package, folder = _FOLDERS[section]
    listed = (file.name for file in files(package).joinpath(folder).iterdir())
    return tuple(sorted(name.removesuffix(".py") for name in listed if name.endswith(".py") and not name.startswith("_")))
