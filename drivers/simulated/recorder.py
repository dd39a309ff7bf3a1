"""A simulated Modbus instrument that keeps a record: the ring of a profile's `[history]`, and its present values beside it."""

from collections.abc import Mapping

from config.device import Profile
from drivers.codecs.modbus import DeclinedError
from drivers.decode import encode
from drivers.protocols.modbus import History, Row

_EPOCHS = {"unix": 0, "2000": 946_684_800}


class RecordingSource:
    """See RegisterSource. `record` writes the next slot; the registers of slots that were never written are all ones."""

    def __init__(self, profile: Profile) -> None:
        """Raises ValueError if the profile has no `[history]`."""
        if not isinstance(profile.history, History):
            raise ValueError(f"{profile.name} keeps no record")
        self._profile, self._history = profile, profile.history
        history = self._history
        self._ring = [[0xFFFF] * history.size for _ in range(history.records)]
        self._newest = 0xFFFF
        self.present: dict[int, int] = {}
        """Registers of the present values."""
        self.reads = 0

    def record(self, at_s: int, values: Mapping[str, float]) -> None:
        """Measure now: `values` by row of the profile."""
        history = self._history
        self._newest = 0 if self._newest == 0xFFFF else (self._newest + 1) % history.records
        slot = self._ring[self._newest] = [0] * history.size
        stamp = encode(history.time_form, at_s - _EPOCHS[history.time.epoch] + history.time.ahead)
        slot[history.time.at : history.time.at + len(stamp)] = stamp
        for name, value in values.items():
            row = self._profile.rows[name]
            assert isinstance(row, Row)
            registers = encode(row.form, value)
            self.present |= {row.first + place: register for place, register in enumerate(registers)}
            if name in history.rows:
                at = history.rows[name]
                slot[at : at + len(registers)] = registers

    def read(self, function: int, first: int, count: int) -> list[int]:
        """See RegisterSource."""
        self.reads += 1
        return [self._register(place) for place in range(first, first + count)]

    def _register(self, place: int) -> int:
        history = self._history
        if place == history.newest:
            return self._newest
        slot, at = divmod(place - history.first, history.size)
        if 0 <= slot < history.records:
            return self._ring[slot][at]
        if place not in self.present:
            raise DeclinedError(2)
        return self.present[place]
