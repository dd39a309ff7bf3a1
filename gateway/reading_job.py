"""The visit `read`: every value of one device now, out of its turn. What it gives is told, not journalled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.driver import Asked, Pause
from drivers.job import Plain, Progress, Work
from drivers.reading import Batch

_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """See drivers.job.Job; one group is one exchange."""

    device: str
    driver: Asked

    @property
    def name(self) -> str:
        """See Job."""
        return f"read {self.device}"

    def work(self) -> Work:
        """See Job."""
        groups = self.driver.groups()
        values: list[Plain] = []
        for number, group in enumerate(groups):
            gap = yield Progress(number, len(groups), group.name)
            while self.device in gap.resting:
                gap = yield Progress(number, len(groups), "the device is at work for a poll", pause_s=_AGAIN_S)
            outcome = self.driver.poll(group, gap.wire)
            while isinstance(outcome, Pause):
                gap = yield Progress(number, len(groups), "the device is at work", pause_s=outcome.for_s)
                outcome = outcome.then(gap.wire)
            values += _values(outcome)
        return {"device": self.device, "values": values}


def _values(batch: Batch) -> list[Plain]:
    return [{"quantity": batch.series[which].quantity, "channel": batch.series[which].channel, "value": None if math.isnan(raw) else raw,
             "reason": chr(reason)}
            for which, raw, reason in zip(batch.which.tolist(), batch.raw.tolist(), batch.reason.tolist(), strict=True)]


def reading(drivers: Mapping[str, Asked], asked: Mapping[str, object]) -> Reading:
    """The job for what was asked: {"device": NAME}. Raises ValueError."""
    device = str(asked.get("device"))
    if device not in drivers:
        raise ValueError(f"no device {device[:40]} on this line; there is {', '.join(sorted(drivers))}")
    return Reading(device, drivers[device])
