"""What the simulated sensors would feel: a small world of water, air, noise, soil, leaves and energy.

Every value is a pure function of seed and time, so two runs with one seed agree at every instant, whoever asks when.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from drivers.simulated.recorded import recorded

_DAY_H = 24.0


@dataclass(frozen=True, slots=True)
class Episode:
    """Something happens: a quantity rises by `height`, stays, falls; times in seconds of the demo."""

    quantity: str
    height: float
    first_s: float
    rise_s: float
    hold_s: float
    fall_s: float
    every_s: float

    def level(self, at_s: float) -> float:
        """How much is added now."""
        if at_s < self.first_s:
            return 0.0
        inside = (at_s - self.first_s) % self.every_s
        if inside < self.rise_s:
            return self.height * _ramp(inside / self.rise_s)
        inside -= self.rise_s + self.hold_s
        if inside <= 0:
            return self.height
        return self.height * _ramp(1 - inside / self.fall_s) if inside < self.fall_s else 0.0


EPISODES = (
    Episode("pm2_5", 330.0, first_s=10, rise_s=30, hold_s=20, fall_s=20, every_s=240),
    Episode("ammonia_nitrogen", 3.2, first_s=25, rise_s=25, hold_s=15, fall_s=25, every_s=240),
)
"""The demo's two: smoke in the street and a discharge into the river; each is over about 80 s after it began."""


def _ramp(share: float) -> float:
    """0 to 1 without corners."""
    return 0.5 - 0.5 * math.cos(math.pi * share)


class Noise:
    """Chance as a function of a name and a time."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _draw(self, name: str, step: int) -> float:
        """Standard normal (Box-Muller), always the same for the same name and step."""
        octets = hashlib.blake2b(f"{self._seed}/{name}/{step}".encode(), digest_size=16).digest()
        first, second = (int.from_bytes(octets[i : i + 8]) / 2**64 for i in (0, 8))
        return math.sqrt(-2 * math.log(max(first, 1e-12))) * math.cos(math.tau * second)

    def uniform(self, name: str) -> float:
        """One figure in 0..1 for a name."""
        return int.from_bytes(hashlib.blake2b(f"{self._seed}/{name}".encode(), digest_size=8).digest()) / 2**64

    def rough(self, name: str, at: float, step: float) -> float:
        """A new draw every `step`."""
        return self._draw(name, math.floor(at / step))

    def smooth(self, name: str, at: float, step: float) -> float:
        """Draws `step` apart with a smooth way from one to the next."""
        place = at / step
        before = math.floor(place)
        share = _ramp(place - before)
        return self._draw(name, before) * (1 - share) + self._draw(name, before + 1) * share


def oxygen_saturation(celsius: float) -> float:
    """Dissolved oxygen of fresh water in balance with air, mg/L (Elmore and Hayes 1960)."""
    return 14.652 - 0.41022 * celsius + 0.007991 * celsius**2 - 0.000077774 * celsius**3


class World:
    """Values by quantity. `at_s`: seconds since the site started; `episode_s`: since somebody measures."""

    def __init__(self, seed: int, speed: float, episodes: tuple[Episode, ...] = EPISODES) -> None:
        self._noise = Noise(seed)
        self._speed = speed
        self._episodes = episodes
        self._first_hour = math.floor(self._noise.uniform("start") * recorded().hours)
        """Another seed begins at another hour of the recording."""
        self._models: dict[str, Callable[[float, float], float]] = {
            "ph": self._ph, "water_temperature": self._water_temperature, "dissolved_oxygen": self._dissolved_oxygen,
            "ec": lambda h, e: 620 + 20 * self._slow("ec", h) + 40 * self._extra("ammonia_nitrogen", e) + self._fast("ec", h),
            "turbidity": lambda h, e: 11 * math.exp(0.3 * self._slow("turbidity", h)) + 0.2 * abs(self._fast("turbidity", h)),
            "ammonia_nitrogen": self._ammonia,
            "laeq": self._laeq, "lamax": lambda h, e: self._laeq(h, e) + 9 + 2 * abs(self._fast("lamax", h)),
            "l10": lambda h, e: self._laeq(h, e) + 3.1, "l50": lambda h, e: self._laeq(h, e) - 2.2, "l90": lambda h, e: self._laeq(h, e) - 6.4,
            "soil_moisture": lambda h, e: 24 + 1.5 * self._slow("soil", h) - 0.4 * self._day(h, 15),
            "soil_temperature": lambda h, e: 17 + 2.2 * self._day(h, 17) + 0.3 * self._slow("soil_t", h),
            "soil_ec": lambda h, e: 480 + 30 * self._slow("soil_ec", h), "soil_ph": lambda h, e: 6.8 + 0.1 * self._slow("soil_ph", h),
            "soil_nitrogen": lambda h, e: 38 + 3 * self._slow("soil_n", h), "soil_phosphorus": lambda h, e: 21 + 2 * self._slow("soil_p", h),
            "soil_potassium": lambda h, e: 96 + 6 * self._slow("soil_k", h),
            "voltage": lambda h, e: round(230 + 1.2 * self._slow("volt", h) + 0.3 * self._fast("volt", h), 1),
            "active_power": lambda h, e: round(1.8 + 0.9 * self._day(h, 14) + 0.05 * self._fast("power", h), 3),
            "current": lambda h, e: round(1000 * self.model("active_power", h, e) / self.model("voltage", h, e) / 0.95, 2),
            "active_energy": lambda h, e: 12_000 + 1.8 * h + 0.9 * _DAY_H / math.tau * math.sin(math.tau * (h - 14) / _DAY_H),
            "frequency": lambda h, e: 50 + 0.015 * self._fast("hz", h),
            "leaf_temperature": lambda h, e: self._air("air_temperature", h) - 0.8 + 1.6 * self._day(h, 14) + 0.1 * self._fast("leaf_t", h),
            "leaf_wetness": lambda h, e: min(100.0, max(0.0, 3.5 * (self._air("relative_humidity", h) - 72) + self._fast("leaf", h))),
        }

    def value(self, quantity: str, at_s: float, episode_s: float) -> float:
        """The true value, in the vocabulary's unit; the sensor rounds it."""
        return self.model(quantity, self._first_hour + at_s * self._speed / 3600, episode_s)

    def model(self, quantity: str, hour: float, episode_s: float) -> float:
        """At an hour of the recording."""
        known = self._models.get(quantity)
        return known(hour, episode_s) if known else max(0.0, self._air(quantity, hour) + self._smoke(quantity, episode_s))

    def _day(self, hour: float, peak: float) -> float:
        """-1..1 over a day, highest at `peak` o'clock."""
        return math.cos(math.tau * (hour - peak) / _DAY_H)

    def _slow(self, name: str, hour: float) -> float:
        return self._noise.smooth(name, hour, 5.0)

    def _fast(self, name: str, hour: float) -> float:
        return self._noise.rough(f"{name} fast", hour, 1 / 60)

    def _extra(self, quantity: str, episode_s: float) -> float:
        return sum(episode.level(episode_s) for episode in self._episodes if episode.quantity == quantity)

    def _smoke(self, quantity: str, episode_s: float) -> float:
        share = {"pm2_5": 1.0, "pm10": 1.25, "co": 0.004}.get(quantity, 0.0)
        return share * self._extra("pm2_5", episode_s) if share else 0.0

    def _air(self, quantity: str, hour: float) -> float:
        grain = {"pm2_5": 1.2, "pm10": 2.0, "so2": 0.2, "no2": 0.6, "co": 0.01, "o3": 0.8, "air_temperature": 0.05, "relative_humidity": 0.4,
                 "air_pressure": 0.05, "wind_speed": 0.3, "wind_direction": 6.0}[quantity]
        felt = recorded().value(quantity, hour) + grain * self._fast(quantity, hour)
        if quantity == "wind_direction":
            return felt % 360
        return min(100.0, felt) if quantity == "relative_humidity" else felt

    def _water_temperature(self, hour: float, episode_s: float) -> float:
        return 19 + 1.4 * self._day(hour, 16) + 0.5 * self._slow("water_t", hour)

    def _dissolved_oxygen(self, hour: float, episode_s: float) -> float:
        saturated = oxygen_saturation(self._water_temperature(hour, episode_s))
        share = 0.92 + 0.1 * self._day(hour, 15) + 0.02 * self._slow("do", hour) - 0.05 * self._extra("ammonia_nitrogen", episode_s)
        return max(0.2, saturated * share + 0.02 * self._fast("do", hour))

    def _ammonia(self, hour: float, episode_s: float) -> float:
        quiet = 0.3 + 0.04 * self._day(hour, 9) + 0.03 * self._slow("nh3n", hour) + 0.008 * self._fast("nh3n", hour)
        return round(max(0.05, quiet) + self._extra("ammonia_nitrogen", episode_s), 2)

    def _ph(self, hour: float, episode_s: float) -> float:
        steady = 7.6 + 0.12 * self._day(hour, 15) + 0.04 * self._slow("ph", hour)
        return round(steady + 0.08 * self._extra("ammonia_nitrogen", episode_s) + 0.005 * self._fast("ph", hour), 2)

    def _laeq(self, hour: float, episode_s: float) -> float:
        """Traffic: two rush hours, quiet nights."""
        rush = math.exp(-(((hour % _DAY_H) - 8) ** 2) / 4) + math.exp(-(((hour % _DAY_H) - 18) ** 2) / 5)
        return 50 + 6 * self._day(hour, 13.5) + 5 * rush + 1.2 * self._fast("laeq", hour)
