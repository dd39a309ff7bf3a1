"""After a gap an instrument that keeps a record is asked for what is missing: below its polls, each value once, over kills."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from threading import Event

import modbus_devices
import pytest
from house import House, site
from virtual import START_UTC_NS, VirtualClock, VirtualLine, VirtualWire

from config.device import Profile
from config.errors import ConfigError, DeviceError, LineError
from config.find import Found
from config.reading_profile import read_profile
from config.series import Flag, Origin, Series
from config.site import DeviceTable, SiteDevice
from config.table import Table
from drivers.codecs.modbus import seal
from drivers.driver import Remembers
from drivers.simulated.modbus import SimulatedDevice
from drivers.simulated.recorder import RecordingSource
from gateway.gap_ledger import gaps_between
from gateway.health import LineHealth
from gateway.plugins import KINDS
from gateway.poller import Poller
from gateway.recalling import Recalling
from gateway.wiring import Expected

S = 1_000_000_000
PROFILE = """
maker = "Test"
model = "recorder"
medium = "water"
protocol = "modbus"
source = "made for this test: a ring of records as some loggers have it; of no real instrument"
verified = "S"
interval = "10 s"
[timing]
max_registers = 60
[quantities]
ph = { register = 0, decimals = 2, unit = "1" }
water_temperature = { register = 1, type = "f32", unit = "°C" }
[history]
newest = 0x0010
register = 0x0100
size = 6
records = 500
time = { type = "u32", order = "CDAB", epoch = "2000", ahead = "8 h" }
rows = { ph = 2, water_temperature = 3 }
"""
PH, TEMPERATURE = Series("st", "probe", "ph"), Series("st", "probe", "water_temperature")


def recorder(text: str = PROFILE) -> Profile:
    return read_profile(Found("recorder", "recorder.toml", False, text.encode()), KINDS)


class Station:
    """An instrument that records every 10 s, its line, poller and core; virtual time."""

    def __init__(self, folder: Path, text: str = PROFILE) -> None:
        self.clock = VirtualClock(utc_ns=START_UTC_NS)
        self.source = RecordingSource(recorder(text))
        self.instrument = SimulatedDevice(1, self.source)
        self.looked_ns = 0
        self.recorded: dict[int, tuple[float, float]] = {}
        self.pulled = False
        self.wire = VirtualWire(self.clock, self.respond, 0.001)
        self.line = VirtualLine(self.wire)
        self.text = text
        self.begin()
        plain = site()
        made = plain.model_copy(update={"stations": {"st": plain.stations["river"]}, "devices": {
            "probe": SiteDevice(common=DeviceTable(profile="x", line="bus", station="st"), options=Table())}})
        expected = [Expected(series, 10.0, False) for series in (PH, TEMPERATURE)]
        self.house = House(folder, made, self.clock, expected)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Driver and poller, as after a start."""
        self.driver = modbus_devices.driver(recorder(self.text), interval_s=10.0)
        self.poller = Poller("bus", self.line, {"probe": self.driver}, self.clock, lambda *given: self.house.intake.deliver(*given),
                             LineHealth("bus", "serial", {"probe": "st"}), seed=1)
        self.recalling: Recalling | None = None

    def respond(self, request: bytes) -> tuple[float, bytes] | None:
        if self.pulled:
            raise LineError("the adapter is gone")
        reply = self.instrument.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu))
        return (0.01, reply.frame) if reply else None

    def live(self, seconds: float, *, reads: int = 10**9) -> None:
        """Let time pass, or until the record was asked so often."""
        until, before = self.clock.mono_ns + round(seconds * S), self.source.reads
        while self.clock.mono_ns < until and self.source.reads < before + reads:
            self.measure()
            wait_s = self.poller.step(Event())
            if self.house.intake.rows or self.clock.mono_ns >= self.looked_ns + 10 * S:
                self.house.turn()
            if self.clock.mono_ns >= self.looked_ns + 10 * S and not self.pulled:
                self.looked_ns = self.clock.mono_ns
                self.recalling = self.recalling or Recalling(self.house.folder, self.house.intake.deliver,
                                                             {"probe": ("bus", self.driver, self.poller.visits)})
                self.recalling.look(self.clock.utc_ns)
            self.clock.go_on(5.0 if self.pulled else min(max(wait_s, 0.001), 1.0))

    def measure(self) -> None:
        """It records at :05, :15 … by its own clock, connected or not."""
        at_s = (self.clock.utc_ns // S - 5) // 10 * 10 + 5
        if at_s not in self.recorded:
            self.recorded[at_s] = (round(6 + at_s % 700 / 100, 2), 20 + at_s % 64 / 8)
            self.source.record(at_s, dict(zip(("ph", "water_temperature"), self.recorded[at_s], strict=True)))

    def pull(self, seconds: float) -> None:
        self.pulled, self.line.broken = True, "no such port"
        self.live(seconds)
        self.pulled, self.line.broken = False, ""

    def kill(self) -> None:
        """The daemon dies and is there again."""
        self.house.kill()
        self.begin()
        self.house.start()

    def rows(self, series: Series = PH):
        with self.house.reader() as reader:
            return reader.rows_of_series(reader.series().index(series), 0, 2**62, 100_000)

    def ledger(self, series: Series = PH):
        with self.house.reader() as reader:
            return gaps_between(reader, 0, 2**62, [reader.series().index(series)])

    def check(self, since: int, until: int) -> None:
        """Every record inside the gap is in the journal once, with its time and value, and nothing else is from there."""
        for place, series in enumerate((PH, TEMPERATURE)):
            rows = self.rows(series)
            late = [(at, value) for at, value, origin in zip(rows.at.tolist(), rows.value.tolist(), rows.origin.tolist(), strict=True)
                    if origin & Origin.BACKFILL]
            assert sorted(late) == [(at * S, values[place]) for at, values in sorted(self.recorded.items()) if since < at * S < until]
        with self.house.reader() as reader:
            total = sum(len(self.rows(series)) for series in (PH, TEMPERATURE))
            assert reader.counters()["journalled"] == total


@pytest.fixture
def station(tmp_path):
    made = Station(tmp_path / "journal")
    yield made
    made.house.kill()


def test_an_hour_without_its_line_is_read_from_its_record_and_the_ledger_says_filled(station):
    station.live(300)
    station.pull(3600)
    assert station.ledger() == []
    station.live(120)
    (gap,) = station.ledger()
    assert (chr(gap.reason), gap.is_filled, gap.filled) == ("l", True, 1.0)
    assert 3590 < ((gap.until or 0) - gap.since) / S < 3630
    station.check(gap.since, gap.until)
    late = [flag for flag, origin in zip(station.rows().flag.tolist(), station.rows().origin.tolist(), strict=True) if origin & Origin.BACKFILL]
    assert set(late) <= {Flag.GOOD, Flag.SUSPECT}
    with station.house.reader() as reader:
        hour = reader.rows_of_series(reader.series().index(PH._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
    assert hour.revision.tolist()[-1] >= 1, "its hour is issued again"
    assert hour.share.tolist()[-1] > 0.8


def test_polls_go_on_in_time_while_the_record_is_read(station):
    station.live(100)
    station.pull(900)
    station.live(200)
    polled = [at for at, origin in zip(station.rows().at.tolist(), station.rows().origin.tolist(), strict=True) if not origin & Origin.BACKFILL]
    after = [at for at in polled if at > station.ledger()[0].until]
    assert len(after) == pytest.approx(20, abs=2)
    assert all(9.5 < (b - a) / S < 10.5 for a, b in pairwise(after)), "no poll waits longer than one exchange"
    assert station.poller.visits.views()[-1]["state"] == "done"


@pytest.mark.parametrize("reads", [3, 9, 14, 20])
def test_killed_while_the_record_is_read_it_goes_on_and_takes_nothing_twice(station, reads):
    station.live(100)
    station.pull(900)
    station.live(120, reads=reads)
    station.kill()
    station.live(120)
    gaps = station.ledger()
    assert gaps[0].is_filled
    station.check(gaps[0].since, gaps[0].until)
    assert max(Counter(station.rows().at.tolist()).values()) == 1


def test_what_it_does_not_have_any_more_is_asked_for_once(tmp_path):
    """Its ring holds 60 records of 10 s: of a quarter of an hour the older part is gone for good."""
    station = Station(tmp_path / "journal", PROFILE.replace("records = 500", "records = 60"))
    station.live(100)
    station.pull(900)
    station.live(60)
    (gap,) = station.ledger()
    assert 0.4 < gap.filled < 0.75
    reads = station.source.reads
    station.live(300)
    assert station.source.reads - reads <= 32, "polls alone"
    station.house.kill()


def test_the_time_that_the_gateway_was_off_is_read_too(station):
    station.live(300)
    station.house.kill()
    for _ in range(60):
        station.clock.go_on(10)
        station.measure()
    station.begin()
    station.house.start()
    station.live(120)
    (gap,) = station.ledger()
    assert (chr(gap.reason), gap.is_filled) == ("g", True)
    station.check(gap.since, gap.until)


def test_a_record_that_cannot_be_read_costs_no_poll_and_is_given_up(station):
    station.live(300)
    station.pull(600)
    read = station.source.read

    def broken(function: int, first: int, count: int) -> list[int]:
        if first >= 0x10:
            raise DeviceError("spoilt")
        return read(function, first, count)

    station.source.read = broken  # type: ignore[method-assign]
    station.instrument.source = station.source
    respond = station.wire.respond
    station.wire.respond = lambda request: None if request[2:4] >= b"\x00\x10" else respond(request)
    station.live(600)
    assert len([view for view in station.poller.visits.views() if view["state"] == "failed"]) <= 5
    assert station.ledger()[0].filled == 0
    station.wire.respond = respond


def test_an_instrument_that_remembers_is_known_by_its_profile():
    driver = modbus_devices.driver(recorder())
    assert isinstance(driver, Remembers)
    assert driver.remembered == (PH, TEMPERATURE)
    assert modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}})).remembered == ()


@pytest.mark.parametrize(("old", "new", "words"), [
    ("records = 500", "records = 20000", "beyond 65535"), ("size = 6", "size = 1", "size"),
    ("time = { type", "time = { at = 5, type", "time lies outside"),
    ('protocol = "modbus"', 'protocol = "nmea"', r"\[history\] is nothing that nmea knows")])
def test_a_record_that_cannot_be_is_refused_with_its_place(old, new, words):
    with pytest.raises(ConfigError, match=words):
        recorder(PROFILE.replace(old, new))


@pytest.mark.parametrize(("old", "new", "words"), [
    ("ph = 2", "ec = 2", "names ec"), ("water_temperature = 3", "water_temperature = 5", "outside of the record"),
    ("max_registers = 60", "max_registers = 5", "no more than 5")])
def test_a_record_of_other_rows_is_refused(old, new, words):
    with pytest.raises(ValueError, match=words):
        modbus_devices.driver(recorder(PROFILE.replace(old, new)))
