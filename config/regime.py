"""When a device is awake: the keys `duty` and `supply` of a device, which a profile may have too."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.table import Table
from config.units import Duration

Ready = Annotated[Duration, Field(ge=0, le=7 * 86400)]
"""How long after power-up an instrument is not ready."""


class DutyTable(Table):
    """`duty = { every = "5 min", on = "30 s" }`: woken at whole multiples of `every`, measuring for `on` once it is ready, then asleep."""

    every: Annotated[Duration, Field(ge=10, le=86400)]
    on: Annotated[Duration, Field(ge=1, le=86400)]

    @model_validator(mode="after")
    def _sleeps(self) -> Self:
        if self.on >= self.every:
            raise ValueError("has no time for sleep: on must be shorter than every")
        return self
