"""Where people, or span gas, are at work now, in words: for `ecosentry status`, the console and `ecosentry maintain`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from analytics.windows import spans_of_day
from config.maintenance import Maintenance
from config.quantity import vocabulary
from config.series import Series
from config.site import Site
from gateway.alerts import iso
from gateway.journal.maintenance import ByHand

_S, _DAY_NS = 1_000_000_000, 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """One window of one device that is open. Times are UTC ns."""

    station: str
    device: str
    name: str
    """Of the table in the site file; "" = by hand."""
    kind: str
    since: int
    until: int
    """When values count again."""
    is_settling: bool
    """The window itself is over."""
    quantities: tuple[str, ...]
    """Only these; () = all that the device gives."""
    by: str
    zone: str

    @property
    def words(self) -> str:
        """For people: what, of what, until when by the station's clock."""
        what = f"settling after {self.kind}" if self.is_settling else self.kind
        of = f" of {', '.join(self.quantities)}" if self.quantities else ""
        return f"{what}{of} until {clock_text(self.until, self.since, self.zone)} ({self.name or f'by {self.by}'})"

    def plain(self) -> dict[str, object]:
        """As JSON carries it; times in ISO 8601, UTC."""
        return {"station": self.station, "device": self.device, "name": self.name or None, "kind": self.kind, "since": iso(self.since),
                "until": iso(self.until), "quantities": list(self.quantities), "by": self.by or None, "words": self.words}


def clock_text(at: int, beside: int, zone: str) -> str:
    """An instant by the station's clock, with its day where that is another than that of `beside`. Both UTC ns."""
    time, other = (datetime.fromtimestamp(ns // _S, ZoneInfo(zone)) for ns in (at, beside))
    return time.strftime("%H:%M" if time.date() == other.date() else "%Y-%m-%d %H:%M")


def open_windows(site: Site, table: Iterable[Series], by_hand: Iterable[ByHand], at: int) -> list[OpenWindow]:
    """What is open at `at` (UTC ns), by device in the order of the site file; `table`: the series of the journal."""
    measured: dict[str, list[Series]] = {}
    for series in table:
        known = site.devices.get(series.device)
        if known is not None and known.common.station == series.station and not series.statistic:
            measured.setdefault(series.device, []).append(series)
    hands = list(by_hand)
    found: list[OpenWindow] = []
    for device in site.devices:
        found += _by_hand(site, device, hands, at)
        for name, planned in site.maintenance.items():
            found += _planned(site, device, name, planned, measured, at)
    return found


def _by_hand(site: Site, device: str, windows: Iterable[ByHand], at: int) -> Iterator[OpenWindow]:
    station = site.devices[device].common.station
    for one in windows:
        if one.device == device and one.since <= at < one.until:
            name = f"{one.name} goes on: {one.note} is not done" if one.name else ""
            yield OpenWindow(station, device, name, one.kind, one.since, one.until, False, (), one.by, site.stations[station].time_zone)


def _planned(
    site: Site, device: str, name: str, planned: Maintenance, measured: Mapping[str, list[Series]], at: int,
) -> Iterator[OpenWindow]:
    station = site.devices[device].common.station
    place, mine = site.stations[station], measured.get(device, [])
    taken = [one for one in mine if planned.takes(one, vocabulary()[one.quantity].medium, place.area)]
    if not taken:
        return
    quantities = () if len(taken) == len(mine) else tuple(dict.fromkeys(one.quantity for one in taken))
    for span in spans_of_day(place.time_zone, planned.begins, round(planned.lasts * _S), round(planned.settle * _S), at // _DAY_NS):
        if span.begin <= at < span.over:
            yield OpenWindow(station, device, name, planned.kind, span.begin, span.over, at >= span.end, quantities, "", place.time_zone)
