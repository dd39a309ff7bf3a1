"""The standards that a station names: there are such, they can be computed here, and what they need of the station is said."""

from config.live_standards import LIVE, LiveStandard
from config.reading_standards import standards
from config.site import Station
from config.site_links import Known
from config.toml_notes import Path
from config.wording import did_you_mean, dotted

_ADD = {"water_body": 'add  water_body = "river"  or "lake"'}


def check_station(known: Known, name: str, station: Station, there: set[str] | None) -> None:
    """Everything about a station's standards; `there` are the quantities that its devices measure, None = that cannot be said."""
    path: Path = ("stations", name, "standards")
    for number, standard in enumerate(station.standards):
        place = (*path, number) if (*path, number) in known.document.places else path
        live = LIVE.get(standard)
        if live is None:
            _unknown(known, path, place, standard)
            continue
        for key in live.needs:
            if getattr(station, key) is None:
                known.document.complain(place, f"stations.{name} has no {key}, which {standard} needs", _ADD[key], on="value")
        if there is not None and not live.items_of(station, there):
            _judges_nothing(known, path, place, standard, live)


def _unknown(known: Known, path: Path, place: Path, standard: str) -> None:
    listed = f"there is {', '.join(sorted(LIVE))}"
    what, repair = f"{dotted(path)}: there is no standard {standard}", did_you_mean(standard, LIVE, listed)
    for law in standards().all:
        if law.name == standard:
            what, repair = f"{dotted(path)}: {standard} is one edition; the time of the data chooses it", f"write {law.id}"
        if standard in (law.id, law.name) and law.id not in LIVE:
            what, repair = f"{dotted(path)}: {law.id} is not computed from live data by this version", f"{listed}; ecosentry compute has the others"
    known.document.complain(place, what, repair, on="value")


def _judges_nothing(known: Known, path: Path, place: Path, standard: str, live: LiveStandard) -> None:
    what = f"{dotted(path)}: no device here measures what {standard} judges"
    known.document.complain(place, what, f"it judges {', '.join(live.items)}", on="value")
