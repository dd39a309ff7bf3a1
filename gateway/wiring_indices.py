"""Makes the plan's part for standards: which of them each station is judged by, from which series, into which series."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from analytics.station_formulas import About
from analytics.station_indices import Input, StationIndex
from config.live_standards import LIVE, computed
from config.reading_standards import standards
from config.series import Series
from config.site import Site

_ALSO_READ = {"HJ633": ("GB3095",)}
"""Standards that others rest on: when a mean is valid."""


def wire_indices(
    site: Site, table: list[Series], active: Iterable[int], ids: Callable[[Iterable[Series]], list[int]],
) -> tuple[tuple[StationIndex, ...], tuple[str, ...], tuple[str, ...]]:
    """The indices of all stations, and the keys of their inputs and of themselves in the state.

    Where several devices of a station measure the same, the first in the site file counts: a number of the law has one instrument.
    """
    order = {name: place for place, name in enumerate(site.devices)}
    by_rank = sorted(active, key=lambda i: (order[table[i].device], table[i].channel, i))
    found, inputs, keys = [], dict[int, int](), list[str]()
    for name, station in sorted(site.stations.items()):
        first: dict[str, int] = {}
        for i in by_rank:
            if table[i].station == name:
                first.setdefault(table[i].quantity, i)
        for standard, series in computed(name, station, first).items():
            items = tuple(one.channel for one in series[1:])
            reads = [quantity for quantity in (*items, *LIVE[standard].beside) if quantity in first]
            takes = tuple(Input(quantity, first[quantity], inputs.setdefault(first[quantity], len(inputs))) for quantity in reads)
            about = About(standard, station.time_zone, station.water_body or "river", items)
            found.append(StationIndex(about, takes, tuple(zip(("", *items), ids(series), strict=True))))
            keys.append(f"{name}/{standard}")
    return tuple(found), tuple(str(table[i]) for i in inputs), tuple(keys)


def computed_series(indices: Iterable[StationIndex]) -> list[int]:
    """Ids of the series that are computed."""
    return [series for index in indices for _, series in index.gives]


def laws_of(indices: Iterable[StationIndex]) -> dict[str, str]:
    """The editions of the standards that are used, and a hash of each as it was read: another text makes another plan."""
    used = {name for index in indices for name in (index.about.standard, *_ALSO_READ.get(index.about.standard, ()))}
    return {law.name: hashlib.sha256(law.model_dump_json().encode()).hexdigest() for law in (standards().all if used else ()) if law.id in used}


def plain(indices: Iterable[StationIndex]) -> list[dict[str, object]]:
    """Indices for the journal, as JSON carries them."""
    return [asdict(index) for index in indices]


def recalled(written: Iterable[Mapping[str, Any]]) -> tuple[StationIndex, ...]:
    """Indices as they were kept in the journal."""
    return tuple(StationIndex(
        About(**{**one["about"], "items": tuple(one["about"]["items"])}), tuple(Input(**row) for row in one["inputs"]),
        tuple((str(item), int(series)) for item, series in one["gives"])) for one in written)
