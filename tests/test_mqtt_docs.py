"""The pages on MQTT and on the demo: their examples work, and the advised broker keeps what it has."""

import json
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import servers
from mqtt_devices import NOW_NS, Journal, Running, checked, driver, heard, packaged
from waiting import until

from config.device import ProfileFile
from config.series import Series
from drivers.lines.mqtt import Line, Options
from drivers.protocols.mqtt_json import Driver
from drivers.simulated.site import METER, NODES, RTU
from gateway.building import load_site

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "mqtt.md").read_text("utf-8")
SITE, PROFILE, *_ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_site_is_right_and_its_messages_become_what_the_table_says(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    site = load_site(path).site
    drivers: dict[str, Driver] = {}
    for name, device in site.devices.items():
        keys = device.options.model_dump(exclude_unset=True)
        drivers[name] = driver(packaged(device.common.profile), keys.pop("topic"), name, **keys)
    rows = re.findall(r"^\| `([^`]+)` \| `mqtt_\w+` \| `([^`]+)` \| (\w+)", PAGE, re.MULTILINE)
    got = []
    for topic, payload, name in rows:
        [wanted] = [one for one in drivers if drivers[one].wants(heard(payload, topic))]
        assert wanted == name
        got.append([(b.series[w], float(v)) for b in drivers[name].hear(heard(payload, topic)) for w, v in zip(b.which, b.raw, strict=True)])
    assert got == [
        [(Series("yard", "noise", "laeq"), 54.2)], [(Series("yard", "air", "pm2_5"), 35.4), (Series("yard", "air", "pm10"), 61)],
        [(Series("yard", "air", "pm10"), 61), (Series("yard", "air", "pm10"), 63)], [(Series("yard", "bank", "soil_moisture", "10cm"), 21.5)]]


def test_the_example_profile_reads_its_message() -> None:
    of = driver(checked("leaf", ProfileFile.model_validate(tomllib.loads(PROFILE))), "leaf")
    [batch] = of.hear(heard(json.dumps({"data": {"leaf": [{"wet": 55, "t": 2151}], "soil 10": 20}}), "leaf"))
    assert dict(zip([s.quantity for s in batch.series], batch.raw.tolist(), strict=True)) == {
        "leaf_wetness": 55, "leaf_temperature": 21.51, "soil_moisture": 20}
    assert batch.at[0] == NOW_NS


@pytest.mark.server
def test_the_advised_broker_keeps_thousands_of_messages_over_its_own_crash(tmp_path: Path) -> None:
    [advice] = re.findall(r"keep\.conf`:\n\n```\n(.*?)```", PAGE, re.DOTALL)

    class Advised(servers.Mosquitto):
        def command(self) -> list[str]:
            as_root = "user root\n" if os.geteuid() == 0 else ""
            (self.folder / "conf.d").mkdir(exist_ok=True)
            (self.folder / "conf.d" / "keep.conf").write_text(advice)
            (self.folder / "advised.conf").write_text(  # as Debian's, with our own place
                f"persistence true\npersistence_location {self.folder}/\n{as_root}listener {self.port} 127.0.0.1\nallow_anonymous true\n"
                f"include_dir {self.folder}/conf.d\n")
            return [self.path, "-c", str(self.folder / "advised.conf")]

    with Advised(tmp_path) as broker:
        line = Line("nodes", Options(url=broker.url, client_id="docs"), str)
        drivers = {"air": driver(packaged("mqtt_json"), "yard/air", "air")}
        with Running(line, drivers, Journal()):
            pass
        messages = "\n".join(json.dumps({"t": NOW_NS // 1_000_000 + i, "pm10": i}) for i in range(3000))
        command = [servers.need("mosquitto_pub", "mosquitto-clients"), "-p", str(broker.port), "-t", "yard/air", "-q", "1", "-l"]
        subprocess.run(command, input=messages.encode(), check=True)
        published = time.time()
        store = tmp_path / "mosquitto.db"
        until(lambda: store.exists() and store.stat().st_mtime > published, 12)  # as long as autosave_interval says
        broker.kill()
        broker.start()
        journal = Journal()
        with Running(line, drivers, journal):
            until(lambda: len(journal.values) >= 3000, 20)
        assert sorted(journal.values) == list(range(3000))


def test_the_page_on_the_demo_names_every_device() -> None:
    page = (DOCS / "demo.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \|", page, re.MULTILINE)
    wanted = [(place.name, place.station) for place in (*RTU, METER)] + [(name, station) for name, (station, _, _) in NODES.items()]
    assert [row for row in rows if row != ("device", "station")] == wanted


def test_the_recorded_run_keeps_what_is_said_of_the_cost_of_a_message() -> None:
    said = next(line for line in (DOCS / "testing.md").read_text("utf-8").splitlines() if line.startswith("| `mqtt` |"))
    assert "one reading costs less than plain paho, fifty at most three times as much" in said
    figures = json.loads((DOCS / "benchmarks.json").read_text("utf-8"))["mqtt"]["figures"]
    for qos in (0, 1):
        assert figures[f"QoS {qos}, 1 readings"]["ours / paho"] < 1
        assert figures[f"QoS {qos}, 50 readings"]["ours / paho"] < 3
