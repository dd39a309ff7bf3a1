"""Nova SDS011 particle sensor: the frames that it sends by itself, its answers, and its commands.

Answers and data are 10 bytes (AA, kind, six bytes, sum of these, AB), commands 19. Source: Nova "Laser Dust Sensor Control
Protocol" v1.3, whose examples public tests quote.
"""

from dataclasses import dataclass

from drivers.codecs.frame import Cutter, NotAFrame, hexed

DATA, REPLY, COMMAND = 0xC0, 0xC5, 0xB4
_SIZES = {DATA: 10, REPLY: 10, COMMAND: 19}
MODE, QUERY, SET_ID, SLEEP, VERSION, PERIOD = 2, 4, 5, 6, 7, 8
ANY_ID = 0xFFFF
FIELDS = ("pm25", "pm10")
"""What a data frame holds, µg/m³."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A checked frame: its kind (DATA, REPLY, COMMAND), the bytes between kind and id, and the sensor's id."""

    kind: int
    body: bytes
    id: int

    @property
    def action(self) -> int:
        """What a command asks for or a reply answers: MODE, QUERY …."""
        return self.body[0]


def frame_size(so_far: bytes) -> int:
    """See Cutter.size."""
    if so_far[:1] != b"\xaa":
        return -1
    return 0 if len(so_far) < 2 else _SIZES.get(so_far[1], -1)


def is_good(frame: bytes) -> bool:
    """Do sum and tail fit?"""
    return len(frame) >= 10 and frame[-1] == 0xAB and sum(frame[2:-2]) & 0xFF == frame[-2]


def cutter() -> Cutter:
    """For the stream of a sensor."""
    return Cutter(lambda so_far: frame_size(so_far) if so_far[1:2] != bytes((COMMAND,)) else -1, is_good, 10)


def read(frame: bytes) -> Frame:
    """Any frame. Raises NotAFrame."""
    size = frame_size(frame)
    if size != len(frame):
        raise NotAFrame(f"not an SDS011 frame: {hexed(frame)}", "short" if size > len(frame) else "noise")
    if not is_good(frame):
        raise NotAFrame("the checksum does not fit")
    return Frame(frame[1], frame[2:-4], int.from_bytes(frame[-4:-2]))


def values(frame: Frame) -> dict[str, float]:
    """PM2.5 and PM10 of a data frame, µg/m³. Raises NotAFrame for another kind."""
    if frame.kind != DATA:
        raise NotAFrame("a reply, not data", "wrong")
    return {"pm25": int.from_bytes(frame.body[:2], "little") / 10, "pm10": int.from_bytes(frame.body[2:4], "little") / 10}


def build(kind: int, body: bytes, id_: int = ANY_ID) -> bytes:
    """A whole frame; `body` is filled up with zeros."""
    inner = body.ljust(_SIZES[kind] - 6, b"\0") + id_.to_bytes(2)
    return bytes((0xAA, kind)) + inner + bytes((sum(inner) & 0xFF, 0xAB))


def mode(*, awake: bool, id_: int = ANY_ID) -> bytes:
    """The command that wakes it (fan and laser on, it sends again) or puts it to sleep.

    >>> mode(awake=False, id_=0xA160).hex(" ")
    'aa b4 06 01 00 00 00 00 00 00 00 00 00 00 00 a1 60 08 ab'
    """
    return build(COMMAND, bytes((SLEEP, 1, awake)), id_)


def data(pm25: float, pm10: float, id_: int) -> bytes:
    """The frame that a sensor sends for these values."""
    return build(DATA, round(pm25 * 10).to_bytes(2, "little") + round(pm10 * 10).to_bytes(2, "little"), id_)
