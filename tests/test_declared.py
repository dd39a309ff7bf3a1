"""What is declared in config/: units and how they are written, the vocabulary, where files are found, and secrets."""

import re
import stat
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.conversion import converted
from config.errors import ConfigError, Halted
from config.find import find, found
from config.quantity import vocabulary
from config.reading_profile import load_profile, read_profile
from config.units import Limit, byte_count, duration_text, limit, limit_range, range_text, rate, rate_text, seconds, size_text, unit
from gateway.plugins import KINDS
from gateway.secrets import Secrets


# ── units ──
@given(st.one_of(st.integers(0, 3_000_000_000_000).map(lambda ms: ms / 1000), st.floats(0, 1e9, allow_subnormal=False)))
def test_a_duration_written_back_reads_the_same(value_s):
    assert seconds(duration_text(value_s)) == value_s


@given(st.integers(0, 10**18))
def test_a_size_written_back_reads_the_same(count):
    assert byte_count(size_text(count)) == count


FIGURES = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=4)
UNITS = st.sampled_from(["1", "mg/L", "µg/m³", "dB(A)", "m³/s"])


@given(FIGURES, UNITS)
def test_a_limit_written_back_reads_the_same(figure, of):
    assert limit(str(Limit(figure, of))) == Limit(figure, of)


@given(FIGURES, st.decimals(Decimal("0.0001"), 1000, places=4), UNITS, st.sampled_from(["s", "min", "h", "d"]))
def test_a_range_and_a_rate_written_back_read_the_same(low, width, of, per):
    span = (Limit(low, of), Limit(low + width, of))
    assert limit_range(range_text(span)) == span
    change = rate(f"{width} {of if of != '1' else ''} per {per}")
    assert rate(rate_text(change)) == change


@pytest.mark.parametrize("text", ["", "10", "10s ago", "-1 s", "1,5 s", "s", "10 S", 10, None, True, [], "9" * 400 + " d", "1e3 s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError):
        seconds(text)


@pytest.mark.parametrize("text", ["", "mg/L", "1e999 mg/L", "nan", "1.5.5 mg/L", "1,5 mg/L", "5 3", True, None, {}])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ValueError):
        limit(text)


def test_a_decimal_comma_is_told_with_the_point():
    with pytest.raises(ValueError, match=r'point: "1.5 mg/L"'):
        limit("1,5 mg/L")


@pytest.mark.parametrize("text", ["5", "5..1", "1..1 mg/L", "a..b", "1-5 mg/L", 5, None])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError):
        limit_range(text)


@pytest.mark.parametrize("text", ["50 mg/L", "50 mg/L/h", "-1 mg/L per h", "0 mg/L per h", "50 mg/L per week", 5])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError):
        rate(text)


def test_a_unit_has_one_spelling():
    assert {unit("ug/m3"), unit("μg/m³"), unit("µg/m³"), unit(" ug/m3 ")} == {"µg/m³"}
    assert unit("mg/l") == "mg/L"
    assert unit("") == "1"


@pytest.mark.parametrize(("written", "to", "is_"), [
    ("1.0 ug/L", "mg/L", "0.001 mg/L"), ("75 µg/m³", "mg/m³", "0.075 mg/m³"), ("5 mS/cm", "µS/cm", "5000 µS/cm"), ("101.3 kPa", "hPa", "1013 hPa"),
    ("36 km/h", "m/s", "10 m/s"), ("0.25 m3/m3", "%", "25 %"), ("3.6 m³/h", "m³/s", "0.001 m³/s")])
def test_what_a_limit_in_another_unit_would_be_is_exact(written, to, is_):
    assert str(converted(limit(written), to)) == is_


def test_units_of_different_kinds_have_no_conversion():
    assert converted(limit("5 ppb"), "µg/m³") is None
    assert converted(limit("1 m³/h"), "m³/s") is None  # no short decimal
    assert converted(limit("1 °C"), "mg/L") is None


# ── the vocabulary ──
def test_every_quantity_is_whole():
    assert len(vocabulary()) >= 70
    for name, quantity in vocabulary().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert quantity.unit == unit(quantity.unit)
        assert quantity.plausible[0] < quantity.plausible[1]
        assert quantity.en
        assert quantity.zh
        assert quantity.rate is None or quantity.rate > 0
        assert re.fullmatch(r"[a-z0-9_]*", quantity.cf)
        assert re.fullmatch(r"([aw]\d{5})?|L[A-Z]?[a-z0-9]*", quantity.hj212), name


def test_every_medium_has_quantities_and_no_name_or_code_stands_for_two_of_them():
    rows = vocabulary().values()
    assert {row.medium for row in rows} == {"water", "air", "weather", "noise", "soil", "vegetation", "emission", "energy", "technical"}
    for key in (lambda row: row.cf, lambda row: (row.hj212 and row.medium, row.hj212), lambda row: row.en, lambda row: row.zh):
        used = [key(row) for row in rows if key(row) not in ("", ("", ""))]
        assert len(used) == len(set(used))


def test_levels_of_sound_and_directions_are_not_averaged_like_numbers():
    assert {name for name, row in vocabulary().items() if row.unit == "dB(A)" and row.behaves not in ("sound", "peak", "state")} == set()
    assert {name for name, row in vocabulary().items() if row.unit == "°" and row.behaves != "angle"} == set()
    assert {name for name, row in vocabulary().items() if row.unit in ("kWh", "kvarh") and row.behaves != "counter"} == set()


# ── files ──
def test_every_shipped_profile_is_right_and_none_is_from_memory():
    assert len(found("devices")) >= 7
    for file in found("devices").values():
        profile = read_profile(file, KINDS)
        assert profile.packaged
        assert profile.file.verified in "ABCS", file.name
        assert len(profile.file.source) > 10


def test_the_boxs_own_file_is_found_first_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ECOSENTRY_CONFIG", str(tmp_path))
    packaged = find("devices", "cwt_soil_7in1")
    assert packaged.packaged
    assert packaged.origin == "packaged"
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "cwt_soil_7in1.toml").write_bytes(packaged.body)
    assert find("devices", "cwt_soil_7in1").origin == str(tmp_path / "devices")
    assert not found("devices")["cwt_soil_7in1"].packaged
    assert not load_profile("cwt_soil_7in1", KINDS).packaged


@pytest.mark.parametrize("name", ["../devices/cwt_soil_7in1", "/etc/passwd", "cwt_soil_7in1.toml", "", ".", "CWT"])
def test_a_name_never_leaves_its_folder(name):
    assert find("devices", name) is None


def test_a_profile_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        load_profile("cwt_soil_7in", KINDS)
    assert "did you mean cwt_soil_7in1?" in str(caught.value)


def test_plug_ins_are_found_by_their_files_and_nothing_else_can_be_imported():
    assert {"serial", "tcp", "mqtt"} <= set(KINDS.names("lines"))
    assert {"modbus", "mqtt_json"} <= set(KINDS.names("protocols"))
    assert not [name for section in ("lines", "protocols", "sinks", "channels") for name in KINDS.names(section) if name.startswith("_")]
    for kind in ("_wire", "os", "..site", "drivers.lines.serial"):
        with pytest.raises(KeyError):
            KINDS.module("lines", kind)


def test_a_plug_in_whose_package_is_missing_says_which(monkeypatch):
    def lacks(name):
        raise ModuleNotFoundError(f"No module named {name}", name="paho")

    monkeypatch.setattr("gateway.plugins.importlib.import_module", lacks)
    with pytest.raises(ConfigError) as caught:
        KINDS.options("lines", "mqtt")
    assert "needs the Python package paho" in str(caught.value)


# ── secrets ──
@pytest.fixture
def site_file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("gateway.secrets.ETC", tmp_path / "etc")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for folder in ("etc/secrets", "secrets", "credentials"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "site.toml"


def put(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


def test_secrets_are_looked_for_at_systemd_then_environment_then_etc_then_beside_the_site_file(site_file, monkeypatch):
    secret, here = Secrets(str(site_file)), site_file.parent
    put(here / "secrets/influx-token", "beside\n")
    assert secret("influx-token") == "beside"
    put(here / "etc/secrets/influx-token", "etc\r\n")
    assert secret("influx-token") == "etc"
    monkeypatch.setenv("ECOSENTRY_SECRET_INFLUX_TOKEN", "environment")
    assert secret("influx-token") == "environment"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(here / "credentials"))
    assert secret("influx-token") == "environment"
    put(here / "credentials/influx-token", "systemd", 0o440)
    assert secret("influx-token") == "systemd"
    put(here / "credentials/secrets_of-a-folder", "one of a folder that the unit loads", 0o440)
    assert secret("of-a-folder") == "one of a folder that the unit loads"


def test_a_missing_secret_says_where_it_was_looked_for(site_file):
    with pytest.raises(Halted) as caught:
        Secrets(str(site_file))("influx-token")
    assert str(site_file.parent / "etc/secrets/influx-token") in str(caught.value)
    assert str(site_file.parent / "secrets/influx-token") in str(caught.value)
    assert "$ECOSENTRY_SECRET_INFLUX_TOKEN" in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_can_read_is_refused_with_the_repair(site_file, mode):
    path = site_file.parent / "secrets/key"
    put(path, "x", mode)
    with pytest.raises(Halted, match="chmod 600") as caught:
        Secrets(str(site_file))("key")
    assert f"{stat.S_IMODE(mode):04o}" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_secret_that_is_empty_not_text_or_too_long_is_refused(site_file, body):
    path = site_file.parent / "secrets/key"
    path.write_bytes(body)
    path.chmod(0o600)
    with pytest.raises(Halted):
        Secrets(str(site_file))("key")


@pytest.mark.parametrize("name", ["../site", "a/b", "", "A", ".x"])
def test_the_name_of_a_secret_never_leaves_its_folder(site_file, name):
    with pytest.raises(Halted):
        Secrets(str(site_file))(name)


def test_secrets_are_not_in_their_keepers_repr(site_file):
    put(site_file.parent / "secrets/key", "hunter2")
    secrets = Secrets(str(site_file))
    secrets("key")
    assert "hunter2" not in repr(secrets)
