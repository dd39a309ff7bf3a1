"""Makes the plan's part for maintenance and calibration: the windows of the site file, and those that people opened by hand."""

from collections.abc import Iterable, Mapping

import numpy as np

from analytics.rules import Expectations
from analytics.windows import Row, Windows, of
from config.maintenance import REASONS, Maintenance
from config.quantity import vocabulary
from config.series import Series
from config.site import Site
from gateway.journal.maintenance import ByHand

_S = 1_000_000_000


def wire_windows(site: Site, by_hand: Iterable[ByHand], homes: Mapping[int, Series], table: list[Series], expect: Expectations) -> Windows | None:
    """The windows that take a series; None if there are none. `homes`: each measured series, with the device of this site that gives it."""
    rows = [row for planned in site.maintenance.values() for row in _planned(site, planned, homes, table, expect)]
    for one in by_hand:
        series = tuple(i for i, home in homes.items() if home.device == one.device)
        rows.append(Row(REASONS[one.kind], series, _whole(series, homes, expect), one.until - one.since, since=one.since))
    rows = [row for row in rows if row.series]
    return of(rows, len(table), len(expect.device_period)) if rows else None


def _planned(site: Site, planned: Maintenance, homes: Mapping[int, Series], table: list[Series], expect: Expectations) -> Iterable[Row]:
    """One row for each time zone: a window may be about several stations."""
    zones: dict[str, list[int]] = {}
    for i, home in homes.items():
        station = site.stations[home.station]
        medium = vocabulary()[home.quantity].medium
        if planned.takes(home, medium, station.area) or planned.takes(table[i], medium, station.area):
            zones.setdefault(station.time_zone, []).append(i)
    for zone, series in zones.items():
        yield Row(planned.reason, tuple(series), _whole(series, homes, expect), round(planned.lasts * _S), round(planned.settle * _S),
                  begins=planned.begins, zone=zone)


def _whole(series: Iterable[int], homes: Mapping[int, Series], expect: Expectations) -> tuple[int, ...]:
    """The devices of which all series are among these: nothing else can be expected of them."""
    left = np.bincount([expect.device[i] for i in homes], minlength=len(expect.device_period))
    np.subtract.at(left, [expect.device[i] for i in series], 1)
    return tuple({int(expect.device[i]) for i in series if left[expect.device[i]] == 0})
