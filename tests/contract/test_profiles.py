"""The profile contract: every shipped Modbus profile asks for, and decodes, the bytes of its case folder.

A case is `tests/cases/<profile>/`: request.hex and answer.hex (serial frames, one a line) and expected.toml (where the
bytes come from, and every quantity's value; nan = the device says that it has none).
"""

import math
import tomllib
from importlib.resources import files
from pathlib import Path

import modbus_devices
import pytest
from virtual import VirtualClock, VirtualWire

from config.quantity import vocabulary
from drivers.codecs.modbus import is_sealed

PROFILES = sorted(path for path in Path(str(files("config"))).joinpath("devices").glob("*.toml")
                  if tomllib.loads(path.read_text("utf-8"))["protocol"] == "modbus")
CASES = Path(__file__).parent.parent / "cases"


def frames(path: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip()]


def test_there_are_profiles():
    assert "cwt_soil_7in1" in {path.stem for path in PROFILES}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_decodes_its_case(path):
    case = CASES / path.stem
    assert case.is_dir(), f"{path.name} needs a case folder {case}"
    requests, answers = frames(case / "request.hex"), frames(case / "answer.hex")
    assert all(map(is_sealed, requests + answers)), "a checksum in the case is wrong"
    expected = tomllib.loads((case / "expected.toml").read_text("utf-8"))
    assert len(expected["source"]) > 10
    of = modbus_devices.from_file(path)
    wire = VirtualWire(VirtualClock(), lambda request: (0.01, dict(zip(requests, answers, strict=True))[request]))
    driver = modbus_devices.driver(of)
    batch = driver.poll(driver.groups()[0], wire)
    assert [data for _, data in wire.sent] == requests
    got = {":".join(filter(None, (s.quantity, s.channel))): float(v) for s, v in zip(batch.series, batch.raw, strict=True)}
    assert str(got) == str({name: float(expected["values"][name]) for name in got})
    assert set(got) == set(expected["values"])


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profiles_units_are_those_of_the_vocabulary_and_its_example_is_plausible(path):
    of = modbus_devices.from_file(path)
    values = tomllib.loads((CASES / path.stem / "expected.toml").read_text("utf-8"))["values"]
    for name, row in of.rows.items():
        quantity = vocabulary()[name.split(":")[0]]
        assert row.unit == quantity.unit
        low, high = quantity.plausible
        assert math.isnan(values[name]) or low <= values[name] <= high, f"{name} = {values[name]}"


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_takes_no_more_than_a_fifth_of_a_line_at_its_own_pace(path):
    of = modbus_devices.from_file(path)
    driver = modbus_devices.driver(of, interval_s=of.file.interval)
    group = driver.groups()[0]
    assert group.line_time_s / group.interval_s < 0.2
