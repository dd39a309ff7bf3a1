"""A View of an invented site, for the console's own tests: what people see, without a journal or a line behind it.

Values follow from series and time alone, so two looks at the same instant agree. A test may put its own rows, alerts
and status in.
"""

import math
import threading
import time
import zlib

from config.quantity import vocabulary
from config.series import Reason, Series
from gateway.view import AlertView, Live, Point

S = 1_000_000_000
HOUR = 3600 * S
PERIOD_S = 10
MEASURED = {
    "qinghe/ph/ph": (7.24, 0.12), "qinghe/ph/water_temperature": (18.3, 1.1), "qinghe/do/dissolved_oxygen": (8.1, 0.7),
    "qinghe/ammonia/ammonia_nitrogen": (0.62, 0.1), "qinghe/cod/cod": (14.2, 1.4), "qinghe/turbidity/turbidity": (21.4, 5.0),
    "qinghe/flow/water_level": (3.412, 0.05), "qinghe/flow/flow": (11.84, 0.8),
    "yard/air/pm2_5": (38, 9), "yard/air/pm10": (64, 14), "yard/air/no2": (31, 8), "yard/air/o3": (72, 22), "yard/air/so2": (6, 2),
    "yard/air/co": (0.7, 0.2),
    "yard/weather/air_temperature": (11.6, 2.4), "yard/weather/relative_humidity": (63, 9), "yard/weather/wind_speed": (2.8, 1.1),
    "yard/weather/wind_direction": (214, 30), "yard/weather/air_pressure": (1016.2, 1.2),
    "yard/noise/laeq": (54.6, 4.0), "yard/soil/soil_moisture": (31.4, 0.6), "yard/soil/soil_temperature": (12.1, 0.5),
    "yard/soil/soil_ec": (486, 12), "yard/soil/soil_ph": (6.8, 0.1), "yard/leaf/leaf_wetness": (12, 6),
    "yard/meter/active_power": (1.284, 0.3), "yard/meter/active_energy": (18204.55, 0.0), "yard/meter/voltage": (231.4, 1.4),
    "yard/meter/power_factor": (0.982, 0.01),
}
MEANS = ("ammonia_nitrogen", "dissolved_oxygen", "ph", "pm2_5", "pm10", "no2", "o3", "laeq", "air_temperature")
MEDIA = ("water", "air", "weather", "noise", "soil", "vegetation", "emission", "energy", "technical")


def wave(name: str, at: int) -> float:
    """A believable number for a series at an instant: a slow swing, a faster one, a little noise; and two episodes."""
    middle, swing = MEASURED[name]
    seed = zlib.crc32(name.encode())
    hours = at / HOUR
    noise = (zlib.crc32(f"{seed}{at // (PERIOD_S * S)}".encode()) / 2**32 - 0.5) * 0.25
    value = middle + swing * (math.sin(hours * 2.1 + seed % 7) * 0.7 + math.sin(hours * 9.0 + seed % 5) * 0.25 + noise)
    if name.endswith("active_energy"):
        value += (at % (1000 * HOUR)) / HOUR
    return value


class CannedView:
    """Thread-safe; `rows`, `alerts_now` and `status_now` may be changed under `lock` by a test."""

    def __init__(self, series: dict[str, tuple[float, float]] | None = None, now: int | None = None) -> None:
        self.lock = threading.Lock()
        self.names = list(MEASURED if series is None else series)
        self.fixed_now = now
        self.rows: dict[str, dict[str, object]] = {}
        """What a test wants a series' newest row to be, by name of the series; parts of `Live`."""
        self.alerts_now: list[AlertView] = []
        self.status_now = self._status()
        self.unwell = ""
        self.looks = 0
        self.flags: dict[str, list[tuple[int, int, int]]] = {}
        """By series: (from, until, flag), ns."""

    def now(self) -> int:
        return self.fixed_now or time.time_ns()

    def flag(self, name: str, at: int) -> int:
        return next((flag for since, until, flag in self.flags.get(name, ()) if since <= at < until), 1)

    def value(self, name: str, at: int) -> float | None:
        flag = self.flag(name, at)
        if flag == 9:
            return None
        if name == "qinghe/ammonia/ammonia_nitrogen":
            ago = (self.now() - at) / HOUR
            bump = 1.05 * math.exp(-(((ago - 0.1) / 0.75) ** 2)) + 0.5 * math.exp(-(((ago - 9) / 1.5) ** 2))
            return round(wave(name, at) + bump, 3)
        if flag == 4:
            return 250.0
        return round(wave(name, at), 3)

    def live(self) -> list[Live]:
        with self.lock:
            self.looks += 1
            found: list[Live] = []
            for number, name in enumerate(self.names):
                found.append(self._live(number, name))
                if name.rpartition("/")[2] in MEANS:
                    found.append(self._mean(number + 1000, name))
            return sorted(found, key=lambda row: (row["station"], MEDIA.index(row["medium"])))

    def _row(self, key: int, series: Series, at: int, value: float | None, flag: int) -> Live:
        known = vocabulary()[series.quantity]
        row = Live(
            id=key, series=str(series), station=series.station, device=series.device, quantity=series.quantity, channel=series.channel,
            statistic=series.statistic, period_s=series.period_s, medium=known.medium, unit=known.unit, decimals=known.decimals,
            label={"en": known.en, "zh": known.zh}, at=at, value=value, flag=flag,
            reason=chr(Reason.NORMAL if flag != 9 else Reason.DEVICE), share=None,
        )
        row.update(self.rows.get(row["series"], {}))  # type: ignore[typeddict-item]
        return row

    def _live(self, key: int, name: str) -> Live:
        at = self.now() // (PERIOD_S * S) * PERIOD_S * S - zlib.crc32(name.encode()) % 5 * S
        return self._row(key, Series(*name.split("/")), at, self.value(name, at), self.flag(name, at))

    def _mean(self, key: int, name: str) -> Live:
        at = self.now() // HOUR * HOUR
        kind = "leq" if name.endswith("laeq") else "mean"
        row = self._row(key, Series(*name.split("/"), statistic=kind, period_s=3600), at, round(self.value(name, at - HOUR // 2) or 0.0, 2), 1)
        row["share"] = 1.0 if "air" in name else 0.98
        return row

    def chart(self, series_id: int, since_ns: int, until_ns: int, most: int) -> list[Point]:
        if series_id >= 1000:
            name, step = self.names[series_id - 1000], HOUR
        else:
            name, step = self.names[series_id], PERIOD_S * S
        step *= max(1, math.ceil((until_ns - since_ns) / step / most))
        first = (since_ns // step + 1) * step
        return [Point(at=at, value=self.value(name, at), flag=self.flag(name, at)) for at in range(first, min(until_ns, self.now()) + 1, step)]

    def alerts(self, most: int) -> list[AlertView]:
        with self.lock:
            return list(self.alerts_now[:most])

    def health(self) -> str:
        return self.unwell

    def status(self) -> dict[str, object]:
        with self.lock:
            return dict(self.status_now)

    def _status(self) -> dict[str, object]:
        line = {"kind": "serial", "state": "open", "where": "", "words": "", "late": 0, "errors": 0}
        devices = sorted({tuple(name.split("/")[:2]) for name in self.names})
        return {
            "format": 1, "version": "0.1.0", "site": "river.toml", "since": time.time_ns() - 98 * HOUR,
            "stations": {
                "qinghe": {"name": "Qinghe section", "latitude": 30.2741, "longitude": 120.1551},
                "yard": {"name": "Bureau yard", "latitude": 30.281, "longitude": 120.162},
            },
            "lines": [
                {**line, "name": "cabinet", "devices": 6, "polls": 211_702, "where": "cabinet, terminals 5/6"},
                {**line, "name": "mast", "kind": "tcp", "devices": 4, "polls": 141_135, "late": 2},
                {**line, "name": "nodes", "kind": "mqtt", "devices": 1, "polls": 35_280},
            ],
            "devices": [
                {"name": device, "station": station, "line": "cabinet" if station == "qinghe" else "mast", "state": "good", "age_s": 4.0, "words": ""}
                for station, device in devices
            ],
            "sinks": [{
                "name": "influx", "kind": "influxdb", "state": "live", "words": "", "journalled": 18_204_551, "sent": 18_204_549,
                "refused": 0, "skipped": 0, "thinned": 0, "owed": 0, "waiting": 2, "behind_s": 0.4,
                "bytes_today": 1_830_000, "bytes_per_day": 5_000_000,
            }],
            "recipients": [{"name": "duty webhook", "waiting": 0, "sent": 14, "dead": 0, "words": ""}],
            "conservation": {
                "received": 18_204_562, "journalled": 18_204_551, "duplicate": 8, "undecodable": 3, "quarantined": 0, "held": 0,
                "overwritten": 0, "holds": True,
            },
            "too_old": {"hour_too_old": 1_204, "index_too_old": 3, "hour_ahead": 0},
            "journal": {"bytes": 1_912_000_000, "limit": 8_000_000_000, "rows": 18_204_551, "events": 35_214, "state": "good"},
            "clock": {"sure": True, "words": "synchronised, 3 ms"},
            "gaps": [
                {"series": "yard/noise/laeq", "since": "2026-11-21T07:58:00.000+00:00", "until": None, "seconds": None, "reason": "s",
                 "words": "nothing was heard", "filled": 0.0},
                {"series": "qinghe/cod/cod", "since": "2026-11-21T03:00:00.000+00:00", "until": "2026-11-21T03:12:00.000+00:00", "seconds": 720.0,
                 "reason": "d", "words": "the device did not answer", "filled": 1.0}],
            "notes": [],
        }


def alert(key: str, name: str, colour: str, since: int, value: float, limit: float, until: int | None = None, rule: str = "") -> AlertView:
    """An alert about a measured series, with a history that fits it."""
    series = Series(*name.split("/"))
    known = vocabulary()[series.quantity]
    has_climbed = colour in ("orange", "red")
    first = round(limit * 0.7, 2) if has_climbed else limit
    steps: list[dict[str, object]] = [{"at": since, "kind": "alert.raised", "colour": "yellow", "value": round(first * 1.02, 2), "limit": first}]
    if has_climbed:
        steps.append({"at": since + HOUR // 3, "kind": "alert.climbed", "colour": colour, "value": value, "limit": limit})
    if until is not None:
        steps.append({"at": until - HOUR // 6, "kind": "alert.fell", "colour": "yellow", "value": round(limit * 0.8, 2), "limit": limit})
        steps.append({"at": until, "kind": "alert.ended", "colour": colour, "value": round(limit * 0.6, 2), "limit": first})
    return AlertView(
        id=key, rule=rule or series.quantity, about="environment", series=str(series), state="firing" if until is None else "ended", colour=colour,
        since=since, until=until, value=value, limit=limit, unit=known.unit, what=f"{series} mean 1 h {value} > {limit} {known.unit}", history=steps,
    )


def realistic(now: int | None = None) -> CannedView:
    """A site on an ordinary day on which something happens: one alert firing, two past, a suspect value and a silent device."""
    view = CannedView(now=now)
    present = view.now()
    view.flags["yard/soil/soil_moisture"] = [(present - HOUR // 12, present + HOUR, 3)]
    view.flags["yard/leaf/leaf_wetness"] = [(present - HOUR // 5, present + HOUR, 9)]
    view.flags["qinghe/ammonia/ammonia_nitrogen"] = [
        (present - 4 * HOUR, present - 3 * HOUR - HOUR // 3, 9), (present - 2 * HOUR, present - 2 * HOUR + 90 * S, 3),
    ]
    view.flags["yard/air/co"] = [(present - HOUR // 30, present + HOUR, 4)]
    view.rows["yard/weather/wind_direction"] = {"flag": 2}
    view.alerts_now = [
        alert("1121-3", "qinghe/ammonia/ammonia_nitrogen", "orange", present - HOUR * 2 // 3, 1.62, 1.5),
        alert("1121-2", "yard/air/pm2_5", "yellow", present - 6 * HOUR, 83.4, 75, present - 5 * HOUR),
        alert("1120-1", "qinghe/turbidity/turbidity", "red", present - 26 * HOUR, 212.0, 150, present - 23 * HOUR),
    ]
    devices = view.status_now["devices"]
    assert isinstance(devices, list)
    for device in devices:
        if device["name"] == "leaf":
            device.update(state="silent", age_s=724.0, words="no byte in 300 ms, 3 tries", line="nodes")
    view.status_now["notes"] = ["Air data: Beijing Multi-Site Air Quality, Zhang et al. 2017, UCI data set 501, CC BY 4.0."]
    return view
