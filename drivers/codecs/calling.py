"""What a modem says beside its data: the packet by which it registers, and the heartbeats that keep its connection open. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 64
"""Bytes of a registration or a heartbeat."""
_IMEI = re.compile(r"\d{15}")
_BEFORE_IMEI = (b"", b"IMEI:", b"IMEI=", b"IMEI", b"imei:", b"imei=", b"imei")


def code(text: str) -> bytes:
    r"""The bytes of a code as people write it: plain text, or "hex:…". Raises ValueError.

    >>> code("weir-01"), code("hex:AA 55")
    (b'weir-01', b'\xaaU')
    """
    if text.lower().startswith("hex:"):
        try:
            found = bytes.fromhex(text[4:])
        except ValueError:
            raise ValueError(f'"{text}" is not in hex digits; write pairs of them: "hex:AA 55 01"') from None
    else:
        found = text.encode()
    if not 1 <= len(found) <= LONGEST:
        raise ValueError(f'"{text[:40]}" has {len(found)} bytes; 1 to {LONGEST} are possible')
    return found


def imei(digits: str) -> tuple[bytes, ...]:
    """The forms in which modems send their number: in digits, with its name before them, or packed two digits a byte. Raises ValueError."""
    if not _IMEI.fullmatch(digits) or not _has_check_digit(digits):
        raise ValueError(f'"{digits}" is not an IMEI; it has 15 digits, of which the last is a check digit, and stands on the modem')
    plain = digits.encode()
    return (*(before + plain for before in _BEFORE_IMEI), bytes.fromhex("0" + digits))


def _has_check_digit(digits: str) -> bool:
    """Luhn's sum, as 3GPP TS 23.003, annex B, has it."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits))
    return sum(figure // 10 + figure % 10 for figure in doubled) % 10 == 0


@dataclass(frozen=True, slots=True)
class Registration:
    """By what one modem is known."""

    forms: tuple[bytes, ...]
    """Any of these begins its connection."""

    @classmethod
    def read(cls, text: str) -> "Registration":
        r"""Plain text, "hex:…" or "imei:…". Raises ValueError.

        >>> Registration.read("weir-01").length(b"weir-01\r\n"), Registration.read("weir-01").length(b"we")
        (7, 0)
        """
        return cls(imei(text[5:].strip()) if text.lower().startswith("imei:") else (code(text),))

    def length(self, came: bytes) -> int:
        """How many bytes of what came are this registration; 0 = it may still become one, -1 = it is none."""
        whole = [len(form) for form in self.forms if came.startswith(form)]
        if whole:
            return max(whole)
        return 0 if any(form.startswith(came) for form in self.forms) else -1

    def resembles(self, other: "Registration") -> bool:
        """Could the beginning of one be taken for the other?"""
        return any(mine.startswith(theirs) or theirs.startswith(mine) for mine in self.forms for theirs in other.forms)


class Sieve:
    """Takes the codes of a modem out of what came."""

    def __init__(self, codes: Iterable[bytes]) -> None:
        """Registrations too: some modems put theirs before every packet."""
        self._codes = sorted(set(codes), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._codes))) if self._codes else None

    def without(self, came: bytes) -> bytes:
        """What came without its codes.

        >>> Sieve([b"PING"]).without(b"abPINGcPI")
        b'abcPI'
        """
        return came if self._pattern is None else self._pattern.sub(b"", came)

    def is_begun(self, came: bytes) -> bool:
        """Does it end in the beginning of a code, of which the rest may be on its way?"""
        return any(came.endswith(one[:size]) for one in self._codes for size in range(1, min(len(one), len(came) + 1)))
