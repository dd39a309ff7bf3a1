"""What people write in a site file is read as they mean it, or every mistake is told with its place and repair."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.reading_site import read_site_text
from config.site import Severity, severity
from config.telling import told
from gateway.checking.check import run_check
from gateway.plugins import KINDS

CASES = Path(__file__).parent / "cases"
MISTAKES = sorted(path for path in CASES.glob("site_*") if (path / "error.txt").exists())

SITE = """
[stations.qinghe]
name = "清河断面"
latitude = 30.2741
area = "330106"
time_zone = "Asia/Shanghai"

[stations.yard]

[lines.cabinet]
kind = "serial"
port = "/dev/serial/by-path/x"
baudrate = 9600
station = "qinghe"
where = "仪表柜 端子5/6"

[lines.nodes]
kind = "mqtt"
url = "mqtts://broker.example.org"
user = "qinghe"
password = { secret = "mqtt-password" }
station = "yard"

[devices]
probe = { line = "cabinet", address = 1, profile = "sim_water_probe", quality.ph = { range = "2..12", rate = "1 per min" } }
noise = { line = "nodes", topic = "yard/noise/{quantity}", profile = "mqtt_plain" }

[devices.soil]
line = "cabinet"
address = 2
station = "yard"
profile = "cwt_soil_7in1"
interval = "1 min"

[rules.ammonia]
station = "qinghe"
quantity = ["ammonia_nitrogen"]
mean = "1 h"
above = { yellow = "1.0 mg/L", orange = "1.5 mg/L", red = "2.0 mg/L" }
for = "10 min"
dead_band = "0.1 mg/L"

[rules.acid]
quantity = "ph"
below = 6.5
above = "9"
severity = "orange"

[rules.night]
quantity = "laeq"
above = "50 dBA"

[channels.bureau]
kind = "webhook"
key = { secret = "bureau" }

[subscriptions.duty]
to = "bureau:https://alerts.example.org/hooks/qinghe"
medium = ["water", "noise"]
severity = "yellow"

[sinks.influx]
kind = "influxdb"
url = "https://influx.example.org:8086"
org = "epb"
bucket = "stations"
token = { secret = "influx-token" }
station = "qinghe"

[journal]
keep = "30 d"
max_size = "500 MB"
"""


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("ECOSENTRY_CONFIG", str(tmp_path))
    monkeypatch.setattr("gateway.secrets.ETC", tmp_path)


def problems(text):
    with pytest.raises(ConfigError) as caught:
        read_site_text(text, KINDS)
    return caught.value.problems


# ── mistakes ──
@pytest.mark.parametrize("case", MISTAKES, ids=lambda path: path.name)
def test_each_mistake_is_told_with_its_place_and_repair(case, monkeypatch):
    monkeypatch.chdir(case)
    monkeypatch.setenv("ECOSENTRY_CONFIG", "etc")
    out = io.StringIO()
    assert run_check("site.toml", live=False, schema=False, all_=False, as_json=False, out=out) == 78
    assert out.getvalue() == (case / "error.txt").read_text("utf-8")


def test_there_is_a_case_for_every_kind_of_mistake():
    assert len(MISTAKES) >= 60


def test_all_mistakes_of_a_file_are_told_at_once():
    lines = [problem.line for problem in problems((CASES / "site_several" / "site.toml").read_text("utf-8"))]
    assert lines == [3, 7, 8, 11, 12, 16]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda path: path.name)
def test_a_caret_points_at_what_is_written_there(case, monkeypatch):
    monkeypatch.chdir(case)
    monkeypatch.setenv("ECOSENTRY_CONFIG", "etc")
    out = io.StringIO()
    run_check("site.toml", live=False, schema=False, all_=False, as_json=True, out=out)
    found = json.loads(out.getvalue())
    assert found["format"] == 1
    assert not found["ok"]
    for problem in found["problems"]:
        assert problem["what"]
        if problem["column"]:
            assert 1 <= problem["column"] <= len(problem["source"]) + 1
            assert problem["length"] >= 1


def test_a_wide_text_before_the_caret_takes_two_columns_on_the_screen():
    text = 'stations.x = { name = "清河", tme_zone = "UTC" }\n'
    said = told(problems(text))
    source, caret = said.splitlines()[1:3]
    cells = sum(2 if c in "清河" else 1 for c in source[: source.index("tme_zone")])
    assert caret.index("^") == cells


def test_a_long_line_is_cut_around_the_caret():
    text = f'[stations]\nx = {{ name = "{"n" * 300}", tme_zone = "UTC", area = "{"a" * 300}" }}\n'
    source, caret = told(problems(text)).splitlines()[1:3]
    assert len(source) <= 120
    assert source[caret.index("^") :].startswith("tme_zone")


def test_a_secret_that_stands_in_the_file_is_never_printed():
    for wrong in ('token = "hunter2"', 'tokn = "hunter2"', 'token = { secret = "Hunter2 hunter2" }', 'token = "hunter2'):
        said = told(problems(SITE.replace('token = { secret = "influx-token" }', wrong)))
        assert "hunter2" not in said.replace('tokn = "hunter2"', "")


def test_keys_of_later_versions_are_called_so_wherever_they_stand():
    said = told(problems(SITE + '\n[heartbeat]\nevery = "5 min"\n[rules.odd]\nanomaly = 0.9\n'))
    assert said.count("is not supported by this version") == 2
    assert "is not a" not in said


def test_the_same_mistake_in_a_broken_table_is_not_told_again_by_those_who_name_it():
    text = SITE.replace("baudrate = 9600", "baudrate = 1")
    assert [problem.what for problem in problems(text)] == ["lines.cabinet.baudrate = 1 must be at least 300"]


# ── what is right ──
def test_a_row_and_a_table_mean_the_same():
    row = SITE.partition("[devices.soil]")[0].replace(
        "[devices]\n", '[devices]\nsoil = { line = "cabinet", address = 2, station = "yard", profile = "cwt_soil_7in1", interval = "1 min" }\n')
    assert read_site_text(row + "\n", KINDS).devices["soil"] == read_site_text(SITE, KINDS).devices["soil"]


def test_a_name_stands_for_a_list_of_one_and_a_limit_for_a_ladder_of_one():
    site = read_site_text(SITE, KINDS)
    assert site.rules["acid"].quantity == ("ph",)
    assert {colour: limit.figure for colour, limit in site.rules["acid"].below.items()} == {"orange": Decimal("6.5")}
    assert [severity(colour) for colour in site.rules["ammonia"].above] == [Severity.YELLOW, Severity.ORANGE, Severity.RED]
    assert site.rules["night"].above["yellow"].unit == "dB(A)"
    assert site.subscriptions["duty"].to == ("bureau:https://alerts.example.org/hooks/qinghe",)


def test_line_and_station_are_filled_in_where_there_is_no_choice():
    site = read_site_text(SITE, KINDS)
    assert (site.devices["probe"].common.station, site.devices["soil"].common.station, site.devices["noise"].common.station) == (
        "qinghe", "yard", "yard")
    alone = read_site_text('[stations.a]\n[lines.b]\nkind = "tcp"\nhost = "h"\n[devices]\nc = { profile = "sim_energy_meter" }\n', KINDS)
    assert (alone.devices["c"].common.station, alone.devices["c"].common.line) == ("a", "b")


def test_a_device_that_is_said_to_give_only_some_quantities_is_held_to_them():
    named = SITE.replace('profile = "mqtt_plain" }', 'profile = "mqtt_plain", quantities = ["la"] }')
    assert "rules.night watches nothing" in told(problems(named))
    assert read_site_text(named.replace('["la"]', '["la", "laeq"]'), KINDS).devices["noise"].options.quantities == ("la", "laeq")


def test_a_rate_is_kept_per_second_and_a_range_in_its_unit():
    quality = read_site_text(SITE, KINDS).devices["probe"].common.quality["ph"]
    assert quality.rate.figure == Decimal(1) / 60
    assert [limit.value for limit in quality.range] == [2.0, 12.0]


def test_baudrate_and_format_come_from_the_profiles_of_the_devices():
    text = '[stations.a]\n[lines.b]\nkind = "serial"\nport = "/dev/x"\n[devices]\nc = { profile = "cwt_soil_7in1" }\n'
    options = read_site_text(text, KINDS).lines["b"].options
    assert (options.baudrate, options.format) == (4800, "8N1")


def test_line_ends_of_windows_are_read_like_those_of_unix():
    assert read_site_text(SITE.replace("\n", "\r\n"), KINDS) == read_site_text(SITE, KINDS)


def test_this_boxs_own_profile_goes_before_the_packaged_one(tmp_path):
    folder = tmp_path / "devices"
    folder.mkdir()
    (folder / "sim_noise_meter.toml").write_text(
        'maker = "x"\nmodel = "y"\nmedium = "noise"\nprotocol = "modbus"\nsource = "own"\nverified = "C"\ninterval = "7 s"\n'
        '[quantities]\nla = { register = 9, unit = "dB(A)" }\n')
    text = ('[stations.a]\n[lines.b]\nkind = "serial"\nport = "/dev/x"\nbaudrate = 9600\n[devices]\nc = { profile = "sim_noise_meter" }\n'
            '[rules.loud]\nquantity = "la"\nabove = "60 dB(A)"\n')
    assert read_site_text(text, KINDS).rules["loud"].quantity == ("la",)


# ── nothing else than ConfigError ──
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"\xfe\xff\xd8\x00")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"a = " + b"[" * 4000)
@example(b"a = " + b"9" * 5000)
@example(b"[journal]\nkeep = 1979-13-01\n")
@example(b"[stations]\n[stations.a.b.c]\n")
@example(b'[devices]\na = 1979-05-27T07:32:00Z\n[lines]\nb = [1]\n[rules]\n"" = {}\n')
def test_no_bytes_raise_anything_but_config_error(body):
    with pytest.raises(ConfigError) as caught:  # no bytes of that size are a whole site
        read_site_text(body, KINDS)
    assert caught.value.problems
    assert told(caught.value.problems)


WORDS = st.sampled_from(['""', "1", "-1", "nan", "inf", "1e999", "true", "[]", "{}", '"x"', '"1 h"', '"0 s"', '"-1..1 mg/L"', "2026-01-01",
                         '["", 1]', '"é“"', "{ secret = 1 }", '[{ secret = "a" }]', '"a:b:c"', '"9999999999999999999 d"', "[[1]]",
                         '"1e999999 mg/L"', "'\\'"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_wrong_value_anywhere_raises_anything_but_config_error(data):
    lines = SITE.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[number].partition(" = ")
        change = data.draw(st.sampled_from(["value", "away", "twice", "key"]))
        if change == "value" and equals:
            lines[number] = f"{key} = {data.draw(WORDS)}"
        elif change == "key" and equals:
            other = data.draw(st.sampled_from(["station", "kind", "profile", "x", '""', "a.b", "above", "to", "key"]))
            lines[number] = lines[number].replace(key, other, 1)
        else:
            lines[number] = "" if change == "away" else lines[number] + "\n" + lines[number]
    try:
        said = read_site_text("\n".join(lines), KINDS).stations
    except ConfigError as error:
        said = told(error.problems)
    assert said


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    for path, words in ((tmp_path / "none.toml", "there is no such file"), (tmp_path, "is a folder")):
        out = io.StringIO()
        assert run_check(str(path), live=False, schema=False, all_=False, as_json=False, out=out) == 78
        assert words in out.getvalue()
