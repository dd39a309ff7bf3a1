"""What the standards say live of a station: which reports apply to it, and the series that they give.

The declarations stand in the standards' own files ([[live]], `config/standard_live.py`), the arithmetic in
`analytics/indices/`. What is computed is named like what is measured: a series of the station without a device, whose
method is the standard.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.reading_standards import standards
from config.series import Series
from config.site import Station
from config.standard_live import Gives, Live

Fact = str | int | float


@dataclass(frozen=True, slots=True)
class Report:
    """A report that a station gets: its standard, its declaration, the items that are judged, the series that it gives."""

    standard: str
    live: Live
    items: tuple[str, ...]
    series: tuple[Series, ...]


def reports(standard: str) -> tuple[Live, ...]:
    """What a standard declares live, by its id; empty for one that says nothing of a station."""
    return standards().reports(standard)


def live_ids() -> tuple[str, ...]:
    """Ids of the standards that a station may name."""
    return tuple(dict.fromkeys(law.id for law in standards().all if law.live))


def fact(station: Station, key: str) -> Fact | None:
    """What a station's table says under a key, or under that key of its `facts`; None if it says nothing."""
    found = getattr(station, key, None) if key in type(station).model_fields else station.facts.get(key)
    return found if isinstance(found, str | int | float) else None


def facts_wanted(live: Live) -> tuple[str, ...]:
    """Keys of the station that a report reads."""
    keys = [*live.needs, *(one.station for one in live.inputs.values() if one.station), *(key for only in live.only.values() for key in only)]
    if any(one.clock == "period" for one in live.inputs.values()):
        keys += ["day_from", "night_from"]
    return tuple(dict.fromkeys(keys))


def items_of(live: Live, station: Station, there: Iterable[str]) -> tuple[str, ...]:
    """The items of a report among the quantities of a station."""
    measured = set(there)
    return tuple(item for item in live.items
                 if item in measured and all(fact(station, key) == value for key, value in live.only.get(item, {}).items()))


def applies(live: Live, station: Station, there: Iterable[str]) -> bool:
    """Is enough measured for this report?"""
    measured = set(there)
    wanted = {one.quantity for one in live.inputs.values() if one.quantity and not one.optional}
    return wanted <= measured and (not live.items or bool(items_of(live, station, measured)))


def computed(name: str, station: Station, there: Iterable[str]) -> list[Report]:
    """The reports that a station gets, in the order of its standards. `there` : quantities that its devices measure."""
    measured, found = set(there), []
    for standard in station.standards:
        for live in reports(standard):
            if applies(live, station, measured) and all(fact(station, key) is not None for key in live.needs):
                items, period = items_of(live, station, measured), 3600 if live.every == "hour" else 86400
                series = tuple(Series(name, "", quantity, channel, statistic, period, standard)
                               for quantity, channel, statistic in live.series(items))
                found.append(Report(standard, live, items, series))
    return found


def given(standard: str, quantity: str) -> tuple[Live, Gives | None] | None:
    """The report of a standard that gives a quantity; None where it gives none. No `Gives` for a multiple of a limit."""
    for live in reports(standard):
        for one in live.gives:
            if one.quantity == quantity:
                return live, one
        if live.limit and live.limit == quantity:
            return live, None
    return None


def givers(quantity: str) -> tuple[str, ...]:
    """Ids of the standards that give a quantity."""
    return tuple(standard for standard in live_ids() if given(standard, quantity))


def is_computed(quantity: str) -> bool:
    """Is it computed rather than measured? A rule takes such a quantity only if it names it."""
    return bool(givers(quantity))


def classes_of(quantity: str) -> Mapping[str, int]:
    """Name of a class → its number, best first, of a quantity that is a class; empty for every other."""
    for standard in live_ids():
        found = given(standard, quantity)
        if found and found[1] and found[1].category and found[0].classes:
            return {name: number for number, name in enumerate(found[0].classes, 1)}
    return {}


def limit_reports(standard: str) -> tuple[Live, ...]:
    """Reports of a standard that may stand in a rule as a limit."""
    return tuple(live for live in reports(standard) if live.limit)


def limit_of(standard: str, quantity: str, mean_s: float | None) -> Live | None:
    """The report by which a standard limits a quantity as the mean over so many seconds; without a mean the shortest one that it has."""
    found = [live for live in limit_reports(standard) if quantity in live.items and (mean_s is None or mean_s == mean_of(live))]
    return min(found, key=mean_of, default=None)


def mean_of(live: Live) -> float:
    """Seconds of the mean that a report judges."""
    return int(live.mean.partition(" ")[0]) * 3600.0


def limit_series(station: str, standard: str, live: Live, quantity: str) -> Series:
    """The series that says how far a quantity is from its limit."""
    return Series(station, "", live.limit, quantity, live.statistic, 3600 if live.every == "hour" else 86400, standard)
