"""What the reader of site files must know of plug-ins. `gateway/plugins.py` knows it; config itself imports no plug-in."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, Self, runtime_checkable

from config.table import Table

Section = Literal["lines", "protocols", "sinks", "channels"]
"""A plug point. The kind of a device is the protocol of its profile."""


class Kinds(Protocol):
    """Which kinds there are, and the tables that each of them reads.

    All but `names` raise ConfigError if the plug-in cannot be loaded here (a package is missing), and KeyError for a
    kind that is not in `names`.
    """

    def names(self, section: Section) -> tuple[str, ...]:
        """The kinds of a section, sorted."""
        ...

    def options(self, section: Section, kind: str) -> type[Table]:
        """Its keys in the site file, beside those that all kinds of the section have."""
        ...

    def row(self, protocol: str) -> type[Table]:
        """The keys of a row of `[quantities]` in its profiles."""
        ...

    def timing(self, protocol: str) -> type[Table] | None:
        """The keys of `[timing]` in its profiles; None = it has none."""
        ...

    def command(self, protocol: str) -> type[Table] | None:
        """The keys of a `[commands.NAME]` in its profiles; None = its devices can be told nothing."""
        ...

    def status(self, protocol: str) -> type[Table] | None:
        """The keys of a `[status.NAME]` in its profiles; None = it reads none."""
        ...

    def history(self, protocol: str) -> type[Table] | None:
        """The keys of `[history]` in its profiles; None = its devices keep no record that it can read."""
        ...

    def lines(self, protocol: str) -> frozenset[str]:
        """The kinds of line that it works on; empty = any."""
        ...

    def is_alone(self, protocol: str) -> bool:
        """Its devices have no address: each needs a line of its own."""
        ...


@runtime_checkable
class Neighbour(Protocol):
    """Options of a table that takes what only one can have, and which tables of other names could take too.

    An address to listen at, a serial port, a session at a broker.
    """

    def clash(self, other: Table) -> tuple[str, str] | None:
        """Why the two cannot be at one site, and the repair; None = they can."""
        ...


@runtime_checkable
class FilledFromProfiles(Protocol):
    """Options of a line whose missing keys come from the `[default]` tables of the profiles of its devices."""

    def filled(self, defaults: Iterable[Mapping[str, Any]]) -> Self:
        """The options, complete. Raises ValueError if the profiles differ."""
        ...
