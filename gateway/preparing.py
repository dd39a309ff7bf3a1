"""What an instrument is told before each of its turns to measure: wipe, rinse, clean. The verbs of `before`, as ordinary orders.

See drivers.resting.Switch: the device counts as on when its supply is on and every verb has had its end. One that was not carried out
is in the journal and the log, and costs no measurement.
"""

import logging
from collections.abc import Mapping
from threading import RLock

from drivers.driver import Trouble
from drivers.order import Obeys, Order, Outcome
from drivers.resting import Switch
from gateway.orders import OrderRefusedError, Orders

log = logging.getLogger(__name__)


class Prepared:
    """The verbs of one device, and its supply if that is switched."""

    def __init__(self, device: str, verbs: tuple[str, ...], supply: Switch | None) -> None:
        """Nothing is told before `bind`."""
        self.device, self._verbs, self._supply = device, verbs, supply
        self._orders: Orders | None = None
        self._left: list[str] | None = None
        self._is_under_way = False
        self._lock = RLock()
        self.is_on: bool | None = None
        """See Switch."""

    def check(self, drivers: Mapping[str, object]) -> None:
        """Raises ValueError if the device cannot be told these verbs."""
        driver = drivers.get(self.device)
        if not isinstance(driver, Obeys) or not driver.verbs:
            raise ValueError(f"device {self.device}: before: it may not be told anything; it needs orders = true and a profile with [commands]"
                             " (or before = [], if it measures without)")
        for verb in self._verbs:
            try:
                driver.check(Order(verb))
            except ValueError as error:
                raise ValueError(f"device {self.device}: before: {error}") from error

    def bind(self, obeying: Mapping[str, Orders]) -> None:
        """The orders of its line are there."""
        self._orders = obeying.get(self.device)

    @property
    def trouble(self) -> Trouble | None:
        """See Switch: that of its supply. A command that was not carried out keeps nobody from being asked."""
        return self._supply.trouble if self._supply is not None else None

    def turn(self, on: bool) -> None:
        """See Switch."""
        with self._lock:
            if self._supply is not None:
                self._supply.turn(on)
            has_supply = self._supply is None or self._supply.is_on is on
            if on and has_supply and self._orders is not None:
                self._go_on(self._orders)
            else:
                self._left = None
                self.is_on = False if has_supply and not on else None

    def _go_on(self, orders: Orders) -> None:
        """The next verb, when the one before has had its end."""
        if self._left is None:
            self._left = list(self._verbs)
        if self._is_under_way:
            return
        if not self._left:
            self.is_on = True
            return
        self.is_on, self._is_under_way, verb = None, True, self._left.pop(0)
        try:
            orders.begin(self.device, Order(verb), "before measuring", self._ended)
        except OrderRefusedError as error:
            self._is_under_way = False
            log.warning("%s is not told to %s before it measures: %s", self.device, verb, error)

    def _ended(self, outcome: Outcome) -> None:
        with self._lock:
            self._is_under_way = False
