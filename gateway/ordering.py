"""The words of the control socket by which a device is told something, and by which is seen what became of it.

{"word": "order", "device": D, "verb": V, "value": 1.5 or left out, "by": NAME} → the order as journalled: asked. What follows is asked for:
{"word": "orders"} → {"orders": [newest first]}; with "id" → that one alone.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from drivers.order import Order
from gateway.control import DeclinedError, Word
from gateway.journal.orders import OrderRecord
from gateway.journal.reader import Reader
from gateway.orders import OrderRefusedError, Orders

MOST_SHOWN = 50


class Ordering:
    """Finds the line of an order."""

    def __init__(self, folder: Path, devices: Mapping[str, Orders], others: Mapping[str, str]) -> None:
        """`devices` may be told something; `others` may not, and why."""
        self._folder, self._devices, self._others = folder, dict(devices), dict(others)

    def words(self) -> dict[str, Word]:
        """For the control socket."""
        return {"order": self.give, "orders": self.look}

    def give(self, asked: Mapping[str, object]) -> object:
        """Give an order. Raises DeclinedError: then surely nothing is sent."""
        device, value = str(asked.get("device"))[:80], asked.get("value")
        if device in self._others:
            raise DeclinedError(f"{device}: {self._others[device]}")
        if device not in self._devices:
            raise DeclinedError(f"no device {device} in the site file that runs")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
            raise DeclinedError("value must be a number")
        order = Order(str(asked.get("verb"))[:80], None if value is None else float(value))
        try:
            number = self._devices[device].give(device, order, str(asked.get("by", ""))[:80])
        except OrderRefusedError as error:
            raise DeclinedError(str(error)) from error
        return self.look({"id": number})

    def look(self, asked: Mapping[str, object]) -> object:
        """The newest orders, or one. Raises DeclinedError for one that is not known."""
        number = asked.get("id", 0)
        with Reader(self._folder) as reader:
            found = reader.orders(MOST_SHOWN, number if isinstance(number, int) else 0)
        if number and not found:
            raise DeclinedError(f"no order {number} in the journal")
        return plain(found[0]) if number else {"orders": [plain(one) for one in found]}


def plain(record: OrderRecord) -> dict[str, object]:
    """An order as JSON carries it; times are UTC ns."""
    return {name: getattr(record, name) for name in OrderRecord.__slots__}
