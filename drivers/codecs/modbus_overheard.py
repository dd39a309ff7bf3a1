"""A serial line on which another master talks Modbus: requests and answers taken out of one stream, and paired.

Nothing in a serial frame says whether it is asked or answered, nor where it ends. So a frame is what has a length that its
function can have and a checksum that fits; it is an answer only if the request before it, of the same unit, function and
count, is known and fresh. An answer whose request was missed is counted and not guessed. Source: Modbus over Serial Line V1.02.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from config.errors import DeviceError
from drivers.codecs.modbus import READ_FUNCTIONS, DeclinedError, Question, is_sealed, values
from drivers.codecs.modbus_ascii import unseal
from drivers.codecs.modbus_device import read_question, request_size

WRITE_FUNCTIONS = (5, 6, 15, 16)
_MOST = 256
"""No serial frame is longer (2.5.1)."""
_MOST_ASCII = 513
_LEAST_WRITE = 6
"""Unit, function, address and value or count."""
_STRAY_BYTES = 4
"""Drivers that switch over put a stray byte or two between request and answer; more of them were a frame that we missed."""

_AGAIN_NS = 100_000_000
"""The same request sooner than this is an echo, later a second try."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """One request of the other master and what came of it."""

    question: Question
    registers: tuple[int, ...] = ()
    """What the device answered: registers (0..65535) or coils (0, 1); empty if it did not, or declined."""
    declined: int = 0
    """The exception code that it answered instead; 0 = none."""

    @property
    def is_silent(self) -> bool:
        """Nothing came before the next request."""
        return not self.registers and not self.declined


@dataclass(slots=True)
class Ear:
    """Hears a stream in whatever pieces it comes; `requests` says whether there is a master at all."""

    framing: Literal["rtu", "ascii"] = "rtu"
    answer_ns: int = 3_000_000_000
    """An answer comes no later than this after its request; what comes later is not paired."""
    requests: int = 0
    """Requests heard so far, to write and of any unit too."""
    unpaired: int = 0
    """Good frames that are no request and fit none: their request was missed."""
    stray: int = 0
    """Bytes that belong to no good frame."""
    written: int = 0
    """Requests to write among them."""
    spoken: set[int] = field(default_factory=set)
    """Units that were asked."""
    _rest: bytes = b""
    _asked: Question | None = None
    _asked_ns: int = 0
    _stray_since: int = 0

    def feed(self, piece: bytes, mono_ns: int) -> list[Overheard]:
        """What this piece completes, in order."""
        self._rest += piece
        return list(self._frames(mono_ns, is_over=False))

    def fall_silent(self, mono_ns: int) -> list[Overheard]:
        """Nothing came for longer than a frame can pause: what looked like the beginning of a longer one is none."""
        found = list(self._frames(mono_ns, is_over=True))
        if self._asked is not None and mono_ns - self._asked_ns > self.answer_ns:
            found.append(Overheard(self._asked))
            self._asked = None
        return found

    def forget(self) -> None:
        """The line was opened anew: nothing that was begun is continued."""
        self._rest, self._asked = b"", None

    def _frames(self, mono_ns: int, *, is_over: bool) -> Iterator[Overheard]:
        while self._rest:
            size, body = (self._cut_ascii if self.framing == "ascii" else self._cut)(is_over=is_over)
            if size == 0:
                return
            self._rest = self._rest[size:]
            if body:
                yield from self._take(body, mono_ns)
            else:
                self.stray += size
                self._stray_since += size

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _cut(self, *, is_over: bool) -> tuple[int, bytes]:
        """(bytes that are done with, unit and PDU of the frame that they were); 0 bytes = more must come."""
        sizes = _sizes(self._rest)
        whole = [size for size in sizes if size <= len(self._rest) and is_sealed(self._rest[:size])]
        fitting = [size for size in whole if self._is_answer(self._rest[: size - 2])]
        if whole:
            size = (fitting or whole)[0]
            return size, self._rest[: size - 2]
        if not is_over and (len(self._rest) < 3 or any(size > len(self._rest) or size == 0 for size in sizes)):
            return 0, b""
        return 1, b""

    def _cut_ascii(self, *, is_over: bool) -> tuple[int, bytes]:
        start, end = self._rest.find(b":"), self._rest.find(b"\r\n")
        if start != 0:
            return (start if start > 0 else len(self._rest)), b""
        if end < 0:
            return (len(self._rest) if is_over or len(self._rest) > _MOST_ASCII else 0), b""
        return end + 2, unseal(self._rest[self._rest.rfind(b":", 0, end) : end + 2]) or b""

    # ── meaning ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _is_answer(self, body: bytes) -> bool:
        """Does it have the shape of the answer to the request that is open?"""
        asked = self._asked
        if asked is None or body[0] != asked.unit or body[1] & 0x7F != asked.function:
            return False
        return len(body) == 3 if body[1] & 0x80 else len(body) == 3 + asked.data_bytes and body[2] == asked.data_bytes

    def _take(self, body: bytes, mono_ns: int) -> Iterator[Overheard]:
        is_fresh = mono_ns - self._asked_ns <= self.answer_ns and self._stray_since <= _STRAY_BYTES
        self._stray_since = 0
        asked = self._asked
        if asked is not None and self._is_answer(body) and is_fresh:
            self._asked = None
            yield _answered(asked, body)
            return
        question = _question(body)
        if question is None and not _is_write(body):
            self.unpaired += body[1] & 0x7F in READ_FUNCTIONS
            self._asked = None
            return
        if _is_echo_of_write(body):
            return
        if asked is not None and (asked != question or mono_ns - self._asked_ns > _AGAIN_NS):
            yield Overheard(asked)
        self.requests += 1
        self.spoken.add(body[0])
        self.written += question is None
        self._asked, self._asked_ns = question, mono_ns


def _sizes(so_far: bytes) -> list[int]:
    """The lengths that the frame can have that begins with these bytes, answers first; 0 = one cannot be told yet; [] = none begins here."""
    if len(so_far) < 2:
        return [0]
    function = so_far[1]
    if function & 0x80:
        return [5] if function & 0x7F in (*READ_FUNCTIONS, *WRITE_FUNCTIONS) else []
    if function in READ_FUNCTIONS:
        return [5 + so_far[2], 8] if len(so_far) > 2 and 1 <= so_far[2] <= _MOST - 5 else [8]
    if function in (15, 16):
        size = request_size(so_far)
        return [8, size] if size <= _MOST else [8]
    return [8] if function in WRITE_FUNCTIONS else []


def _question(body: bytes) -> Question | None:
    """The read request in a frame; None if it is none."""
    try:
        return read_question(body[0], body[1:]) if body[0] <= 247 else None
    except DeclinedError:
        return None


def _is_write(body: bytes) -> bool:
    return body[1] in WRITE_FUNCTIONS and len(body) >= _LEAST_WRITE


def _is_echo_of_write(body: bytes) -> bool:
    """The answer to 15 and 16 is shorter than any request; to 5 and 6 it is the same bytes, and counted twice does no harm."""
    return body[1] in (15, 16) and len(body) == 6


def _answered(asked: Question, body: bytes) -> Overheard:
    try:
        return Overheard(asked, tuple(values(asked, body[1:])))
    except DeclinedError as declined:
        return Overheard(asked, declined=declined.code)
    except DeviceError:  # its shape was looked at before
        return Overheard(asked)
