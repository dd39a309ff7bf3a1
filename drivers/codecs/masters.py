"""Does somebody ask on this line? Requests of Modbus (RTU, ASCII) and DL/T 645 masters in a stream, whoever they are for."""

from dataclasses import dataclass, field

from drivers.codecs import dlt645
from drivers.codecs.frame import Cutter, NotAFrame
from drivers.codecs.modbus_overheard import Ear

LISTEN_FIRST_S = 3.0
"""A line that is to be asked is listened to for so long before, if its site file says nothing else."""


def _meter_cutter() -> Cutter:
    return Cutter(dlt645.frame_size, dlt645.is_good, dlt645.LEAST + 255)


@dataclass(slots=True)
class Masters:
    """Hears a stream in whatever pieces it comes."""

    bytes_heard: int = 0
    meter_requests: int = 0
    """Requests of a DL/T 645 master."""
    _rtu: Ear = field(default_factory=Ear)
    _ascii: Ear = field(default_factory=lambda: Ear("ascii"))
    _meters: Cutter = field(default_factory=_meter_cutter)

    def feed(self, piece: bytes, mono_ns: int) -> None:
        """Some of the stream."""
        self.bytes_heard += len(piece)
        self._rtu.feed(piece, mono_ns)
        self._ascii.feed(piece, mono_ns)
        for frame in self._meters.feed(piece):
            try:
                self.meter_requests += not dlt645.read(frame).is_answer
            except NotAFrame:
                continue

    def fall_silent(self, mono_ns: int) -> None:
        """A pause: what looked like the beginning of a frame is none."""
        self._rtu.fall_silent(mono_ns)
        self._ascii.fall_silent(mono_ns)
        self._meters.fall_silent()

    @property
    def requests(self) -> int:
        """How many were heard."""
        return self._rtu.requests + self._ascii.requests + self.meter_requests

    def words(self) -> str:
        """Who is asked, for people; empty if nobody is."""
        for name, ear in (("Modbus RTU", self._rtu), ("Modbus ASCII", self._ascii)):
            if ear.requests:
                units = sorted(ear.spoken)
                some = ", ".join(map(str, units[:8])) + (" …" if len(units) > 8 else "")
                return f"another master asks {'addresses' if len(units) > 1 else 'address'} {some} in {name}"
        return "another master asks DL/T 645 meters" if self.meter_requests else ""
