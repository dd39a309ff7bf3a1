"""The profile contract for all that is not Modbus: every shipped profile decodes its case through its real driver.

A case is `tests/cases/<profile>/`: expected.toml, and request.hex with answer.hex (asked), heard.hex (a stream, one piece a
line) or message.json (MQTT, with `topic` in expected.toml).
"""

import math
import tomllib
from pathlib import Path

import field_devices
import mqtt_devices
import pytest

from config.quantity import vocabulary
from gateway.checking.case import play

FILES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(field_devices.PACKAGED.glob("*.toml"))}
GENERIC = {"mqtt_json", "mqtt_plain", "sparkplug_b", "fleet"}
"""Profiles of our own formats, whose tests are those of the driver."""
OTHERS = [name for name, file in FILES.items() if file["protocol"] != "modbus" and name not in GENERIC]
CASES = Path(__file__).parent.parent / "cases"


@pytest.mark.parametrize("name", OTHERS)
def test_a_profile_decodes_its_case(name):
    expected = tomllib.loads((CASES / name / "expected.toml").read_text("utf-8"))
    played = play(field_devices.profile(name), CASES / name)
    assert played.got == {key: float(value) for key, value in expected["values"].items()}
    assert len(expected["source"]) > 10


def test_the_things_stack_gives_the_time_of_its_network():
    message = (CASES / "ttn_v3" / "message.json").read_bytes()
    driver = field_devices.told("ttn_v3", line="mqtt", topic="v3/app1@tenant1/devices/+/up")
    [batch] = driver.hear(mqtt_devices.heard(message, "v3/app1@tenant1/devices/dev1/up"))
    assert set(batch.at.tolist()) == {1_581_520_545_789_585_000}
    assert batch.own_time


@pytest.mark.parametrize("name", OTHERS)
def test_its_example_is_plausible(name):
    for key, value in tomllib.loads((CASES / name / "expected.toml").read_text("utf-8"))["values"].items():
        low, high = vocabulary()[key.split(":")[0]].plausible
        assert math.isnan(value) or low <= value <= high, f"{key} = {value}"


@pytest.mark.parametrize("name", [name for name in FILES if name not in GENERIC])
def test_a_profile_says_where_it_comes_from_and_what_it_rests_on(name):
    file = FILES[name]
    source = tomllib.loads((CASES / name / "expected.toml").read_text("utf-8"))["source"]
    assert file["verified"] in "ABCS", "from memory is not shipped"
    if "computed" in source.split(";")[0] or "not captured" in source.split(";")[0]:
        assert file.get("evidence", "layout") == "layout", "an example is printed somewhere, not computed"


@pytest.mark.parametrize("name", [name for name in OTHERS if (CASES / name / "request.hex").exists()])
def test_a_profile_takes_no_more_than_a_fifth_of_a_line_at_its_own_pace(name):
    for group in field_devices.asked(name).groups():
        assert group.line_time_s / group.interval_s < 0.2


def test_there_are_enough_profiles_with_examples():
    real = [file for name, file in FILES.items() if name not in GENERIC and file["verified"] != "S"]
    assert len(real) >= 30
    assert sum(file.get("evidence") == "example" for file in real) >= 20
    assert {file["medium"] for file in real} >= {"water", "air", "weather", "noise", "soil", "vegetation", "energy"}
