"""What all codecs of serial frames share: the one error, and how a stream is cut into frames wherever it was cut before.

A frame that fails its check costs one byte, not the whole frame: a good one may begin inside what only looked like one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from config.errors import DeviceError


class NotAFrame(DeviceError):
    """These bytes are no frame of the protocol. `cause`: short (cut off), noise (a check does not fit), wrong (another device or question)."""

    def __init__(self, message: str, cause: str = "noise") -> None:
        super().__init__(message, cause)


@dataclass(slots=True)
class Cutter:
    """Cuts a stream of bytes into whole, checked frames; the same frames whatever pieces the stream comes in."""

    size: Callable[[bytes], int]
    """Length of the frame that begins with these bytes (at most `most` of them); 0 = cannot be told yet, -1 = none begins here."""
    is_good: Callable[[bytes], bool]
    """Does its checksum fit?"""
    most: int
    """No frame is longer."""
    spoilt: int = 0
    """Frames whose checksum did not fit, so far."""
    stray: int = 0
    """Bytes since the last good frame that belong to none."""
    _rest: bytes = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The frames that this piece completes."""
        stream, at, found = self._rest + piece, 0, []
        while at < len(stream):
            size = self.size(stream[at : at + self.most])
            if size == 0 or at + size > len(stream):
                break
            frame = stream[at : at + size] if size > 0 else b""
            if frame and self.is_good(frame):
                found.append(frame)
                at += size
                self.stray = 0
            else:
                self.spoilt += bool(frame)
                self.stray += 1
                at += 1
        self._rest = stream[at:]
        return found

    def forget(self) -> None:
        """The line was opened anew: what was begun is not continued."""
        self._rest = b""

    def fall_silent(self) -> None:
        """Nothing came for so long that what was begun is not continued."""
        self._rest = b""


@dataclass(slots=True)
class LineCutter:
    """Cuts a stream into lines of text, without their ends. The first line is not believed to be whole before one has ended."""

    ends: bytes = b"\r\n"
    """Any of these bytes ends a line."""
    most: int = 512
    """A longer line is none; it counts as stray bytes."""
    stray: int = 0
    """Bytes of lines that were too long or begun before we listened, since the last whole line."""
    _rest: bytes = b""
    _is_begun: bool = field(default=False)
    """We saw where the present line begins."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes; empty ones are left out."""
        found = []
        for byte in piece:
            if byte in self.ends:
                if self._is_begun and self._rest:
                    found.append(self._rest)
                    self.stray = 0
                self._rest, self._is_begun = b"", True
            elif self._is_begun and len(self._rest) < self.most:
                self._rest += bytes((byte,))
            else:
                self.stray += 1 + len(self._rest)
                self._rest, self._is_begun = b"", False
        return found

    def forget(self) -> None:
        """The line was opened anew: nothing is believed before the end of a line."""
        self._rest, self._is_begun = b"", False

    def fall_silent(self) -> None:
        """Nothing came for so long that a line that was begun is not continued; between two lines that is nothing."""
        if self._rest:
            self.forget()


def hexed(data: bytes, most: int = 16) -> str:
    """The first bytes in hex, for messages."""
    return data[:most].hex(" ") + (" …" if len(data) > most else "")
