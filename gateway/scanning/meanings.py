"""What registers may mean: every type and word order at every offset, and which of these is plausible. Pure.

Plausible is what keeps still over a few reads and lies where numbers of instruments lie. Two registers of small whole numbers give
absurd floats and the other way round, so a plausible float takes the mark from the whole numbers inside it. What the display of the
device shows decides: `shown` finds the reading that gives it.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from config.quantity import vocabulary
from drivers.decode import ORDERS, Form, NumberType, Order, decode
from drivers.job import Plain

_WIDE: tuple[NumberType, ...] = ("u32", "s32", "f32")
_WIDEST: tuple[NumberType, ...] = ("u64", "s64", "f64")
_NO_VALUES = frozenset({0, 0x7FFF, 0x8000, 0xFFFF})
"""Contents of a register that say nothing: empty, or what makers write for "no value"."""
_LEAST, _MOST = 1e-3, 1e6
_STILL = 0.2
"""Readings of one value within seconds differ by no more than this share of it."""
_SHORTER = 3
_DIGITS = range(5)
_BELOW_SINGLE = 0x1FFFFFFF
"""Bits of a float64 that are 0 if it was a float32."""
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring registers, read several times."""

    function: int
    first: int
    reads: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """One way to read a register and those behind it."""

    function: int
    register: int
    type: NumberType
    order: Order
    value: float
    """As the newest read gives it; NaN = none."""
    is_plausible: bool = False

    def plain(self) -> Plain:
        """For JSON."""
        return {"function": self.function, "register": self.register, "type": self.type, "order": self.order,
                "value": self.value if math.isfinite(self.value) else None, "plausible": self.is_plausible}


@dataclass(frozen=True, slots=True)
class Shown:
    """A meaning that gives what the display shows."""

    quantity: str
    meaning: Meaning
    decimals: int
    others: int
    """So many other readings give it too."""


def runs_of(result: Plain) -> list[Run]:
    """The runs in the result of a probe."""
    runs = result["runs"]
    assert isinstance(runs, Iterable)
    return [Run(run["function"], run["first"], tuple(map(tuple, run["reads"]))) for run in runs]


def meanings(runs: Iterable[Run]) -> list[Meaning]:
    """Every meaning of every register, the plausible ones marked."""
    return [meaning for run in runs for meaning in _of_run(run)]


def _of_run(run: Run) -> Iterator[Meaning]:
    everything = [meaning for at in range(len(run.reads[0])) for meaning in _at(run, at)]
    floats = [meaning for meaning in everything if meaning.is_plausible and meaning.type[0] == "f"]
    good = [one for one in floats if not any(_digits(other) + _SHORTER <= _digits(one) and _overlap(one, other) for other in floats)]
    inside = {register for one in good for register in _covers(one)}
    for meaning in everything:
        stays = meaning in good if meaning.type[0] == "f" else not inside.intersection(_covers(meaning))
        yield meaning if stays or not meaning.is_plausible else replace(meaning, is_plausible=False)


def _digits(meaning: Meaning) -> int:
    """How many digits the value takes: of two floats that share a register, the one that a person would write is meant."""
    return sum(map(str.isdecimal, repr(meaning.value).partition("e")[0].strip("-0.")))


def _overlap(one: Meaning, other: Meaning) -> bool:
    return one is not other and not set(_covers(one)).isdisjoint(_covers(other))


def _covers(meaning: Meaning) -> range:
    return range(meaning.register, meaning.register + Form(meaning.type).registers)


def _at(run: Run, at: int) -> Iterator[Meaning]:
    for kind in ("u16", "s16", *_WIDE, *_WIDEST):
        type_: NumberType = kind
        count = Form(type_).registers
        if at + count > len(run.reads[0]):
            continue
        for order in ORDERS if count > 1 else ORDERS[:1]:
            values = [decode(Form(type_, order), read[at : at + count]) for read in run.reads]
            words = run.reads[-1][at : at + count]
            yield Meaning(run.function, run.first + at, type_, order, values[-1], _is_plausible(type_, values, words))


def _is_plausible(type_: NumberType, values: Sequence[float], words: Sequence[int]) -> bool:
    value = values[-1]
    if not all(map(math.isfinite, values)) or max(values) - min(values) > max(_STILL * abs(value), 5.0 if type_[0] != "f" else 0.5):
        return False
    if type_ == "f64" and float(f"{value:.8g}") != value and int.from_bytes(struct.pack(">d", value)) & _BELOW_SINGLE:
        return False  # whatever follows a float32 looks like the end of a float64; instruments write figures that people write
    if type_[0] == "f":
        return _LEAST <= abs(value) <= _MOST
    if type_ == "u16":
        return words[0] not in _NO_VALUES and words[0] < 0x8000
    if type_ == "s16":
        return words[0] not in _NO_VALUES and -2000 <= value < 0
    return type_ == "u32" and 0xFFFF < value <= 1e8 and min(words) not in (0, 0xFFFF) and min(words) < 0x0100


def could_be(value: float) -> list[str]:
    """Quantities whose plausible range has this value: the narrowest ranges first, for they say most.

    >>> could_be(7.24)[0]
    'ph'
    """
    known = ((quantity.plausible[1] - quantity.plausible[0], name) for name, quantity in vocabulary().items()
             if quantity.behaves == "level" and quantity.medium != "technical" and quantity.plausible[0] <= value <= quantity.plausible[1])
    return [name for _, name in sorted(known)[:_MOST_NAMES]]


def shown(everything: Sequence[Meaning], display: Mapping[str, str]) -> tuple[list[Shown], list[str]]:
    """Which meaning gives what the display shows, by quantity; and the quantities that no meaning gives.

    `display`: the numbers as they are written there; their last digit is the tolerance, values move.
    """
    found, missing = [], []
    taken: set[tuple[int, int]] = set()
    for quantity, text in display.items():
        fits = sorted(_fits(everything, text), key=lambda fit: ((fit[1].function, fit[1].register) in taken, fit[0]))
        if fits:
            _, meaning, decimals = fits[0]
            taken |= {(meaning.function, register) for register in _covers(meaning)}
            found.append(Shown(quantity, meaning, decimals, len(fits) - 1))
        else:
            missing.append(quantity)
    return found, missing


def _fits(everything: Iterable[Meaning], text: str) -> Iterator[tuple[tuple[bool, int, float, int, int], Meaning, int]]:
    """(how well, meaning, decimals) of each that gives the number; smaller is better."""
    wanted, digits = float(text), len(text.partition(".")[2])
    tolerance = 10.0**-digits
    for meaning in everything:
        for decimals in _DIGITS if meaning.type[0] != "f" else (0,):
            value = meaning.value / 10**decimals
            if math.isfinite(value) and abs(value - wanted) <= tolerance * 1.0001:
                rank = (not meaning.is_plausible, abs(decimals - digits) if meaning.type[0] != "f" else 0, abs(value - wanted),
                        Form(meaning.type).registers, meaning.register)
                yield rank, meaning, decimals
