"""What protocols share whose messages name their quantities: the key `quantities` of a device, and rows that make values of numbers."""

import math
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator

from config.quantity import vocabulary
from config.table import Table
from drivers.protocols._missing import Missing

MOST_CHANNELS = 256
"""A source that names more channels of one device than this is not believed: each is a series for ever."""


def _known(quantities: tuple[str, ...]) -> tuple[str, ...]:
    for quantity in quantities:
        if quantity not in vocabulary():
            raise ValueError(f"names {quantity}, which is not a quantity of the vocabulary")
    return quantities


Quantities = Annotated[tuple[str, ...], AfterValidator(_known)]
"""Quantities of the vocabulary: only these are taken, and they are missed when they stay away; none = any."""


class NamedRow(Table):
    """One quantity of a profile; the protocol's own row says where it is found. The row "*" stands for all that are named."""

    unit: str = ""
    """Of what is sent, times scale; left out = the vocabulary's."""
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """value = number × scale + offset."""
    missing: Missing = ()
    """Numbers that mean: no value."""

    @property
    def is_plain(self) -> bool:
        """A number is its own value."""
        return not self.missing and self.scale == 1 and self.offset == 0

    def value(self, number: float) -> float:
        """The value of a number; NaN if it means none or overflows."""
        if number in self.missing:
            return math.nan
        if self.scale == 1 and self.offset == 0:
            return number
        value = float(Decimal(str(number)) * self.scale + self.offset)
        return value if math.isfinite(value) else math.nan
