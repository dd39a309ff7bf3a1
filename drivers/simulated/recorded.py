"""Real air to breathe: four weeks of hourly data of a Beijing station (UCI data set 501, CC BY 4.0, see data/README.md)."""

import csv
import math
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_COLUMNS = {"pm2_5": "PM2.5", "pm10": "PM10", "so2": "SO2", "no2": "NO2", "co": "CO", "o3": "O3", "air_temperature": "TEMP",
            "air_pressure": "PRES", "dew_point": "DEWP", "wind_speed": "WSPM"}
_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")


class Recorded:
    """The recorded weeks, read at any hour; after the last hour they begin again."""

    def __init__(self) -> None:
        text = files("drivers.simulated").joinpath("data/prsa_extract.csv").read_text("utf-8")
        rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
        self.hours = len(rows)
        """Length of the recording."""
        self._columns = {quantity: _filled([row[name] for row in rows]) for quantity, name in _COLUMNS.items()}
        self._columns["co"] = self._columns["co"] / 1000
        angles = np.array([math.tau * _WINDS.index(row["wd"]) / 16 if row["wd"] else math.nan for row in rows])
        self._east, self._north = _filled(np.sin(angles)), _filled(np.cos(angles))

    def value(self, quantity: str, hour: float) -> float:
        """A quantity in the vocabulary's unit, between the hours by straight lines; winds by their components."""
        if quantity == "wind_direction":
            return math.degrees(math.atan2(self._at(self._east, hour), self._at(self._north, hour))) % 360
        if quantity == "relative_humidity":
            air, dew = self._at(self._columns["air_temperature"], hour), self._at(self._columns["dew_point"], hour)
            return min(100.0, 100 * _vapour_pressure(dew) / _vapour_pressure(air))
        return self._at(self._columns[quantity], hour)

    def _at(self, column: NDArray[np.float64], hour: float) -> float:
        before = math.floor(hour)
        share = hour - before
        return float(column[before % self.hours] * (1 - share) + column[(before + 1) % self.hours] * share)


def _filled(column: list[str] | NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.array([float(v) if v != "" else math.nan for v in column])
    known = np.flatnonzero(~np.isnan(values))
    filled: NDArray[np.float64] = np.interp(np.arange(len(values)), known, values[known])
    return filled


def _vapour_pressure(celsius: float) -> float:
    """Saturation over water, hPa (WMO-No. 8, 2018, volume I, annex 4.B)."""
    return 6.112 * math.exp(17.62 * celsius / (243.12 + celsius))


@cache
def recorded() -> Recorded:
    """The recording, read once."""
    return Recorded()
