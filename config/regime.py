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


class SupplyTable(Table):
    """`supply = { device = "relay", on = "pump_on", off = "pump_off" }` or `supply = { gpio = "gpiochip0:17" }`: what gives it its supply."""

    device: str = ""
    """The relay: a device that may be told something (`orders = true`)."""
    on: str = ""
    """The command that switches it on …"""
    off: str = ""
    """… and off: verbs of the relay's profile."""
    gpio: Annotated[str, Field(pattern=r"^(gpiochip\d{1,3}:\d{1,3})?$")] = ""
    """Instead: an output of this box, chip and line."""
    active_low: bool = False
    """Of `gpio`: on is low."""
    after: Annotated[Duration, Field(ge=0, le=600)] = 0.0
    """Switched on no sooner than this after the last other supply of the site."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        relay = (self.device, self.on, self.off)
        if bool(self.gpio) == any(relay) or (any(relay) and not all(relay)):
            raise ValueError('is either device = "…", on = "…" and off = "…", or gpio = "gpiochip0:17"')
        return self
