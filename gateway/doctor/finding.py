"""What `ecosentry doctor` finds, and how it is shown: red first, each with its repair."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["red", "yellow", "ok"]
_ORDER: dict[State, int] = {"red": 0, "yellow": 1, "ok": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Red: readings are lost or not sent. Yellow: they will be some day, or it could not be looked at."""

    state: State
    name: str
    words: str
    repair: str = ""


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Red first, else as they were found."""
    return sorted(found, key=lambda one: _ORDER[one.state])


def shown(found: Sequence[Finding], *, every: bool) -> list[str]:
    """Lines for people; those that are ok as one line of names, unless `every`."""
    told = [one for one in in_order(found) if every or one.state != "ok"]
    fine = [one.name for one in found if one.state == "ok"]
    width = max((len(one.name) for one in told), default=0)
    lines = []
    for one in told:
        lines.append(f"{one.state:<7} {one.name:<{width}}  {one.words}")
        if one.repair:
            lines.append(f"{'':<{9 + width}} → {one.repair}")
    if fine and not every:
        lines.append(f"ok      {len(fine)}{' more' if told else ''}   {' '.join(dict.fromkeys(fine))}  (-v lists them)")
    return lines
