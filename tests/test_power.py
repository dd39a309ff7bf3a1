"""What the box lives on: people are told, what can wait stops, everything stops in good order, and begins again when it is surely back."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.reading_profile import load_profile
from config.reading_site import read_site_text
from config.site import Power
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.building import journal_folder, load_site
from gateway.control import ask, socket_path
from gateway.exit_codes import Exit
from gateway.plugins import Plugins
from gateway.power import Guard
from gateway.supervisor import Supervisor

BATTERY = Power(device="ups", low="11.8 V", critical="11.2 V", back="12.4 V", back_for="60 s")
SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{tty}"
listen_first = "0 s"
[devices.ups]
profile = "waveshare_analog_8ch"
interval = "200 ms"
inputs.ai1 = {{ quantity = "battery_voltage", range = "0..20 V" }}
[devices.probe]
profile = "sim_water_probe"
address = 2
interval = "200 ms"
[sinks.archive]
kind = "files"
folder = "archive"
[power]
device = "ups"
low = "11.8 V"
critical = "11.2 V"
back = "12.4 V"
back_for = "1 s"
[console]
enabled = false
"""


# ── the judgement ────────────────────────────────────────────────────────────────────────────────────────────────────────
def judged(guard, *values, every=10.0):
    return [guard.judge(value, 1000 + place * every) for place, value in enumerate(values)]


def test_a_battery_that_sinks_is_low_then_critical_and_well_only_after_it_was_good_for_long():
    assert judged(Guard(BATTERY), 12.6, 11.9, 11.7, 11.9, 12.0, 11.1, 12.5, 12.0, 12.5, 12.5, 12.5, 12.5, 12.5, 12.5, 12.5) == [
        "well", "well", "low", "low", "low", "critical", *["critical"] * 8, "well"]


def test_an_unloaded_battery_that_recovers_for_a_moment_does_not_start_everything():
    guard = Guard(BATTERY, "critical")
    assert set(judged(guard, *[12.6, 12.6, 12.6, 12.0] * 20)) == {"critical"}


def test_a_contact_is_low_at_once_and_critical_after_its_time():
    guard = Guard(Power(device="ups", quantity="mains_failed", stop_after="30 s", back_for="20 s"))
    assert judged(guard, 0, 1, 1, 0, 0, 0) == ["well", "low", "low", "low", "low", "well"]
    assert judged(guard, 1, 1, 1, 1, 0) == ["low", "low", "low", "critical", "critical"]


# ── the site file ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_rule_that_tells_people_comes_with_the_table():
    site = read_site_text(SITE.format(tty="/dev/ttyUSB0"), Plugins())
    rule = site.rules["power"]
    assert {colour: str(limit) for colour, limit in rule.below.items()} == {"orange": "11.8 V", "red": "11.2 V"}
    assert str(rule.dead_band) == "0.6 V"


@pytest.mark.parametrize(("old", "new", "said"), [
    ('device = "ups"\n', "", "power has no device"),
    ('device = "ups"\nlow', 'device = "upss"\nlow', "there is no device upss"),
    ('low = "11.8 V"', 'low = "11.0 V"', "critical (11.2 V) < low (11.0 V)"),
    ('low = "11.8 V"\n', "", "power has no low"),
    ('back = "12.4 V"', 'back = "12.4 mV"', "is measured in V"),
    ('device = "ups"\nlow', 'device = "probe"\nlow', "probe does not measure battery_voltage"),
    ('back_for = "1 s"', 'quantity = "mains_failed"', "does not measure mains_failed"),
])
def test_a_wrong_table_is_said(old, new, said):
    text = SITE.format(tty="/dev/ttyUSB0")
    assert old in text
    with pytest.raises(ConfigError) as error:
        read_site_text(text.replace(old, new), Plugins())
    assert said in str(error.value)


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_workers_that_rest_start_again_and_the_others_go_on():
    supervisor, runs = Supervisor(), []

    def work(name):
        def run(stop):
            runs.append(name)
            stop.wait(10)
        return run

    supervisor.add("sink", work("sink"), 1)
    supervisor.add("core", work("core"), 2)
    supervisor.start()
    supervisor.rest(1, time.monotonic() + 5)
    assert [worker.name for worker in supervisor.workers if worker.thread is None] == ["sink"]
    supervisor.start()
    until = time.monotonic() + 5
    while len(runs) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(runs) == ["core", "sink", "sink"]
    for stage in (1, 2):
        assert supervisor.stop(stage, time.monotonic() + 5) == []


class Yard:
    """A battery behind an input module and a probe on one line, and the real daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.volts = folder, 13.0
        self.site = folder / "site.toml"
        self.site.write_text(SITE.format(tty=folder / "tty"))
        module = ProfileSource(load_profile("waveshare_analog_8ch", Plugins()), lambda _: 4 + 16 * self.volts / 20)
        probe = ProfileSource(load_profile("sim_water_probe", Plugins()), lambda _: 7.0)
        self.devices = [SimulatedDevice(1, module, turnaround_s=0), SimulatedDevice(2, probe, turnaround_s=0)]
        self.bus = SerialBus(self.devices, folder / "tty")

    def start(self):
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "gateway.cli", "run", str(self.site)], stderr=log, stdout=log)

    def asked(self, question):
        with closing(sqlite3.connect(f"file:{self.folder}/journal/live.db?mode=ro", uri=True)) as db:
            return db.execute(question).fetchone()[0]

    def notes(self):
        with suppress(OSError, RuntimeError, ValueError):
            status = ask(socket_path(journal_folder(load_site(self.site).site)), "status")
            return " ".join(status["notes"]) if isinstance(status, dict) else ""
        return ""

    def wait(self, condition, seconds=30.0):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def stored(self):
        return sum(path.stat().st_size for path in (self.folder / "archive").rglob("*") if path.is_file())


@pytest.mark.crash
def test_the_station_sheds_stops_and_starts_again_with_its_supply(tmp_path, monkeypatch):
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    yard = Yard(tmp_path)
    with yard.bus:
        process = yard.start()
        try:
            yard.wait(lambda: (tmp_path / "archive").exists() and yard.stored() > 0)
            yard.volts = 11.5
            yard.wait(lambda: "supply low" in yard.notes())
            time.sleep(0.5)
            shed = yard.stored()
            time.sleep(1.0)
            assert yard.stored() == shed, "the sink waits"
            yard.volts = 12.6
            yard.wait(lambda: "supply well" in yard.notes())
            yard.wait(lambda: yard.stored() > shed)
            yard.volts = 11.0
            assert process.wait(30) == Exit.POWER
        finally:
            process.kill()
            process.wait()
        assert yard.asked("SELECT value FROM meta WHERE key = 'power_stop'") == 1
        assert yard.asked("SELECT value FROM meta WHERE key = 'clean_stop'") == yard.asked("SELECT max(id) FROM event")
        assert yard.asked("SELECT count(*) FROM alert WHERE rule = 'power'") >= 1
        events, requests = yard.asked("SELECT max(id) FROM event"), yard.devices[0].requests
        yard.volts, probed = 12.0, yard.devices[1].requests
        process = yard.start()
        try:
            yard.wait(lambda: yard.devices[0].requests >= requests + 3)
            assert yard.devices[1].requests == probed, "nothing but the supply is read"
            assert yard.asked("SELECT max(id) FROM event") == events, "waiting costs the journal nothing"
            yard.volts = 12.6
            yard.wait(lambda: yard.asked("SELECT max(id) FROM event") > events + 2)
            assert yard.devices[1].requests > probed
            yard.wait(lambda: yard.asked("SELECT value FROM meta WHERE key = 'power_stop'") == 0)
        finally:
            process.terminate()
            process.wait(20)
