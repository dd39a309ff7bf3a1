"""What one poll has so far, and the batch it becomes: what came is kept, the rest is NaN with its reason."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from config.errors import DeviceError
from config.series import Reason, Series
from drivers.driver import Wire
from drivers.reading import Batch, Readings

_ABSENT = frozenset({"silent", "late", "wrong"})
"""Faults after which a device is not asked for the rest in the same poll."""


@dataclass(slots=True)
class Gathered:
    """Values and failures by series."""

    series: tuple[Series, ...]
    values: dict[Series, float] = field(default_factory=dict)
    failures: dict[Series, DeviceError] = field(default_factory=dict)
    faulty: set[Series] = field(default_factory=set)
    """The device says that these values are none."""

    @property
    def is_absent(self) -> bool:
        """The device does not answer: it is not asked for more."""
        return any(fault.cause in _ABSENT for fault in self.failures.values())

    def failed(self, series: Iterable[Series], fault: DeviceError) -> None:
        """These did not come."""
        self.failures.update(dict.fromkeys(series, fault))

    def batch(self, wire: Wire) -> Batch:
        """All series in their order. Raises the first failure if no value came at all."""
        if self.failures and not self.values:
            raise next(iter(self.failures.values()))
        readings = Readings(wire.clock.now())
        for series in self.series:
            value = self.values.get(series, math.nan)
            readings.add(series, value, self._reason(series, value))
        return readings.batch()

    def _reason(self, series: Series, value: float) -> Reason:
        fault = self.failures.get(series)
        if fault is None:
            return Reason.FAULT if math.isnan(value) or series in self.faulty else Reason.NORMAL
        return Reason.DEVICE if fault.cause in ("exception", "busy") else Reason.COMMUNICATION
