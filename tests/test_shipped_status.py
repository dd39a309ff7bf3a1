"""Shipped profiles with status words: what the instrument says of itself arrives over a real line, and no mean counts it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import modbus_devices
import pytest
from house import House, S, site

from config.find import Found
from config.reading_profile import read_profile
from config.series import Flag, Series
from drivers.driver import Wire
from drivers.lines import serial
from drivers.protocols.modbus import Driver, Status
from drivers.reading import Batch, Delivery
from drivers.simulated.modbus import SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from gateway.clock import SystemClock
from gateway.gap_ledger import gaps_between
from gateway.plugins import KINDS
from gateway.wiring import Expected

HOUSE = Path(__file__).parent.parent
PPB = {41.5: (0x4226, 0), 400.0: (0x43C8, 0)}
"""Readings in ppb as high and low word; by IEEE 754."""


@contextmanager
def on_a_line(name: str, held: TableSource, address: int = 1) -> Iterator[tuple[Driver, Wire]]:
    """The driver of a shipped profile, and a serial line at whose other end an instrument holds these registers."""
    with SerialBus([SimulatedDevice(address, held, turnaround_s=0)]) as bus:
        options = serial.Options(port=str(bus.path), baudrate=115200)
        line = serial.Line("bus", options, str)
        wire = line.open(Event(), SystemClock())
        try:
            yield modbus_devices.driver(modbus_devices.packaged(name), options, interval_s=60.0), wire
        finally:
            line.close()


def ozone() -> TableSource:
    """A Teledyne T400 that measures 41.5 ppb, with all 27 discrete inputs of its manual; it is well (input 24)."""
    high, low = PPB[41.5]
    return TableSource({18: high, 19: low}, {place: int(place == 24) for place in range(27)})


@pytest.mark.parametrize(("on", "letter"), [((), "N"), ((20,), "C"), ((21,), "C"), ((22,), "C"), ((23,), "C"), ((19,), "D"), ((19, 20), "C"),
                                            ((11, 16), "N")])
def test_an_analyser_on_its_zero_or_span_gas_says_so(on, letter):
    held = ozone()
    held.coils.update(dict.fromkeys(on, 1))
    with on_a_line("teledyne_t400", held) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([81.423], letter)


@pytest.mark.parametrize(("device", "gas", "letter"), [(0, 0, "N"), (4, 0, "N"), (0, 2, "w"), (0, 256, "w"), (4, 258, "w"), (2, 256, "D"),
                                                      (1, 0, "D"), (6, 0, "D")])
def test_a_probe_that_starts_up_or_is_broken_says_so(device, gas, letter):
    held = TableSource({0: 0xD47A, 1: 0x43E8, 0x800: device, 0x801: gas})
    with on_a_line("vaisala_gmp252", held, address=240) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([465.65997], letter)


@pytest.mark.parametrize(("held", "letters"), [({}, "NN"), ({0x20A: 4}, "NN"), ({0x20A: 16}, "CC"), ({0x20A: 2}, "DD"), ({0x20A: 18}, "CC"),
                                               ({0x207: 0x101}, "wN"), ({0x208: 0x20}, "NM"), ({0x207: 2}, "DN"), ({0x208: 0x80}, "ND")])
def test_each_quantity_of_a_probe_has_a_status_of_its_own(held, letters):
    registers = TableSource({0: 0x7AE1, 1: 0x41F4, 2: 0x0000, 3: 0x41AE, 0x207: 0, 0x208: 0, 0x209: 0, 0x20A: 0} | held)
    with on_a_line("vaisala_hmp", registers, address=240) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([30.56, 21.75], letters)


@pytest.mark.parametrize(("gases", "light", "letters"), [(0, 0, "NNN"), (1, 0, "NDN"), (0x1000, 0, "DNN"), (0, 1, "NNC"), (0, 2, "NNw"),
                                                         (0, 0x100, "NND"), (0x0204, 0x101, "DDC")])
def test_calibration_power_up_and_faults_of_a_tunnel_monitor_are_told_apart(gases, light, letters):
    held = TableSource(dict(enumerate((30, 400, 100, 1000, 170, 100, gases, light), 0x70)))
    with on_a_line("codel_tunneltech_700", held) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([36795.0, 458.0, 1000.0], letters)


@pytest.mark.parametrize(("status", "letter"), [(0, "N"), (1, "D"), (0x20, "D"), (0x40, "D"), (0x80, "N")])
def test_a_sensor_at_a_reserved_address_that_its_profile_names_is_asked_and_says_if_it_is_broken(status, letter):
    with on_a_line("senseair_s8", TableSource({0: status, 1: 0, 2: 0, 3: 400}), address=254) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([400.0], letter)


def test_a_reserved_address_that_no_profile_names_is_refused():
    with pytest.raises(ValueError, match="address 254 is not a Modbus unit"):
        modbus_devices.driver(modbus_devices.packaged("teledyne_t400"), address=254)


def at(batch: Batch, house: House) -> Batch:
    """What was polled in real time, as of the house's own clock and station."""
    stamp = house.clock.now()
    series = tuple(one._replace(station="river", device="probe") for one in batch.series)
    return Batch(series, batch.which, batch.at * 0 + stamp.utc_ns, batch.span, batch.raw, batch.reason, stamp)


def an_hour(
    folder: Path, held: TableSource, device: str, series: Series, address: int, spoil: Callable[[int], bool],
) -> tuple[list[int], list[float], list[tuple[str, int]]]:
    """Polls a shipped profile each minute of an hour; `spoil(minute)` sets the instrument. Flags of the spoilt rows, hourly means, gaps."""
    house, spoilt = House(folder, site(), expected=[Expected(series, 60.0, False)]), []
    with on_a_line(device, held, address) as (driver, wire):
        for minute in range(61):
            house.clock.forward(60)
            spoilt.append(spoil(minute))
            house.intake.deliver(Delivery("l", (at(driver.poll(driver.groups()[0], wire), house),)), 0)
            house.turn()
    house.clock.forward(60)
    house.turn()
    with house.reader() as reader:
        table = reader.series()
        rows = reader.rows_of_series(table.index(series), 0, 2**62, 1000)
        mean = reader.rows_of_series(table.index(series._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
        gaps = gaps_between(reader, 0, 2**62, [table.index(series)])
    house.kill()
    flags = [flag for flag, bad in zip(rows.flag.tolist(), spoilt, strict=True) if bad]
    return flags, mean.value.tolist(), [(gap.words, (gap.until - gap.since) // S) for gap in gaps]


def test_the_span_gas_of_a_shipped_analyser_is_in_no_mean(tmp_path):
    held = ozone()

    def spoil(minute: int) -> bool:
        span_gas = 20 <= minute < 35
        held.registers.update(zip((18, 19), PPB[400.0 if span_gas else 41.5], strict=True))
        held.coils[22] = int(span_gas)
        return span_gas

    flags, means, gaps = an_hour(tmp_path, held, "teledyne_t400", Series("river", "probe", "o3"), 1, spoil)
    assert (flags, means, gaps) == ([Flag.FAIL] * 15, [81.423], [("calibration", 16 * 60)])


def test_what_a_shipped_probe_gives_while_it_starts_up_is_in_no_mean(tmp_path):
    held = TableSource({0: 0xD47A, 1: 0x43E8, 0x800: 0, 0x801: 0})

    def spoil(minute: int) -> bool:
        starting = 20 <= minute < 35
        held.registers.update({1: 0x44E8 if starting else 0x43E8, 0x801: 256 if starting else 0})
        return starting

    flags, means, gaps = an_hour(tmp_path, held, "vaisala_gmp252", Series("river", "probe", "co2"), 240, spoil)
    assert (flags, means, gaps) == ([Flag.FAIL] * 15, [465.65997], [("warming up", 16 * 60)])


def test_the_page_lists_every_air_and_emission_profile_with_its_evidence_and_what_it_says_of_itself():
    page = (HOUSE / "docs/air.md").read_text("utf-8")
    rows = {name: (evidence, set(re.findall(r"`(\w)`", says))) for name, evidence, says in
            re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+) \|([^|]*)\|$", page, re.MULTILINE)}
    shipped = [read_profile(Found(path.stem, str(path), True, path.read_bytes()), KINDS) for path in (HOUSE / "config/devices").glob("*.toml")]
    letters = {profile.name: {letter for status in profile.status.values() if isinstance(status, Status)
                              for letter in (*status.means.values(), status.other)} - {"N"} for profile in shipped}
    assert rows == {profile.name: ("ours" if profile.file.verified == "S" else profile.file.evidence, letters[profile.name])
                    for profile in shipped if profile.file.medium in ("air", "emission")}, "give it a row in docs/air.md"


@pytest.mark.parametrize(("name", "held", "value", "letter"), [
    ("qdy30a", {2: 17, 3: 1, 4: 1301}, 1.301, "N"), ("qdy30a", {2: 18, 3: 1, 4: 1301}, 1.301, "D"), ("qdy30a", {2: 17, 3: 2, 4: 1301}, 1.301, "D"),
    ("microsensor_mfe600c", {0: 0x4234, 1: 0, 2: 2}, 0.0125, "N"), ("microsensor_mfe600c", {0: 0x4234, 1: 0, 2: 3}, 0.0125, "D")])
def test_an_instrument_that_was_set_to_another_unit_is_not_believed(name, held, value, letter):
    with on_a_line(name, TableSource(held)) as (driver, wire):
        batch = driver.poll(driver.groups()[0], wire)
    assert (batch.raw.tolist(), bytes(batch.reason).decode()) == ([value], letter)
