"""Registers ↔ numbers, decimal-true: what the device means, not what binary arithmetic makes of it.

A register that holds 332 tenths is 33.2, never 33.200000000000003; a float32 of 35.4 is 35.4, never 35.400001525878906.
Linear maps are kept as whole numbers and divided once: Python's int / int is correctly rounded, so every result is the
float64 nearest to the exact decimal. The same table serves the simulated devices the other way round.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Literal, get_args

import numpy as np

NumberType = Literal["bit", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "bcd16", "bcd32", "bcd64", "sm16", "text"]
"""bit: one coil or contact of functions 1 and 2. The others: unsigned, signed, IEEE 754 float of so many bits; bcd: four bits a digit;
sm16: the highest bit is the sign, the others the magnitude;
text: ASCII characters, two a register, that are a number or the name of a state."""
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
"""The bytes on the wire, A = most significant, named for 32 bit; see `orders` for 16 and 64 bit."""

_CODES = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}
_WORDS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "u64": 4, "s64": 4, "f32": 2, "f64": 4, "bit": 1, "bcd16": 1, "bcd32": 2, "bcd64": 4, "sm16": 1}
_PADDING = " \0\r\n\t"
"""Fills up a text that is shorter than its registers."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_SIGN = 0x8000
_WHOLE = frozenset({"u16", "s16", "u32", "s32", "u64", "s64"})
TYPES: tuple[NumberType, ...] = get_args(NumberType)
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, slots=True)
class Form:
    """How one number lies in its registers. Refuses combinations that mean nothing (ValueError).

    value = raw / 10**decimals, or raw * scale + offset; not both. With `bit`, raw is the field of `bits` bits that
    begins there (0 = least significant). A raw equal to one of `missing` (before scaling; signed types also by their
    unsigned pattern), a NaN and an infinity are missing. A text has `length` characters; with `states` it is one of these
    names and the value is its number, without them it is a number in digits. Another text is missing.
    """

    type: NumberType = "u16"
    order: Order = "ABCD"
    decimals: int = 0
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    missing: tuple[int | float, ...] = ()
    bit: int | None = None
    bits: int = 1
    length: int = 0
    states: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.decimals and (self.scale != 1 or self.offset):
            raise ValueError("has decimals and scale or offset; write one of them")
        if not (self.scale.is_finite() and self.offset.is_finite()) or self.scale == 0:
            raise ValueError("has a scale or offset that is not a finite number, or a scale of 0")
        if self.bit is not None:
            if self.type not in _WHOLE:
                raise ValueError(f'takes a bit out of type "{self.type}"; only whole numbers have bits')
            if not (self.bits >= 1 and self.bit >= 0 and self.bit + self.bits <= self.registers * 16):
                raise ValueError(f"has bit {self.bit} with {self.bits} bits; {self.type} has {self.registers * 16}")
        elif self.bits != 1:
            raise ValueError("has bits but no bit: say where the field begins")
        if (self.type == "text") != (self.length > 0) or (self.states and self.type != "text"):
            raise ValueError('has length or states without type "text", or a text without its length: the number of its characters')
        if self.states and self.line != (1, 0, 1):
            raise ValueError("has states and decimals, scale or offset; the number of a state is the value")

    @property
    def registers(self) -> int:
        """How many registers (or coils) it takes."""
        return (self.length + 1) // 2 if self.type == "text" else _WORDS[self.type]

    @property
    def line(self) -> tuple[int, int, int]:
        """(a, b, d): value = (raw * a + b) / d in whole numbers."""
        if self.decimals:
            return (1, 0, 10**self.decimals) if self.decimals > 0 else (10**-self.decimals, 0, 1)
        (a, d), (b, e) = self.scale.as_integer_ratio(), self.offset.as_integer_ratio()
        return a * e, b * d, d * e


def decode(form: Form, registers: Sequence[int]) -> float:
    """The number in `registers` (uint16 each, as many as `form.registers`); NaN if the device says it has none.

    >>> decode(Form("s16", decimals=1), [0xFF9B]), decode(Form("f32", "CDAB"), [0x999A, 0x420D])
    (-10.1, 35.4)
    """
    if form.type == "bit":
        return float(registers[0] & 1)
    packed = _reorder(struct.pack(f">{len(registers)}H", *registers), form.order)
    if form.type.startswith("bcd"):
        return _from_digits(form, packed)
    if form.type == "text":
        return _from_text(form, packed)
    if form.type == "sm16":
        return _from_magnitude(form, int.from_bytes(packed))
    raw = struct.unpack(">" + _CODES[form.type], packed)[0]
    if form.type[0] == "f":
        return _from_float(form, raw)
    if raw in form.missing or int.from_bytes(packed) in form.missing:
        return math.nan
    if form.bit is not None:
        raw = int.from_bytes(packed) >> form.bit & (1 << form.bits) - 1
    return _scaled(form, raw)


def encode(form: Form, value: float) -> tuple[int, ...]:
    """The registers that decode to `value`, rounded to the nearest step the form can hold (half to even).

    A bit field comes back in its place with all other bits 0. NaN becomes the first `missing`, or a float NaN.
    Raises ValueError if the form cannot hold it.
    """
    if form.type == "bit":
        return (int(value != 0),)
    if form.type[0] == "f":
        packed = struct.pack(">" + _CODES[form.type], _to_float(form, value))
    elif form.type == "text":
        packed = _to_text(form, value)
    else:
        raw = _to_whole(form, value)
        if form.type.startswith("bcd") and not math.isnan(value):
            raw = int(str(raw), 16)
        if form.type == "sm16" and raw < 0 and not math.isnan(value):
            raw = _SIGN - raw
        packed = (raw % (1 << 16 * form.registers)).to_bytes(2 * form.registers)
    return struct.unpack(f">{form.registers}H", _reorder(packed, form.order))


def shortest(single: float) -> float:
    """The float64 of the shortest decimal that names this float32.

    >>> shortest(35.400001525878906)
    35.4
    """
    return float(str(np.float32(single)))


def _reorder(packed: bytes, order: Order) -> bytes:
    """Between wire and most significant first; each order is its own inverse.

    CDAB: words turned round. BADC: the two bytes of each word exchanged. DCBA: both.
    """
    if order == "ABCD":
        return packed
    if order == "DCBA":
        return packed[::-1]
    turned = packed[::-1]
    swapped = bytes(b for pair in zip(turned[1::2], turned[::2], strict=True) for b in pair)  # words turned round
    return swapped if order == "CDAB" else swapped[::-1]


def _quotient(top: int, bottom: int) -> float:
    try:
        return top / bottom
    except OverflowError:
        return math.nan


def _from_float(form: Form, raw: float) -> float:
    value = shortest(raw) if form.type == "f32" and math.isfinite(raw) else raw
    if not math.isfinite(value) or value in form.missing or raw in form.missing:
        return math.nan
    a, b, d = form.line
    if (a, b, d) == (1, 0, 1):
        return value
    top, bottom = Decimal(repr(value)).as_integer_ratio()
    return _quotient(top * a + b * bottom, bottom * d)


def _scaled(form: Form, raw: int) -> float:
    a, b, d = form.line
    return _quotient(raw * a + b, d)


def _from_digits(form: Form, packed: bytes) -> float:
    """Four bits a digit; bits that are no digit mean that the device has no value."""
    digits = packed.hex()
    if not digits.isdecimal() or int(digits) in form.missing or int.from_bytes(packed) in form.missing:
        return math.nan
    return _scaled(form, int(digits))


def _from_magnitude(form: Form, word: int) -> float:
    raw = -(word - _SIGN) if word & _SIGN else word
    return math.nan if raw in form.missing or word in form.missing else _scaled(form, raw)


def _from_text(form: Form, packed: bytes) -> float:
    try:
        text = packed[: form.length].decode("ascii").strip(_PADDING)
    except UnicodeDecodeError:
        return math.nan
    if form.states:
        return dict(form.states).get(text, math.nan)
    if not _NUMBER.fullmatch(text):
        return math.nan
    number = Decimal(text)
    if float(number) in form.missing:
        return math.nan
    top, bottom = number.as_integer_ratio()
    a, b, d = form.line
    return _quotient(top * a + b * bottom, bottom * d)


def _to_text(form: Form, value: float) -> bytes:
    if math.isnan(value):
        text = ""
    elif form.states:
        text = next((name for name, number in form.states if number == value), "")
        if not text:
            raise ValueError(f"{value} is none of the states")
    else:
        text = f"{_raw(form, value).normalize():f}"
    if len(text) > form.length:
        raise ValueError(f"{value} does not fit into {form.length} characters")
    return text.encode("ascii").ljust(2 * form.registers)


def _raw(form: Form, value: float) -> Decimal:
    """The exact raw figure of a decimal value."""
    a, b, d = form.line
    with localcontext(prec=60):
        return (Decimal(repr(value)) * d - b) / a


def _to_float(form: Form, value: float) -> float:
    if math.isnan(value):
        return form.missing[0] if form.missing else math.nan
    raw = float(_raw(form, value)) if form.line != (1, 0, 1) else value
    if form.type == "f32" and math.isfinite(raw) and not np.isfinite(_single(raw)):
        raise ValueError(f"{value} does not fit into f32")
    return raw


def _single(raw: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(raw)


def _to_whole(form: Form, value: float) -> int:
    size = 16 * form.registers if form.bit is None else form.bits
    signed = form.type[0] == "s" and form.bit is None
    low, high = (-(1 << size - 1), (1 << size - 1) - 1) if signed else (0, (1 << size) - 1)
    if form.type.startswith("bcd"):
        high = 10 ** (size // 4) - 1
    if form.type == "sm16":
        low = -high
    if math.isnan(value):
        if not form.missing:
            raise ValueError(f"{form.type} has no value that means missing")
        return int(form.missing[0])
    if math.isinf(value):
        raise ValueError(f"{value} does not fit into {form.type}")
    with localcontext(prec=60):
        raw = int(_raw(form, value).to_integral_value(ROUND_HALF_EVEN))
    if not low <= raw <= high:
        raise ValueError(f"{value} does not fit: {raw} is not within {low}..{high}")
    return raw << (form.bit or 0)
