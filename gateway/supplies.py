"""What gives devices their supply: a relay that is told by orders, or a pin of this box; one after another, so that the fuse holds.

See drivers.resting.Switch: what a device wants is said again and again by the thread of its line, and nothing here waits.
Devices behind one contact share it: it is on while any of them wants it. A relay is given one order at a time, and none while
its line has given it up, so that one that is dead costs the others on its line nothing.
"""

import logging
import random
from collections.abc import Callable, Mapping
from threading import Lock, RLock
from typing import Literal, Protocol

from config.errors import LineError
from config.regime import SupplyTable
from drivers.driver import Trouble
from drivers.order import Obeys, Order, Outcome
from drivers.reading import Clock
from gateway.breaker import Backoff
from gateway.orders import OrderRefusedError, Orders

log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 10.0, 600.0
"""A switch that did not do it, or nobody knows whether, is tried again after so long, and then ever more rarely."""
_LOOK_NS = 1_000_000_000
"""So often it is looked whether a relay is within reach again."""
_MOST_NAMES = 60


class Pin(Protocol):
    """See drivers.gpio.OutputPin."""

    def set(self, on: bool) -> None:
        """Switch it. Raises LineError in words for people."""
        ...


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


class Relay:
    """A device whose orders switch supplies; one order at a time. Any thread."""

    def __init__(self, device: str) -> None:
        """Its orders are bound later."""
        self.device = device
        self.orders: Orders | None = None
        self._lock, self._is_busy = Lock(), False

    def out_of_reach(self) -> str:
        """Why it cannot be told anything just now; empty = it can."""
        why = self.orders.out_of_reach(self.device) if self.orders is not None else ""
        return f"{self.device}: {why}" if why else ""

    def begin(self, order: Order, by: str, ended: Callable[[Outcome], None]) -> bool:
        """Give it an order; False if it is busy with another. Raises OrderRefusedError."""
        with self._lock:
            if self._is_busy or self.orders is None:
                return False
            self._is_busy = True

        def over(outcome: Outcome) -> None:
            self._is_busy = False
            ended(outcome)

        try:
            self.orders.begin(self.device, order, by, over)
        except OrderRefusedError:
            self._is_busy = False
            raise
        return True


class Contact:
    """One switch and all devices behind it. Any thread."""

    def __init__(self, table: SupplyTable, clock: Clock, stagger: Stagger, throws: Relay | Pin, chance: random.Random) -> None:
        """`throws` is what switches it."""
        self._table, self._clock, self._stagger, self._throws = table, clock, stagger, throws
        self._wants: dict[str, bool] = {}
        self._lock = RLock()
        self._wanted: bool | None = None
        self._state: Literal["idle", "due", "under way"] = "idle"
        self._again_ns = 0
        self._backoff = Backoff(_FIRST_S, _LONGEST_S, chance)
        self.words = ""
        """Why it is not as it should be."""
        self.is_on: bool | None = None
        """What is known of it."""

    def turn(self, device: str, on: bool) -> None:
        """One of its devices wants it on, or does not need it."""
        with self._lock:
            self._wants[device] = on
            self._go_on(any(self._wants.values()))

    def is_held(self, device: str) -> bool:
        """Does another device want it on?"""
        with self._lock:
            return any(on for other, on in self._wants.items() if other != device)

    def _go_on(self, on: bool) -> None:
        if self._wanted is not on:
            self._wanted, self._again_ns = on, 0
            self._state = self._state if self._state == "under way" else "due"
        if self._state == "idle" and self.is_on is not on:
            self._state = "due"
        now_ns = self._clock.now().mono_ns
        if self._state != "due" or now_ns < self._again_ns:
            return
        far = self._throws.out_of_reach() if isinstance(self._throws, Relay) else ""
        if far:
            self._backoff.reset()
            self._failed(far, now_ns + _LOOK_NS)
        elif not on or self._stagger.may(self._table.after):
            self._throw(on)

    def _throw(self, on: bool) -> None:
        try:
            if isinstance(self._throws, Relay):
                order, by = Order(self._table.on if on else self._table.off), f"supply of {', '.join(self._wants)}"[:_MOST_NAMES]
                self._state, self.is_on = "under way", None
                if not self._throws.begin(order, by, lambda outcome: self._heard(on, outcome)):
                    self._state = "due"
            else:
                self._throws.set(on)
                self._done(on)
        except (LineError, OrderRefusedError) as error:
            self._failed(str(error), self._later_ns())

    def _heard(self, on: bool, outcome: Outcome) -> None:
        """What became of the order, from the thread of the relay's line."""
        with self._lock:
            if outcome.state == "done":
                self._done(on)
            else:
                self._failed(f"{self._table.device}: {outcome.words}", self._later_ns())

    def _later_ns(self) -> int:
        return self._clock.now().mono_ns + self._backoff.next_ns()

    def _done(self, on: bool) -> None:
        if self.words:
            log.info("supply of %s: switched", ", ".join(self._wants))
        self._backoff.reset()
        self.is_on, self.words, self._state = on, "", "idle" if self._wanted is on else "due"

    def _failed(self, words: str, again_ns: int) -> None:
        if words != self.words:
            log.warning("supply of %s: %s; trying again", ", ".join(self._wants), words)
        self.words, self.is_on, self._state, self._again_ns = words, None, "due", again_ns


class Supplied:
    """See Switch: the supply of one device."""

    def __init__(self, device: str, table: SupplyTable, contact: Contact, relay: Relay | None) -> None:
        """Of `device`; without `relay` it is a pin."""
        self.device, self._table, self._contact, self._relay = device, table, contact, relay
        self._wanted: bool | None = None

    def bind(self, obeying: Mapping[str, Orders]) -> None:
        """The relay's line is there. Raises ValueError if it may not be told anything."""
        if self._relay is not None:
            self._relay.orders = obeying.get(self._table.device)
            if self._relay.orders is None:
                raise ValueError(f"device {self.device}: supply: {self._table.device} may not be told anything; it needs orders = true")

    def check(self, drivers: Mapping[str, object]) -> None:
        """Raises ValueError if the relay cannot be told so."""
        relay = drivers.get(self._table.device)
        for verb in (self._table.on, self._table.off) if self._relay is not None else ():
            if not isinstance(relay, Obeys):
                raise ValueError(f"device {self.device}: supply: {self._table.device} has no commands")
            try:
                relay.check(Order(verb))
            except ValueError as error:
                raise ValueError(f"device {self.device}: supply: {self._table.device} {error}") from error

    def turn(self, on: bool) -> None:
        """See Switch."""
        self._wanted = on
        self._contact.turn(self.device, on)

    @property
    def is_on(self) -> bool | None:
        """See Switch. For one that does not need it, a contact that others hold is as good as off."""
        return False if self._wanted is False and self._contact.is_held(self.device) else self._contact.is_on

    @property
    def trouble(self) -> Trouble | None:
        """See Switch."""
        words = self._contact.words
        return Trouble("supply", f"its supply is not switched {'on' if self._wanted else 'off'}: {words}") if words else None


class Supplies:
    """All switched supplies of a site."""

    def __init__(self, clock: Clock) -> None:
        """None yet."""
        self._clock, self._stagger = clock, Stagger(clock)
        self._chance = random.Random()  # noqa: S311 - jitter is no secret
        self._relays: dict[str, Relay] = {}
        self._contacts: dict[tuple[str, ...], Contact] = {}

    def supply(self, device: str, table: SupplyTable, pin: Pin | None = None) -> Supplied:
        """That of one device; with `pin` it is that one, else the relay of `table`, which is bound later."""
        relay = self._relays.setdefault(table.device, Relay(table.device)) if pin is None else None
        key = (table.gpio, table.device, table.on, table.off)
        if key not in self._contacts:
            throws = pin if pin is not None else relay
            assert throws is not None
            self._contacts[key] = Contact(table, self._clock, self._stagger, throws, self._chance)
        return Supplied(device, table, self._contacts[key], relay)
