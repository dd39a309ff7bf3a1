"""What the registers of one answer mean, said in one line of text: the frame itself cannot say it. For people who look at frames."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.codecs.frame import NotAFrame
from drivers.decode import ORDERS, TYPES, Form, decode

_ONE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63}|-)(?:=(?P<type>[a-z]+[0-9]+))?(?:/(?P<parts>10{0,9}))?(?:@(?P<order>[A-D]{4}))?")
_MOST = 125
_TYPES = tuple(known for known in TYPES if known not in ("bit", "text"))


@dataclass(frozen=True, slots=True)
class RegisterLayout:
    """Names and forms of registers, the first one first."""

    places: tuple[tuple[str, Form], ...] = ()

    @classmethod
    def read(cls, text: str) -> "RegisterLayout":
        """"moisture=u16/10,temp=s16/10,flow=f32@CDAB"; type u16 if left out, "-" = a number that is not wanted. Raises ValueError.

        >>> RegisterLayout.read("moisture=u16/10,temp=s16/10").values([658, 65435])
        {'moisture': 65.8, 'temp': -10.1}
        """
        places: list[tuple[str, Form]] = []
        for one in text.split(","):
            match = _ONE.fullmatch(one.strip())
            if match is None or len(places) >= _MOST:
                raise ValueError(f'"{one.strip()[:40]}" says nothing of a register; write NAME=TYPE/10@ORDER, as in "temp=s16/10,flow=f32@CDAB"')
            kind = next((known for known in _TYPES if known == (match["type"] or "u16")), None)
            order = next((known for known in ORDERS if known == (match["order"] or "ABCD")), None)
            if kind is None or order is None:
                raise ValueError(f'"{one.strip()}" has a type or an order that is not known; there is {", ".join(_TYPES)} and {", ".join(ORDERS)}')
            places.append((match["name"], Form(kind, order, len(match["parts"] or "1") - 1)))
        return cls(tuple(places))

    def values(self, registers: Sequence[int]) -> dict[str, float]:
        """By name; NaN for contents that are no number. Raises NotAFrame if there are more registers or fewer."""
        found, at = {}, 0
        for name, form in self.places:
            found[name] = decode(form, registers[at : at + form.registers]) if len(registers) >= at + form.registers else 0.0
            at += form.registers
        if at != len(registers):
            raise NotAFrame(f"{len(registers)} registers, and the layout is of {at}", "wrong")
        found.pop("-", None)
        return found
