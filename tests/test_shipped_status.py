"""Shipped profiles with status words: what the instrument says of itself arrives over a real line, and no mean counts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import modbus_devices
import pytest
from house import House, S, site

from config.series import Flag, Series
from drivers.driver import Wire
from drivers.lines import serial
from drivers.protocols.modbus import Driver
from drivers.reading import Batch, Delivery
from drivers.simulated.modbus import SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from gateway.clock import SystemClock
from gateway.gap_ledger import gaps_between
from gateway.wiring import Expected

OZONE = Series("river", "probe", "o3")
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


def at(batch: Batch, house: House) -> Batch:
    """What was polled in real time, as of the house's own clock and station."""
    stamp = house.clock.now()
    series = tuple(one._replace(station="river", device="probe") for one in batch.series)
    return Batch(series, batch.which, batch.at * 0 + stamp.utc_ns, batch.span, batch.raw, batch.reason, stamp)


def test_the_span_gas_of_a_shipped_analyser_is_in_no_mean(tmp_path):
    house, held = House(tmp_path / "journal", site(), expected=[Expected(OZONE, 60.0, False)]), ozone()
    with on_a_line("teledyne_t400", held) as (driver, wire):
        for minute in range(61):
            house.clock.forward(60)
            span_gas = 20 <= minute < 35
            held.registers.update(zip((18, 19), PPB[400.0 if span_gas else 41.5], strict=True))
            held.coils[22] = int(span_gas)
            house.intake.deliver(Delivery("l", (at(driver.poll(driver.groups()[0], wire), house),)), 0)
            house.turn()
    house.clock.forward(60)
    house.turn()
    with house.reader() as reader:
        table = reader.series()
        rows = reader.rows_of_series(table.index(OZONE), 0, 2**62, 1000)
        mean = reader.rows_of_series(table.index(OZONE._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
        gaps = gaps_between(reader, 0, 2**62, [table.index(OZONE)])
    house.kill()
    assert [flag for flag, value in zip(rows.flag.tolist(), rows.value.tolist(), strict=True) if value > 700] == [Flag.FAIL] * 15
    assert mean.value.tolist() == [81.423]
    assert [(gap.words, (gap.until - gap.since) // S) for gap in gaps] == [("calibration", 16 * 60)]
