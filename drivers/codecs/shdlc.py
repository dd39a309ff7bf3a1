"""Sensirion SHDLC frames (SPS30 and relatives): 7E, stuffed content with its checksum, 7E.

Content to the sensor: address, command, length, data; from it: address, command, state, length, data. Checksum: the
complement of the sum of the content. Source: Sensirion SPS30 datasheet, chapter 5, checked against its own Python driver.
"""

import itertools
import struct
from dataclasses import dataclass

from drivers.codecs.frame import NotAFrame, hexed

_MARK, _ESCAPE = 0x7E, 0x7D
_STUFFED = frozenset({0x7E, 0x7D, 0x11, 0x13})
START, STOP, READ, SLEEP, WAKE, CLEAN, INFO, VERSION, STATUS, RESET = 0x00, 0x01, 0x03, 0x10, 0x11, 0x56, 0xD0, 0xD1, 0xD2, 0xD3
NOT_NOW = 0x43
"""State: the command is not allowed in the present state; as an answer to READ: measuring has not been started."""
STATES = {1: "wrong data length", 2: "unknown command", 3: "no access right", 4: "illegal parameter", 0x28: "argument out of range",
          0x43: "not allowed in this state"}  # fmt: skip
SPS30_FIELDS = ("mc1p0", "mc2p5", "mc4p0", "mc10p0", "nc0p5", "nc1p0", "nc2p5", "nc4p0", "nc10p0", "typical_size_um")
"""The ten floats of an SPS30: masses in µg/m³, numbers per cm³, the typical size in µm."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The content of a frame; `state` is None in a request."""

    address: int
    command: int
    data: bytes
    state: int | None = None

    @property
    def has_failed(self) -> bool:
        """The sensor did not do what was asked. (The highest bit says only that its own status register has something.)."""
        return bool((self.state or 0) & 0x7F)


def build(frame: Frame) -> bytes:
    """The bytes of a frame."""
    state = b"" if frame.state is None else bytes((frame.state,))
    content = bytes((frame.address, frame.command)) + state + bytes((len(frame.data),)) + frame.data
    content += bytes((~sum(content) & 0xFF,))
    stuffed = b"".join(bytes((_ESCAPE, byte ^ 0x20)) if byte in _STUFFED else bytes((byte,)) for byte in content)
    return bytes((_MARK,)) + stuffed + bytes((_MARK,))


def read_request(stream: bytes) -> Frame:
    """A request, exactly. Raises NotAFrame."""
    content = _content(stream, 3)
    if content[2] != len(content) - 3:
        raise NotAFrame(f"its length says {content[2]} and {len(content) - 3} bytes are there")
    return Frame(content[0], content[1], content[3:])


def read_answer(stream: bytes) -> Frame:
    """An answer, exactly. Raises NotAFrame."""
    content = _content(stream, 4)
    if content[3] != len(content) - 4:
        raise NotAFrame(f"its length says {content[3]} and {len(content) - 4} bytes are there")
    return Frame(content[0], content[1], content[4:], content[2])


def pieces(stream: bytes) -> list[bytes]:
    """What stands between two marks, with them, in order; one mark may end a frame and begin the next."""
    marks = [at for at, byte in enumerate(stream) if byte == _MARK]
    return [stream[a : b + 1] for a, b in itertools.pairwise(marks) if b - a > 1]


def find(stream: bytes, request: Frame) -> Frame:
    """The answer to a request in a stream, whatever stands before it (its echo, noise). Raises NotAFrame."""
    why: NotAFrame | None = None
    address, command = request.address, request.command
    for piece in pieces(stream.removeprefix(build(request))):  # an echo can look like an answer that declines
        try:
            frame = read_answer(piece)
        except NotAFrame as error:
            why = why or error
            continue
        if (frame.address, frame.command) == (address, command):
            return frame
        why = NotAFrame(f"an answer of {frame.address} to command {frame.command:02X}", "wrong")
    raise why or NotAFrame(f"no whole frame in {hexed(stream)}", "short")


def missing(so_far: bytes, request: Frame, data_bytes: int) -> int:
    """How many bytes of the answer are still to come at least; 0 = it is there, or what came in its place is spoilt."""
    echo = build(request)
    if echo.startswith(so_far):
        return len(echo) - len(so_far) + 6 + data_bytes
    if not pieces(so_far.removeprefix(echo)):
        begun = so_far.rfind(bytes((_MARK,)))
        inside = len(so_far) - begun - 1 if begun >= 0 else 0
        return max(1, 6 + data_bytes - inside)
    return 0


def floats(data: bytes) -> tuple[float, ...]:
    """Big-endian float32 values. Raises NotAFrame if the length is none of theirs."""
    if len(data) % 4:
        raise NotAFrame(f"{len(data)} bytes are no floats", "wrong")
    return struct.unpack(f">{len(data) // 4}f", data)


def _content(stream: bytes, least: int) -> bytes:
    """The checked content of one frame, without its checksum."""
    if len(stream) < 2 or stream[0] != _MARK or stream[-1] != _MARK or _MARK in stream[1:-1]:
        raise NotAFrame(f"not between two marks: {hexed(stream)}")
    content, escaped = bytearray(), False
    for byte in stream[1:-1]:
        if escaped and byte ^ 0x20 not in _STUFFED:
            raise NotAFrame("an escape before a byte that needs none")
        if not escaped and byte == _ESCAPE:
            escaped = True
            continue
        content.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    if escaped or len(content) < least + 1:
        raise NotAFrame("ends too early", "short")
    if ~sum(content[:-1]) & 0xFF != content[-1]:
        raise NotAFrame("the checksum does not fit")
    return bytes(content[:-1])
