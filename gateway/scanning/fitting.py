"""Which shipped profiles fit a Modbus unit: their registers are read, decoded as the driver would, and held against what is plausible."""

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from config.device import Profile
from config.errors import ConfigError, DeviceError
from config.find import found
from config.inputs import PULSES
from config.quantity import vocabulary
from config.reading_profile import read_profile
from drivers.blocks import Want, cost, plan
from drivers.codecs.modbus import DeclinedError
from drivers.decode import Form, decode
from drivers.job import Gap, Plain, Progress
from drivers.protocols.modbus import Row, Timing
from gateway.plugins import KINDS
from gateway.scanning.exchanges import Registers

_SIMULATED = "S"
_MOST_VALUES = 4
_ENDS: Mapping[str, Sequence[tuple[int, int]]] = {"u": ((0xFFFF, 0xFFFF),), "s": ((0x7FFF, 0xFFFF), (0x8000, 0))}
"""The first register at an end of the range, and the others."""
_TELLING = 5
"""So many values that are not 0 make a mark of recognition sure: whole families of sensors, of air too, keep their address in one register."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a profile fits a unit."""

    profile: str
    values: dict[str, float]
    """By quantity, in its unit; NaN = the device says that it has none."""
    plausible: tuple[str, ...]
    """Quantities whose value is one that a real place can have."""
    rows: int
    telling: int = 0
    """Plausible values that are not 0: a register that holds nothing is 0 under every profile. Bare counts are none: every number is one."""
    recognised: bool = False
    """The profile's own mark of recognition is there."""

    @property
    def rank(self) -> tuple[bool, float, int, int]:
        """Larger fits better."""
        return self.recognised, len(self.plausible) / self.rows, self.telling, len(self.plausible)

    @property
    def is_sure(self) -> bool:
        """It may be read with this profile before a person has compared the values: plausible alone is what many registers look like."""
        return self.recognised and len(self.plausible) == self.rows and self.telling >= _TELLING

    def plain(self) -> Plain:
        """For JSON."""
        return {"profile": self.profile, "fits": len(self.plausible), "of": self.rows, "recognised": self.recognised, "sure": self.is_sure,
                "plausible": list(self.plausible),
                "values": {name: None if math.isnan(value) else value for name, value in self.values.items()}}


def modbus_profiles() -> list[Profile]:
    """Every Modbus profile of this box that reads; those of our own simulated devices last."""
    read = []
    for name, file in found("devices").items():
        try:
            profile = read_profile(file, KINDS)
        except ConfigError:
            continue  # `ecosentry devices` shows what is wrong with it
        if profile.file.protocol == "modbus" and all(isinstance(row, Row) for row in profile.rows.values()):
            read.append((profile.file.verified == _SIMULATED, name, profile))
    return [profile for _, _, profile in sorted(read, key=lambda one: one[:2])]


def fitting(registers: Registers, profiles: Iterable[Profile], progress: Progress) -> Generator[Progress, Gap, list[Fit]]:
    """The profiles that fit with at least half of their quantities, best first; a step of a Job."""
    fits = []
    for profile in profiles:
        fit = yield from _fit(registers, profile, progress)
        if fit is not None and len(fit.plausible) * 2 >= fit.rows and fit.telling:
            fits.append(fit)
    return sorted(fits, key=lambda fit: fit.rank, reverse=True)


def _fit(registers: Registers, profile: Profile, progress: Progress) -> Generator[Progress, Gap, Fit | None]:
    rows = {name: row for name, row in profile.rows.items() if isinstance(row, Row)}
    timing = profile.timing if isinstance(profile.timing, Timing) else Timing()
    wants = [Want(row.function, row.first, row.form.registers) for row in rows.values()]
    names = list(rows)
    values: dict[str, float] = {}
    empty: set[str] = set()
    for block in plan(wants, cost(registers.speed, timing.turnaround), timing.max_registers, timing.forbidden, over_holes=False):
        try:
            came = yield from registers.read(block.function, block.first, block.count, progress)
        except DeclinedError:
            continue
        except DeviceError:
            return None  # it does not answer now
        for place in block.rows:
            at = wants[place].first - block.first
            name, words = names[place], came[at : at + wants[place].count]
            values[name] = decode(rows[name].form, words)
            if is_empty(rows[name].form, words):
                empty.add(name)
    if not values:
        return None
    plausible = tuple(name for name, value in values.items() if name not in empty and is_plausible(name, value))
    recognised = yield from _is_recognised(registers, profile, progress)
    return Fit(profile.name, values, plausible, len(rows), sum(map(partial(_tells, values), plausible)), recognised)


def _is_recognised(registers: Registers, profile: Profile, progress: Progress) -> Generator[Progress, Gap, bool]:
    register, equals = profile.file.recognise.get("register"), profile.file.recognise.get("equals")
    if not isinstance(register, int):
        return False
    try:
        came = yield from registers.read(3, register, 1, progress)
    except DeviceError:
        return False
    return came[0] == (registers.unit if equals == "address" else equals)


def _tells(values: Mapping[str, float], name: str) -> bool:
    return values[name] != 0 and name.partition(":")[0] != PULSES


def is_empty(form: Form, words: Sequence[int]) -> bool:
    """The end of what a whole number can hold is what makers write where there is no value, whatever range a quantity has.

    >>> is_empty(Form("u16"), [0xFFFF]), is_empty(Form("s16"), [0xFFFF]), is_empty(Form("s32"), [0x7FFF, 0xFFFF])
    (True, False, True)
    """
    ends = _ENDS.get(form.type.rstrip("0123456789"), ())
    ordered = words if form.order in ("ABCD", "BADC") else words[::-1]
    return any(ordered[0] == first and all(word == rest for word in ordered[1:]) for first, rest in ends)


def is_plausible(name: str, value: float) -> bool:
    """Can a real place have this value of this quantity?"""
    known = vocabulary().get(name.partition(":")[0])
    return known is not None and known.plausible[0] <= value <= known.plausible[1]


def values_text(values: dict[str, float]) -> str:
    """The first few values with their units.

    >>> values_text({"ph": 7.24, "water_temperature": 18.3})
    'ph 7.24   water_temperature 18.3 °C'
    """
    said = []
    for name, value in list(values.items())[:_MOST_VALUES]:
        known = vocabulary().get(name.partition(":")[0])
        unit = "" if known is None or known.unit == "1" else f" {known.unit}"
        said.append(f"{name} {value:.{known.decimals if known else 2}f}{unit}")
    return "   ".join(said) + (" …" if len(values) > _MOST_VALUES else "")
