"""Is planned work possible: does it take something, does it end before it begins again, and do no two windows overlap?"""

from collections.abc import Sequence

from config.device import Profile
from config.maintenance import DAYS, WEEK, Maintenance
from config.series import Series
from config.site import Site
from config.site_links import Known, selector
from config.site_rules import taken
from config.toml_notes import Path
from config.units import duration_text
from config.wording import dotted

_BACK_S = 10.0
"""An order is carried out in this time, or is late."""


def check(known: Known, site: Site, profiles: dict[str, Profile]) -> None:
    """Everything about `[maintenance]`. What is wrong is said at its place."""
    good: dict[str, set[Series]] = {}
    for name, planned in site.maintenance.items():
        path = ("maintenance", name)
        series = set(taken(site, profiles, planned))
        if not (_ends(known, path, planned) and _means(known, path, planned, site) and _takes(known, path, planned, series)):
            continue
        for other, theirs in good.items():
            minute = _overlap(planned, site.maintenance[other]) if series & theirs else None
            if minute is not None:
                what = f"{dotted(path)} and maintenance.{other} overlap on {_clock(minute)}: {', '.join(_names(series & theirs))}"
                known.document.complain((*path, "at"), what, "a value has one reason: make one of them shorter, or let it begin later", on="value")
                break
        good[name] = series


def _ends(known: Known, path: Path, planned: Maintenance) -> bool:
    """Is each window over, and what was measured in it gone, before the next begins?"""
    whole_s, period_s = planned.lasts + planned.settle, planned.shortest_s
    if whole_s < period_s:
        return True
    lasts = f"for = {duration_text(planned.lasts)}" + (f" and settle = {duration_text(planned.settle)}" if planned.settle else "")
    what = f"{dotted(path)}: {lasts} is not over when the next window begins, {duration_text(period_s)} later"
    known.document.complain((*path, "for"), what, "nothing would ever count: make it shorter", on="value")
    return False


def _means(known: Known, path: Path, planned: Maintenance, site: Site) -> bool:
    """Does it say what it is about, and is that there?"""
    if not any(getattr(planned, key) for key in ("station", "device", "quantity", "medium", "area")):
        known.document.complain(path, f"{dotted(path)} has no device", 'add  device = "…"  (or station = "…", for all that stands there)')
        return False
    told = planned.orders
    if told is not None and not planned.device:
        known.document.complain((*path, "orders"), f"{dotted((*path, 'orders'))}: who is told?", 'add  device = "…"')
        return False
    if told is not None and told.end and planned.settle < _BACK_S:
        known.document.complain((*path, "orders"), f"{dotted(path)}: orders.end takes time, and values would count meanwhile",
                                f'add  settle = "…", at least {duration_text(_BACK_S)}: until the instrument measures again')
        return False
    return selector(known, path, planned, site)


def _takes(known: Known, path: Path, planned: Maintenance, series: set[Series]) -> bool:
    """Does each device that it names, and each quantity, give something that it takes?"""
    if known.spoilt.get("devices"):
        return bool(series)
    for key in ("quantity", "device"):
        there = {getattr(one, key) for one in series}
        for place, name in enumerate(getattr(planned, key)):
            if name not in there:
                said = f"{name} gives nothing of that" if key == "device" else f"{', '.join(planned.device) or 'nobody'} does not give {name}"
                what = f"{dotted((*path, key))}: {said}"
                item = (*path, key, place) if (*path, key, place) in known.document.places else (*path, key)
                known.document.complain(item, what, "values that nobody gives need no window", on="value")
                return False
    if not series:
        known.document.complain(path, f"{dotted(path)} takes no series", "station, device, quantity, medium and area together leave nothing")
    return bool(series)


def _overlap(one: Maintenance, other: Maintenance) -> int | None:
    """The first minute of the week at which both are open, by the clock; what comes after the windows (settle) may overlap."""
    for begin in one.begins:
        for theirs in other.begins:
            if (theirs - begin) % WEEK * 60 < one.lasts:
                return theirs
            if (begin - theirs) % WEEK * 60 < other.lasts:
                return begin
    return None


def _clock(minute: int) -> str:
    return f"{DAYS[minute // 1440]} {minute % 1440 // 60:02d}:{minute % 60:02d}"


def _names(series: set[Series]) -> Sequence[str]:
    names = sorted(map(str, series))
    return names if len(names) < 4 else [*names[:3], "…"]
