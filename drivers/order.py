"""The contract of a device that can be told to do something: clean, zero, switch. Off unless the site file allows it.

An order is carried out at most once: it is journalled before it is sent, it is never repeated by itself, and what is not
known to have been done or not done is said to be unknown. `gateway/orders.py` drives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from drivers.driver import Wire


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that a device can be told."""

    what: str
    """What it does, for the person who is asked to confirm it."""
    settle_s: float = 0.0
    """Afterwards the device is left alone for so long; others are asked meanwhile."""
    low: float | None = None
    """It takes a value from here …"""
    high: float | None = None
    """… to here; both None = it takes none."""
    unit: str = ""
    """Of the value."""

    @property
    def takes_value(self) -> bool:
        """It cannot be given without one."""
        return self.low is not None

    def check(self, value: float | None) -> None:
        """Raises ValueError, in words for people, for a value that is missing, unwanted or out of range."""
        if self.low is None or self.high is None:
            if value is not None:
                raise ValueError("takes no value")
        elif value is None:
            raise ValueError(f"needs a value, {self.low:g} to {self.high:g} {self.unit}".rstrip())
        elif not self.low <= value <= self.high:
            raise ValueError(f"takes {self.low:g} to {self.high:g} {self.unit}".rstrip() + f", not {value:g}")


@dataclass(frozen=True, slots=True)
class Order:
    """One order to one device."""

    verb: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order."""

    state: Literal["done", "failed", "unknown"]
    """done: the device has confirmed it. failed: it surely was not carried out. unknown: it may have been."""
    words: str
    cause: str = ""
    """That of the DeviceError where the exchange itself failed: such a device may be given up."""


@runtime_checkable
class Obeys(Protocol):
    """An Asked device that can be told. Called by the line's thread; sends nothing unless its Device says `may_obey`."""

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What it can be told; empty if the site file does not allow it or the profile has no commands."""
        ...

    def check(self, order: Order) -> None:
        """Raises ValueError, in words for people, for an order that it cannot be given. Pure; any thread."""
        ...

    def obey(self, order: Order, wire: Wire) -> Outcome:
        """Carry it out, once: what was sent is not sent again. Raises LineError if the wire is gone; then nobody knows."""
        ...
