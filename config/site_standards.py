"""The standards that a station names: there are such, they can be computed here, and what they need of the station is said."""

from collections.abc import Iterable

from config.live_standards import fact, facts_wanted, items_of, live_ids, reports
from config.reading_standards import has_whole_hours, standards
from config.site import Station
from config.site_links import Known
from config.standard_live import Live
from config.toml_notes import Path
from config.wording import did_you_mean, dotted, shown

_ADD = {"water_body": 'add  water_body = "river"  or "lake"', "air_class": "add  air_class = 2  (1 in reserves and scenic areas)",
        "noise_zone": 'add  noise_zone = "2"  (0, 1, 2, 3, 4a, 4b)'}


def check_station(known: Known, name: str, station: Station, there: set[str] | None) -> None:
    """Everything about a station's standards; `there` are the quantities that its devices measure, None = that cannot be said."""
    path: Path = ("stations", name, "standards")
    for number, standard in enumerate(station.standards):
        place = (*path, number) if (*path, number) in known.document.places else path
        declared = reports(standard)
        if not declared:
            _unknown(known, path, place, standard)
            continue
        read = [live for live in declared if there is None or _reads(live, station, there)]
        for key in dict.fromkeys(key for live in read for key in live.needs):
            if fact(station, key) is None:
                known.document.complain(place, f"stations.{name} has no {key}, which {standard} needs", _add(station, key, read), on="value")
        for live in declared:
            _facts(known, name, station, standard, live)
        if not read:
            _judges_nothing(known, path, place, standard, declared)
        _days_between_hours(known, path, place, station, standard, read)
    _unread_facts(known, name, station)


def _days_between_hours(known: Known, path: Path, place: Path, station: Station, standard: str, read: Iterable[Live]) -> None:
    """Hours are cut at whole hours of UTC, so a day that begins between two of them cannot be made of hours."""
    if any(live.every == "day" for live in read) and not has_whole_hours(station.time_zone):
        what = f"{dotted(path)}: {standard} judges days, and those of {station.time_zone} begin between two hours of UTC, of which days are made"
        known.document.complain(place, what, f"take {standard} away here; ecosentry compute has its days", on="value")


def _reads(live: Live, station: Station, there: set[str]) -> bool:
    """Is what it reads measured, apart from what it must know of the station?"""
    wanted = {one.quantity for one in live.inputs.values() if one.quantity and not one.optional}
    items = set(live.items) & there if any(fact(station, key) is None for key in facts_wanted(live)) else set(items_of(live, station, there))
    return wanted <= there and (not live.items or bool(items))


def _add(station: Station, key: str, read: Iterable[Live]) -> str:
    if key in _ADD:
        return _ADD[key]
    kind = next((live.facts[key] for live in read if key in live.facts), None)
    example = f'"{kind.words[0]}"  ({", ".join(kind.words)})' if kind and kind.words else f"…  ({kind.wanted()})" if kind else "…"
    return f"add  {key} = {example}" if key in type(station).model_fields else f"add  facts.{key} = {example}"


def _facts(known: Known, name: str, station: Station, standard: str, live: Live) -> None:
    """Facts of the station that the standard cannot use: a word that it does not know, no number, one out of range."""
    for key, kind in live.facts.items():
        found = fact(station, key)
        wrong = kind.refuses(found) if found is not None else ""
        if found is not None and wrong:
            path: Path = ("stations", name, "facts", key)
            what = f"{dotted(path)} = {shown(found)} {wrong}{f' {standard}' if kind.words else ''}"
            known.document.complain(path, what, did_you_mean(str(found), kind.words, kind.wanted()), on="value")


def _unread_facts(known: Known, name: str, station: Station) -> None:
    """Facts that no standard of the station reads: misspelt ones, most often."""
    if not all(reports(standard) for standard in station.standards):
        return  # it is told that there is no such standard
    wanted = {key for standard in station.standards for live in reports(standard) for key in facts_wanted(live)}
    for key in station.facts:
        path: Path = ("stations", name, "facts", key)
        if key in type(station).model_fields:
            known.document.complain(path, f"{dotted(path)}: {key} is a key of the station itself", f"write it below [stations.{name}], not in facts")
        elif key not in wanted:
            readers = [other for other in live_ids() if any(key in facts_wanted(live) for live in reports(other))]
            listed = f"{', '.join(readers)} would read it: add it to standards, or take the fact away" if readers else "take it away"
            what = f"{dotted(path)}: no standard of this station reads it"
            known.document.complain(path, what, did_you_mean(key, wanted - set(type(station).model_fields), listed))


def _unknown(known: Known, path: Path, place: Path, standard: str) -> None:
    there = live_ids()
    listed = f"there is {', '.join(there[:8])}" + (" …" if len(there) > 8 else "")
    what, repair = f"{dotted(path)}: there is no standard {standard}", did_you_mean(standard, there, listed)
    for law in standards().all:
        if law.name == standard:
            what, repair = f"{dotted(path)}: {standard} is one edition; the time of the data chooses it", f"write {law.id}"
        if standard in (law.id, law.name) and law.id not in there:
            what, repair = f"{dotted(path)}: {law.id} is not computed from live data by this version", f"{listed}; ecosentry compute has the others"
    known.document.complain(place, what, repair, on="value")


def _judges_nothing(known: Known, path: Path, place: Path, standard: str, declared: Iterable[Live]) -> None:
    read = dict.fromkeys(quantity for live in declared for quantity in live.reads())
    known.document.complain(place, f"{dotted(path)}: no device here measures what {standard} judges", f"it judges {', '.join(read)}", on="value")
