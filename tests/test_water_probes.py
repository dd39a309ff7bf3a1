"""Water probes that are shipped: read and told on a real line, one request for a sonde, and the page that lists them all."""

import re
from pathlib import Path
from threading import Event

import modbus_devices
import pytest

from config.device import Profile
from config.errors import ConfigError
from config.find import Found
from config.quantity import vocabulary
from config.reading_profile import read_profile
from config.series import Reason
from drivers.codecs.modbus_write import Write
from drivers.decode import encode
from drivers.lines import serial
from drivers.order import Order, Outcome
from drivers.protocols.modbus import Command
from drivers.resting_asked import RestingObedient
from drivers.simulated.modbus import ProfileSource, SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from gateway.building import Builder, SiteFile, load_site
from gateway.checking.check import prove
from gateway.clock import SystemClock
from gateway.plugins import KINDS

HOUSE = Path(__file__).parent.parent
PAGE = HOUSE / "docs/water.md"
DONE = Outcome("done", "confirmed by the device")
WATER = {"dissolved_oxygen": 8.82, "turbidity": 12.5, "ec": 451.7, "ph": 7.42, "water_temperature": 17.6, "redox": -85.0, "chlorophyll_a": 3.25,
         "cyanobacteria": 812.0}
UV = {"water_temperature": 17.5, "uv254": 12.5, "cod": 18.75, "bod5": 6.25, "toc": 7.5}
TROLL = {"water_temperature": 17.5, "ec": 450.0, "ph": 7.25, "redox": 220.0, "dissolved_oxygen": 8.5, "oxygen_saturation": 92.5, "turbidity": 12.5}
WIPERS = ["yosemitech_y4000", "yosemitech_y511", "yosemitech_y513", "yosemitech_y514", "yosemitech_y551", "yosemitech_y560"]


def test_a_sonde_on_a_real_line_is_read_in_one_request_and_wiped_when_told():
    sonde = modbus_devices.packaged("yosemitech_y4000")
    told: list[Write] = []
    far = SimulatedDevice(1, ProfileSource(sonde, WATER.__getitem__, holes="decline"), 0.001, obeyed=told.append)
    with SerialBus([far]) as bus:
        options = serial.Options(port=str(bus.path), baudrate=9600)
        line = serial.Line("bus", options, str)
        driver = modbus_devices.driver(sonde, options, may_obey=True)
        try:
            wire = line.open(Event(), SystemClock())
            batch = driver.poll(driver.groups()[0], wire)
            assert far.requests == 1
            assert {series.quantity: value for series, value in zip(batch.series, batch.raw.tolist(), strict=True)} == WATER
            assert driver.obey(Order("clean"), wire) == DONE
            assert driver.obey(Order("wiper_interval", 30), wire) == DONE
        finally:
            line.close()
    assert told == [Write(1, 16, 0x2F00, ()), Write(1, 16, 0x0E00, (0x1E00,))]


def test_a_probe_that_measures_once_when_told_gives_what_it_found_then():
    probe = modbus_devices.packaged("aqualabo_stacsense")
    found = dict.fromkeys(UV, 0.0)
    far = SimulatedDevice(70, ProfileSource(probe, lambda name: found[name], holes="decline"), 0.001, obeyed=lambda _: found.update(UV))
    with SerialBus([far]) as bus:
        options = serial.Options(port=str(bus.path), baudrate=9600)
        line = serial.Line("bus", options, str)
        driver = modbus_devices.driver(probe, options, address=70, may_obey=True)
        try:
            wire = line.open(Event(), SystemClock())
            assert driver.obey(Order("measure"), wire) == DONE
            batch = driver.poll(driver.groups()[0], wire)
            assert {series.quantity: value for series, value in zip(batch.series, batch.raw.tolist(), strict=True)} == UV
        finally:
            line.close()


def test_a_sonde_that_was_set_to_another_unit_or_lacks_a_sensor_is_not_believed():
    """Its conductivity in mS/cm (66) would be a thousandth; without an oxygen sensor it says 0 with quality 7."""
    sonde = modbus_devices.packaged("insitu_aqua_troll_600")
    held = {place + turn: word for row, unit, value in zip(sonde.rows.values(), (1, 65, 145, 162, 117, 177, 194), TROLL.values(), strict=True)
            for place in [row.first] for turn, word in enumerate([*encode(row.form, value), 0, unit, 0, 0, 0])}
    place = {name: row.first for name, row in sonde.rows.items()}
    held |= {place["ec"] + 3: 66, place["dissolved_oxygen"] + 2: 7, place["oxygen_saturation"] + 2: 3}
    with SerialBus([SimulatedDevice(1, TableSource(held), 0.001)]) as bus:
        options = serial.Options(port=str(bus.path), baudrate=19200)
        line = serial.Line("bus", options, str)
        driver = modbus_devices.driver(sonde, options)
        try:
            batch = driver.poll(driver.groups()[0], line.open(Event(), SystemClock()))
        finally:
            line.close()
    assert dict(zip((series.quantity for series in batch.series), batch.raw.tolist(), strict=True)) == TROLL
    doubted = {series.quantity for series, why in zip(batch.series, batch.reason, strict=True) if why == Reason.FAULT}
    assert doubted == {"ec", "dissolved_oxygen", "oxygen_saturation"}
    assert {int(why) for series, why in zip(batch.series, batch.reason, strict=True) if series.quantity not in doubted} == {Reason.NORMAL}


@pytest.mark.parametrize("name", WIPERS)
def test_a_wipers_interval_is_written_low_byte_first_as_one_was_read_from_a_probe(name):
    """The captured Y511-A holds its 30 minutes as the bytes 1E 00."""
    command = modbus_devices.packaged(name).commands["wiper_interval"]
    assert isinstance(command, Command)
    assert command.write(1, 30).pdu[-2:] == bytes.fromhex("1E 00")


@pytest.mark.parametrize("name", ["yosemitech_y514", "yosemitech_y521"])
def test_what_is_asked_is_byte_for_byte_what_the_makers_own_sketches_send(name):
    assert (HOUSE / "tests/cases" / name / "request.hex").read_text("ascii").strip() == "01 03 26 00 00 04 4f 41"


def test_the_site_on_the_page_can_be_told_to_start_and_wipe(tmp_path):
    site = re.search(r"```toml\n(# site\.toml.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert site is not None
    (tmp_path / "site.toml").write_text(site[1], "utf-8")
    prove(load_site(tmp_path / "site.toml"))


STARTED = """
[stations.river]
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
framing = "rtu"
[devices.cod]
profile = "yosemitech_y551"
"""


def site(folder: Path, keys: str) -> SiteFile:
    (folder / "site.toml").write_text(STARTED + keys, "utf-8")
    return load_site(folder / "site.toml")


@pytest.mark.parametrize(("keys", "words"), [
    ("", r"before = \['start'\] is done each time before it measures → give it a duty \(or write before = \[\]"),
    ('duty = { every = "5 min", on = "1 min" }', r"needs orders = true and a profile with \[commands\] \(or before = \[\]")])
def test_a_probe_that_does_not_measure_until_it_is_told_is_not_read_as_if_it_did(tmp_path, keys, words):
    with pytest.raises(ConfigError, match=words):
        prove(site(tmp_path, keys))


def test_it_is_told_what_its_profile_says_unless_the_site_file_says_otherwise(tmp_path):
    duty = 'orders = true\nduty = { every = "5 min", on = "1 min" }\n'
    for more, verbs in (("", ("start",)), ('before = ["clean", "start"]', ("clean", "start")), ("before = []", ())):
        assert site(tmp_path, duty + more).site.devices["cod"].common.before == verbs
    prove(site(tmp_path, "before = []"))


def test_the_time_of_a_wipe_is_added_to_the_time_that_it_measures_for(tmp_path):
    """A sweep takes the Y551 12 s: awake for 12, 3 until it is ready, and 8 to measure."""
    duty = 'orders = true\nduty = { every = "%s", on = "8 s" }\nbefore = ["clean", "start"]\n'
    (driver,) = Builder(site(tmp_path, duty % "24 s")).drivers("cabinet").values()
    assert isinstance(driver, RestingObedient)
    with pytest.raises(ConfigError, match=r"ready and on together, and the 12 s of what is done before, must be shorter"):
        prove(site(tmp_path, duty % "23 s"))


def test_nobody_is_told_anything_on_a_line_that_is_only_listened_to(tmp_path):
    (tmp_path / "site.toml").write_text(STARTED.replace('framing = "rtu"', 'framing = "rtu"\nmode = "listen"'), "utf-8")
    prove(load_site(tmp_path / "site.toml"))


def test_a_profile_that_begins_with_a_command_that_it_lacks_is_refused():
    body = (HOUSE / "config/devices/yosemitech_y510.toml").read_bytes().replace(b'before   = ["start"]', b'before   = ["begin"]')
    with pytest.raises(ConfigError, match=r"there is no \[commands.begin\]"):
        read_profile(Found("mine", "mine.toml", False, body), KINDS)


def is_of_quality(profile: Profile) -> bool:
    """Does it measure more than how much water there is, and how warm?"""
    measured = {row.partition(":")[0] for row in profile.rows}
    how_much = {"water_level", "water_speed", "water_pressure", "flow", "water_temperature", "*"}
    return any(vocabulary()[name].medium == "water" for name in measured - how_much)


def test_the_page_lists_every_probe_of_water_quality_with_its_evidence_and_what_it_can_be_told():
    rows = {name: (evidence, re.findall(r"`(\w+)`", told)) for name, evidence, told in
            re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+) \|([^|]*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)}
    paths = sorted((HOUSE / "config/devices").glob("*.toml"))
    shipped = [read_profile(Found(path.stem, str(path), True, path.read_bytes()), KINDS) for path in paths]
    assert rows == {profile.name: ("ours" if profile.file.verified == "S" else profile.file.evidence, list(profile.commands))
                    for profile in shipped if profile.file.medium == "water" and is_of_quality(profile)}, "give it a row in docs/water.md"
