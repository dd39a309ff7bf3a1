"""A line either asks or listens; sites with sensors of both kinds are checked, forecast and built whole."""

import io
import threading
import time
from pathlib import Path

import field_devices
import pytest
from daemon_inside import running
from field_devices import FarEnd

from gateway.building import Builder, load_site
from gateway.checking.check import prove, run_check
from gateway.checking.live_check import check_live
from gateway.journal.reader import Reader

SITE = """# site.toml
[stations.yard]
time_zone = "Asia/Shanghai"

[lines.dust]
kind = "serial"
port = "{dust}"
listen_first = "0 s"

[lines.meters]
kind = "serial"
port = "{meters}"
listen_first = "0 s"

[devices]
dust = {{ line = "dust", profile = "plantower_pms5003" }}
{more}

[console]
enabled = false
"""
METER = 'power = { line = "meters", profile = "dlt645_2007", address = "161", interval = "1 s" }'


def written(folder: Path, more: str) -> Path:
    path = folder / "site.toml"
    path.write_text(SITE.format(dust=folder / "dust", meters=folder / "meters", more=more), "utf-8")
    return path


def test_a_site_with_sensors_that_are_asked_and_that_speak_is_right(tmp_path):
    out = io.StringIO()
    assert run_check(str(written(tmp_path, METER)), live=False, schema=False, all_=False, as_json=False, out=out) == 0, out.getvalue()
    assert "OK" in out.getvalue()
    lines = Builder(load_site(tmp_path / "site.toml"))
    assert set(lines.drivers("dust")) == {"dust"}
    assert lines.line("meters")


def test_a_line_whose_devices_want_both_is_refused_with_its_repair(tmp_path):
    path, out = written(tmp_path, METER.replace('"meters"', '"dust"')), io.StringIO()
    text = path.read_text("utf-8").replace("plantower_pms5003", "nmea_wind")
    path.write_text(text.replace('kind = "serial"', 'kind = "serial"\nbaudrate = 9600\nformat = "8N1"'), "utf-8")
    assert run_check(str(path), live=False, schema=False, all_=False, as_json=False, out=out) == 78
    assert "power is asked and dust speaks by itself" in out.getvalue()
    assert "give each a line of its own" in out.getvalue()
    with pytest.raises(ValueError, match="speaks by itself"):
        Builder(load_site(path)).drivers("dust")


@pytest.mark.parametrize("more", [
    'second = { line = "dust", profile = "plantower_pms5003" }', 'ph = { line = "meters", profile = "atlas_ezo_ph" }\n' + METER])
def test_a_sensor_without_an_address_shares_no_line(tmp_path, more):
    out = io.StringIO()
    text = written(tmp_path, more).read_text("utf-8").replace('kind = "serial"', 'kind = "serial"\nbaudrate = 9600\nformat = "8N1"')
    (tmp_path / "site.toml").write_text(text, "utf-8")
    assert run_check(str(tmp_path / "site.toml"), live=False, schema=False, all_=False, as_json=False, out=out) == 78
    assert "has no address" in out.getvalue()
    assert "give it a line of its own" in out.getvalue()


def looked_at(path: Path, speaks: FarEnd | None) -> tuple[int, str]:
    out, over = io.StringIO(), threading.Event()

    def speak() -> None:
        while speaks is not None and not over.wait(0.1):
            speaks.say(field_devices.plantower_frame(5))

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        file = load_site(path)
        return check_live(file, prove(file), as_json=False, out=out, listen_s=5.0 if speaks else 0.5), out.getvalue()
    finally:
        over.set()
        speaker.join(5)


def test_a_look_at_the_lines_hears_who_speaks_and_says_what_to_do_about_who_does_not(tmp_path):
    with FarEnd(tmp_path / "dust") as dust, FarEnd(tmp_path / "meters", field_devices.meter):
        code, said = looked_at(written(tmp_path, METER), dust)
        assert code == 0, said
        assert "pm2_5 25" in said
        code, said = looked_at(written(tmp_path, METER), None)
        assert code == 1
        assert "nothing in" in said
        assert "baudrate, format?" in said


def test_the_daemon_journals_what_it_hears_and_what_it_asks(tmp_path):
    site = written(tmp_path, METER)
    with FarEnd(tmp_path / "dust") as dust, FarEnd(tmp_path / "meters", field_devices.meter), running(site) as daemon:
        until = time.monotonic() + 8
        good: set[str] = set()
        while good != {"dust", "power"} and time.monotonic() < until:
            dust.say(field_devices.plantower_frame(5))
            time.sleep(0.1)
            good = {view["name"] for health in daemon.health for view in health.devices(time.monotonic_ns()) if view["state"] == "good"}
        time.sleep(0.3)
    assert good == {"dust", "power"}
    with Reader(tmp_path / "journal") as reader:
        values = {str(series) for series in reader.series()}
    assert {"yard/dust/pm2_5", "yard/power/active_energy"} <= values
