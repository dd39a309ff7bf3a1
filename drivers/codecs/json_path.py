"""Where a value lies in a JSON message: "$" the whole, "$.air.pm2_5", "$.list[0].v", "$.*" every key of an object.

"$.list[type=SDS_P1].value" lies in the first object of a list whose key `type` has that text.
"""

import re
from dataclasses import dataclass
from typing import Self

from drivers.codecs.strict_json import Json

_STEP = re.compile(r'\.?([^.\[\]"*\s][^.\[\]"*]*)|\[(\d{1,6})\]|\["([^"]+)"\]|\[([^=\[\]"]+)=([^=\[\]"]+)\]')


@dataclass(frozen=True, slots=True)
class Where:
    """A step into a list: to the first object that has this text under this key."""

    key: str
    text: str


class Absent:
    """Nothing lies there."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Keys and places from the outside in; a wild path means every key of the object that it leads to."""

    steps: tuple[str | int | Where, ...]
    is_wild: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        """A path as it is written; the "$." at its beginning may be left out. Raises ValueError.

        >>> JsonPath.read("$.list[0].v")
        JsonPath(steps=('list', 0, 'v'), is_wild=False)
        """
        is_wild = text == "*" or text.endswith(".*")
        rest = (text.removesuffix("*").removesuffix(".") if is_wild else text).removeprefix("$")
        steps: list[str | int | Where] = []
        while rest:
            match = _STEP.match(rest)
            if match is None:
                raise ValueError(f'{text!r} is not a path; write "$.air.pm2_5" or "$.list[0].v"')
            key, place, quoted, name, text = match.groups()
            steps.append(Where(name, text) if name is not None else int(place) if place is not None else key if key is not None else quoted)
            rest = rest[match.end() :]
        return cls(tuple(steps), is_wild)

    @property
    def only_key(self) -> str:
        """The key of the message that it leads to, if it goes no deeper; else empty."""
        return self.steps[0] if len(self.steps) == 1 and isinstance(self.steps[0], str) else ""

    def key(self, name: str) -> "JsonPath":
        """One key of the object that this leads to."""
        return JsonPath((*self.steps, name))

    def find(self, message: Json) -> Json | Absent:
        """What lies there, ABSENT if nothing does.

        >>> JsonPath(("air", "pm2_5")).find({"air": {"pm2_5": 35.4}})
        35.4
        """
        here = message
        for step in self.steps:
            if isinstance(step, str):
                if not isinstance(here, dict) or step not in here:
                    return ABSENT
                here = here[step]
            elif isinstance(step, Where):
                found = _where(here, step)
                if isinstance(found, Absent):
                    return ABSENT
                here = found
            else:
                if not isinstance(here, list) or step >= len(here):
                    return ABSENT
                here = here[step]
        return here


def _where(here: Json, step: Where) -> Json | Absent:
    if not isinstance(here, list):
        return ABSENT
    return next((one for one in here if isinstance(one, dict) and one.get(step.key) == step.text), ABSENT)
