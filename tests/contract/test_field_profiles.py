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
from virtual import VirtualClock, VirtualWire

from config.quantity import vocabulary
from drivers.driver import Heard
from drivers.reading import Batch
from gateway.checking.proving import prove_profile

FILES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(field_devices.PACKAGED.glob("*.toml"))}
GENERIC = {"mqtt_json", "mqtt_plain"}
"""Profiles of our own formats, whose tests are those of the driver."""
OTHERS = [name for name, file in FILES.items() if file["protocol"] != "modbus" and name not in GENERIC]
CASES = Path(__file__).parent.parent / "cases"


def frames(path: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip()]


def played(name: str) -> list[Batch]:
    """The batches that its driver makes of its case."""
    case, expected = CASES / name, tomllib.loads((CASES / name / "expected.toml").read_text("utf-8"))
    if (case / "message.json").exists():
        topic = expected["topic"]
        driver = field_devices.told(name, line="mqtt", topic=topic)
        heard = mqtt_devices.heard((case / "message.json").read_bytes(), topic)
        return list(driver.hear(heard))
    clock = VirtualClock()
    if (case / "heard.hex").exists():
        stream = field_devices.streamed(name)
        return [batch for piece in frames(case / "heard.hex") for batch in stream.hear(Heard("", piece, clock.now()))]
    answers = dict(zip(frames(case / "request.hex"), frames(case / "answer.hex"), strict=True))
    asked, wire = field_devices.asked(name), VirtualWire(clock, lambda request: (0.01, answers[request]))
    batches = [asked.poll(group, wire) for group in asked.groups()]
    assert [data for _, data in wire.sent] == list(answers)
    return batches


@pytest.mark.parametrize("name", OTHERS)
def test_a_profile_decodes_its_case(name):
    expected = tomllib.loads((CASES / name / "expected.toml").read_text("utf-8"))
    got = {":".join(filter(None, (batch.series[which].quantity, batch.series[which].channel))): float(value)
           for batch in played(name) for which, value in zip(batch.which, batch.raw, strict=True)}
    assert got == {key: float(value) for key, value in expected["values"].items()}
    assert len(expected["source"]) > 10
    if "at" in expected:
        assert {int(at) // 10**6 for batch in played(name) for at in batch.at} == {int(expected["at"].timestamp() * 1000)}


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


@pytest.mark.parametrize("name", [name for name in FILES if name not in GENERIC])
def test_the_command_for_authors_passes_it(name):
    bad = [(verdict.part, verdict.words) for verdict in prove_profile(field_devices.PACKAGED / f"{name}.toml") if not verdict.good]
    mqtt = FILES[name]["protocol"] == "mqtt_json"
    assert bad == [] or mqtt or (CASES / name / "heard.hex").exists(), bad


@pytest.mark.parametrize("name", [name for name in OTHERS if (CASES / name / "request.hex").exists()])
def test_a_profile_takes_no_more_than_a_fifth_of_a_line_at_its_own_pace(name):
    for group in field_devices.asked(name).groups():
        assert group.line_time_s / group.interval_s < 0.2


def test_there_are_enough_profiles_with_examples():
    assert len(FILES) >= 30
    assert sum(file.get("evidence") == "example" for file in FILES.values()) >= 14
