"""What is wired to the terminals of an input module: 4–20 mA loops, pulses, contacts.

A profile of such a module gives `loop_current:ai1`, `pulses:ci1`, `contact:di1`: the terminal is the channel. The site file
says what each terminal means; a terminal that it does not name is not read. An instrument that counts by itself, or measures a
distance or the pressure of the water, is read in the same way: `pulses:rain`, `distance:surface`, `water_pressure:probe`.
What its count means its profile says, in `[inputs]`.
"""

from decimal import Decimal

from config.device import Profile
from config.input_table import Input
from config.quantity import vocabulary
from config.units import Limit

LOOP, PULSES, CONTACT, DISTANCE, PRESSURE = "loop_current", "pulses", "contact", "distance", "water_pressure"
_NEEDS = {LOOP: "range", PULSES: "each", CONTACT: "", DISTANCE: "height", PRESSURE: "height"}
_FRESH = Limit(Decimal(1000), "kg/m³")
_SAMPLES = {"range": 'range = "0..5 m": the values at both ends of the signal', "each": 'each = "0.2 mm": the value of one pulse',
            "height": 'height = "4.20 m": how high the sensor is above zero'}
_SIZES = {"u16": 2**16, "u32": 2**32, "bcd16": 10**4, "bcd32": 10**8}
"""How far a counter of a register type counts before it begins again; what is wider never gets there."""


def misfit(profile: Profile, terminal: str, wired: Input) -> tuple[str, str] | None:
    """What is wrong with an input, and the repair; None if it can be."""
    kinds = {row.partition(":")[2]: row.partition(":")[0] for row in profile.rows if row.partition(":")[0] in _NEEDS}
    if terminal not in kinds:
        there = ", ".join(sorted(kinds)) or "none"
        return f"{profile.name} has no terminal {terminal}", f"its terminals are {there}"
    if wired.quantity not in vocabulary():
        return f"there is no quantity {wired.quantity}", "the quantities are in quantities.toml"
    if wired.row in profile.rows:
        return f"{profile.name} gives {wired.row} by itself", 'give this one a channel:  channel = "…"'
    needs = _NEEDS[kinds[terminal]]
    given = [key for key in ("range", "each", "height") if getattr(wired, key) is not None]
    if needs and given != [needs]:
        return f"{kinds[terminal]} takes {needs} and nothing else", f"write  {_SAMPLES[needs]}"
    if given and not needs:
        return f"{kinds[terminal]} takes no {' and no '.join(given)}", "leave it out"
    if wired.density is not None and kinds[terminal] != PRESSURE:
        return f"{kinds[terminal]} takes no density", "leave it out"
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
    if wired.height is not None:
        metres = vocabulary()[DISTANCE].unit
        if wanted != metres:
            return f"{wired.quantity} is measured in {wanted}: a distance or a depth gives what is measured in {metres}", "as in water_level"
        if wired.height.unit != metres:
            return f"height is in {metres}, not in {wired.height.unit}", f'as in "4.20 {metres}"'
    if wired.density is not None and (wired.density.unit != _FRESH.unit or not 500 <= wired.density.figure <= 2000):
        return f"{wired.density} is no density of water", 'as in "1025 kg/m³"'
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
    """The input with what its terminal says: the size of a counter from the register that holds it, fresh water over a pressure probe."""
    if f"{PRESSURE}:{terminal}" in profile.rows and found.density is None:
        return found.model_copy(update={"density": _FRESH})
    if found.each is None or found.rolls_over is not None:
        return found
    kind = getattr(profile.rows.get(f"{PULSES}:{terminal}"), "type", "")
    return found.model_copy(update={"rolls_over": _SIZES.get(kind)})
