"""Where a value lies in a JSON message: "$" the whole, "$.air.pm2_5", "$.list[0].v", "$.*" every key of an object."""

import re
from dataclasses import dataclass
from typing import Self

from drivers.codecs.strict_json import Json

_STEP = re.compile(r'\.?([^.\[\]"*\s][^.\[\]"*]*)|\[(\d{1,6})\]|\["([^"]+)"\]')


class Absent:
    """Nothing lies there."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Keys and places from the outside in; a wild path means every key of the object that it leads to."""

    steps: tuple[str | int, ...]
    is_wild: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        """A path as it is written; the "$." at its beginning may be left out. Raises ValueError.

        >>> JsonPath.read("$.list[0].v")
        JsonPath(steps=('list', 0, 'v'), is_wild=False)
        """
        is_wild = text == "*" or text.endswith(".*")
        rest = (text.removesuffix("*").removesuffix(".") if is_wild else text).removeprefix("$")
        steps: list[str | int] = []
        while rest:
            match = _STEP.match(rest)
            if match is None:
                raise ValueError(f'{text!r} is not a path; write "$.air.pm2_5" or "$.list[0].v"')
            key, place, quoted = match.groups()
            steps.append(int(place) if place is not None else key if key is not None else quoted)
            rest = rest[match.end() :]
        return cls(tuple(steps), is_wild)

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
            else:
                if not isinstance(here, list) or step >= len(here):
                    return ABSENT
                here = here[step]
        return here
