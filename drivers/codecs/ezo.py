"""Atlas Scientific EZO circuits over UART: a command and CR; lines that end with CR: values, codes with *, replies with ?.

Source: EZO-pH, EZO-DO and EZO-EC datasheets, chapters UART mode. The codes that tell of trouble are *ER (command not
known), *OV and *UV (supply voltage), *RS (reset), *RE (has started), *SL (asleep), *WA (awake); *OK follows what was done.
"""

import re
from dataclasses import dataclass

from drivers.codecs.frame import NotAFrame, hexed

END = b"\r"
CODES = {"OK": "done", "ER": "the circuit does not know this command", "OV": "its supply voltage is too high", "UV": "its supply voltage is too low",
         "RS": "it was reset", "RE": "it has started", "SL": "it is asleep", "WA": "it woke up"}  # fmt: skip
_NUMBER = r"[+-]?\d{1,9}(?:\.\d{1,6})?"
_VALUES = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{0,7}}")
_REPLY = re.compile(r"\?([A-Za-z]{1,12})((?:,[^,]{0,40}){0,12})")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a circuit: values, or a code, or a reply to a question; the other two are empty."""

    values: tuple[str, ...] = ()
    code: str = ""
    reply: tuple[str, ...] = ()


def command(text: str) -> bytes:
    """The bytes of a command: R, T,25.0, I …."""
    return text.encode("ascii") + END


def read(line: bytes) -> Line:
    """One line without its end. Raises NotAFrame."""
    try:
        text = line.strip(b"\r\n").decode("ascii")
    except UnicodeDecodeError:
        raise NotAFrame(f"not a line of a circuit: {hexed(line)}") from None
    if text[:1] == "*" and text[1:] in CODES:
        return Line(code=text[1:])
    if _VALUES.fullmatch(text):
        return Line(values=tuple(text.split(",")))
    match = _REPLY.fullmatch(text)
    if match:
        return Line(reply=(match[1], *match[2].split(",")[1:]))
    raise NotAFrame(f"not a line of a circuit: {hexed(line)}")


def lines(stream: bytes) -> list[bytes]:
    """The whole lines in a stream, without their ends; empty ones are left out."""
    whole, _, _ = stream.rpartition(END)
    return [line.strip(b"\n") for line in whole.split(END) if line.strip(b"\n")]
