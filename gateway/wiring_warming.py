"""Makes the plan's part for instruments that need time after power-up."""

from collections.abc import Iterable

import numpy as np

from analytics.rules import Expectations
from analytics.warming import Warming
from config.series import Series
from config.site import Site

_PERIODS = 3
"""A device that gives nothing for so many of its periods is silent; see analytics.kernels.silence."""


def wire_warming(site: Site, table: list[Series], active: Iterable[int], expect: Expectations) -> Warming | None:
    """Which series come from such instruments; None if there are none."""
    count = len(expect.device_period)
    device, ready = np.full(len(table), -1, np.int32), np.zeros(count, np.int64)
    for i in active:
        found = site.devices.get(table[i].device)
        if found is not None and found.common.station == table[i].station and found.common.ready:
            device[i] = expect.device[i]
            ready[device[i]] = round(found.common.ready * 1e9)
    return Warming(device, ready, expect.device_period * _PERIODS) if ready.any() else None
