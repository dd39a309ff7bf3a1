"""NMEA 0183 sentences: $ talker and sentence, fields between commas, * and the exclusive or of all before it in hex.

A sentence without a checksum is not believed. Source: NMEA 0183 as implemented and tested by public receivers' drivers.
"""

import re
from dataclasses import dataclass
from functools import reduce
from operator import xor

from drivers.codecs.frame import NotAFrame, hexed

_SENTENCE = re.compile(rb"[$!]([ -)+-~]*)\*([0-9A-Fa-f]{2})")
_LONGEST = 512
"""The standard allows 82; makers exceed it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A checked sentence. `name` is what stands before the first comma: GPGGA, IIMWV, PGRME."""

    name: str
    fields: tuple[str, ...]
    checksum: str

    @property
    def talker(self) -> str:
        """The first two characters: GP, II, WI …; P = a maker's own sentence."""
        return self.name[:2]

    @property
    def kind(self) -> str:
        """What kind of sentence: MWV, XDR …."""
        return self.name[2:]


def read(line: bytes) -> Sentence:
    """One sentence, with or without its line end. Raises NotAFrame."""
    match = _SENTENCE.fullmatch(line.rstrip(b"\r\n")) if len(line) <= _LONGEST else None
    if match is None:
        raise NotAFrame(f"not a sentence with a checksum: {hexed(line)}")
    body, sum_ = match[1], match[2].decode()
    if reduce(xor, body, 0) != int(sum_, 16):
        raise NotAFrame("the checksum does not fit")
    name, *fields = body.decode("ascii").split(",")
    return Sentence(name, tuple(fields), sum_.upper())


def build(name: str, fields: tuple[str, ...]) -> bytes:
    """The sentence as a device sends it."""
    body = ",".join((name, *fields)).encode("ascii")
    return b"$" + body + b"*%02X\r\n" % reduce(xor, body, 0)
