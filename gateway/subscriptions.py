"""Who is told what: which recipients a step in the life of an alert concerns."""

from dataclasses import dataclass

from config.quantity import vocabulary
from config.series import Series
from config.site import Site, Subscription, severity


@dataclass(frozen=True, slots=True)
class Concern:
    """What an alert is about; `series` may have an empty quantity (a whole device)."""

    series: Series
    technical: bool
    worst: int
    """The worst severity of the alert so far, this step included: who was told of a rise is told of its end."""
    of_the_box: bool = False
    """A sink, the journal, the daemon itself: of no station, so it concerns everyone who is told of technical things."""


def recipients(site: Site, concern: Concern) -> list[str]:
    """CHANNEL:ADDRESS of everyone who is to be told, each once, in the order of the site file."""
    quantity = vocabulary().get(concern.series.quantity)
    medium = quantity.medium if quantity else ""
    station = site.stations.get(concern.series.station)
    area = station.area if station else ""
    found: dict[str, None] = {}
    for subscription in site.subscriptions.values():
        about = subscription.about == "all" or (subscription.about == "technical") == concern.technical
        if about and concern.worst >= severity(subscription.severity) and (
            concern.of_the_box or (_is_there(subscription, concern.series.station, area) if concern.technical
                                   else subscription.takes(concern.series, medium, area))
        ):
            found.update(dict.fromkeys(subscription.to))
    return list(found)


def _is_there(subscription: Subscription, station: str, area: str) -> bool:
    """Of a device that gives nothing there is no quantity and no medium; its station and area are known."""
    return (not subscription.station or station in subscription.station) and (not subscription.area or area in subscription.area)
