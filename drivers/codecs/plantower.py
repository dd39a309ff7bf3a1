"""Plantower particle sensors (PMS3003, 5003, 7003, A003, 5003ST): frames that they send by themselves, and their commands.

42 4D, length, big-endian words, sum of all bytes before it. Sources: the maker's data manuals of PMS5003 and PMS7003 as
read by pimoroni/pms5003-python and by ESPHome's pmsx003 component (lengths of all models, layout of the 5003ST).
"""

import struct

from drivers.codecs.frame import Cutter, NotAFrame, hexed

_HEAD = b"\x42\x4d"
_MASSES = ("pm1_cf1", "pm25_cf1", "pm10_cf1", "pm1_atm", "pm25_atm", "pm10_atm")
_COUNTS = ("n03", "n05", "n10", "n25", "n50", "n100")
WORDS: dict[int, tuple[str, ...]] = {
    20: (*_MASSES, "", "", ""),
    28: (*_MASSES, *_COUNTS, "status"),
    36: (*_MASSES, *_COUNTS, "hcho", "temperature", "humidity", "", "status"),
}
"""By the length that the frame says: the names of its words. Masses in µg/m³, counts per 0.1 L above the size, hcho in µg/m³."""
FIELDS: dict[int, tuple[str, ...]] = {size: tuple(name for name in names if name not in ("", "status")) for size, names in WORDS.items()}
COMMANDS = {0xE1: "mode", 0xE2: "read", 0xE4: "sleep"}


def frame_size(so_far: bytes, lengths: frozenset[int] = frozenset(WORDS)) -> int:
    """See Cutter.size."""
    if not _HEAD.startswith(so_far[:2]):
        return -1
    if len(so_far) < 4:
        return 0
    length = int.from_bytes(so_far[2:4])
    return length + 4 if length in lengths else -1


def is_good(frame: bytes) -> bool:
    """Does the sum fit?"""
    return len(frame) >= 7 and sum(frame[:-2]) == int.from_bytes(frame[-2:])


def cutter(length: int) -> Cutter:
    """For the stream of a model whose frames say this length."""
    lengths = frozenset({length})
    return Cutter(lambda so_far: frame_size(so_far, lengths), is_good, length + 4)


def read(frame: bytes) -> dict[str, float]:
    """The values of a frame by name, with "version" and "error" where the model sends them (error 0 = none). Raises NotAFrame."""
    if frame_size(frame) != len(frame):
        raise NotAFrame(f"not a Plantower frame: {hexed(frame)}", "short" if frame_size(frame) > len(frame) else "noise")
    if not is_good(frame):
        raise NotAFrame("the checksum does not fit")
    words = struct.unpack(f">{len(frame) // 2 - 3}H", frame[4:-2])
    found: dict[str, float] = {}
    for name, word in zip(WORDS[len(frame) - 4], words, strict=True):
        if name == "status":
            found |= {"version": word >> 8, "error": word & 0xFF}
        elif name in ("temperature", "humidity"):
            found[name] = (word - 0x10000 if name == "temperature" and word & 0x8000 else word) / 10
        elif name:
            found[name] = word
    return found


def build(length: int, values: dict[str, float]) -> bytes:
    """The frame that a sensor sends for these values; what is left out is 0."""
    body = _HEAD + length.to_bytes(2)
    for name in WORDS[length]:
        if name == "status":
            body += bytes((int(values.get("version", 0)), int(values.get("error", 0))))
        else:
            scale = 10 if name in ("temperature", "humidity") else 1
            body += (round(values.get(name, 0) * scale) % 0x10000).to_bytes(2)
    return body + sum(body).to_bytes(2)


def command(code: int, value: int = 0) -> bytes:
    """A command: E1 mode (0 passive, 1 active), E2 read once, E4 sleep (0) or wake (1)."""
    body = _HEAD + bytes((code,)) + value.to_bytes(2)
    return body + sum(body).to_bytes(2)


def read_command(frame: bytes) -> tuple[int, int]:
    """Code and value of a command. Raises NotAFrame."""
    if len(frame) != 7 or frame[:2] != _HEAD or frame[2] not in COMMANDS:
        raise NotAFrame(f"not a Plantower command: {hexed(frame)}")
    if not is_good(frame):
        raise NotAFrame("the checksum does not fit")
    return frame[2], int.from_bytes(frame[3:5])


SLEEP, WAKE = command(0xE4, 0), command(0xE4, 1)
"""Laser and fan off; on again, and it sends by itself as before."""
