"""What people are told of a computed number: name and colour of its category, and the limit that it is measured against."""

from dataclasses import dataclass
from decimal import Decimal

from analytics.station_formulas import About, Judging, limited
from analytics.station_inputs import Moment, law_at
from config.live_standards import fact, facts_wanted, given, reports
from config.quantity import vocabulary
from config.series import Series
from config.site import Station
from config.standard_live import Live


@dataclass(frozen=True, slots=True)
class Standing:
    """How people call a computed number: names, colour ("" = none), and the category's number (0 = none)."""

    en: str
    zh: str
    colour: str = ""
    level: int = 0


def standing(series: Series, value: float, end_ns: int, zone: str) -> Standing | None:
    """Name and colour of a computed number; None where it has none."""
    found = given(series.method, series.quantity) if series.method and value == value else None  # NaN is the only value unequal to itself
    if not found or (gives := found[1]) is None:
        return None
    live = found[0]
    members = vocabulary()[series.quantity].members
    if members:
        named = [vocabulary()[quantity] for bit, quantity in enumerate(members) if int(value) >> bit & 1]
        return Standing(", ".join(one.en for one in named) or "none", "、".join(one.zh for one in named) or "无")
    if gives.words:
        word = gives.words[int(value) - 1] if 1 <= value <= len(gives.words) else ""
        return Standing(word, word, level=int(value)) if word else None
    law = law_at(live.category or series.method, end_ns, zone) if gives.category else None
    row = next((row for row in law.categories if row.range[1] is None or value <= row.range[1]), None) if law else None
    return Standing(row.name.en, row.name.zh, row.colour, row.level) if row else None


def verified(series: Series, end_ns: int, zone: str) -> str:
    """Verification marks of the figures that a computed number rests on, and of its category's name and colour; "" for what was measured."""
    found = given(series.method, series.quantity) if series.method else None
    named = found[0].category if found and found[1] and found[1].category else ""
    laws = [law for one in (series.method, named) if one and (law := law_at(one, end_ns, zone))]
    return " ".join(sorted({mark for law in laws for mark in law.marks().split()}))


def report_of(series: Series) -> Live | None:
    """The report that gives the series of a limit."""
    return next((live for live in reports(series.method)
                 if (live.limit, live.statistic) == (series.quantity, series.statistic) and series.channel in live.items
                 and (live.every == "hour") == (series.period_s == 3600)), None)


def limit_for(station: Station, series: Series, quantity: str, end_ns: int) -> Decimal | None:
    """The limit of a quantity for a station and the time of a limit's report; None where the law sets none, or more than these decide it."""
    zone = station.time_zone
    live, law = report_of(series), law_at(series.method, end_ns, zone)
    if live is None or law is None:
        return None
    facts = tuple((key, known) for key in facts_wanted(live) if (known := fact(station, key)) is not None)
    hours = 1 if live.every == "hour" else 24
    about = About(series.method, live.report, zone, (quantity,), facts)
    one = Judging(about, live, law, Moment(end_ns, hours, zone, live.every == "day"), lambda *_: None)
    arguments = one.arguments_without_means()
    found = limited(live, law, quantity, Decimal(1), arguments) if arguments is not None and not live.corrected else None
    return found.limit if found and isinstance(found.limit, Decimal) else None
