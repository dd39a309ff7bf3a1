"""Makes the plan's part for standards: which of them each station is judged by, from which series, into which series."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from analytics.station_formulas import About
from analytics.station_indices import KEPT, Input, StationIndex
from config.live_standards import Report, computed, fact, facts_wanted
from config.reading_standards import standards
from config.series import Series
from config.site import Site, Station
from config.standard_live import Live

HOUR_S = 3600
_VALID_MEANS, _OZONE_DAYS, _NIGHTS = "GB3095", "HJ663", "GB3096"
"""Standards that others rest on: when a mean is valid, when a day of ozone counts, when it is night."""
_FORMER = {"HJ633": ("aqi", "iaqi"), "GB3838": ("gb3838_class", "gb3838_item_class")}
"""What the only reports of the first plans gave: overall, and of each item."""


def wire_indices(
    site: Site, table: list[Series], active: Iterable[int], ids: Callable[[Iterable[Series]], list[int]], period_s: Callable[[Series], float],
) -> tuple[tuple[StationIndex, ...], tuple[str, ...], tuple[str, ...]]:
    """The reports of all stations, and the keys of their inputs and of themselves in the state.

    Where several devices of a station measure the same, the first in the site file counts: a number of the law has one instrument.
    """
    order = {name: place for place, name in enumerate(site.devices)}
    by_rank = sorted(active, key=lambda i: (order.get(table[i].device, len(order)), table[i].channel, i))
    first: dict[str, dict[str, int]] = {}
    for i in by_rank:
        first.setdefault(table[i].station, {}).setdefault(table[i].quantity, i)
    reports = [(name, report) for name, station in sorted(site.stations.items()) for report in computed(name, station, first.get(name, {}))]
    pages: dict[int, int] = {}
    for name, report in reports:
        for quantity, count in _pages(report.live).items():
            if quantity in first[name]:
                series = first[name][quantity]
                pages[series] = max(count, pages.get(series, 1))
    keys, places = _input_keys(table, pages)
    found, names = [], list[str]()
    for name, report in reports:
        takes = tuple(Input(quantity, first[name][quantity], places[first[name][quantity]], pages[first[name][quantity]])
                      for quantity in report.live.reads() if quantity in first[name])
        every = tuple((one.quantity, round(seconds)) for one in takes if (seconds := period_s(table[one.series])) > HOUR_S or seconds == 0)
        gives = tuple((one.quantity, one.channel, number) for one, number in zip(report.series, ids(report.series), strict=True))
        found.append(StationIndex(_about(site, name, report, every), takes, gives, report.live.every == "day",
                                  _day_from(site.stations[name], report), _before(report)))
        names.append(_key(name, site.stations[name], report))
    return tuple(found), keys, tuple(names)


def _about(site: Site, name: str, report: Report, every_s: tuple[tuple[str, int], ...]) -> About:
    station = site.stations[name]
    facts = tuple((key, known) for key in facts_wanted(report.live) if (known := fact(station, key)) is not None)
    return About(report.standard, report.live.report, station.time_zone, report.items, facts, every_s)


def _key(name: str, station: Station, report: Report) -> str:
    """Of a report in the state; the real-time ones are called as they were when there were no others.

    Days that begin at another time, because zone or facts of the station were changed, are other days: none is carried over.
    """
    key = f"{name}/{report.standard}" if report.live.report == "realtime" else f"{name}/{report.standard}/{report.live.report}"
    return key if report.live.every == "hour" else f"{key} of {station.time_zone} from {_day_from(station, report)}"


def _pages(live: Live) -> dict[str, int]:
    """How many pages of hours each quantity of a report needs."""
    longest = dict.fromkeys(live.reads(), 1)
    for one in live.inputs.values():
        if one.quantity:
            longest[one.quantity] = max(longest[one.quantity], -(-one.hours // KEPT))
    return longest


def _input_keys(table: list[Series], pages: Mapping[int, int]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Keys of the inputs' pages in the state, and where each series begins."""
    keys, places = list[str](), dict[int, int]()
    for series, count in pages.items():
        places[series] = len(keys)
        keys += [str(table[series])] if count == 1 else [f"{table[series]}#{page}/{count}" for page in range(count)]
    return tuple(keys), places


def _day_from(station: Station, report: Report) -> int:
    """The local hour at which a report's days begin: as the station's facts have it, else the standard's figure, which a site may have set."""
    if not report.live.day_from:
        return 0
    told = fact(station, "day_from") if "day_from" in report.live.facts else None
    if told is not None:
        return int(told)
    law = standards().named(report.standard)
    return int(law.constant("day_from")) if "day_from" in law.constants else report.live.day_from


def _before(report: Report) -> int:
    """Hours before a day on which its largest 8 h mean may rest; in China none."""
    law = standards().named(report.live.validity or report.standard)
    return 7 if report.live.every == "day" and report.live.mean == "8 h" and law.jurisdiction != "CN" else 0


def computed_series(indices: Iterable[StationIndex]) -> list[int]:
    """Ids of the series that are computed."""
    return [series for index in indices for *_, series in index.gives]


def between_rows(indices: Iterable[StationIndex]) -> dict[int, int]:
    """Ids of the computed series → seconds between their rows: those of the input that comes most often, an hour at least."""
    found = {}
    for index in indices:
        every = dict(index.about.every_s)
        seconds = min((every.get(one.quantity, HOUR_S) for one in index.inputs), default=HOUR_S)
        found.update(dict.fromkeys((series for *_, series in index.gives), max(HOUR_S, 86400 if index.daily else seconds)))
    return found


def laws_of(indices: Iterable[StationIndex]) -> dict[str, str]:
    """The editions of the standards that are used, and a hash of each as it was read: another text makes another plan."""
    used: set[str] = set()
    for index in indices:
        live = index.about.live
        used |= {index.about.standard, live.validity if live else ""}
        if live and any(one.clock == "period" for one in live.inputs.values()):
            used.add(_NIGHTS)
    if _VALID_MEANS in used:
        used.add(_OZONE_DAYS)
    return {law.name: hashlib.sha256(law.model_dump_json().encode()).hexdigest() for law in (standards().all if used else ()) if law.id in used}


def plain(indices: Iterable[StationIndex]) -> list[dict[str, object]]:
    """Indices for the journal, as JSON carries them."""
    return [asdict(index) for index in indices]


def recalled(written: Iterable[Mapping[str, Any]]) -> tuple[StationIndex, ...]:
    """Indices as they were kept in the journal."""
    return tuple(_recalled(one) if "report" in one["about"] else _former(one) for one in written)


def _recalled(one: Mapping[str, Any]) -> StationIndex:
    about = one["about"]
    facts = tuple((str(key), value) for key, value in about["facts"])
    every_s = tuple((str(quantity), int(seconds)) for quantity, seconds in about.get("every_s", ()))
    return StationIndex(
        About(**{**about, "items": tuple(about["items"]), "facts": facts, "every_s": every_s}), tuple(Input(**row) for row in one["inputs"]),
        tuple((str(quantity), str(channel), int(series)) for quantity, channel, series in one["gives"]),
        one["daily"], one["day_from"], one["reads_before"])


def _former(one: Mapping[str, Any]) -> StationIndex:
    """An index as the first plans had it: the hourly report of HJ 633 or GB 3838."""
    about = one["about"]
    overall, item = _FORMER[about["standard"]]
    facts = (("water_body", about["water_body"]),) if about["standard"] == "GB3838" else ()
    gives = tuple((item if name else overall, str(name), int(series)) for name, series in one["gives"])
    return StationIndex(About(about["standard"], "realtime", about["zone"], tuple(about["items"]), facts),
                        tuple(Input(**row) for row in one["inputs"]), gives)
