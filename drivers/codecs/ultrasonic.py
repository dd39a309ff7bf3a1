"""Small ultrasonic rangefinders that write four bytes at each measurement: FF, the distance in mm in two bytes, the sum of the three.

Source: DFRobot's pages of the SEN0311 (A02YYUW) and SEN0312 (ME007YS), "UART output form". One byte of head and one of sum
are little, so what is farther than such a sensor hears is no frame either. No echo is told as 0.
"""

from drivers.codecs.frame import Cutter, NotAFrame, hexed

HEAD = 0xFF
SIZE = 4
FARTHEST_MM = 10_000
"""No sensor of this kind reaches so far."""
FIELDS = ("distance_mm",)


def _begins(so_far: bytes) -> int:
    """See Cutter.size."""
    if so_far[0] != HEAD:
        return -1
    return SIZE if len(so_far) < 3 or int.from_bytes(so_far[1:3]) <= FARTHEST_MM else -1


def is_good(frame: bytes) -> bool:
    """Does the sum fit?"""
    return sum(frame[:3]) & 0xFF == frame[3]


def cutter() -> Cutter:
    """For the stream of a sensor."""
    return Cutter(_begins, is_good, SIZE)


def read(frame: bytes) -> dict[str, float]:
    """The distance in mm, 0 = no echo. Raises NotAFrame.

    >>> read(bytes.fromhex("ff07a1a7"))
    {'distance_mm': 1953}
    """
    if len(frame) != SIZE or _begins(frame) != SIZE:
        raise NotAFrame(f"not four bytes that begin with FF and a distance: {hexed(frame)}", "short" if len(frame) < SIZE else "noise")
    if not is_good(frame):
        raise NotAFrame("the checksum does not fit")
    return {"distance_mm": int.from_bytes(frame[1:3])}


def build(distance_mm: int) -> bytes:
    """The frame that a sensor sends.

    >>> build(1953).hex(" ")
    'ff 07 a1 a7'
    """
    frame = bytes((HEAD,)) + distance_mm.to_bytes(2)
    return frame + bytes((sum(frame) & 0xFF,))
