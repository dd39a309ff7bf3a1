"""Numbers in lines of text, found by a pattern: sound level meters, scales, loggers that write what they measure."""

import re
from dataclasses import dataclass, field

from drivers.codecs.frame import NotAFrame, hexed

_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})")


@dataclass(frozen=True, slots=True)
class LinePattern:
    """A regular expression that fits a whole line and has one group, the number. Refuses others (ValueError)."""

    pattern: str
    _compiled: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern, re.ASCII)
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is not a pattern: {error}") from None
        if compiled.groups != 1:
            raise ValueError(f"{self.pattern!r} has {compiled.groups} groups; put one pair of brackets around the number")
        object.__setattr__(self, "_compiled", compiled)

    def number(self, line: bytes) -> float | None:
        """The number in a line; None if the line is of another kind. Raises NotAFrame if the group holds no number.

        >>> LinePattern(r"A=([0-9.]+) dB").number(b"A=53.7 dB")
        53.7
        """
        match = self._compiled.fullmatch(line.decode("latin-1"))
        if match is None:
            return None
        text = (match[1] or "").strip()
        if not _NUMBER.fullmatch(text):
            raise NotAFrame(f"no number in {hexed(line)}")
        return float(text)
