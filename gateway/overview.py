"""`gateway.view.View` over the journal and the health of the running parts; also over a journal alone, when no daemon runs."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

from analytics.station_inputs import law_at
from analytics.station_standing import standing, verified
from config.quantity import vocabulary
from config.series import GAP, Series
from config.site import Severity, Site
from drivers.reading import Clock
from gateway.alerts import iso
from gateway.contracts import Rows
from gateway.data_budget import local_day
from gateway.gap_ledger import Followed, plain
from gateway.health import DeviceView, LineHealth
from gateway.journal.maintenance import KEY, recalled
from gateway.journal.reader import Reader
from gateway.journal.records import Sealed
from gateway.open_windows import OpenWindow, open_windows
from gateway.view import LEFT_OUT, TOO_OLD, AlertView, Live, Point

_MOST_LOST = 5
_LOOK_BACK = 50_000
"""How many of the newest rows a fresh overview reads to find the newest of every series."""
_SCAN = 200_000
"""How many rows of one series a chart looks at, at most."""
Facts = Callable[[], Mapping[str, object]]


class Overview:
    """Asked from any thread; one question at a time, each a few short reads."""

    def __init__(self, folder: Path, site: Site, version: str, clock: Clock, lines: list[LineHealth], facts: Facts) -> None:
        """`facts` gives what only the running daemon knows: {"since", "trouble", "queue", "workers", "gaps", "notes", "unwell"}."""
        self._site = site
        self._version = version
        self._clock = clock
        self._lines = lines
        self._facts = facts
        self._reader = Reader(folder)
        self._lock = Lock()
        self._newest: dict[int, tuple[int, float, int, int, float]] = {}
        self._seen = max(0, self._reader.last_n() - _LOOK_BACK)
        self._gaps = Followed(self._reader)

    def close(self) -> None:
        """Let go of the journal."""
        with self._lock:
            self._reader.close()

    # ── live values and charts ───────────────────────────────────────────────────────────────────────────────────────
    def live(self) -> list[Live]:
        """The newest row of every series, by station, medium, device, quantity."""
        with self._lock:
            self._follow()
            series = self._reader.series()
            found = [self._live(i, series[i], row) for i, row in self._newest.items() if series[i].statistic != GAP]
        return sorted(found, key=lambda one: (one["station"], one["medium"], one["device"], one["quantity"], one["channel"], one["statistic"]))

    def _follow(self) -> None:
        while len(rows := self._reader.rows_after(self._seen, 10_000)):
            for i in range(len(rows)):
                which, at = int(rows.which[i]), int(rows.at[i])
                if which not in self._newest or at >= self._newest[which][0]:
                    self._newest[which] = (at, float(rows.value[i]), int(rows.flag[i]), int(rows.reason[i]), float(rows.share[i]))
            self._gaps.take(rows)
            self._seen = int(rows.n[-1])

    def _live(self, number: int, series: Series, row: tuple[int, float, int, int, float]) -> Live:
        known = vocabulary()[series.quantity]
        at, value, flag, reason, share = row
        found = Live(
            id=number, series=str(series), station=series.station, device=series.device, quantity=series.quantity, channel=series.channel,
            statistic=series.statistic, period_s=series.period_s, medium=known.medium, unit=known.unit, decimals=known.decimals,
            label={"en": known.en, "zh": known.zh}, at=at, value=_plain(value), flag=flag, reason=chr(reason), share=_plain(share))
        station = self._site.stations.get(series.station)
        zone = station.time_zone if station else "UTC"
        law = law_at(series.method, at, zone) if series.method else None
        if law:
            found["standard"], found["verified"] = law.number, verified(series, at, zone)
        row_of_law = standing(series, value, at, zone)
        if row_of_law:
            found["category"] = {"en": row_of_law.en, "zh": row_of_law.zh}
            found["colour"] = row_of_law.colour
        return found

    def chart(self, series_id: int, since_ns: int, until_ns: int, most: int) -> list[Point]:
        """Rows of one series in (since, until], oldest first, thinned to at most `most`: extremes and gaps stay."""
        with self._lock:
            rows = self._reader.rows_of_series(series_id, since_ns, until_ns, _SCAN)
        order = rows.at.argsort(kind="stable")
        return _thin(rows.pick(order), most)

    # ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def alerts(self, most: int) -> list[AlertView]:
        """Firing ones first, worst first; then the newest ended ones; at most `most`."""
        with self._lock:
            return [_alert(record) for record in self._reader.alerts(most)]

    # ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def health(self) -> str:
        """See gateway.view.View."""
        unwell = self._facts().get("unwell")
        return "; ".join(unwell) if isinstance(unwell, list) else ""

    def status(self) -> dict[str, object]:
        """The object that `ecosentry status --json` prints; see gateway.view.View."""
        stamp, facts = self._clock.now(), self._facts()
        with self._lock:
            counters, last, size = self._reader.counters(), self._reader.last_n(), self._reader.size()
            sinks, recipients, event = self._reader.sinks(), self._reader.recipients(), self._reader.last_event()
            untold, lost = self._reader.untold(), self._reader.lost(_MOST_LOST)
            self._follow()
            gaps = self._gaps.newest()
            work = open_windows(self._site, self._reader.series(), recalled(self._reader.meta(KEY)), stamp.utc_ns)
            behind = {name: self._behind_s(min([record.n, *(low - 1 for low, _ in self._reader.backlog(name)[:1])]), stamp.utc_ns)
                      for name, record in sinks.items()}
            zone = next((s.time_zone for s in self._site.stations.values()), "UTC")
            traffic = {name: self._reader.traffic(name, local_day(stamp.utc_ns, zone)) for name in sinks}
        counted = {name: counters.get(name, 0) for name in (
            "received", "journalled", "duplicate", "undecodable", "quarantined", "held", "overwritten")}
        holds = counted["received"] == sum(n for name, n in counted.items() if name != "received")
        return {
            "format": 1, "version": self._version, "site": self._site.file, "since": facts.get("since"), "now": iso(stamp.utc_ns),
            "stations": {name: {"name": s.name, "latitude": s.latitude, "longitude": s.longitude} for name, s in self._site.stations.items()},
            "lines": [line.line() for line in self._lines],
            "devices": [_at_work(device, work) for line in self._lines for device in line.devices(stamp.mono_ns)],
            "maintenance": [one.plain() for one in work],
            "sinks": [{
                "name": r.name, "kind": self._site.sinks[r.name].kind, "state": r.state, "words": r.words, "journalled": last, "sent": r.sent,
                "refused": r.refused, "skipped": r.skipped, "thinned": r.thinned, "owed": r.owed, "waiting": last - r.n, "behind_s": behind[r.name],
                "bytes_today": traffic[r.name], "bytes_per_day": self._site.sinks[r.name].common.bytes_per_day,
                "holds": last == r.sent + r.refused + r.skipped + r.thinned + r.owed + (last - r.n),
            } for r in sinks.values() if r.name in self._site.sinks],
            "recipients": [{"name": name, "waiting": states.get("waiting", 0), "sent": states.get("told", 0), "dead": states.get("dead", 0),
                            "words": untold.get(name, "")}
                           for name, states in sorted(recipients.items())],
            "conservation": {**counted, "holds": holds},
            "relayed_gaps": counters.get("relayed_gaps", 0), "too_old": {name: counters.get(name, 0) for name in TOO_OLD},
            "journal": {"bytes": size, "limit": self._site.journal.max_size, "rows": last, "events": event.id if event else 0,
                        "state": facts.get("trouble") or "ok", "checked": facts.get("checked", "")},
            "clock": {"sure": stamp.sure, "words": "believed" if stamp.sure else "not yet true: readings that we would stamp are held"},
            "gaps": [*(facts.get("gaps") or []), *map(plain, gaps)],  # type: ignore[misc]
            "queue": facts.get("queue", 0), "workers": facts.get("workers", []),
            "notes": [*map(str, facts.get("notes") or []), *_of_left_out(counters), *map(_of_lost, lost)],  # type: ignore[call-overload]
        }

    def _behind_s(self, n: int, now_ns: int) -> float:
        """Age of the oldest row that waits."""
        waiting = self._reader.rows_after(n, 1)
        return max(0.0, (now_ns - int(waiting.at[0])) / 1e9) if len(waiting) else 0.0


def _of_left_out(counters: Mapping[str, int]) -> list[str]:
    """What is said of notes that could not be written."""
    n = counters.get(LEFT_OUT, 0)
    return [f"{n} notes of sinks, messages or orders could not be journalled and were left out: please report the log"] if n else []


def _of_lost(entry: Sealed) -> str:
    """What is said of a sealed file that is lost."""
    return f"sealed {entry.file}, from {iso(entry.now_from)} to {iso(entry.now_to)}, is lost: {entry.lost}; ecosentry gaps"


def _at_work(device: DeviceView, work: list[OpenWindow]) -> DeviceView:
    """The device with what is done to it just now; one that gives nothing meanwhile is in maintenance."""
    mine = [one for one in work if one.device == device["name"]]
    if not mine:
        return device
    said = "; ".join([*(one.words for one in mine), *([device["words"]] if device["words"] else [])])
    is_excused = device["state"] not in ("good", "waiting") and any(not one.quantities for one in mine)
    return {**device, "words": said, "state": "maintenance" if is_excused else device["state"]}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _thin(rows: Rows, most: int) -> list[Point]:
    points = [Point(at=at, value=_plain(value), flag=flag)
              for at, value, flag in zip(rows.at.tolist(), rows.value.tolist(), rows.flag.tolist(), strict=True)]
    if len(points) <= most or most < 4:
        return points[-most:]
    kept: list[Point] = []
    size = -(-len(points) // max(1, most // 3))
    for start in range(0, len(points), size):
        part = points[start : start + size]
        values = [p for p in part if p["value"] is not None]
        keep = {id(part[-1]): part[-1]} if not values else {}
        for p in (min(values, key=_value), max(values, key=_value)) if values else ():
            keep[id(p)] = p
        gap = next((p for p in part if p["value"] is None), None)
        if gap is not None:
            keep[id(gap)] = gap
        kept += sorted(keep.values(), key=lambda p: p["at"])
    return kept


def _value(point: Point) -> float:
    assert point["value"] is not None
    return point["value"]


def _alert(record: dict[str, object]) -> AlertView:
    log = record["log"]
    assert isinstance(log, list)
    facts = log[-1][3]
    firing = record["state"] == "firing"
    level = record["severity"] if firing else record["worst"]
    assert isinstance(level, int)
    body = record["body"]
    assert isinstance(body, dict)
    return AlertView(
        id=str(record["key"]), rule=str(record["rule"]), about="technical" if record["series"] == -1 else "environment",
        series=str(Series(*body["series"])), state=str(record["state"]), colour=Severity(level).colour,
        since=int(str(record["since"])), until=None if firing else int(str(record["until"])),
        value=facts.get("value"), limit=facts.get("limit"), unit=facts.get("unit", ""), what=facts["what"],
        history=[{"at": at, "kind": kind, "colour": Severity(severity).colour if severity else "", "value": words.get("value"),
                  "limit": words.get("limit")}
                 for at, kind, severity, words in log])
