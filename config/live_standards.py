"""Which standards are computed from live data, from which quantities, and what each must know of its station.

The arithmetic is in `analytics/station_formulas.py`, the figures in `config/standards/`. What is computed is named like
what is measured: a series of the station without a device, one overall and one for each item.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from config.series import Series
from config.site import CLASSES, Station


@dataclass(frozen=True, slots=True)
class LiveStandard:
    """A standard that gives one number each hour, and one for each item that is measured."""

    overall: str
    """Quantity of the station's number."""
    item: str
    """Quantity of an item's number; the item is the channel."""
    statistic: str
    items: Mapping[str, str]
    """Quantity → its name in the standard."""
    beside: tuple[str, ...] = ()
    """Quantities that it reads without giving them a number."""
    needs: tuple[str, ...] = ()
    """Keys of the station without which it cannot be computed."""
    lakes_only: frozenset[str] = frozenset()
    """Items that it judges in lakes and reservoirs only."""
    classes: Mapping[str, int] = field(default_factory=dict)
    """Name of a class → its number, best first; empty for an index."""

    def items_of(self, station: Station, there: Iterable[str]) -> list[str]:
        """The items among the quantities of a station."""
        measured = set(there)
        return [name for name in self.items if name in measured and (name not in self.lakes_only or station.water_body == "lake")]


LIVE: dict[str, LiveStandard] = {
    "HJ633": LiveStandard("aqi", "iaqi", "index", {"so2": "SO2", "no2": "NO2", "pm10": "PM10", "co": "CO", "o3": "O3", "pm2_5": "PM2.5"}),
    "GB3838": LiveStandard(
        "gb3838_class", "gb3838_item_class", "class",
        {"ph": "ph", "dissolved_oxygen": "do", "permanganate_index": "codmn", "cod": "cod", "bod5": "bod5", "ammonia_nitrogen": "nh3n",
         "total_phosphorus": "tp", "total_nitrogen": "tn", "oil_in_water": "oil"},
        ("oxygen_saturation",), ("water_body",), frozenset({"total_nitrogen"}), {name: number for number, name in enumerate(CLASSES, 1)}),
}
CLASS_QUANTITIES = {quantity: live.classes for live in LIVE.values() if live.classes for quantity in (live.overall, live.item)}
"""Quantity that is a class → its classes by name."""
COMPUTED = frozenset(quantity for live in LIVE.values() for quantity in (live.overall, live.item))
"""Quantities that are computed: a rule takes them only if it names them."""


def computed(name: str, station: Station, there: Iterable[str]) -> dict[str, list[Series]]:
    """By standard, the series that a station gets: first the overall one, then those of its items.

    `there` : quantities that its devices measure. A standard of which nothing is measured gives no series.
    """
    found: dict[str, list[Series]] = {}
    measured = set(there)
    for standard in station.standards:
        live = LIVE.get(standard)
        items = live.items_of(station, measured) if live else []
        if live and items:
            pairs = [(live.overall, ""), *((live.item, item) for item in items)]
            found[standard] = [Series(name, "", quantity, channel, live.statistic, 3600, standard) for quantity, channel in pairs]
    return found
