"""Rules and limits of a site file: they select something, stand in the quantity's unit, and rise with their colours."""

from collections.abc import Iterator
from itertools import pairwise

from config import site_standards
from config.conversion import converted
from config.device import Profile
from config.inputs import wired
from config.live_standards import classes_of, computed, givers, is_computed, limit_of, limit_reports, mean_of, reports
from config.quantity import Quantity, vocabulary
from config.reading_profile import ANY
from config.selector import Measured
from config.series import Series
from config.site import TARGET, Colour, Rule, Site, severity
from config.site_links import Known, selector
from config.toml_notes import Path
from config.units import Limit, duration_text
from config.wording import did_you_mean, dotted

_NO_MEAN = {"counter": "counts up, so a mean of it says nothing", "peak": "is a largest value: a mean of it says nothing",
            "state": "is itself a statistic or a state: a mean of it says nothing"}


def gives(profile: Profile, quantity: str) -> bool:
    """Can a device of this profile give this quantity?"""
    return any(row.partition(":")[0] == quantity or (row == ANY and quantity in vocabulary()) for row in profile.rows)


def measured(site: Site, profiles: dict[str, Profile]) -> Iterator[Series]:
    """What the devices of a site give; the quantity is ANY where the messages name it and the site file does not say which."""
    for name, device in site.devices.items():
        for row in wired(profiles[device.common.profile], device.common.inputs).rows:
            quantity, _, channel = row.partition(":")
            named: tuple[str, ...] = getattr(device.options, "quantities", ()) if row == ANY else ()
            for one in named or (quantity,):
                yield Series(device.common.station, name, one, channel)


def judged(site: Site, profiles: dict[str, Profile]) -> Iterator[Series]:
    """What is computed by the standards of the stations; of devices whose quantities are not known, all that may come."""
    for name, station in site.stations.items():
        there = {one.quantity for one in measured(site, profiles) if one.station == name}
        if ANY in there:
            there |= {item for standard in station.standards for live in reports(standard) for item in live.reads()}
        for report in computed(name, station, there):
            yield from report.series


def taken(site: Site, profiles: dict[str, Profile], chosen: Measured) -> list[Series]:
    """The measured series that are meant; where the messages of a device name the quantity, one for each that is named."""
    found = []
    for series in measured(site, profiles):
        for quantity in (chosen.quantity or (ANY,)) if series.quantity == ANY else (series.quantity,):
            medium = vocabulary()[quantity].medium if quantity in vocabulary() else next(iter(chosen.medium), "")
            one = series._replace(quantity=quantity)
            if chosen.takes(one, medium, site.stations[series.station].area):
                found.append(one)
    return found


def watched(site: Site, profiles: dict[str, Profile], rule: Rule) -> list[Series]:
    """The series that a rule judges."""
    return taken(site, profiles, rule) + [one for one in judged(site, profiles) if rule.quantity and rule.takes(
        one, vocabulary()[one.quantity].medium, site.stations[one.station].area)]


def check(known: Known, site: Site, profiles: dict[str, Profile]) -> None:
    """Everything about rules and quality limits."""
    for name, device in site.devices.items():
        for quantity, quality in device.common.quality.items():
            path = ("devices", name, "quality", quantity)
            for key, limits in (("range", quality.range or ()), ("suspect", quality.suspect or ()), ("rate", (quality.rate,))):
                for limit in limits[:1]:
                    if limit is not None:
                        _in_unit(known, (*path, key), limit, quantity, vocabulary()[quantity])
    for name, station in site.stations.items():
        there = {one.quantity for one in measured(site, profiles) if one.station == name}
        site_standards.check_station(known, name, station, None if ANY in there or known.spoilt.get("devices") else there)
    for name, rule in site.rules.items():
        _rule(known, ("rules", name), rule, site, profiles)


def _rule(known: Known, path: Path, rule: Rule, site: Site, profiles: dict[str, Profile]) -> None:
    if not _limits(known, path, rule) or not selector(known, path, rule, site):
        return
    series = watched(site, profiles, rule)
    if rule.law:
        _law_limit(known, path, rule, site, series)
        return
    if not series:
        if not known.spoilt.get("devices"):
            _selects_nothing(known, path, rule, site, profiles)
        return
    quantities = sorted({one.quantity for one in series})
    if len(quantities) > 1 or ANY in quantities:
        units = {vocabulary()[q].unit for q in quantities if q != ANY}
        if len(units) > 1 or ANY in quantities:
            named = ", ".join(f"{q} ({vocabulary()[q].unit})" for q in quantities if q != ANY) or "whatever is sent"
            known.document.complain(path, f"{dotted(path)} takes series of different units: {named}", "name one:  quantity = …")
            return
    for quantity in quantities:
        methods = sorted({one.method for one in series if one.quantity == quantity and one.method})
        if len(methods) > 1:
            what = f"{dotted(path)} takes {quantity} of several standards: {', '.join(methods)}"
            known.document.complain(path, what, f'name one:  standard = "{methods[0]}"')
            return
        if not _fits(known, path, rule, quantity, vocabulary()[quantity]) or (rule.worse_than and not _worse(known, path, rule, quantity)):
            return
    for station in sorted({one.station for one in series}) if rule.worse_than == TARGET else ():
        if site.stations[station].water_target is None:
            what = f'{dotted((*path, "worse_than"))} = "target": stations.{station} has no water_target'
            known.document.complain((*path, "worse_than"), what, 'add  water_target = "III"  there', on="value")


def _law_limit(known: Known, path: Path, rule: Rule, site: Site, series: list[Series]) -> None:
    """A rule whose limit is that of a standard: the station names it, and it limits this mean of what the rule watches."""
    place = (*path, "above")
    declared = limit_reports(rule.law)
    if not declared:
        with_limits = [law for station in site.stations.values() for law in station.standards if limit_reports(law)]
        known.document.complain(place, f'{dotted(place)} = "{rule.law}": there is no standard with limits of that name',
                                did_you_mean(rule.law, with_limits, "write the figure and its unit"), on="value")
        return
    for key, wrong in (("dead_band", rule.dead_band is not None), ("below", bool(rule.below)), ("worse_than", bool(rule.worse_than))):
        if wrong:
            known.document.complain((*path, key), f"{dotted(path)} has the limit of {rule.law} and {key}", "leave it out")
            return
    limited = [one for one in series if not one.method and any(one.quantity in live.items for live in declared)]
    fitting = [one for one in limited if limit_of(rule.law, one.quantity, rule.mean) is not None]
    if not limited:
        items = dict.fromkeys(item for live in declared for item in live.items)
        what = f"{dotted(place)}: {rule.law} sets no limit for what this rule watches"
        known.document.complain(place, what, f"it limits {', '.join(items)}", on="value")
    elif not fitting:
        means = sorted({mean_of(live) for live in declared if limited[0].quantity in live.items})
        known.document.complain((*path, "mean"), f"{dotted((*path, 'mean'))}: {rule.law} does not limit {limited[0].quantity} as such a mean",
                                f"it has {', '.join(duration_text(mean) for mean in means)}", on="value")
    for station in sorted({one.station for one in fitting}):
        if rule.law not in site.stations[station].standards:
            what = f"{dotted(place)}: stations.{station} does not name {rule.law}"
            known.document.complain(place, what, f'add it to  standards = ["{rule.law}"]  there', on="value")


def _limits(known: Known, path: Path, rule: Rule) -> bool:
    """Is there a limit, and can it be judged?"""
    document, before = known.document, len(known.document.problems)
    if not rule.above and not rule.below and not rule.worse_than and not rule.law:
        document.complain(path, f"{dotted(path)} has no limit", 'add  above = "…"  or  below = "…"')
    if rule.worse_than and (rule.above or rule.below):
        document.complain((*path, "worse_than"), f"{dotted(path)} has worse_than and {'above' if rule.above else 'below'}", "leave one of them out")
    for side, ladder in (("above", rule.above), ("below", rule.below)):
        _ladder(known, (*path, side), ladder)
    if rule.above and rule.below and min(x.figure for x in rule.above.values()) <= max(x.figure for x in rule.below.values()):
        what = f"{dotted(path)}: every value is above or below, so it would always fire"
        document.complain((*path, "below"), what, "exchange above and below?", on="value")
    if rule.mean == 0:
        what = f"{dotted((*path, 'mean'))} must be longer than nothing"
        document.complain((*path, "mean"), what, "leave it out to judge every reading", on="value")
    if rule.dead_band is not None and rule.dead_band.figure < 0:
        document.complain((*path, "dead_band"), f"{dotted((*path, 'dead_band'))} must not be negative", f"{abs(rule.dead_band.figure)}", on="value")
    return len(document.problems) == before


def _ladder(known: Known, path: Path, ladder: dict[Colour, Limit]) -> None:
    """Its limits rise (above) or fall (below) with the colour."""
    table, side = known.document.table(path[:-1]), str(path[-1])
    if isinstance(table.get(side), dict) and "severity" in table:
        place = (*path[:-1], "severity")
        known.document.complain(place, f"{dotted(place)} is for a single limit; {side} names its own colours", "leave it out")
    steps = sorted(ladder.items(), key=lambda step: severity(step[0]))
    for (low_name, low), (high_name, high) in pairwise(steps):
        if (high.figure <= low.figure) if side == "above" else (high.figure >= low.figure):
            way = "rise" if side == "above" else "fall"
            what = f"{dotted(path)} must {way} with the colour: {low_name} {low}, then {high_name} {high}"
            known.document.complain((*path, high_name), what, "exchange them?", on="value")


def _fits(known: Known, path: Path, rule: Rule, quantity: str, row: Quantity) -> bool:
    good = True
    for side, ladder in (("above", rule.above), ("below", rule.below)):
        for colour, limit in ladder.items():
            place = (*path, side, colour) if (*path, side, colour) in known.document.places else (*path, side)
            good &= _in_unit(known, place, limit, quantity, row)
    if rule.dead_band is not None:
        good &= _in_unit(known, (*path, "dead_band"), rule.dead_band, quantity, row)
    if rule.mean and row.behaves in _NO_MEAN:
        known.document.complain((*path, "mean"), f"{dotted((*path, 'mean'))}: {quantity} {_NO_MEAN[row.behaves]}", "leave mean out", on="value")
        good = False
    return good


def _worse(known: Known, path: Path, rule: Rule, quantity: str) -> bool:
    """Is it a class of this quantity?"""
    place = (*path, "worse_than")
    classes = classes_of(quantity)
    if not classes:
        known.document.complain(place, f"{dotted(place)}: {quantity} has no classes", "give a figure:  above = …")
        return False
    if rule.worse_than not in classes and rule.worse_than != TARGET:
        near = did_you_mean(rule.worse_than, classes, f'write {", ".join(classes)} or "{TARGET}"')
        known.document.complain(place, f'{dotted(place)} = "{rule.worse_than}" is not a class of {quantity}', near, on="value")
        return False
    return True


def _in_unit(known: Known, path: Path, limit: Limit, quantity: str, row: Quantity) -> bool:
    """A limit in another unit than its quantity is an error, not a conversion."""
    if limit.unit == row.unit:
        return True
    wanted, other = Limit(limit.figure, row.unit), converted(limit, row.unit)
    repair = f'"{wanted}"' if row.unit != "1" else f"{wanted}"
    if other is not None and other.figure != wanted.figure:
        repair += f' (or "{other}" if {limit} is meant)'
    written = known.document.written(path) or f'"{limit}"'
    where = f"{path[-2]}.{path[-1]}" if path[-2] in ("above", "below") else str(path[-1])
    if path[-1] in ("range", "suspect", "rate"):
        repair = f"write it in {row.unit}" if row.unit != "1" else "write it without a unit"
    unit = f"in {row.unit}" if row.unit != "1" else "a number without unit"
    known.document.complain(path, f"{where} = {written}: {quantity} is {unit} here.", repair, on="line")
    return False


def _selects_nothing(known: Known, path: Path, rule: Rule, site: Site, profiles: dict[str, Profile]) -> None:
    there = {one.quantity for one in measured(site, profiles)} - {ANY}
    if rule.quantity and all(map(is_computed, rule.quantity)):
        _computes_nothing(known, path, rule)
        return
    wanted = [quantity for quantity in rule.quantity if quantity not in there]
    if wanted and len(wanted) == len(rule.quantity):
        what = f"{dotted(path)} watches nothing: no device here measures {' or '.join(wanted)}"
        repair = did_you_mean(wanted[0], there, f"they measure {', '.join(sorted(there)[:10])}" if there else "add the device first")
        known.document.complain((*path, "quantity"), what, repair, on="value")
    else:
        known.document.complain(path, f"{dotted(path)} watches nothing: no series has all that it asks for", "take a condition away")


def _computes_nothing(known: Known, path: Path, rule: Rule) -> None:
    if any(".standards: " in problem.what for problem in known.document.problems):
        return  # the station's mistake has been told
    there = givers(rule.quantity[0])
    what = f"{dotted(path)} watches nothing: {rule.quantity[0]} is computed where a station names {' or '.join(there)}"
    known.document.complain((*path, "quantity"), what, f'add  standards = ["{there[0]}"]  to the station', on="value")
