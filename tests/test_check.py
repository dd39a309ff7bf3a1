"""`ecosentry check` and `ecosentry devices`: what they promise to people, editors and scripts."""

import io
import json
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import modbus_devices
import pytest
from json_schema import faults
from servers import free_port, need
from test_site_file import SITE

from config.reading_site import read_site_file, read_site_text
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from drivers.simulated.modbus_tcp import TcpServer
from gateway.checking.check import prove, run_check
from gateway.checking.devices import run_devices
from gateway.checking.filled import filled
from gateway.checking.live_check import check_live
from gateway.checking.schema import site_schema
from gateway.plugins import KINDS

HOUSE = Path(__file__).parent.parent
CASES = HOUSE / "tests" / "cases"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("ECOSENTRY_CONFIG", str(tmp_path / "etc"))
    monkeypatch.setattr("gateway.secrets.ETC", tmp_path / "etc")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def check(path, **how):
    out = io.StringIO()
    ways = {"live": False, "schema": False, "all_": False, "as_json": False} | how
    return run_check(str(path), **ways, out=out), out.getvalue()


def devices(*words, **how):
    out = io.StringIO()
    return run_devices(list(words), **({"test": None, "as_json": False} | how), out=out), out.getvalue()


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE, "utf-8")
    return path


# ── a file that is right ──
def test_a_right_file_says_what_will_happen(site):
    code, said = check(site)
    lines = said.splitlines()
    assert code == 0
    assert lines[0] == f"{site}   2 stations, 2 lines, 3 devices, 13 series, 3 rules, 1 subscription, 1 sink"
    assert lines[1].startswith("cabinet   1 % of the line (5 s); slowest: probe ")
    assert "rules     ammonia: qinghe/probe/ammonia_nitrogen (mg/L), mean 1 h > 1.0 / 1.5 / 2.0 for 10 min → duty" in lines
    assert "          acid: qinghe/probe/ph, > 9 or < 6.5 → duty" in lines
    assert "          night: yard/noise/laeq (dB(A)), > 50 → duty" in lines
    factory = "cwt_soil_7in1 leaves the factory at 4800, line cabinet runs at 9600 → set the device to 9600 before wiring"
    assert f"warning   devices.soil: {factory}" in lines
    assert len([line for line in lines if "secret" in line]) == 3
    assert lines[-1] == f"OK, 4 warnings.  Not yet tried on the wire:  ecosentry check --live {site}"


def test_the_same_as_json_has_stable_keys(site):
    code, said = check(site, as_json=True)
    found = json.loads(said)
    assert code == 0
    assert (found["format"], found["ok"], found["problems"]) == (1, True, [])
    assert found["counts"] == {"stations": 2, "lines": 2, "devices": 3, "series": 13, "rules": 3, "subscriptions": 1, "sinks": 1}
    assert [line["line"] for line in found["lines"]] == ["cabinet"]
    assert len(found["warnings"]) == 4


def test_a_timetable_that_does_not_fit_says_what_would(site):
    site.write_text(SITE.replace('interval = "1 min"', 'interval = "50 ms"'), "utf-8")
    said = check(site)[1]
    assert "% of 9600 baud. → interval of soil from 50 ms to 1 s gives" in said


def test_who_hears_of_a_rule_only_from_a_colour_on_is_said(site):
    less = SITE.replace('severity = "yellow"\n', 'severity = "orange"\n').replace('medium = ["water", "noise"]', 'medium = "water"')
    site.write_text(less, "utf-8")
    said = check(site)[1]
    assert "for 10 min → duty (from orange)" in said
    assert "night: yard/noise/laeq (dB(A)), > 50 → nobody (console only)" in said


def test_a_profile_of_this_box_is_named(site, tmp_path):
    folder = tmp_path / "etc" / "devices"
    folder.mkdir(parents=True)
    shutil.copy(HOUSE / "config/devices/cwt_soil_7in1.toml", folder)
    assert f"note      devices.soil: cwt_soil_7in1 from {folder / 'cwt_soil_7in1.toml'} (not packaged)" in check(site)[1]


def test_nothing_is_opened_or_connected_by_a_check(site, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
    monkeypatch.setattr("serial.Serial.open", lambda *_: pytest.fail("opened"))
    assert check(site)[0] == 0


# ── --all and --schema ──
def test_all_prints_a_file_that_reads_back_equal(site):
    before = read_site_text(SITE, KINDS)
    written = filled(before)
    assert read_site_text(written, KINDS) == before
    assert filled(read_site_text(written, KINDS)) == written
    assert check(site, all_=True) == (0, filled(read_site_file(site, KINDS).site))


@pytest.mark.parametrize("limits", [
    'above = "9"', 'above = 9\nseverity = "red"', "above = { red = 9 }", "below = { orange = 5 }\nabove = { blue = 9, red = 10 }",
    'below = "6.5"\nabove = "9"'])
def test_all_keeps_every_way_to_write_a_limit(limits):
    before = read_site_text(SITE + f'\n[rules.one]\nquantity = "ph"\n{limits}\n', KINDS)
    assert read_site_text(filled(before), KINDS) == before


def test_all_fills_in_every_key_that_has_a_default():
    table = tomllib.loads(filled(read_site_text(SITE, KINDS)))
    assert table["journal"] == {"path": "", "keep": "30 d", "max_size": "500 MB", "durable_within": "200 ms", "on_full": "thin"}
    assert table["lines"]["cabinet"]["format"] == "8N1"
    assert table["devices"]["probe"]["priority"] == "normal"
    assert "mqtt-password" in str(table["lines"]["nodes"]["password"])


def test_the_schema_takes_what_the_reader_takes():
    schema = site_schema(KINDS)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert faults(tomllib.loads(SITE), schema) == []
    assert faults(tomllib.loads(filled(read_site_text(SITE, KINDS))), schema) == []


@pytest.mark.parametrize(("right", "wrong"), [
    ('kind = "serial"', 'kind = "seriall"'), ("baudrate", "baudrat"), ("[journal]", "[jurnal]"), ('"30 d"', "30"),
    ("latitude = 30.2741", "latitude = 130"), ("[stations.yard]", "[stations.Yard]"), ('yellow = "1.0', 'yelow = "1.0'),
    ('secret = "influx-token"', 'secret = "Influx Token"'), ("to = ", "too = "), ('url = "https://influx', 'ur = "https://influx')])
def test_the_schema_refuses_what_the_reader_refuses(right, wrong):
    assert right in SITE
    assert faults(tomllib.loads(SITE.replace(right, wrong, 1)), site_schema(KINDS))


def test_the_schema_knows_every_key_of_a_small_site_and_says_what_keys_mean():
    schema = site_schema(KINDS)
    small = tomllib.loads('[stations.balcony]\nlatitude = 52.52\nlongitude = 13.40\n[lines.usb]\nkind = "serial"\nport = "/dev/x"\n'
                          '[devices]\ndust = { profile = "sim_air_station" }\n')
    assert faults(small, schema) == []
    rule = schema["properties"]["rules"]["additionalProperties"]["properties"]
    assert "for" in rule
    assert "rolling mean" in rule["mean"]["description"]
    assert schema["properties"]["journal"]["properties"]["keep"]["default"] == "400 d"


def test_the_command_prints_the_schema_as_json():
    code, said = check("none.toml", schema=True)
    assert code == 0
    assert json.loads(said) == site_schema(KINDS)


# ── --live ──
VALUES = {"ph": 7.24, "water_temperature": 18.3, "dissolved_oxygen": 8.1, "ec": 412.0, "turbidity": 21.0, "ammonia_nitrogen": 0.42,
          "voltage": 230.1, "current": 4.5, "active_power": 1.035, "active_energy": 12345.67, "frequency": 50.01}


def simulated(address, profile):
    return SimulatedDevice(address, ProfileSource(modbus_devices.packaged(profile), VALUES.__getitem__))


@pytest.fixture
def receiver():
    asked = []

    class Receiver(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append("HEAD")
            self.send_response(200)
            self.end_headers()

        def do_POST(self):
            asked.append("POST")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.asked = asked
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def speaking(mosquitto):
    """A node that publishes laeq four times a second, until the test is over."""
    over, publisher = threading.Event(), need("mosquitto_pub", "mosquitto-clients")

    def speak():
        while not over.wait(0.25):
            subprocess.run([publisher, "-p", str(mosquitto.port), "-q", "1", "-t", "yard/noise/laeq", "-m", "47.2"], check=False)

    thread = threading.Thread(target=speak)
    thread.start()
    yield mosquitto
    over.set()
    thread.join()


def live(path, listen_s=15.0, as_json=False):
    file = read_site_file(path, KINDS)
    out = io.StringIO()
    return check_live(file, prove(file), as_json=as_json, out=out, listen_s=listen_s), out.getvalue()


def test_live_shows_what_distances_currents_and_contacts_mean_and_counts_as_counts(tmp_path):
    path = tmp_path / "site.toml"
    devices = [(1, "geolux_lx80", 'inputs.surface = { quantity = "water_level", height = "4.20 m" }'), (2, "qingyi_cg62", ""),
               (3, "waveshare_analog_8ch", 'inputs.ai2 = { quantity = "water_level", range = "0..5 m", channel = "weir" }')]
    said_raw = {"distance:surface": 2.345, "pulses:rain": 1236.0, "rain_rate": 6.0, "loop_current:ai2": 12.0}
    sources = [(address, ProfileSource(modbus_devices.packaged(profile), lambda name: said_raw.get(name, 4.0))) for address, profile, _ in devices]
    with SerialBus([SimulatedDevice(address, source) for address, source in sources]) as bus:
        path.write_text(f"""
[stations.weir]
[lines.cabinet]
kind = "serial"
port = "{bus.path}"
format = "8N1"
listen_first = "0 s"
""" + "".join(f'[devices.{profile}]\naddress = {address}\nprofile = "{profile}"\n{keys}\n' for address, profile, keys in devices), "utf-8")
        code, said = live(path, as_json=True)
    assert code == 0, said
    got = {one["name"]: one["values"] for one in json.loads(said)["devices"]}
    assert got["geolux_lx80"] == {"water_level": pytest.approx(1.855)}
    assert got["qingyi_cg62"] == {"pulses:rain": 1236.0, "rain_rate": 6.0}, "a count is no rain"
    assert got["waveshare_analog_8ch"] == {"water_level:weir": pytest.approx(2.5)}


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
def test_live_says_at_once_that_a_broker_cannot_be_reached_or_trusted(tmp_path, scheme):
    with socket.create_server(("127.0.0.1", 0)) as ear:
        def hang_up():
            with suppress(OSError):
                while True:
                    ear.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        path = tmp_path / "site.toml"
        path.write_text(f"""
[stations.yard]
[lines.broker]
kind = "mqtt"
url = "{scheme}://127.0.0.1:{ear.getsockname()[1]}"
[devices]
air = {{ profile = "mqtt_json", topic = "yard/air" }}
""", "utf-8")
        began = time.monotonic()
        code, said = live(path, listen_s=60.0)
        took_s = time.monotonic() - began
        ear.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (code, took_s < 10) == (1, True), said
    assert "nothing in" not in said
    assert ("broke off" if scheme == "mqtt" else "port") in said


@pytest.mark.server
def test_live_reads_every_device_once_logs_in_everywhere_and_leaves_nothing_behind(tmp_path, speaking, influx, receiver):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "bureau").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    (secrets / "bureau").chmod(0o600)
    path = tmp_path / "site.toml"
    with SerialBus([simulated(1, "sim_water_probe")]) as bus, TcpServer([simulated(1, "sim_energy_meter")]) as meter:
        path.write_text(f"""
[stations.yard]
[lines.cabinet]
kind = "serial"
port = "{bus.path}"
listen_first = "0 s"
[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {meter.port}
[lines.nodes]
kind = "mqtt"
url = "{speaking.url}"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_water_probe" }}
power = {{ line = "meter", profile = "sim_energy_meter" }}
noise = {{ line = "nodes", topic = "yard/noise/{{quantity}}", profile = "mqtt_plain" }}
[sinks.influx]
kind = "influxdb"
url = "{influx.url}"
database = "eco"
[channels.bureau]
kind = "webhook"
key = {{ secret = "bureau" }}
[subscriptions.duty]
to = "bureau:http://127.0.0.1:{receiver.server_port}/hook"
""", "utf-8")
        code, said = live(path)
        assert code == 0, said
        found = json.loads(live(path, as_json=True)[1])
    assert "ph 7.24   water_temperature 18.3 °C   dissolved_oxygen 8.10 mg/L" in said
    assert "laeq 47.2 dB(A)" in said
    assert said.splitlines()[-1] == f"OK. Next:  ecosentry run {path}"
    values = {device["name"]: device["values"] for device in found["devices"]}
    assert values["probe"] == {name: VALUES[name] for name in values["probe"]}
    assert values["power"] == {name: VALUES[name] for name in ("voltage", "current", "active_power", "active_energy", "frequency")}
    assert values["noise"] == {"laeq": 47.2}
    assert [sink["ok"] for sink in found["sinks"] + found["recipients"]] == [True, True]
    assert influx.measurements() == []
    assert set(receiver.asked) == {"HEAD"}
    assert sorted(p.name for p in tmp_path.iterdir() if p.name in ("journal", "journal.db")) == []


@pytest.mark.server
def test_live_gives_a_cause_and_a_repair_for_each_failure(tmp_path, mosquitto):
    nobody = free_port()
    path = tmp_path / "site.toml"
    with SerialBus([simulated(1, "sim_water_probe")]) as bus:
        path.write_text(f"""
[stations.yard]
[lines.cabinet]
kind = "serial"
port = "{bus.path}"
listen_first = "0 s"
[lines.gone]
kind = "serial"
port = "{tmp_path}/no-such-port"
listen_first = "0 s"
[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {nobody}
[lines.nodes]
kind = "mqtt"
url = "{mosquitto.url}"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_water_probe" }}
deaf = {{ line = "cabinet", address = 2, profile = "sim_noise_meter", answer = "50 ms" }}
air = {{ line = "gone", profile = "sim_air_station" }}
power = {{ line = "meter", profile = "sim_energy_meter" }}
noise = {{ line = "nodes", topic = "yard/noise/{{quantity}}", profile = "mqtt_plain" }}
[sinks.influx]
kind = "influxdb"
url = "http://127.0.0.1:{nobody}"
database = "eco"
[channels.bureau]
kind = "webhook"
key = {{ secret = "bureau" }}
[subscriptions.duty]
to = "bureau:http://127.0.0.1:{nobody}/hook"
""", "utf-8")
        code, said = live(path, listen_s=1.0)
        found = json.loads(live(path, listen_s=1.0, as_json=True)[1])
    assert code == 1
    results = {one["name"]: one for one in found["devices"] + found["sinks"] + found["recipients"]}
    assert {name for name, one in results.items() if one["ok"]} == {"probe"}
    assert "3 tries" in results["deaf"]["words"]
    assert "address" in results["deaf"]["repair"]
    assert "no-such-port" in results["air"]["words"]
    assert "host and port" in results["power"]["repair"]
    assert "nothing in 1 s (its topic yard/noise/+ is subscribed" in results["noise"]["words"]
    assert all(one["words"] for name, one in results.items() if name != "probe")
    assert "secret bureau is missing" in results[f"bureau:http://127.0.0.1:{nobody}/hook"]["words"]
    assert said.splitlines()[-1] == "4 devices gave no value, 2 logins failed."


# ── devices ──
def test_devices_are_listed_by_words():
    code, said = devices("cwt", "npk")
    assert code == 0
    assert said == "cwt_soil_7in1  ComWinTop (CWT) 7-in-1 NPK soil sensor  modbus  7 quantities  B two sources  packaged\n"
    assert devices("no-such-thing")[0] == 1
    assert json.loads(devices(as_json=True)[1])["profiles"]


def test_a_full_name_shows_one_profile():
    code, said = devices("cwt_soil_7in1")
    assert code == 0
    assert "CWT manual" in said
    assert "soil_moisture        %          register 0  decimals 1" in said
    assert "evidence  example" in said
    assert "evidence  layout: the map alone" in devices("eastron_sdm230")[1]
    assert "register 0  = rain, each 0.01 mm" in devices("qingyi_cg62")[1]
    assert 'inputs.surface = { quantity = "water_level", height = "… m" }' in devices("geolux_lx80")[1]


@pytest.mark.parametrize("name", sorted(path.stem for path in (HOUSE / "config/devices").glob("*.toml")))
def test_every_shipped_profile_passes_its_own_test(name):
    code, said = devices(test=str(HOUSE / f"config/devices/{name}.toml"))
    assert code == 0, said
    assert "file    ok" in said


@pytest.fixture
def own(tmp_path):
    """A profile of one's own with a case beside it; gives the two for changing."""
    folder, case = tmp_path / "my" / "config" / "devices", tmp_path / "my" / "tests" / "cases" / "acme_x1"
    folder.mkdir(parents=True)
    shutil.copytree(CASES / "cwt_soil_7in1", case)
    profile = folder / "acme_x1.toml"
    profile.write_text((HOUSE / "config/devices/cwt_soil_7in1.toml").read_text("utf-8"), "utf-8")
    return profile, case


def test_the_test_of_a_profile_plays_its_case_through_the_real_driver(own):
    assert devices(test=str(own[0])) == (0, "file    ok\ncase    7 of 7 values equal\nplan    1 request for 7 values, 84 ms on a serial line\n")


@pytest.mark.parametrize(("right", "wrong", "said"), [
    ('register = 0x0003, type = "u16", decimals = 1', 'register = 0x0003, type = "u16"', "soil_ph expected 9, got 90 → decimals = 1?"),
    ('source   = "CWT manual', 'sauce    = "CWT manual', "the file has no source"),
    ("soil_ph ", "soil_pH ", "did you mean soil_ph?"),
    ('unit = "µS/cm"', 'unit = "mS"', 'unit "mS": soil_ec is in µS/cm here'),
    ("register = 0x0006", "register = 0x0016", "which request.hex does not have"),
    ('interval = "5 min"', 'interval = "5"', "is not a duration"),
    ('protocol = "modbus"', 'protocol = "modbuss"', "did you mean modbus?"),
])
def test_what_is_wrong_with_a_profile_is_said(own, right, wrong, said):
    text = own[0].read_text("utf-8")
    assert right in text
    own[0].write_text(text.replace(right, wrong, 1), "utf-8")
    code, told = devices(test=str(own[0]))
    assert code == 1
    assert said in told


def test_a_profile_without_a_case_is_told_what_one_would_show(own):
    shutil.rmtree(own[1])
    code, said = devices(test=str(own[0]))
    assert code == 0
    assert "case    none: tests/cases/acme_x1/" in said


# ── standards ──
WITH_STANDARDS = """
[rules.river_class]
station = "qinghe"
quantity = "gb3838_class"
worse_than = "target"
for = "2 h"
severity = "orange"
"""


def test_a_rule_on_a_class_is_told_in_words_and_written_back_the_same(tmp_path):
    text = SITE.replace("[stations.qinghe]\n", '[stations.qinghe]\nstandards = ["GB3838"]\nwater_body = "lake"\nwater_target = "IV"\n')
    (tmp_path / "site.toml").write_text(text + WITH_STANDARDS, "utf-8")
    code, said = check(tmp_path / "site.toml")
    assert code == 0, said
    assert "river_class: qinghe/gb3838_class/class/3600 s/GB3838, worse than target for 2 h → duty" in said
    site = read_site_file(tmp_path / "site.toml", KINDS).site
    assert site.stations["qinghe"].water_target == "IV"
    again = read_site_text(filled(site), KINDS, site.file)
    assert (again.stations, again.rules) == (site.stations, site.rules)


# ── docs/site_file.md ──
def keys_of_the_site_file():
    from config import site as tables

    common = [tables.Station, tables.LineTable, tables.DeviceTable, tables.Quality, tables.Maintenance, tables.Rule, tables.Subscription,
              tables.Journal, tables.Console, tables.ClockTable]
    kinds = [KINDS.options(section, kind) for section in ("lines", "protocols", "sinks", "channels") for kind in KINDS.names(section)]
    return sorted({field.alias or name for table in common + kinds for name, field in table.model_fields.items()})


def test_every_key_of_the_site_file_is_in_its_reference():
    sent_on_to = ("sinks.md", "influxdb.md", "modbus.md")
    page = "".join((HOUSE / "docs" / name).read_text("utf-8") for name in ("site_file.md", *sent_on_to))
    assert [key for key in keys_of_the_site_file() if f"`{key}`" not in page] == []


def test_the_site_file_in_its_reference_passes_the_check(tmp_path):
    page = (HOUSE / "docs/site_file.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "site.toml").write_text(example, "utf-8")
    code, said = check(tmp_path / "site.toml")
    assert code == 0, said


def test_strict_refuses_a_timetable_that_does_not_fit_and_nothing_else(site):
    assert check(site, strict=True)[0] == 0
    site.write_text(SITE.replace('interval = "1 min"', 'interval = "50 ms"'), "utf-8")
    assert check(site)[0] == 0
    code, said = check(site, strict=True)
    assert (code, said.splitlines()[-1]) == (78, "Too much for cabinet: polls would be left out. Refused because of --strict.")
    found = json.loads(check(site, strict=True, as_json=True)[1])
    assert (found["ok"], [line["fits"] for line in found["lines"]]) == (False, [False])
    assert check(site, strict=True, live=True)[0] == 78  # and nothing is opened


@pytest.mark.parametrize(("device", "least", "most"), [
    ('power = {{ line = "b", profile = "dlt645_2007", address = "161", interval = "{}" }}', 0.1, 3.0),
    ('level = {{ line = "b", profile = "meter_teros21", address = "0", interval = "{}" }}', 0.1, 10.0)])
def test_lines_of_every_asked_protocol_are_forecast(tmp_path, device, least, most):
    path = tmp_path / "site.toml"

    def needs(interval: str) -> float:
        text = '[stations.a]\n[lines.b]\nkind = "serial"\nport = "/dev/x"\nbaudrate = 1200\n[devices]\n' + device.format(interval)
        path.write_text(text, "utf-8")
        return json.loads(check(path, as_json=True)[1])["lines"][0]["share"]

    assert needs("10 s") == pytest.approx(needs("1 s") / 10)
    assert least <= needs("1 s") <= most


def test_the_forecast_knows_the_baud_rate_of_the_line_and_a_line_that_is_told_has_none(tmp_path):
    path = tmp_path / "site.toml"

    def shares(keys: str) -> list[float]:
        path.write_text('[stations.a]\n[lines.b]\nkind = "serial"\nport = "/dev/x"\n' + keys + '\n[devices]\n'
                        'soil = { line = "b", address = 1, profile = "cwt_soil_7in1", interval = "1 s" }\n', "utf-8")
        return [line["share"] for line in json.loads(check(path, as_json=True)[1])["lines"]]

    assert shares("baudrate = 2400")[0] > 1.5 * shares("baudrate = 9600")[0]
    assert shares('mode = "listen"') == []
