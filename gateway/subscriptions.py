"""Who is told what: which recipients a step in the life of an alert concerns."""

from dataclasses import dataclass

from config.quantity import vocabulary
from config.series import Series
from config.site import Site, severity


@dataclass(frozen=True, slots=True)
class Concern:
    """What an alert is about; `series` may have an empty quantity (a whole device)."""

    series: Series
    technical: bool
    worst: int
    """The worst severity of the alert so far, this step included: who was told of a rise is told of its end."""


def recipients(site: Site, concern: Concern) -> list[str]:
    """CHANNEL:ADDRESS of everyone who is to be told, each once, in the order of the site file."""
    quantity = vocabulary().get(concern.series.quantity)
    medium = quantity.medium if quantity else ""
    station = site.stations.get(concern.series.station)
    found: dict[str, None] = {}
    for subscription in site.subscriptions.values():
        about = subscription.about == "all" or (subscription.about == "technical") == concern.technical
        if about and concern.worst >= severity(subscription.severity) and (
            concern.technical or subscription.takes(concern.series, medium, station.area if station else "")
        ):
            found.update(dict.fromkeys(subscription.to))
    return list(found)
