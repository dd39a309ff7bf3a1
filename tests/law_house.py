"""A house whose stations name standards: hours of readings in, computed series out."""

import io
import json
import math
from datetime import UTC, datetime

from house import House, S

from config.series import Series
from config.site import Console, DeviceTable, Rule, Site, SiteDevice, Station, Subscription
from config.table import Table
from gateway.offline.computing import compute
from gateway.wiring import Expected

HOUR = 3600
STEP = 600
NEW_EDITION = int(datetime(2026, 2, 28, 16, tzinfo=UTC).timestamp()) * S
"""2026-03-01 00:00 in Shanghai."""
NAMES = {"so2": "SO2", "no2": "NO2", "pm10": "PM10", "co": "CO", "o3": "O3", "pm2_5": "PM2.5"}
AIR = {"so2": 12.0, "no2": 35.0, "pm10": 88.0, "co": 0.7, "o3": 121.0, "pm2_5": 52.0}
WATER = {"ph": 7.4, "dissolved_oxygen": 6.5, "ammonia_nitrogen": 0.4, "total_phosphorus": 0.08}


def measured(quantity: str) -> Series:
    return Series("yard", "box" if quantity in AIR else "probe", quantity)


def station(*quantities: str, rules: dict[str, dict[str, object]] | None = None, **facts: object) -> tuple[Site, list[Expected]]:
    facts = {"standards": ("HJ633", "GB3838"), "water_body": "river", "water_target": "III", **facts}
    devices = {name: SiteDevice(common=DeviceTable(profile="x", line="l", station="yard"), options=Table()) for name in ("box", "probe", "other")}
    site = Site(stations={"yard": Station.model_validate({"name": "Yard", "time_zone": "Asia/Shanghai", **facts})}, devices=devices,
                rules={name: Rule.model_validate(rule) for name, rule in (rules or {}).items()},
                subscriptions={"all": Subscription(to=("hook:one",))}, console=Console(enabled=False))
    return site, [Expected(measured(quantity), STEP, False) for quantity in quantities]


def hours(house: House, values: dict[str, float], count: int = 1) -> None:
    """So many hours of six readings each; the last turn is after the hour has been issued."""
    for _ in range(count * HOUR // STEP):
        house.clock.forward(STEP)
        house.say(*((measured(quantity), value) for quantity, value in values.items()))
        house.turn()
    house.clock.forward(10)
    house.turn()
    house.clock.forward(-10)


def given_by(house: House, quantity: str, channel: str = "") -> list[tuple[int, float | None, int, int]]:
    """(end, value, flag, revision) of a computed series, as they came."""
    with house.reader() as reader:
        rows = reader.rows_after(0, 100_000)
        table = reader.series()
    wanted = [i for i, one in enumerate(rows.which) if (s := table[int(one)]).quantity == quantity and s.channel == channel and s.method]
    return [(int(rows.at[i]), None if math.isnan(rows.value[i]) else float(rows.value[i]), int(rows.flag[i]), int(rows.revision[i])) for i in wanted]


def answered(row: dict[str, object]) -> dict[str, object]:
    out = io.StringIO()
    assert compute([json.dumps(row)], out) == 0, out.getvalue()
    return json.loads(out.getvalue())["result"]
