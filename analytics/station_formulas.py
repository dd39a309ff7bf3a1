"""What a standard says of a station's hour or day: its declared function, fed with issued hourly means.

A number that the standard does not define, or that it forbids to publish because something is missing, is None.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import import_module
from inspect import signature
from typing import cast

from analytics.indices._exact import concentration_rounding, rounded
from analytics.indices.noise_cn import period_of
from analytics.station_calendar import clock_of
from analytics.station_inputs import ABSENT, Mean, Means, Moment, Past, hours_held, law_at
from config.live_standards import Fact, reports
from config.quantity import vocabulary
from config.reading_standards import standards
from config.series import Flag
from config.standard import Standard
from config.standard_live import Gives, Live, LiveInput
from config.standard_tables import Pollutant

Key = tuple[str, str]
"""Quantity and channel of a computed series."""
_MOST = 1000.0
"""A multiple of a limit beyond which nobody counts; also that of a limit of 0."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One number of a standard. `flag` is the worst of the hours that it rests on, `share` the smallest of its means.

    `held` : it rests on a value of an earlier hour, which stands until its analyser gives the next one.
    """

    value: float | None
    flag: int = Flag.MISSING
    share: float = 0.0
    held: bool = False


NOTHING = Judged(None)
UNLIMITED = Judged(None, Flag.NOT_EVALUATED)
"""Where the law sets no limit: nothing is missing, so there is no row."""


@dataclass(frozen=True, slots=True)
class About:
    """Which report of which standard, and what it must know of the station; `items` are those that it measures."""

    standard: str
    report: str
    zone: str
    items: tuple[str, ...]
    facts: tuple[tuple[str, Fact], ...] = ()
    every_s: tuple[tuple[str, int], ...] = ()
    """Of the quantities that do not come in each hour how often they do; 0 where nobody knows."""

    @property
    def live(self) -> Live | None:
        """The declaration; None if the standard's file no longer has it."""
        return next((live for live in reports(self.standard) if live.report == self.report), None)


def hours_needed(about: About, end_ns: int) -> int:
    """How many hours, this one included, the number of an hour rests on.

    >>> from datetime import UTC, datetime
    >>> ends = [int(datetime(2026, 2, 28, hour, tzinfo=UTC).timestamp()) * 10**9 for hour in (16, 17)]
    >>> [hours_needed(About("HJ633", "realtime", "Asia/Shanghai", ("pm2_5",)), end) for end in ends]
    [24, 1]
    """
    live, law = about.live, law_at(about.standard, end_ns, about.zone)
    if live is None or law is None:
        return 1
    means = [scale.means[live.scales] for scale in _scales(law, live, about)] if live.scales else [live.mean]
    means += [f"{one.hours} h" if one.mean == "hours" else one.mean for one in live.inputs.values() if one.quantity]
    return max([int(mean.partition(" ")[0]) for mean in means] + [hours_held(every_s) for _, every_s in about.every_s])


def judge(about: About, moment: Moment, past: Past) -> dict[Key, Judged]:
    """Every number of the report, by quantity and channel, for the hour or day of `moment`.

    >>> from analytics.station_inputs import Hour
    >>> about = About("GB3838", "realtime", "Asia/Shanghai", ("ammonia_nitrogen", "cod"), (("water_body", "river"),))
    >>> hours = {"ammonia_nitrogen": Hour(0.4, 1, 1.0), "cod": Hour(31.0, 1, 0.9)}
    >>> found = judge(about, Moment(1795262400 * 10**9, 1, about.zone, False), lambda quantity, back: hours.get(quantity))
    >>> found["gb3838_class", ""].value
    5.0
    """
    live, law = about.live, law_at(about.standard, moment.end_ns, about.zone)
    if live is None or law is None:
        return {}
    return Judging(about, live, law, moment, past).judged()


class Judging:
    """One report at one moment."""

    def __init__(self, about: About, live: Live, law: Standard, moment: Moment, past: Past) -> None:
        self.about, self.live, self.law = about, live, law
        validity = law_at(live.validity, moment.end_ns, about.zone) if live.validity else law
        self.means = Means(moment, past, validity, live.kelvin, dict(about.every_s))
        self.lacks_validity = validity is None
        self.clock = clock_of(moment)
        self.facts = dict(about.facts)

    def judged(self) -> dict[Key, Judged]:
        """Every number that the function gives."""
        inputs = self._inputs()
        if inputs is None or self.lacks_validity:
            return {}
        arguments: dict[str, object] = {**self.live.arguments, **{name: value for name, (value, _) in inputs.items()}}
        beside = [(self.live.inputs[name].quantity, mean) for name, (_, mean) in inputs.items() if mean is not None]
        if self.live.value_argument:
            return {key: one for item in self.about.items for key, one in self._limited(item, arguments, beside).items()}
        items = self._items()
        if self.live.argument:
            arguments[self.live.argument] = {name: mean.value for name, (_, mean) in items.items()}
        if self.live.unmonitored:
            arguments[self.live.unmonitored] = [name for quantity, name in self.live.items.items() if quantity not in self.about.items]
        result = self._call(arguments)
        return {} if result is None else self._results(result, items, beside)

    def arguments_without_means(self) -> dict[str, object] | None:
        """What time and place say; None if the function needs more than that."""
        inputs = self._inputs()
        return None if inputs is None else {**self.live.arguments, **{name: value for name, (value, _) in inputs.items()}}

    # ── what goes in ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _inputs(self) -> dict[str, tuple[object, Mean | None]] | None:
        """Arguments by name, with the mean that they are; None if one that is needed is missing."""
        found: dict[str, tuple[object, Mean | None]] = {}
        for name, one in self.live.inputs.items():
            value, mean = self._input(one)
            if value is not None:
                found[name] = (value, mean)
            elif not one.optional:
                return None
        return found

    def _input(self, one: LiveInput) -> tuple[object, Mean | None]:
        if one.station:
            value = self.facts.get(one.station)
            words = self.live.translate.get(one.station, {})
            return words.get(str(value), value), None
        if one.clock:
            return self._at(one.clock), None
        mean = self._known(self.means.of(one.quantity, one.mean, one.unit, one.hours))
        if one.trusted and mean.flag == Flag.SUSPECT:
            return None, None
        return mean.value, mean

    def _at(self, what: str) -> object:
        if what != "period":
            return getattr(self.clock, what)
        law = self.law if "day_from" in self.law.constants else standards().named("GB3096")
        if "day_from" in self.facts or "night_from" in self.facts:  # where a county has set other hours
            begins, ends = (float(self.facts.get(key, law.constant(key))) for key in ("day_from", "night_from"))
            return "day" if begins <= self.clock.hour < ends else "night"
        return period_of(self.clock.hour, law=law)

    def _known(self, mean: Mean, scale: Pollutant | None = None) -> Mean:
        """A mean that is not negative: after the law's own rounding, where it has one."""
        if self.live.negative == "keep":
            return mean
        if scale is not None and self.law.rounding is not None and isinstance(mean.value, Decimal):
            how = concentration_rounding(scale, self.law.rounding)
            return ABSENT if rounded(mean.value, how.rule, how.decimals) < 0 else mean
        if isinstance(mean.value, list):
            return replace(mean, value=[value if value is None or value >= 0 else None for value in mean.value])
        return ABSENT if mean.value is not None and mean.value < 0 else mean

    def _items(self) -> dict[str, tuple[str, Mean]]:
        """By the name that the function takes: the measured quantity and its mean."""
        found = {}
        if not self.live.scales:
            return {self.live.items[item]: (item, self._known(self.means.of(item, self.live.mean))) for item in self.about.items}
        scales = _scales(self.law, self.live, self.about)
        for scale in scales:
            twice = sum(other.quantity == scale.quantity for other in scales) > 1
            mean = scale.means[self.live.scales]
            name = f"{scale.shown}_{mean.replace(' ', '')}" if twice or self.live.means_in_names else scale.shown
            found[name] = (scale.quantity, self._known(self.means.of(scale.quantity, mean, scale.unit), scale))
        return found

    def _call(self, arguments: Mapping[str, object]) -> object:
        """What the function says; None where it has no value for these inputs."""
        try:
            return _called(self.live, self.law, arguments)
        except (ValueError, ArithmeticError):
            return None

    # ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────────
    def _results(self, result: object, items: Mapping[str, tuple[str, Mean]], beside: list[tuple[str, Mean]]) -> dict[Key, Judged]:
        found: dict[Key, Judged] = {}
        means = [(quantity, mean) for quantity, mean in (*items.values(), *beside) if mean.value is not None]
        for one in self.live.gives:
            value = result.get(one.result) if isinstance(result, Mapping) and one.result else result
            if one.only_with and isinstance(result, Mapping) and result.get(one.only_with) is None:
                continue
            if not one.each:
                found[one.quantity, one.channel] = _rests_on(self._number(one, value), [mean for _, mean in means])
                continue
            by_name = value if isinstance(value, Mapping) else {}
            for item in self.about.items:
                own = [mean for quantity, mean in means if quantity == item]
                found[one.quantity, item] = _rests_on(self._number(one, self._of_item(item, by_name)), own)
        return found

    def _of_item(self, item: str, by_name: Mapping[str, object]) -> object:
        name = self.live.items[item]
        if name in by_name:
            return by_name[name]
        numbers = [value for key, value in by_name.items() if key.startswith(f"{name}_") and isinstance(value, int | float | Decimal)]
        return max(numbers, default=None)

    def _number(self, one: Gives, value: object) -> float | None:
        """A result as a number: of a list of names the sum of their bits, of a word its place."""
        if isinstance(value, list | tuple):
            members = vocabulary()[one.quantity].members
            names = {name: quantity for quantity, name in self.live.items.items()}
            return float(sum(1 << members.index(names[name]) for name in value if names.get(name) in members))
        if isinstance(value, str):
            return float(one.words.index(value) + 1) if value in one.words else None
        number = float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
        return number if number is not None and math.isfinite(number) else None

    def _limited(self, item: str, arguments: Mapping[str, object], beside: list[tuple[str, Mean]]) -> dict[Key, Judged]:
        """How far one item is from its limit, and what else the function says of it."""
        mean = self._known(self.means.of(item, self.live.mean))
        found = limited(self.live, self.law, item, mean.value, arguments) if isinstance(mean.value, Decimal) else None
        if found is None:
            return {}
        if found.limit is None:
            return dict.fromkeys([(self.live.limit, item), *((one.quantity, item) for one in self.live.gives)], UNLIMITED)
        rests_on = [mean, *(other for _, other in beside)]
        others = {(one.quantity, item): _rests_on(self._number(one, found.result.get(one.result)), rests_on) for one in self.live.gives}
        return {(self.live.limit, item): _rests_on(found.how_far, rests_on), **others}


@dataclass(frozen=True, slots=True)
class Limited:
    """How far a value is from its limit (`config.standard_live.EXCESS`), the limit (None = there is none), and all that the function said."""

    how_far: float
    limit: object
    result: Mapping[str, object]


def limited(live: Live, law: Standard, item: str, value: Decimal, arguments: Mapping[str, object]) -> Limited | None:
    """How far a value is from its limit; None where the function has no answer. What the law calls passed is never above it."""
    name = {live.name_argument: live.items[item]} if live.name_argument else {}
    try:
        result = _called(live, law, {**arguments, **name, live.value_argument: value})
    except (ValueError, ArithmeticError):
        return None
    if not isinstance(result, Mapping):
        return None
    if "limit" in result and result["limit"] is None:
        return Limited(math.nan, None, result)
    if result.get(live.passes) is None:
        return None
    limit = cast("Decimal | list[Decimal]", result["limit"])
    judged = result.get(live.corrected, value) if live.corrected else value
    how_far = _multiple(judged, limit) if live.edge else float(judged - cast("Decimal", limit))
    if result[live.passes]:
        return Limited(min(how_far, live.edge), limit, result)
    return Limited(max(how_far, math.nextafter(live.edge, 2.0)), limit, result)


def _multiple(value: Decimal, limit: Decimal | list[Decimal]) -> float:
    if isinstance(limit, list):
        low, high = limit
        return min(_MOST, float(max(value / high, low / value))) if value > 0 else _MOST
    return min(_MOST, float(value / limit)) if limit > 0 else _MOST


def _rests_on(value: float | None, means: list[Mean]) -> Judged:
    if value is None or not means:
        return NOTHING
    suspect = any(mean.flag == Flag.SUSPECT for mean in means)
    return Judged(value, Flag.SUSPECT if suspect else Flag.GOOD, min(mean.share for mean in means), any(mean.held for mean in means))


def _scales(law: Standard, live: Live, about: About) -> list[Pollutant]:
    return [scale for scale in law.pollutants if live.scales in scale.means and scale.quantity in about.items]


def _called(live: Live, law: Standard, arguments: Mapping[str, object]) -> object:
    """What the declared function says; figures are given as floats where it wants floats."""
    function, floats, takes_law = _function(law.function, live.function)
    fitting = {name: _floats(value) if name in floats else value for name, value in arguments.items()}
    return function(**fitting, law=law) if takes_law else function(**fitting)


def _floats(value: object) -> object:
    if isinstance(value, list):
        return [_floats(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


@cache
def _function(module: str, name: str) -> tuple[Callable[..., object], frozenset[str], bool]:
    """A function of an index module, which of its arguments are floats, and whether it takes the law."""
    function = getattr(import_module(f"analytics.indices.{module}"), name)
    parameters = signature(function).parameters
    floats = {key for key, one in parameters.items() if "float" in str(one.annotation) and "Decimal" not in str(one.annotation)}
    return function, frozenset(floats), "law" in parameters
