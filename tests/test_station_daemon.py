"""The whole way once: a sensor on a wire, an hour, a midnight, and what the law says of them in the journal and in an alert."""

import math
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import field_devices
from daemon_inside import running
from field_devices import FarEnd
from waiting import until

from config.series import Flag
from drivers.reading import Stamp
from gateway.clock import SystemClock
from gateway.journal.reader import Reader

SITE = """
[stations.yard]
time_zone = "Asia/Shanghai"
standards = ["HJ633", "GB3095", "EU-EAQI"]
air_class = 2

[lines.dust]
kind = "serial"
port = "{port}"
listen_first = "0 s"

[devices]
dust = {{ line = "dust", profile = "plantower_pms5003", interval = "10 min" }}

[rules.air]
quantity = "aqi"
standard = "HJ633"
above = {{ blue = "20", yellow = "100" }}

[rules.day]
quantity = "pm2_5"
mean = "24 h"
above = "GB3095"

[console]
enabled = false
"""
MIDNIGHT = int(datetime(2026, 12, 2, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 10**9
MINUTE = 60 * 10**9


class TurnedForward(SystemClock):
    """The real clock, at another time of day."""

    ahead_ns = 0

    def now(self) -> Stamp:
        stamp = super().now()
        return stamp._replace(utc_ns=stamp.utc_ns + TurnedForward.ahead_ns, sure=True)


def turn_to(utc_ns: int) -> None:
    TurnedForward.ahead_ns = utc_ns - time.time_ns() // 10**6 * 10**6


def test_a_sensor_on_a_wire_gives_an_hour_and_a_day_of_the_law(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.daemon.SystemClock", TurnedForward)
    (tmp_path / "site.toml").write_text(SITE.format(port=tmp_path / "dust"), "utf-8")
    folder = tmp_path / "journal"

    def values(name: str) -> list[tuple[int, float, int]]:
        with Reader(folder) as reader:
            rows, table = reader.rows_after(0, 10_000), reader.series()
        return [(int(rows.at[i]), float(rows.value[i]), int(rows.flag[i])) for i in range(len(rows)) if str(table[int(rows.which[i])]) == name]

    turn_to(MIDNIGHT - 60 * MINUTE)
    with FarEnd(tmp_path / "dust") as dust, running(tmp_path / "site.toml"):
        for minute in range(5, 60, 10):
            turn_to(MIDNIGHT - (60 - minute) * MINUTE)
            before = len(values("yard/dust/pm2_5"))

            def heard(before=before) -> bool:
                dust.say(field_devices.plantower_frame(5))
                time.sleep(0.1)
                return len(values("yard/dust/pm2_5")) > before

            until(heard, what=f"minute {minute} was not journalled")
        for minutes, name in ((1, "yard/aqi/index/3600 s/HJ633"), (3, "yard/aqi_daily/index/86400 s/HJ633")):
            turn_to(MIDNIGHT + minutes * MINUTE)
            dust.say(field_devices.plantower_frame(5))
            until(lambda name=name: values(name), what=f"there is no {name}", every_s=0.02)
    # a frame that was on its way when the clock was turned may renew its hour: then with the same value
    assert set(values("yard/aqi/index/3600 s/HJ633")) == {(MIDNIGHT, 36.0, Flag.GOOD)}, "PM2.5 25 → 36, PM10 35 → 35"
    assert set(values("yard/aqi/index/3600 s/EU-EAQI")) == {(MIDNIGHT, 3.0, Flag.GOOD)}
    end, value, flag = values("yard/aqi_daily/index/86400 s/HJ633")[0]
    assert (end, math.isnan(value), flag) == (MIDNIGHT, True, Flag.MISSING), "an hour is not a day"
    with Reader(folder) as reader:
        (alert,) = reader.alerts(10)
    assert alert["log"][0][3]["what"] == "yard/aqi/index/3600 s/HJ633 36.0 > 20 (HJ 633-2026)"
    assert alert["log"][0][3]["category"] == {"en": "Excellent", "zh": "优"}
