"""Winsen MH-Z19 CO₂ sensor: nine bytes asked, nine bytes answered. Source: Winsen MH-Z19B manual as read by public drivers."""

from drivers.codecs.frame import NotAFrame, hexed

READ, RANGE, SELF_CALIBRATION, ZERO, SPAN = 0x86, 0x99, 0x79, 0x87, 0x88
SIZE = 9


def checksum(frame: bytes) -> int:
    """Of a frame's bytes 1 to 7.

    >>> hex(checksum(bytes.fromhex("ff0186000000000079")))
    '0x79'
    """
    return -sum(frame[1:8]) & 0xFF


def ask(command: int, body: bytes = b"") -> bytes:
    """A command; `body` is up to five bytes."""
    frame = bytes((0xFF, 0x01, command)) + body.ljust(5, b"\0")
    return frame + bytes((checksum(frame),))


def find(stream: bytes, command: int = READ) -> int:
    """Where in a stream the answer to a command may begin; its length if it does not."""
    at = stream.find(bytes((0xFF, command)))
    if at >= 0:
        return at
    return len(stream) - 1 if stream[-1:] == b"\xff" else len(stream)


def missing(so_far: bytes, command: int = READ) -> int:
    """How many bytes of the answer are still to come."""
    return max(0, SIZE - (len(so_far) - find(so_far, command)))


def read(stream: bytes, command: int = READ) -> bytes:
    """The six bytes of the answer to `command`, whatever stands before it. Raises NotAFrame."""
    frame = stream[find(stream, command) :][:SIZE]
    if len(frame) < SIZE:
        raise NotAFrame(f"no answer to {command:02X} in {hexed(stream)}", "short" if frame[:2] == bytes((0xFF, command)) else "noise")
    if checksum(frame) != frame[8]:
        raise NotAFrame("the checksum does not fit")
    return frame[2:8]


def values(body: bytes) -> dict[str, float]:
    """CO₂ in ppm and the temperature inside, °C (which the maker does not document), of an answer to READ."""
    return {"co2_ppm": int.from_bytes(body[:2]), "temp_c": body[2] - 40}


def answer(co2_ppm: int, temp_c: int = 20) -> bytes:
    """What a sensor answers to READ."""
    frame = bytes((0xFF, READ)) + co2_ppm.to_bytes(2) + bytes((temp_c + 40, 0, 0, 0))
    return frame + bytes((checksum(frame),))
