"""What is wired to the terminals of an input module: 4–20 mA loops, pulses, contacts.

A profile of such a module gives `loop_current:ai1`, `pulses:ci1`, `contact:di1`: the terminal is the channel. The site file
says what each terminal means; a terminal that it does not name is not read.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from config.conversion import converted
from config.device import Profile
from config.quantity import vocabulary
from config.table import Table
from config.units import Limit, LimitField, RangeField, limit_range, unit

LOOP, PULSES, CONTACT = "loop_current", "pulses", "contact"
_NEEDS = {LOOP: "range", PULSES: "each", CONTACT: ""}
_SAMPLES = {"range": 'range = "0..5 m": the values at both ends of the signal', "each": 'each = "0.2 mm": the value of one pulse'}
_SIZES = {"u16": 2**16, "u32": 2**32, "bcd16": 10**4, "bcd32": 10**8}
"""How far a counter of a register type counts before it begins again; what is wider never gets there."""
FOUR_TO_TWENTY = limit_range("4..20 mA")
Reading = Literal["loop", "amount", "rate", "contact"]


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
    rolls_over: Annotated[int, Field(ge=2, le=2**53)] | None = None
    """Of pulses: how many the counter holds before it begins at 0 again; left out = what its register holds."""
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
        if self.each is not None:
            return "rate" if self.per_pulse(rate=False) is None else "amount"
        return "contact"

    def per_pulse(self, *, rate: bool) -> Decimal | None:
        """What one pulse is worth in the quantity's unit, or with `rate` one pulse a second; None if its unit is of another kind."""
        assert self.each is not None
        written = Limit(self.each.figure, unit(f"{self.each.unit}/s")) if rate else self.each
        wanted = vocabulary()[self.quantity].unit
        found = written if written.unit == wanted else converted(written, wanted)
        return found.figure if found else None


def misfit(profile: Profile, terminal: str, wired: Input) -> tuple[str, str] | None:
    """What is wrong with an input, and the repair; None if it can be."""
    kinds = {row.partition(":")[2]: row.partition(":")[0] for row in profile.rows if row.partition(":")[0] in _NEEDS}
    if terminal not in kinds:
        there = ", ".join(sorted(kinds)) or "none"
        return f"{profile.name} has no terminal {terminal}", f"its terminals are {there}"
    if wired.quantity not in vocabulary():
        return f"there is no quantity {wired.quantity}", "the quantities are in quantities.toml"
    needs = _NEEDS[kinds[terminal]]
    given = [key for key in ("range", "each") if getattr(wired, key) is not None]
    if needs and given != [needs]:
        return f"{kinds[terminal]} takes {needs} and nothing else", f"write  {_SAMPLES[needs]}"
    if given and not needs:
        return f"{kinds[terminal]} takes no {' and no '.join(given)}", "leave it out"
    return _unit_misfit(wired)


def _unit_misfit(wired: Input) -> tuple[str, str] | None:
    wanted = vocabulary()[wired.quantity].unit
    if wired.range is not None:
        if wired.range[1].unit != wanted:
            return f"{wired.quantity} is measured in {wanted}, not in {wired.range[1].unit}", f'as in "0..5 {wanted}"'
        if wired.signal[1].unit != "mA":
            return "signal is a current", 'as in "4..20 mA"'
    if wired.each is not None:
        if wired.each.figure <= 0:
            return "a pulse is worth more than nothing", 'as in "0.2 mm"'
        if wired.per_pulse(rate=False) is None and wired.per_pulse(rate=True) is None:
            return f"pulses of {wired.each.unit} give no {wired.quantity} in {wanted}", f"write {wanted}, or {wanted} without its time for a rate"
    return None


def wired(profile: Profile, inputs: dict[str, Input]) -> Profile:
    """The profile of one device: terminals that are wired have the name of what they mean, the others are left out."""
    rows = {}
    for name, row in profile.rows.items():
        quantity, _, terminal = name.partition(":")
        if quantity not in _NEEDS:
            rows[name] = row
        elif terminal in inputs:
            rows[inputs[terminal].row] = row
        elif not inputs:
            rows[name] = row
    return profile.model_copy(update={"rows": rows})


def sized(profile: Profile, terminal: str, found: Input) -> Input:
    """The input with the size of its counter filled in from the register that holds it."""
    if found.each is None or found.rolls_over is not None:
        return found
    kind = getattr(profile.rows.get(f"{PULSES}:{terminal}"), "type", "")
    return found.model_copy(update={"rolls_over": _SIZES.get(kind)})
