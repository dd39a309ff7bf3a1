"""`drivers.decode.decode`, prepared for one form: what can be known beforehand is worked out once, and what came before is remembered.

A line that is asked all the time decodes thousands of registers a minute on a small box; the meaning stays that of `decode`.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from drivers.decode import Form, decode

Reader = Callable[[Sequence[int], int], float]
"""The number that begins at a place among these registers (or coils); NaN if the device says it has none."""
_REMEMBERED = 512
"""Numbers of one quantity whose decoding is kept: a sensor says few different ones in an hour."""


def reader(form: Form) -> Reader:
    """As quick as it can be for this form.

    >>> reader(Form("s16", decimals=1))([7, 0xFF9B], 1)
    -10.1
    """
    if form.type == "bit":
        return lambda registers, at: float(registers[at] & 1)
    if form.type in ("u16", "s16") and form.order in ("ABCD", "CDAB"):
        return _of_word(form)
    return _remembering(form)


def _of_word(form: Form) -> Reader:
    """One register with its bytes in their usual order."""
    slope, intercept, divisor = form.line
    is_signed = form.type == "s16"
    absent = frozenset(int(figure) % 0x10000 for figure in form.missing
                       if (-0x8000 if is_signed else 0) <= figure <= 0xFFFF and figure == int(figure))
    is_field, shift, mask = form.bit is not None, form.bit or 0, (1 << form.bits) - 1

    def read(registers: Sequence[int], at: int) -> float:
        raw = registers[at]
        if raw in absent:
            return math.nan
        if is_field:
            raw = raw >> shift & mask
        elif is_signed and raw > 0x7FFF:
            raw -= 0x10000
        try:
            return (raw * slope + intercept) / divisor
        except OverflowError:
            return math.nan

    return read


def _remembering(form: Form) -> Reader:
    """Any form: the shortest decimal of a float is dear."""
    width = form.registers

    @lru_cache(_REMEMBERED)
    def known(*registers: int) -> float:
        return decode(form, registers)

    return lambda registers, at: known(*registers[at : at + width])
