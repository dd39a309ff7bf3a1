"""Bytes that come on an asked line when nothing was asked: after each answer of one device, they are a second device with its address.

The first to answer is believed, so nothing else would ever say that there are two.
"""

from dataclasses import dataclass, field

from drivers.driver import Wire

_SURE = 3
"""So many times in a row: once may be noise."""


@dataclass(slots=True)
class Unasked:
    """Used by the one thread that owns its line."""

    _answered: str = ""
    """Who answered last; nobody if the newest poll failed."""
    _times: dict[str, int] = field(default_factory=dict)

    def throw_away(self, wire: Wire) -> bool:
        """Before the next device is asked: did anything come since the last answer that nobody owes? Raises LineError."""
        came, owner = wire.drain(), self._answered
        if not came:
            self._times.pop(owner, None)
            return False
        if owner and wire.owed.is_clear(wire.clock.now().mono_ns):
            self._times[owner] = self._times.get(owner, 0) + 1
        return True

    def polled(self, device: str, *, answered: bool) -> None:
        """How the poll of a device ended."""
        self._answered = device if answered else ""

    def is_sure(self, device: str) -> bool:
        """Does something always follow the answers of this device?"""
        return self._times.get(device, 0) >= _SURE
