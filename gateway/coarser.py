"""Since when readings are kept as means only, for people: nothing is missing there, and yet nobody should look for readings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.alerts import iso
from gateway.journal.reader import Reader
from gateway.journal.thinning import Step, step_of

_KEPT = {Step.MINUTES: "minute means", Step.HOURS: "hourly means", Step.LAST: "gaps and daily values"}


@dataclass(frozen=True, slots=True)
class Coarse:
    """What came in since … until (UTC ns) is kept as `kept` says, not as readings."""

    since: int
    until: int
    kept: str

    @property
    def words(self) -> str:
        """For people; times are UTC, as the days of sealed files are."""
        return f"what came from {iso(self.since)} to {iso(self.until)} made room: kept as {self.kept}, not as readings"


def coarse(reader: Reader, since: int, until: int) -> list[Coarse]:
    """Where readings made room, of what came in (since, until], oldest first; days beside each other that are as coarse are one."""
    found: list[Coarse] = []
    for entry in reader.sealed():
        kept = "" if entry.lost else _KEPT.get(step_of(entry), "")
        if kept and entry.now_to > since and entry.now_from <= until:
            _append(found, Coarse(entry.now_from, entry.now_to, kept))
    live = reader.thinned_live()
    if live and live[1] > since and live[0] <= until:
        _append(found, Coarse(*live, "means"))
    return found


def _append(found: list[Coarse], one: Coarse) -> None:
    if found and found[-1].kept == one.kept:
        found[-1] = replace(found[-1], until=one.until)
    else:
        found.append(one)


def plain(found: Sequence[Coarse]) -> list[dict[str, str]]:
    """As JSON carries it."""
    return [{"since": iso(one.since), "until": iso(one.until), "kept": one.kept} for one in found]
