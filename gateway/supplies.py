"""What gives devices their supply: a relay that is told by orders, or a pin of this box; one after another, so that the fuse holds.

See drivers.resting.Switch: what a device wants is said again and again by the thread of its line, and nothing here waits.
"""

import logging
from collections.abc import Mapping
from threading import Lock, RLock
from typing import Literal

from config.errors import LineError
from config.regime import SupplyTable
from drivers.gpio import OutputPin
from drivers.order import Obeys, Order, Outcome
from drivers.reading import Clock
from gateway.orders import OrderRefusedError, Orders

log = logging.getLogger(__name__)
_AGAIN_NS = 10_000_000_000
"""A switch that did not do it, or nobody knows whether, is tried again after so long."""
_BY = "supply"


class Stagger:
    """When the next supply of a site may be switched on. Any thread."""

    def __init__(self, clock: Clock) -> None:
        """Nothing was switched on yet."""
        self._clock, self._free_ns, self._lock = clock, 0, Lock()

    def may(self, after_s: float) -> bool:
        """Has the last one been on for so long? If so, this one counts as the last."""
        now_ns = self._clock.now().mono_ns
        with self._lock:
            if self._free_ns and now_ns - self._free_ns < after_s * 1e9:
                return False
            self._free_ns = now_ns
        return True


class Supplied:
    """See Switch: the supply of one device."""

    def __init__(self, device: str, table: SupplyTable, clock: Clock, stagger: Stagger, pin: OutputPin | None = None) -> None:
        """Of `device`. With `pin` it is that one, else the relay of `table`, which is bound later."""
        self.device, self._table, self._clock, self._stagger, self._pin = device, table, clock, stagger, pin
        self._orders: Orders | None = None
        self._lock = RLock()
        self._wanted: bool | None = None
        self._state: Literal["idle", "due", "under way"] = "idle"
        self._again_ns = 0
        self._words = ""
        self.is_on: bool | None = None
        """See Switch."""

    def bind(self, obeying: Mapping[str, Orders]) -> None:
        """The relay's line is there. Raises ValueError if it may not be told anything."""
        if self._pin is None:
            self._orders = obeying.get(self._table.device)
            if self._orders is None:
                raise ValueError(f"device {self.device}: supply: {self._table.device} may not be told anything; it needs orders = true")

    def check(self, drivers: Mapping[str, object]) -> None:
        """Raises ValueError if the relay cannot be told so."""
        relay = drivers.get(self._table.device)
        for verb in (self._table.on, self._table.off) if self._pin is None else ():
            if not isinstance(relay, Obeys):
                raise ValueError(f"device {self.device}: supply: {self._table.device} has no commands")
            try:
                relay.check(Order(verb))
            except ValueError as error:
                raise ValueError(f"device {self.device}: supply: {self._table.device} {error}") from error

    def turn(self, on: bool) -> None:
        """See Switch."""
        with self._lock:
            self._turn(on)

    def _turn(self, on: bool) -> None:
        if self._wanted is not on:
            self._wanted, self._again_ns = on, 0
            self._state = self._state if self._state == "under way" else "due"
        if self._state == "idle" and self.is_on is not on:
            self._state = "due"
        if self._state != "due" or self._clock.now().mono_ns < self._again_ns or (on and not self._stagger.may(self._table.after)):
            return
        if self._pin is not None:
            self._switch(self._pin, on)
        elif self._orders is not None:
            self._order(self._orders, on)

    def _switch(self, pin: OutputPin, on: bool) -> None:
        try:
            pin.set(on)
        except LineError as error:
            self._failed(str(error))
        else:
            self._done(on)

    def _order(self, orders: Orders, on: bool) -> None:
        """Given to the relay; what becomes of it is heard from its line's thread."""
        self._state, self.is_on = "under way", None
        order = Order(self._table.on if on else self._table.off)
        try:
            orders.begin(self._table.device, order, f"{_BY} of {self.device}", lambda outcome: self._heard(on, outcome))
        except OrderRefusedError as error:
            self._failed(str(error))

    def _heard(self, on: bool, outcome: Outcome) -> None:
        with self._lock:
            if outcome.state == "done":
                self._done(on)
            else:
                self._failed(f"{self._table.device}: {outcome.words}")

    def _done(self, on: bool) -> None:
        if self._words:
            log.info("supply of %s: switched", self.device)
        self.is_on, self._words, self._state = on, "", "idle" if self._wanted is on else "due"

    def _failed(self, words: str) -> None:
        if words != self._words:
            log.warning("supply of %s: %s; trying again", self.device, words)
        self._words, self.is_on = words, None
        self._again_ns = self._clock.now().mono_ns + _AGAIN_NS
        self._state = "due"
