"""`ecosentry doctor`: what is wrong with the box is red and has its repair; what is right is not called wrong; nothing is changed."""

import io
import json
import os
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from far_sides import SECRETS
from house import AMMONIA, House
from servers import InfluxDB1, Mosquitto, free_port
from test_daemon import running, status

from config.site import Site, Station
from gateway.doctor import box
from gateway.doctor.command import run_doctor
from gateway.doctor.lines import serial_port

EXT4 = "1 0 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("gateway.secrets.ETC", tmp_path / "etc")
    monkeypatch.setattr("gateway.doctor.box.ETC", tmp_path / "etc")
    for name in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def site(folder: Path, text: str) -> Path:
    (folder / "site.toml").write_text('[stations.qinghe]\ntime_zone = "Asia/Shanghai"\n' + text)
    return folder / "site.toml"


def examined(path: Path) -> tuple[int, dict[str, dict[str, str]]]:
    out = io.StringIO()
    code = run_doctor(path, every=False, as_json=True, out=out)
    said = json.loads(out.getvalue())
    assert said["format"] == 1
    assert (code == 0) == said["ok"]
    states = [one["state"] for one in said["findings"]]
    assert states == sorted(states, key=["red", "yellow", "ok"].index), "red first"
    return code, {one["name"]: one for one in said["findings"]}


def secret(folder: Path, name: str, mode: int = 0o600) -> None:
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / name).write_text(SECRETS[name])
    (folder / "secrets" / name).chmod(mode)


@pytest.mark.server
def test_a_box_where_all_is_well_is_ok_and_one_where_nothing_answers_is_red_with_repairs(tmp_path, influx: InfluxDB1, mosquitto: Mosquitto):
    secret(tmp_path, "password")
    master, slave = os.openpty()
    port = tmp_path / "port"
    port.symlink_to(os.ttyname(slave))
    try:
        text = f"""
[lines.cabinet]
kind = "serial"
port = "{port}"
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{mosquitto.port}"
[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {influx.port}
[devices.noise]
line = "nodes"
topic = "yard/{{quantity}}"
profile = "mqtt_plain"
station = "qinghe"
[sinks.influx]
kind = "influxdb"
url = "{influx.url}"
database = "eco"
user = "eco"
password = {{ secret = "password" }}
[sinks.stick]
kind = "files"
folder = "rows"
"""
        path = site(tmp_path, text)
        before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if "influxdb" not in file.parts and "mosquitto" not in file.parts}
        code, found = examined(path)
        wanted = {"python", "packages", "site file", "journal", "secret password", "line cabinet", "broker nodes", "line meter",
                  "sink influx", "sink stick"}
        assert {name for name in wanted if found[name]["state"] != "ok"} == set()
        assert found["daemon"]["state"] == "yellow"
        assert not [one for one in found.values() if one["state"] == "red" and one["name"] not in ("disk", "room", "clock")]
        assert {file: file.stat().st_mtime_ns for file in before} == before
        assert not (tmp_path / "journal").exists(), "looking makes nothing"
    finally:
        os.close(master)
        os.close(slave)
        port.unlink()
    mosquitto.stop()
    influx.stop()
    (tmp_path / "secrets" / "password").chmod(0o644)
    code, found = examined(path)
    assert code == 1
    for name in ("secret password", "line cabinet", "broker nodes", "line meter", "sink influx"):
        assert found[name]["state"] == "red", name
    assert "chmod 600" in found["secret password"]["repair"]
    assert "ecosentry scan" in found["line cabinet"]["repair"]
    assert SECRETS["password"] not in json.dumps(found)


@pytest.mark.server
def test_what_influx_setup_would_do_is_said(tmp_path, influx: InfluxDB1):
    text = f'[sinks.influx]\nkind = "influxdb"\nurl = "{influx.url}"\ndatabase = "'
    _, found = examined(site(tmp_path, text + 'nope"'))
    assert (found["setup influx"]["state"], found["setup influx"]["repair"]) == ("red", "ecosentry influx setup influx")
    assert "make the database nope" in found["setup influx"]["words"]
    _, found = examined(site(tmp_path, text + 'eco"\nkeep = "90 d"'))
    assert found["setup influx"]["state"] == "yellow"
    assert "and 6 more" in found["setup influx"]["words"]
    _, found = examined(site(tmp_path, text + 'eco"'))
    assert "setup influx" not in found
    assert found["sink influx"]["state"] == "ok"
    assert influx.measurements() == []


def test_a_running_daemon_is_asked_how_its_lines_are(tmp_path):
    text = f"""
[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {free_port()}
[devices.power]
line = "meter"
address = 1
profile = "sim_energy_meter"
station = "qinghe"
[console]
enabled = false
"""
    path = site(tmp_path, text)
    with running(path) as (_, said):
        assert said.recv(4096).startswith(b"READY=1")
        until = time.monotonic() + 15
        while status(path)[1]["lines"][0]["state"] != "lost":
            assert time.monotonic() < until
        code, found = examined(path)
    assert code == 1
    assert found["daemon"]["state"] == "ok"
    assert found["line meter"]["state"] == "red"
    assert "the daemon says" in found["line meter"]["words"]
    assert {one["state"] for name, one in found.items() if name.startswith("journal")} == {"ok"}


def test_a_journal_that_is_harmed_is_red(tmp_path):
    house = House(tmp_path / "journal", Site(stations={"river": Station()}, file=str(tmp_path / "site.toml")))
    for _ in range(300):
        house.clock.forward(1)
        house.say((AMMONIA, 0.5))
        house.turn()
    house.kill()
    assert {one.state for one in box.journal(tmp_path / "journal")} == {"ok"}
    with sqlite3.connect(tmp_path / "journal" / "live.db") as db:
        db.execute("UPDATE counter SET value = value + 1 WHERE name = 'received'")
    db.close()
    assert [one.name for one in box.journal(tmp_path / "journal") if one.state == "red"] == ["journal readings"]
    with (tmp_path / "journal" / "live.db").open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * 64)
    assert [one for one in box.journal(tmp_path / "journal") if one.state == "red"]


@pytest.mark.parametrize(("mounted", "state"), [
    ("- ext4 /dev/sda1 rw", "ok"), ("- btrfs /dev/sda1 rw", "ok"), ("- tmpfs tmpfs rw", "red"), ("- nfs4 nas:/x rw", "red"),
    ("- cifs //nas/x rw", "red"),
    ("- vfat /dev/sda1 rw", "yellow"), ("- overlay overlay rw", "yellow"), ("- ext4 /dev/sda1 ro", "red")])
def test_the_file_system_under_the_journal_is_named(tmp_path, mounted, state):
    mounts = f"{EXT4}2 1 8:2 / {str(tmp_path).replace(' ', chr(92) + '040')} rw {mounted}\n3 1 8:3 / /elsewhere rw - tmpfs tmpfs rw\n"
    assert next(box.disk(tmp_path / "not" / "yet" / "there", 10**9, mounts)).state == state


def test_room_that_ends_before_the_journal_does_is_said(tmp_path):
    _, fine = box.disk(tmp_path, 10**6, EXT4)
    _, small = box.disk(tmp_path, 10**17, EXT4)
    assert small.state != "ok"
    assert small.repair
    assert fine.state in ("ok", "red")  # red where this machine itself is nearly full


def test_a_clock_that_cannot_be_believed_is_said(tmp_path, monkeypatch):
    trusting, strict = (Site.model_validate({"stations": {}, "clock": {"trust": trust}}) for trust in ("plausible", "synchronised"))
    assert box.clock(trusting, is_synchronised=True).state == "ok"
    assert box.clock(trusting, is_synchronised=False, rtc=tmp_path / "none").state == "yellow"
    assert "RTC" in box.clock(trusting, is_synchronised=False, rtc=tmp_path / "none").words
    assert box.clock(strict, is_synchronised=False).state == "red"
    monkeypatch.setattr(box.time, "time_ns", lambda: 10**18)
    assert box.clock(trusting, is_synchronised=True).state == "red"


def test_a_port_names_the_group_that_is_missing(tmp_path, monkeypatch):
    assert next(serial_port("x", tmp_path / "none")).state == "red"
    (tmp_path / "file").touch()
    assert next(serial_port("x", tmp_path / "file")).words.endswith("is no port")
    [ours] = serial_port("x", Path("/dev/null"), unit=tmp_path / "none")
    assert ours.state == "ok"
    [service] = serial_port("x", Path("/dev/null"), unit=tmp_path / "file")
    assert (service.state, "SupplementaryGroups=root" in service.repair) == ("yellow", True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    [denied] = serial_port("x", Path("/dev/null"))
    assert (denied.state, "usermod -aG root" in denied.repair) == ("red", True)


def test_a_package_of_another_under_our_name_is_found_out(tmp_path, monkeypatch):
    home = Path(box.__file__).resolve().parents[2]
    assert [one.state for one in box.shadows(box.OURS, home)] == ["ok"]
    (tmp_path / "drivers_elsewhere").mkdir()
    (tmp_path / "drivers_elsewhere" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    [found] = box.shadows(["drivers_elsewhere"], home)
    assert found.state == "red"
    assert str(tmp_path) in found.words


def test_a_wrong_site_file_is_red_and_people_see_red_first_and_the_rest_in_one_line(tmp_path):
    out = io.StringIO()
    assert run_doctor(site(tmp_path, '[lines.x]\nkind = "serail"\n'), every=False, as_json=False, out=out) == 1
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("red ")
    assert "ecosentry check" in lines[1]
    assert lines[-1].startswith("ok ")
    assert "(-v lists them)" in lines[-1]
