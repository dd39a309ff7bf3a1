"""Makes a `Plan` of site file and series table: the flat arrays that the step runs on, and the names that people read.

A plan is numbered and kept in the journal, so that every event can be stepped again exactly as it was, even after the
site file, a profile or the vocabulary has changed.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np

from analytics import clock_back, gaps, means, quality, rules, signals, station_indices, warming
from analytics.kernels.rules import LEVELS
from analytics.signals import Signals
from analytics.state import Column, Layout
from analytics.warming import Warming
from analytics.windows import Windows
from config.live_standards import classes_of, limit_of, limit_series
from config.quantity import vocabulary
from config.series import GAP, Series
from config.site import TARGET, Colour, Rule, Severity, Site, severity
from config.units import Limit
from gateway.journal.maintenance import ByHand
from gateway.wiring_indices import between_rows, computed_series, laws_of, plain, recalled, wire_indices
from gateway.wiring_means import BEHAVES, STATISTIC
from gateway.wiring_signals import wire_signals
from gateway.wiring_warming import wire_warming
from gateway.wiring_windows import wire_windows

_S = 1_000_000_000
COLUMNS = (Column("sure", "u1", "one", fill=1), *signals.COLUMNS, *warming.COLUMNS, *quality.COLUMNS, *gaps.COLUMNS, *means.COLUMNS, *rules.COLUMNS,
           *station_indices.COLUMNS, *clock_back.COLUMNS)
MANNER = 1
"""Since 1 means of sound and direction are theirs, what late data renew is judged again, and what a clock that was ahead left is dropped."""
_UNKNOWN_GAP_NS = 3600 * _S
_PARTS = ("signals", "ledger", "warming", "windows")
"""Parts of a plan that it may lack, in the order in which they are kept."""
Part = TypeVar("Part")
_AT_ONCE_S = 0.2


@dataclass(frozen=True, slots=True)
class Expected:
    """A series that a driver promises, how often, and whether it comes by itself."""

    series: Series
    period_s: float
    told: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """The people's side of one watch: which rule on which series, with its written limits by severity."""

    name: str
    rule: Rule
    series: int
    below: bool
    limits: dict[int, Limit]
    by_law: str = ""
    """The quantity whose limit of a standard it is; the series then says how far it is from that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `step` needs. Arrays are per series id, per watch or per device."""

    limits: quality.Limits
    kinds: means.Kinds
    watches: rules.Watches
    expect: rules.Expectations
    hourly: np.ndarray[Any, np.dtype[np.int32]]
    """int32[series]: id of the hourly mean's series, -1 = none."""
    layout: Layout
    off: frozenset[str] = frozenset()
    """Parts of the step that are switched off because they failed."""
    indices: tuple[station_indices.StationIndex, ...] = ()
    """What is computed by standards. Their figures are read from the standards' files, which the plan names in `laws`."""
    laws: dict[str, str] = field(default_factory=dict)
    """Edition of a standard → hash of its figures when the plan was made."""
    signals: Signals | None = None
    """What input modules give; None = every series is what its device says."""
    ledger: gaps.Ledger | None = None
    """Whose gaps are written down."""
    warming: Warming | None = None
    """Whose instruments need time after power-up; None = all measure at once."""
    windows: Windows | None = None
    """When people are at which instruments; None = never."""
    manner: int = 0
    """How rules judge; events of an older plan are stepped again in its own, or alerts would get other numbers than they have."""

    def dump(self) -> bytes:
        """Everything numeric, for the journal."""
        arrays = [getattr(part, f.name) for part in (self.limits, self.kinds, self.watches, self.expect) for f in fields(part)]
        arrays.append(self.hourly)
        parts = {name: part for name in _PARTS if (part := getattr(self, name)) is not None}
        arrays += [getattr(part, f.name) for part in parts.values() for f in fields(part)]
        head = json.dumps({"parts": list(parts), "keys": {per: list(keys) for per, keys in self.layout.keys.items()}, "off": sorted(self.off),
                           "indices": plain(self.indices), "laws": self.laws, "manner": self.manner,
                           "arrays": [[a.dtype.str, len(a)] for a in arrays]}, separators=(",", ":"), ensure_ascii=False)
        return head.encode() + b"\n" + b"".join(a.tobytes() for a in arrays)

    @property
    def fingerprint(self) -> bytes:
        """Equal for plans that give equal results."""
        return hashlib.sha256(self.dump()).digest()


def restore(body: bytes) -> Plan:
    """A plan as it was kept (compressed `dump`)."""
    plain = zlib.decompress(body)
    line, _, rest = plain.partition(b"\n")
    head = json.loads(line)
    arrays, offset = [], 0
    for dtype, length in head["arrays"]:
        arrays.append(np.frombuffer(rest, dtype, length, offset).copy())
        offset += arrays[-1].nbytes
    def part(kind: type[Part]) -> Part:
        mine = [arrays.pop(0) for _ in fields(kind)]  # type: ignore[arg-type]
        return kind(*mine)

    limits, kinds, watches, expect = part(quality.Limits), part(means.Kinds), part(rules.Watches), part(rules.Expectations)
    hourly = arrays.pop(0)
    kept = head.get("parts", ())
    signals_, ledger = part(Signals) if "signals" in kept else None, part(gaps.Ledger) if "ledger" in kept else None
    warming_, windows = part(Warming) if "warming" in kept else None, part(Windows) if "windows" in kept else None
    layout = Layout(COLUMNS, {per: tuple(keys) for per, keys in head["keys"].items()})
    return Plan(limits, kinds, watches, expect, hourly, layout, frozenset(head["off"]),
                recalled(head.get("indices", ())), head.get("laws", {}), signals_, ledger, warming_, windows, head.get("manner", 0))


class Wiring:
    """Makes the plans of one site; one more whenever a new series turns up."""

    def __init__(self, site: Site, expected: Iterable[Expected]) -> None:
        self.site = site
        self.by_hand: tuple[ByHand, ...] = ()
        """Windows that people opened; they count from the next plan on."""
        self.expected = {e.series: e for e in expected}
        self._relays = {device.common.station: name for name, device in site.devices.items() if getattr(device.options, "RELAYS", False)}

    def home(self, series: Series) -> str:
        """The device of this site that a series comes from: by its name, or the one that relays all of its station; empty = none."""
        own = self.site.devices.get(series.device)
        relay = self._relays.get(series.station, "")
        return series.device if own is not None and not (relay and own.common.station != series.station) else relay

    def measured(self, series: Series) -> bool:
        """Whether a device of this site measures it, or another gateway for which one stands."""
        return not series.statistic and bool(self.home(series))

    def wire(
        self, table: list[Series], ids: Callable[[Iterable[Series]], list[int]], off: frozenset[str] = frozenset(),
    ) -> tuple[Plan, list[Watch]]:
        """The plan for all series of `table` and all that are expected; `ids` registers series (it may grow `table`)."""
        ids(self.expected)
        active = [i for i, s in enumerate(table) if self.measured(s)]
        hours = self._hours(table, active, ids)
        watched = {i: ids([table[i]._replace(statistic=GAP)])[0] for i in active}
        indices, inputs, index_keys = wire_indices(self.site, table, active, ids, self._period_s)
        count = len(table)
        watches = self._watches(table, active) + self._watches(table, computed_series(indices), named=True)
        watches = sorted(watches + self._watches_by_law(table, indices), key=lambda watch: watch.series)
        devices = sorted({self._device(table[i]) for i in active})
        layout = Layout(COLUMNS, {
            "series": tuple(map(str, table)), "device": tuple(devices), "input": inputs, "index": index_keys,
            "watch": tuple(_key(w, table[w.series]) for w in watches)})
        hourly = np.full(count, -1, np.int32)
        behaves = np.zeros(count, np.uint8)
        for i, (kind, target) in hours.items():
            hourly[i], behaves[i] = target, kind
        period = self._periods(table)
        between = between_rows(indices)
        step = np.maximum(period, np.array([between.get(i, s.period_s if s.method else 0) * _S for i, s in enumerate(table)], np.int64))
        expect = self._expectations(table, active, devices, period)
        plan = Plan(self._limits(table, active), means.Kinds(behaves, period), self._arrays(count, watches, step),
                    expect, hourly, layout, off, indices, laws_of(indices), wire_signals(self.site, table, active),
                    self._ledger(count, watched, period), wire_warming(self.site, table, active, expect),
                    wire_windows(self.site, self.by_hand, {i: table[i]._replace(device=self.home(table[i])) for i in active}, table, expect),
                    MANNER)
        return plan, watches

    @staticmethod
    def _ledger(count: int, watched: dict[int, int], period: np.ndarray[Any, np.dtype[np.int64]]) -> gaps.Ledger:
        target = np.full(count, -1, np.int32)
        target[list(watched)] = list(watched.values())
        return gaps.Ledger(target, period)

    @staticmethod
    def _device(series: Series) -> str:
        return f"{series.station}/{series.device}"

    def _period_s(self, series: Series) -> float:
        known = self.expected.get(series)
        if known:
            return known.period_s
        same = [e.period_s for s, e in self.expected.items() if s[:2] == series[:2]]
        return min(same, default=self.site.devices[self.home(series)].common.interval or 0.0) if self.measured(series) else 0.0

    def _periods(self, table: list[Series]) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([round(self._period_s(s) * _S) for s in table], np.int64)

    def _hours(self, table: list[Series], active: list[int], ids: Callable[[Iterable[Series]], list[int]]) -> dict[int, tuple[int, int]]:
        found = {}
        for i in active:
            kind = BEHAVES.get(vocabulary()[table[i].quantity].behaves, means.NONE)
            if kind != means.NONE:
                found[i] = (kind, ids([table[i]._replace(statistic=STATISTIC[kind], period_s=3600)])[0])
        return found

    def _limits(self, table: list[Series], active: list[int]) -> quality.Limits:
        columns = np.full((5, len(table)), np.nan)
        for i in active:
            series = table[i]
            known = vocabulary()[series.quantity]
            own = self.site.devices[self.home(series)].common.quality.get(series.quantity)
            fail = (own.range[0].value, own.range[1].value) if own and own.range else known.plausible
            suspect = (own.suspect[0].value, own.suspect[1].value) if own and own.suspect else fail
            rate = own.rate.value if own and own.rate else known.rate
            columns[:, i] = (*fail, *suspect, np.nan if rate is None else rate)
        return quality.Limits(*(np.ascontiguousarray(c) for c in columns))

    def _watches(self, table: list[Series], series_ids: list[int], *, named: bool = False) -> list[Watch]:
        """Watches on these series; `named`: by rules that name their quantity only."""
        found = []
        for i in series_ids:
            series = table[i]
            medium, area = vocabulary()[series.quantity].medium, self.site.stations[series.station].area
            for name, rule in sorted(self.site.rules.items()):
                if rule.takes(series, medium, area) and (rule.quantity or not named):
                    found += [Watch(name, rule, i, below, {int(severity(c)): x for c, x in ladder.items()})
                              for below, ladder in ((False, self._above(rule, series)), (True, rule.below)) if ladder]
        return found

    def _watches_by_law(self, table: list[Series], indices: tuple[station_indices.StationIndex, ...]) -> list[Watch]:
        """Watches on how far a quantity is from the limit of a standard, for rules that name the standard instead of a figure."""
        found = []
        given = {table[i]: i for i in computed_series(indices)}
        measured = {table[one.series] for index in indices for one in index.inputs}
        for name, rule in sorted(self.site.rules.items()):
            for series in sorted(measured) if rule.law else ():
                live = limit_of(rule.law, series.quantity, rule.mean)
                taken = rule.takes(series, vocabulary()[series.quantity].medium, self.site.stations[series.station].area)
                number = given.get(limit_series(series.station, rule.law, live, series.quantity)) if live and taken else None
                if live and number is not None:
                    edge = Limit(Decimal(int(live.edge)), vocabulary()[table[number].quantity].unit)
                    found.append(Watch(name, rule, number, False, {int(severity(rule.severity)): edge}, series.quantity))
        return found

    def _above(self, rule: Rule, series: Series) -> dict[Colour, Limit]:
        """The limits above which a rule fires; a class is its number, for worse is more."""
        if not rule.worse_than:
            return rule.above
        name = rule.worse_than if rule.worse_than != TARGET else self.site.stations[series.station].water_target or ""
        return {rule.severity: Limit(Decimal(classes_of(series.quantity)[name]), "1")}

    def _arrays(self, count: int, watches: list[Watch], period: np.ndarray[Any, np.dtype[np.int64]]) -> rules.Watches:
        first, last = np.zeros(count, np.int32), np.zeros(count, np.int32)
        limit = np.full(len(watches) * LEVELS, np.nan)
        columns: list[tuple[float, int, float, int, int, float, int]] = []
        for w, watch in enumerate(watches):
            if last[watch.series] == 0:
                first[watch.series] = w
            last[watch.series] = w + 1
            for level, x in watch.limits.items():
                limit[w * LEVELS + level - Severity.BLUE] = x.value
            rule, step = watch.rule, int(period[watch.series])
            hold, window = round(rule.hold * _S), round((watch.rule.mean or 0) * _S)
            if window < 2 * step or watch.by_law:
                window = 0  # a mean over less than two readings is the reading itself
            gap = max(3 * step, hold, window) if step else max(_UNKNOWN_GAP_NS, hold, window)
            columns.append((-1.0 if watch.below else 1.0, hold, rule.dead_band.value if rule.dead_band else 0.0,
                            round(rule.end_for * _S), window, window / step / 2 if step and window else 1.0, gap))
        sign, hold_ns, dead, end_hold, windows, least, gaps = zip(*columns, strict=True) if columns else ((),) * 7
        return rules.Watches(
            first, last, limit, np.array(sign, "f8"), np.array(hold_ns, "i8"), np.array(dead, "f8"), np.array(end_hold, "i8"),
            np.array(windows, "i8"), np.array(least, "f8"), np.array(gaps, "i8"))

    def _expectations(
        self, table: list[Series], active: list[int], devices: list[str], period: np.ndarray[Any, np.dtype[np.int64]],
    ) -> rules.Expectations:
        """Who is due to speak when. Readings that wait for a commit are heard later by that, so everyone has so much longer."""
        told, device = np.zeros(len(table), np.uint8), np.full(len(table), -1, np.int32)
        later_ns = round((self.site.journal.durable_within - _AT_ONCE_S) * _S)
        device_period = np.zeros(len(devices), np.int64)
        place = {name: i for i, name in enumerate(devices)}
        for i in active:
            known = self.expected.get(table[i])
            told[i] = bool(known and known.told)
            device[i] = place[self._device(table[i])]
            if period[i] > 0:
                before = device_period[device[i]]
                device_period[device[i]] = period[i] if before == 0 else min(before, period[i])
        heard = np.where(period > 0, period + later_ns * 2 // 5, period)
        return rules.Expectations(told, heard, device, np.where(device_period > 0, device_period + later_ns // 3, device_period))


def _key(watch: Watch, series: Series) -> str:
    """Of a watch in the state; one whose mean was made in another way by older versions has another key, for its sums mean something else."""
    behaves = BEHAVES.get(vocabulary()[series.quantity].behaves, means.NONE) if watch.rule.mean and not watch.by_law else means.NONE
    made = "|" + vocabulary()[series.quantity].behaves if behaves in (means.ENERGETIC, means.ANGLE) else ""
    return f"{watch.name}|{series}|{'<' if watch.below else '>'}|{watch.rule.mean or 0}{made}{watch.by_law and '|' + watch.by_law}"
