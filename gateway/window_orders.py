"""What instruments are told when a planned window begins and when it ends: zero gas on, zero gas off. Ordinary orders of the journal.

The journal says what was told in a window, so a start in the middle of one gives no order twice. The beginning is told within a minute of its
time or not at all. The end is owed as soon as the beginning may have been carried out: one that failed, or of which nobody knows, is told
again each minute, and until it is done the window goes on, so that no span gas is taken for the river.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from analytics.windows import Span, newest, spans_of_day
from config.maintenance import Maintenance, WindowCommands
from config.site import Site
from drivers.order import Obeys, Order
from drivers.reading import Clock
from gateway.intake import Note
from gateway.journal.maintenance import KEY, ByHand, WorkBegins, recalled
from gateway.journal.orders import OrderRecord
from gateway.journal.reader import Reader
from gateway.orders import WITHIN_S, OrderRefusedError, Orders

log = logging.getLogger(__name__)
_S, _DAY_NS = 1_000_000_000, 86_400_000_000_000
_LATE_NS = round(WITHIN_S * _S)
_AGAIN_NS = round((WITHIN_S + 10) * _S)
"""So long after it was given an order has had its end, or the journal cannot be written."""
_EARLY_NS, _LONGER_NS = 5 * _S, 600 * _S
"""So long before its window is over a device that was not told to go back is kept in it, for so long at a time."""
_LOOK_S, _LONGEST_S = 1.0, 30.0


def check_orders(planned: Maintenance, drivers: Mapping[str, object]) -> None:
    """Raises ValueError if one of its devices cannot be told these commands."""
    if planned.orders is None:
        return
    for device in planned.device:
        driver = drivers.get(device)
        if driver is not None and not (isinstance(driver, Obeys) and driver.verbs):
            raise ValueError(f"{device} may not be told anything; it needs orders = true and a profile with [commands]")
        for verb in (planned.orders.begin, planned.orders.end):
            if verb and isinstance(driver, Obeys):
                try:
                    driver.check(Order(verb))
                except ValueError as error:
                    raise ValueError(f"{device} {error}") from error


@dataclass(frozen=True, slots=True)
class _Told:
    """One device of one planned window."""

    name: str
    device: str
    zone: str
    planned: Maintenance
    commands: WindowCommands

    @property
    def by(self) -> str:
        """Who gives its orders, in the journal."""
        return f"maintenance {self.name}"

    @property
    def clock(self) -> tuple[str, tuple[int, ...], int, int]:
        """When its windows are; see analytics.windows."""
        return self.zone, self.planned.begins, round(self.planned.lasts * _S), round(self.planned.settle * _S)


class WindowOrders:
    """The worker that gives the orders. All logic is in `step`, which knows no thread."""

    def __init__(self, site: Site, folder: Path, clock: Clock, obeying: Mapping[str, Orders], tell: Callable[[Note], None]) -> None:
        """`obeying`: the orders of the lines by device. `tell` brings notes to the journal."""
        self._folder, self._clock, self._obeying, self._tell = folder, clock, dict(obeying), tell
        self._told = [_Told(name, device, site.stations[site.devices[device].common.station].time_zone, planned, planned.orders)
                      for name, planned in site.maintenance.items() if planned.orders for device in planned.device]
        self._given: dict[tuple[str, str, str], int] = {}
        """When an order was given last, UTC ns: until it is in the journal it is known here only."""
        self._refused: dict[tuple[str, str, str], str] = {}
        """Why an order was not taken, as it was logged."""
        self._held: dict[tuple[str, str, int], int] = {}
        """Until when a window goes on because its end is owed; the journal knows it a moment later."""

    @property
    def is_needed(self) -> bool:
        """Is anything told in any window?"""
        return bool(self._told)

    def run(self, stop: Event) -> None:
        """Work until `stop`."""
        while not stop.wait(self.step()):
            pass

    def step(self) -> float:
        """Give what is due; gives the seconds until there may be more."""
        stamp = self._clock.now()
        if not stamp.sure:
            return _LOOK_S
        return min(self._one(told, stamp.utc_ns) for told in self._told)

    def _one(self, told: _Told, now: int) -> float:
        span = newest(*told.clock, now)
        if span is None:
            return _LONGEST_S
        with Reader(self._folder) as reader:
            orders = reader.orders_by(told.by, told.device, span.begin)
            kept = [one.until for one in recalled(reader.meta(KEY)) if (one.name, one.device, one.since) == (told.name, told.device, span.over)]
        if now < span.end:
            if told.commands.begin and not orders and now - span.begin < _LATE_NS:
                self._give(told, told.commands.begin, now)
                return _LOOK_S
        else:
            ends = [one for one in orders if one.at >= span.end and one.verb == told.commands.end]
            until = self._held.get((told.name, told.device, span.over)) or max([span.over, *kept])
            if self._owes_end(told, span, orders, ends, now):
                self._end(told, span, ends, until, now)
                return _LOOK_S
            if ends and until > span.over and (back := (ends[0].ended or now) + round(told.planned.settle * _S)) < until:
                self._keep(told, span, back)
        coming = [at for day in (0, 1) for one in spans_of_day(*told.clock, now // _DAY_NS + day) for at in (one.begin, one.end) if at > now]
        return min([_LONGEST_S, *((at - now) / _S for at in coming)])

    @staticmethod
    def _owes_end(told: _Told, span: Span, orders: list[OrderRecord], ends: list[OrderRecord], now: int) -> bool:
        """Has its device still to be told that the window is over? `orders`: all of this window, `ends` those of its end; newest first."""
        if not told.commands.end:
            return False
        if ends:
            return ends[0].state != "done"
        if not told.commands.begin:
            return now - span.end < _LATE_NS
        return any(one.at < span.end and one.state != "failed" for one in orders)

    def _end(self, told: _Told, span: Span, ends: list[OrderRecord], until: int, now: int) -> None:
        """Tell it; what is measured meanwhile does not count: `until` is how far the window goes just now."""
        if not ends or (ends[0].state in ("failed", "unknown") and now - ends[0].at >= _LATE_NS):
            self._give(told, told.commands.end, now)
        if now >= until - _EARLY_NS:
            log.warning("%s was not told to %s at the end of %s: the window goes on until it is", told.device, told.commands.end, told.name)
            self._keep(told, span, now + _LONGER_NS)

    def _keep(self, told: _Told, span: Span, until: int) -> None:
        """The window goes on so long."""
        self._held[told.name, told.device, span.over] = until
        self._tell(WorkBegins(ByHand(told.device, told.planned.kind, span.over, until, told.by, told.commands.end, told.name), lambda: None))

    def _give(self, told: _Told, verb: str, now: int) -> None:
        key = (told.name, told.device, verb)
        if now - self._given.get(key, -_AGAIN_NS) < _AGAIN_NS and now >= self._given[key]:
            return
        orders = self._obeying.get(told.device)
        if orders is None:
            return
        try:
            orders.begin(told.device, Order(verb), told.by, lambda outcome: None)
        except OrderRefusedError as error:
            if self._refused.get(key) != str(error):  # it is tried again each second
                log.warning("%s: %s cannot be given: %s", told.by, verb, error)
            self._refused[key] = str(error)
        else:
            self._given[key] = now
            self._refused.pop(key, None)
