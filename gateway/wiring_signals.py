"""Makes the plan's part for input modules: how the number of a terminal becomes the value of what is wired to it."""

from collections.abc import Iterable

import numpy as np

from analytics.kernels.signals import AMOUNT, INVERTED, LOOP, RATE
from analytics.signals import Signals, none
from config.input_table import Input
from config.quantity import vocabulary
from config.series import Series
from config.site import Site

_KINDS = {"loop": LOOP, "amount": AMOUNT, "rate": RATE, "height": LOOP}
_DIGITS = 9
"""Significant digits of a converted value at the top of its range: what lies beyond is the dust of binary arithmetic."""


def wire_signals(site: Site, table: list[Series], active: Iterable[int]) -> Signals | None:
    """The signals of all series of `table`; those that are no input of a module are what their devices say. None if all are."""
    signals = none(len(table))
    for i in active:
        series = table[i]
        device = site.devices.get(series.device)
        inputs = device.common.inputs.values() if device and device.common.station == series.station else ()
        found = next((one for one in inputs if (one.quantity, one.channel) == (series.quantity, series.channel)), None)
        if found:
            _fill(signals, i, found)
    return signals if signals.kind.any() else None


def _fill(signals: Signals, i: int, wired: Input) -> None:
    reading = wired.reading
    signals.kind[i] = _KINDS.get(reading, INVERTED if wired.inverted else 0)
    top = vocabulary()[wired.quantity].plausible[1]
    signals.most[i] = top
    if wired.range is not None:
        signals.low[i], signals.high[i] = (one.value for one in wired.signal)
        signals.zero[i], signals.full[i] = (one.value for one in wired.range)
        top = max(abs(one.value) for one in wired.range)
    if wired.height is not None:
        signals.high[i], signals.zero[i], signals.full[i] = 1.0, wired.height.value, float(wired.height.figure + wired.per_unit)
    if wired.each is not None:
        worth = wired.per_pulse(rate=reading == "rate")
        assert worth is not None
        signals.full[i], signals.size[i] = float(worth), wired.size
    signals.grid[i] = 10.0 ** max(0, _DIGITS - int(np.ceil(np.log10(top))))
