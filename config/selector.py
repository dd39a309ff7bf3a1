"""Which series something is about: always said with the same keys, by rules, subscriptions, sinks and planned work."""

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from config.series import Series
from config.table import Table


def _several(written: object) -> object:
    """One name stands for a list of one."""
    return (written,) if isinstance(written, str) else written


_ONE_OR_MORE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Names = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1), WithJsonSchema(_ONE_OR_MORE, mode="validation")]
"""One name, or a list of names of which any is meant."""


class Measured(Table):
    """Which measured series something is about; left out = all."""

    station: Names = ()
    device: Names = ()
    quantity: Names = ()
    medium: Names = ()
    """water, air, weather, noise, soil, vegetation, emission, energy, technical."""
    area: Names = ()
    """The `area` of a station."""

    def takes(self, series: Series, medium: str, area: str) -> bool:
        """Is this series meant?"""
        wanted = ((self.station, series.station), (self.device, series.device), (self.quantity, series.quantity),
                  (self.medium, medium), (self.area, area))
        return all(not names or name in names for names, name in wanted)


class Selector(Measured):
    """Which series something is about, computed ones too; left out = all."""

    standard: Names = ()
    """What these standards say of a station, and nothing else."""

    def takes(self, series: Series, medium: str, area: str) -> bool:
        """Is this series meant?"""
        return (not self.standard or series.method in self.standard) and super().takes(series, medium, area)
