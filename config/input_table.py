"""The keys of one terminal of an input module: what is wired to it, or what the count or distance of an instrument means."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from config.conversion import converted
from config.quantity import vocabulary
from config.table import Table
from config.units import Limit, LimitField, RangeField, limit_range, unit

FOUR_TO_TWENTY = limit_range("4..20 mA")
_GRAVITY = Decimal("9.80665")
"""Standard gravity, m/s²."""
Reading = Literal["loop", "amount", "rate", "height", "contact"]


class Input(Table):
    """One terminal: `inputs.ai1 = { quantity = "water_level", range = "0..5 m" }`."""

    quantity: str
    """What the wire means."""
    channel: str = ""
    """Tells two inputs of one quantity apart."""
    signal: RangeField = FOUR_TO_TWENTY
    """Of a loop: the current at both ends. A live zero of 4 mA has its limits by NAMUR NE 43."""
    range: RangeField | None = None
    """Of a loop: the values at both ends of the signal."""
    each: LimitField | None = None
    """Of pulses: what one is worth. In the quantity's unit: amounts since the last reading; in its unit times a second: a rate."""
    rolls_over: Annotated[int, Field(ge=2, le=2**53)] | Literal["never"] | None = None
    """Of pulses: how many the counter holds before it begins at 0 again; left out = what its register holds."""
    height: LimitField | None = None
    """Of a distance or a water pressure: how high the sensor is above the zero of the quantity (below: negative)."""
    density: LimitField | None = None
    """Of a water pressure: the water's; left out = 1000 kg/m³. The depth above the sensor follows from it and standard gravity."""
    inverted: bool = False
    """Of a contact: closed is 0."""

    @property
    def row(self) -> str:
        """The name of its row: quantity or quantity:channel."""
        return f"{self.quantity}:{self.channel}" if self.channel else self.quantity

    @property
    def reading(self) -> Reading:
        """How the number of the module becomes a value."""
        if self.range is not None:
            return "loop"
        if self.height is not None:
            return "height"
        if self.each is not None:
            return "rate" if self.per_pulse(rate=False) is None else "amount"
        return "contact"

    @property
    def size(self) -> int:
        """How far its counter counts before it begins at 0 again; 0 = it never does, or nobody knows."""
        return self.rolls_over if isinstance(self.rolls_over, int) else 0

    @property
    def per_unit(self) -> Decimal:
        """Of a sensor at a height, by how many metres its quantity grows with a metre of distance, or a kPa of water pressure."""
        return Decimal(-1) if self.density is None else 1000 / (self.density.figure * _GRAVITY)

    def meaning(self, raw: float) -> float | None:
        """The value of one number of the terminal; None of a count, which means something only beside the one before it."""
        if self.range is not None:
            low, high, zero, full = (end.value for ends in (self.signal, self.range) for end in ends)
            return (raw - low) * (full - zero) / (high - low) + zero
        if self.height is not None:
            return self.height.value + raw * float(self.per_unit)
        if self.each is not None:
            return None
        return float(not raw) if self.inverted else raw

    def per_pulse(self, *, rate: bool) -> Decimal | None:
        """What one pulse is worth in the quantity's unit, or with `rate` one pulse a second; None if its unit is of another kind."""
        assert self.each is not None
        written = Limit(self.each.figure, unit(f"{self.each.unit}/s")) if rate else self.each
        wanted = vocabulary()[self.quantity].unit
        found = written if written.unit == wanted else converted(written, wanted)
        return found.figure if found else None
