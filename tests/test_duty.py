"""A device that sleeps between measurements sleeps, is believed only when it is ready, and is not missing meanwhile."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from threading import Event

import field_devices
import pytest
from field_devices import SleepySensor, SleepySps30
from house import NOON, House, S, TurnedClock, site
from polled import Device, every
from polled import House as Line
from virtual import VirtualClock, VirtualWire

from config.errors import ConfigError, DeviceError, LineError
from config.reading_site import read_site_text
from config.series import Flag, Reason, Series
from config.site import DeviceTable, SiteDevice
from config.table import Table
from drivers.driver import Group, Heard, Pause, Trouble, Wire
from drivers.duty import Cycle, Duty
from drivers.lines import serial
from drivers.order import Order
from drivers.protocols import shdlc
from drivers.reading import Batch, Delivery, Readings, Stamp
from drivers.resting import RestingTold, marked
from drivers.resting_asked import RestingAsked
from gateway.building import Builder
from gateway.checking.check import prove
from gateway.clock import SystemClock
from gateway.gap_ledger import gaps_between
from gateway.health import LineHealth
from gateway.listener import Listener
from gateway.plugins import Plugins
from gateway.wiring import Expected

DUTY = Duty(300.0, 30.0, 30.0)
PROFILES = {"sds011": "nova_sds011", "plantower": "plantower_pms5003"}


class Station:
    """A sleepy sensor, its driver and a core; `live` lets seconds pass, one frame each while it is awake."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.sensor, self.kind = SleepySensor(kind), kind
        plain = site()
        devices = {"probe": SiteDevice(common=DeviceTable(profile="x", line="l", station="st"), options=Table())}
        stations = {"st": plain.stations["river"]}
        self.begin()
        expected = [Expected(series, period_s, True) for series, period_s in self.driver.expected()]
        made = plain.model_copy(update={"devices": devices, "stations": stations})
        self.house = House(folder, made, TurnedClock(NOON), expected)
        self.pm2_5 = next(e.series for e in expected if e.series.quantity == "pm2_5")

    def begin(self) -> None:
        """The driver, anew."""
        self.driver = RestingTold(field_devices.told(PROFILES[self.kind]), Cycle(DUTY))
        self.driver.begin()

    def live(self, seconds: int) -> None:
        house = self.house
        for _ in range(seconds):
            house.clock.forward(1)
            now = house.clock.now()
            said = self.driver.direct(now)
            if said.words:
                self.sensor.obey(said.words)
            piece = self.sensor.second()
            heard = tuple(self.driver.hear(Heard("", piece, now))) if piece else ()
            batches = (*said.batches, *heard)
            if batches:
                house.intake.deliver(Delivery("l", batches), 0)
            house.turn()

    def rows(self, **which: object):
        with self.house.reader() as reader:
            table = reader.series()
            return reader.rows_of_series(table.index(self.pm2_5._replace(**which)), 0, 2**62, 100_000)

    def ledger(self):
        with self.house.reader() as reader:
            return gaps_between(reader, 0, 2**62, [reader.series().index(self.pm2_5)])


@pytest.mark.parametrize("kind", PROFILES)
def test_it_sleeps_most_of_the_time_and_means_hold_what_it_measured_when_ready(tmp_path, kind):
    station = Station(tmp_path / "journal", kind)
    station.live(3720)
    rows = station.rows()
    good = rows.value[rows.flag == Flag.GOOD]
    assert set(good.tolist()) == {20.0}
    assert len(good) == pytest.approx(13 * 30, abs=14)
    early = rows.value[rows.reason == Reason.WARMING]
    assert 900.0 in early.tolist(), "kept all the same"
    assert set(rows.flag[rows.reason == Reason.WARMING].tolist()) == {Flag.FAIL}
    assert station.sensor.awake_in_all_s <= 13 * 62, "asleep four fifths of the time"
    hour = station.rows(statistic="mean", period_s=3600)
    assert [(value, flag) for value, flag in zip(hour.value.tolist(), hour.flag.tolist(), strict=True)] == [(20.0, Flag.GOOD)]
    with station.house.reader() as reader:
        assert reader.alerts(10) == []
    gaps = station.ledger()
    assert {gap.words for gap in gaps if gap.since > NOON + 60 * S} == {"duty cycle"}
    assert [round((gap.until - gap.since) / S) for gap in gaps[1:]] == pytest.approx([271] * 12, abs=3)
    station.house.kill()


@pytest.mark.parametrize("seconds", [10, 45, 100])
def test_a_kill_anywhere_in_the_cycle_lets_no_cold_value_count(tmp_path, seconds):
    station = Station(tmp_path / "journal", "sds011")
    station.live(300 + seconds)
    station.begin()
    station.house.again()
    station.live(900)
    rows = station.rows()
    assert set(rows.value[rows.flag == Flag.GOOD].tolist()) == {20.0}
    assert station.sensor.awake_in_all_s < 350, "after the kill it is awake for a whole turn again, once"
    station.house.kill()


def test_a_word_that_is_lost_is_said_again_and_the_time_to_get_ready_begins_anew(tmp_path):
    station = Station(tmp_path / "journal", "sds011")
    station.live(280)
    station.sensor.deaf = 2
    station.live(200)
    rows = station.rows()
    assert set(rows.value[rows.flag == Flag.GOOD].tolist()) == {20.0}
    assert len(station.sensor.heard) == 6, "wake, sleep, three times wake, sleep"
    assert all(len(words) <= 19 for words in station.sensor.heard)
    station.house.kill()


def test_one_that_goes_on_speaking_is_told_again_to_sleep_and_not_believed(tmp_path):
    station = Station(tmp_path / "journal", "plantower")
    station.live(20)
    station.sensor.deaf = 3
    station.live(70)
    rows = station.rows()
    assert Reason.RESTING in rows.reason.tolist()
    assert set(rows.flag[rows.reason == Reason.RESTING].tolist()) == {Flag.FAIL, Flag.MISSING}
    assert station.sensor.awake_s is None
    station.house.kill()


def test_a_dead_one_is_missed_as_any_other(tmp_path):
    station = Station(tmp_path / "journal", "sds011")
    station.live(400)
    station.sensor.second = lambda: b""  # type: ignore[method-assign]
    station.live(1200)
    with station.house.reader() as reader:
        assert [alert["rule"] for alert in reader.alerts(10)] != []
    station.house.kill()


class Sps30Line:
    """An SPS30 with a duty cycle on a polled line, in virtual time."""

    def __init__(self, duty: Duty, interval_s: float) -> None:
        self.sensor = SleepySps30()
        self.driver = RestingAsked(field_devices.asked("sensirion_sps30", interval_s=interval_s), Cycle(duty))
        self.line = Line(probe=lambda clock, name: self.driver)  # type: ignore[arg-type,return-value]
        self.line.health = LineHealth("bus", "serial", {"probe": "st"})
        self.line.begin_anew(lambda note: None)
        self.line.line.wire.respond = self.respond
        self.is_dead, self.awake_s = False, 0

    def respond(self, request: bytes) -> tuple[float, bytes] | None:
        answer = None if self.is_dead else self.sensor(request)
        return None if answer is None else (0.01, answer)

    def reasons(self) -> str:
        return bytes(reason for batch in self.batches() for reason in batch.reason.tolist()).decode()

    def batches(self):
        return [batch for delivery in self.line.taker.taken for batch in delivery.batches]


def test_an_sps30_is_put_to_sleep_and_started_again_on_a_line_of_its_own():
    made = Sps30Line(DUTY, 10.0)
    (group,) = made.driver.groups()
    assert (group.interval_s, group.expected_s) == (10.0, 300.0)
    asleep = 0
    for _ in range(3600):
        made.line.run_for(1)
        asleep += made.sensor.asleep
    assert asleep >= 3600 * 0.78
    reasons = made.reasons()
    assert set(reasons) == {"w", "N", "y"}
    assert reasons.count("N") == 12 * 3 * 3
    assert reasons.count("y") == 12 * 3, "one row a series and night"
    first = [(batch.stamp.mono_ns - made.line.start_ns) / S % 300 for batch in made.batches() if Reason.NORMAL in batch.reason.tolist()][::3]
    assert first == pytest.approx([30.0] * 12, abs=0.6), "asked as soon as it is ready"


@pytest.mark.parametrize(("spoil", "state", "cleaned"), [("", "done", 1), ("silent", "unknown", 1), ("noise", "unknown", 1), ("stopped", "failed", 0),
])
def test_an_sps30_blows_its_fan_clean_when_told_and_never_twice(spoil, state, cleaned):
    sensor = SleepySps30()
    sensor.started = spoil != "stopped"

    def respond(request: bytes) -> tuple[float, bytes] | None:
        answer = sensor(request)
        assert answer is not None
        return None if spoil == "silent" else (0.01, answer[:2] + b"\x55" + answer[3:] if spoil == "noise" else answer)

    made = field_devices.device("sensirion_sps30")
    driver = shdlc.Driver(replace(made, may_obey=True))
    assert shdlc.Driver(made).verbs == {}, "only where the site file allows it"
    outcome = driver.obey(Order("clean"), VirtualWire(VirtualClock(), respond))
    assert (outcome.state, sensor.cleaned) == (state, cleaned)
    with pytest.raises(ValueError, match="knows no wipe"):
        driver.check(Order("wipe"))


def test_the_poller_takes_sleep_neither_for_an_answer_nor_for_a_failure():
    line = Line(probe=every(10))
    device = line.devices["probe"]
    awake = device.poll
    device.poll = lambda group, wire: marked(awake(group, wire), Reason.NORMAL)
    resting = RestingAsked(device, Cycle(Duty(100.0, 20.0)), Always())
    line.devices["probe"] = resting  # type: ignore[assignment]
    line.begin_anew(lambda note: None)
    line.run_for(1000)
    reasons = bytes(reason for _, _, reason in line.taker.rows("probe")).decode()
    assert reasons.strip("y").replace("NNy", "") in ("", "N", "NN")
    assert reasons.count("y") == 10
    assert line.view("probe")["state"] == "good"


class Always:
    """A supply that is as it is wanted `later_s` after it is told; keeps when it was told."""

    def __init__(self, clock: VirtualClock | None = None, later_s: float = 0.0) -> None:
        self.clock, self.later_ns = clock, round(later_s * 1e9)
        self.told: list[tuple[float, bool]] = []
        self.wanted: bool | None = None
        self.trouble: Trouble | None = None
        self.begun_ns = clock.mono_ns if clock else 0

    def turn(self, on: bool) -> None:
        if self.wanted is not on:
            self.wanted = on
            self.told.append(((self.clock.mono_ns - self.begun_ns) / S if self.clock else 0.0, on))

    @property
    def is_on(self) -> bool | None:
        late = self.clock is not None and self.clock.mono_ns - self.begun_ns - self.told[-1][0] * S < self.later_ns
        return None if late else self.wanted


def rested(interval_s: float, duty: Duty, later_s: float = 0.0, others: int = 0) -> tuple[Line, Device, Always]:
    """A line with one resting device behind a supply, and `others` that are always awake."""
    made: list[tuple[Device, Always]] = []

    def make(clock: VirtualClock, name: str) -> RestingAsked:
        made.append((Device(clock, name, interval_s), Always(clock, later_s)))
        return RestingAsked(made[0][0], Cycle(duty), made[0][1])

    line = Line(probe=make, **{f"d{n}": every(10) for n in range(others)})  # type: ignore[arg-type]
    return line, *made[0]


def good_times(line: Line) -> list[float]:
    return [(at - line.start_ns) / S for at, _, reason in line.taker.rows("probe") if reason == Reason.NORMAL]


INTERVALS = ((300, Duty(3600, 300, 60)), (120, Duty(900, 120, 60)), (60, Duty(600, 90, 30)), (60, Duty(900, 60, 60)), (300, Duty(600, 60, 30)),
             (45, Duty(100, 20, 10)), (7, Duty(60, 10, 5)), (3600, Duty(600, 5, 30, 15)))


@pytest.mark.parametrize(("interval_s", "duty", "later_s"), [
    (interval_s, duty, later_s) for interval_s, duty in INTERVALS for later_s in (0.2, 20.0) if later_s < duty.awake_s], ids=str)
def test_every_cycle_gives_values_from_the_moment_it_is_ready_whatever_its_interval(interval_s, duty, later_s):
    line, _, supply = rested(interval_s, duty, later_s)
    line.run_for(10 * duty.every_s - 1)
    ready = [cycle * duty.every_s + later_s + duty.ready_s for cycle in range(10)]
    expected = [at + n * interval_s for at in ready for n in range(-int(-duty.on_s // interval_s))]
    assert good_times(line) == pytest.approx(expected, abs=0.6)
    off = [at for at, on in supply.told if not on]
    ends = [max(at + duty.on_s, cycle * duty.every_s + duty.awake_s) for cycle, at in enumerate(ready)]
    assert off == pytest.approx(ends, abs=0.6), "as long as it should, also behind a slow supply"


def test_one_that_is_given_up_costs_nothing_while_it_sleeps_and_its_supply_is_switched_in_time():
    line, device, supply = rested(10, Duty(600, 120, 30), 0.3, others=1)
    device.fault = DeviceError("no answer", "silent")
    steps = 0
    until = line.clock.mono_ns + 1799 * S
    while line.clock.mono_ns < until:
        wait_s = line.poller.step(line.stop)
        line.clock.go_on(max(wait_s, 1e-4))
        steps += 1
    assert steps < 1200, "a few steps a minute"
    assert [at for at, _ in supply.told] == pytest.approx([0, 150, 600, 750, 1200, 1350], abs=0.6)
    assert not [at for at in device.polled if (at - line.start_ns) / S % 600 > 151], "nobody asks one that sleeps"
    assert 0 < line.view("probe")["retry_s"] <= 2, "at 1800 s, when it wakes"
    assert line.view("probe")["state"] == "silent"
    device.fault = None
    line.run_for(60)
    assert good_times(line)[0] == pytest.approx(1830, abs=0.6)


def test_one_that_is_deaf_while_it_starts_gives_all_its_values_in_its_time_all_the_same():
    """Two groups, one with an interval far longer than it is on. When it is ready it was given up, and is not tried at once."""
    line, device, _ = rested(600, Duty(600, 20, 60))
    slow, quick = device.groups()[0], Series("st", "probe", "ec")
    line.devices["probe"]._groups = (slow, replace(slow, name="quick", interval_s=5.0, line_time_s=0.01, series=(quick,)))  # type: ignore[attr-defined]

    def poll(group: Group, wire: Wire) -> Batch:
        line.clock.go_on(0.02)
        if (line.clock.mono_ns - line.start_ns) / S % 600 < 59.5:
            line.clock.go_on(0.5)
            raise DeviceError("no answer", "silent")
        readings = Readings(line.clock.now())
        readings.add(group.series[0], 7.0, Reason.NORMAL)
        return readings.batch()

    device.poll = poll  # type: ignore[method-assign]
    line.begin_anew(lambda note: None)
    line.run_for(59.4)
    line.poller._given_up._not_before_ns = line.clock.mono_ns + 5 * S
    line.run_for(500)
    good = [batch.series[0] for delivery in line.taker.taken for batch in delivery.batches if Reason.NORMAL in batch.reason.tolist()]
    assert good.count(slow.series[0]) == 1, "its slot came while it was given up, and it is asked all the same"
    assert good.count(quick) >= 3


def test_a_lost_line_does_not_keep_a_supply_on():
    line, _, supply = rested(10, Duty(600, 60))
    line.run_for(30)
    line.line.broken = "not there"
    line.devices["probe"]._driver.fault = LineError("cannot read")  # type: ignore[attr-defined]
    line.run_for(100)
    assert supply.told[-1] == (pytest.approx(60, abs=0.6), False)
    assert Reason.LINE in [reason for _, _, reason in line.taker.rows("probe")]


def test_a_measurement_that_has_begun_is_finished_before_its_device_sleeps():
    line, device, supply = rested(600, Duty(600, 5, 10))
    poll = device.poll
    device.poll = lambda group, wire: Pause(20.0, lambda later: poll(group, later))  # type: ignore[method-assign,assignment,return-value]
    line.run_for(599)
    assert good_times(line) == pytest.approx([20], abs=0.1), "it was ready while it measured"
    assert supply.told[1] == (pytest.approx(20, abs=0.1), False)


def test_a_command_to_sleep_that_is_not_heard_is_said_and_given_again_ever_more_rarely():
    made = Sps30Line(Duty(3600, 30, 0), 20.0)
    made.line.run_for(25)
    made.is_dead = True
    made.line.run_for(600)
    view = made.line.view("probe")
    assert (view["state"], view["causes"]) == ("failing", {"sleep": 1})
    assert str(view["words"]).startswith("it does not go to sleep: no answer")
    assert 3 <= len([at for at, data in made.line.line.wire.sent if at - made.line.start_ns > 26 * S]) <= 9
    made.is_dead = False
    made.line.run_for(700)
    assert made.sensor.asleep
    assert made.line.view("probe")["words"] == ""


def test_a_device_that_cannot_be_woken_has_failed_its_polls_and_is_given_up():
    made = Sps30Line(Duty(600, 60, 30), 10.0)
    made.is_dead = True
    made.line.run_for(89)
    assert made.line.view("probe")["state"] == "silent"
    assert made.reasons().strip("d") == ""
    made.line.run_for(1000)
    assert set(made.reasons()) == {"d", "y"}
    made.is_dead = False
    made.line.run_for(600)
    assert made.reasons().rstrip("y").rstrip("N").endswith("w"), "found again, and believed only when it is ready"
    assert "N" in made.reasons()


def test_the_line_carries_the_words_to_a_real_port(tmp_path):
    far = field_devices.FarEnd(tmp_path / "port", lambda request: None)
    far.plug()
    clock, taken, stop = SystemClock("plausible", 0), [], Event()
    driver = RestingTold(field_devices.told("nova_sds011"), Cycle(Duty(3600.0, 3500.0, 0.0)))
    driver._cycle.wants_awake = lambda now: False  # type: ignore[method-assign]
    line = serial.Line("l", serial.Options(port=str(tmp_path / "port"), baudrate=9600), str)
    health = LineHealth("l", "serial", {"probe": "st"})

    def deliver(delivery: Delivery, wait_s: float) -> bool:
        taken.append(delivery)
        return True

    listener = Listener("l", line, {"probe": driver}, clock, deliver, health)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    until = time.monotonic() + 5
    while not (b"".join(far.heard) and taken) and time.monotonic() < until:
        time.sleep(0.02)
    stop.set()
    thread.join()
    far.pull()
    assert b"".join(far.heard) == bytes.fromhex("aa b4 06 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 05 ab")
    (batch,) = taken[0].batches
    assert set(batch.reason.tolist()) == {Reason.RESTING}


def test_the_cycle_stands_on_utc_and_is_laid_anew_when_the_clock_is_set():
    cycle = Cycle(DUTY)
    begin = NOON // S
    states = [cycle.wants_awake(Stamp("b", (1000 + s) * S, (begin + s) * S)) for s in (0, 59, 60, 299, 300, 359, 360)]
    assert states == [True, True, False, False, True, True, False]
    assert cycle.wants_awake(Stamp("b", 1600 * S, (begin + 600 - 1) * S)) is True, "a moment changes nothing"
    assert cycle.wants_awake(Stamp("b", 1601 * S, (begin + 775) * S)) is False
    assert cycle.next_ns(Stamp("b", 1601 * S, (begin + 775) * S)) == 1726 * S, "at :15 of the true hour"
    assert cycle.wants_awake(Stamp("b", 1726 * S, (begin + 900) * S)) is True


SITE = """
[stations.river]
[lines.usb]
kind = "serial"
port = "/dev/serial/by-path/x"
[devices]
dust = { profile = "nova_sds011", ready = "30 s", duty = { every = "5 min", on = "30 s" } }
"""


def built(tmp_path, text=SITE):
    (tmp_path / "site.toml").write_text(text)
    from gateway.building import load_site

    return Builder(load_site(tmp_path / "site.toml"))


def test_the_site_file_makes_it_so(tmp_path):
    build = built(tmp_path)
    (driver,) = build.drivers("usb").values()
    assert isinstance(driver, RestingTold)
    assert {period for _, period in driver.expected()} == {300.0}
    assert build.expected_s("dust") == 300.0


@pytest.mark.parametrize(("old", "new", "words"), [
    ('on = "30 s"', 'on = "300 s"', "no time for sleep"), ('ready = "30 s"', 'ready = "280 s"', "no time for sleep"),
    ('profile = "nova_sds011"', 'profile = "plantower_pms3003"', "knows no word for sleep"),
    ('port = "/dev/serial/by-path/x"', 'port = "/dev/serial/by-path/x"\nmode = "listen"', "needs a line that it can be told on"),
    ('every = "5 min"', 'every = "1 s"', "every")])
def test_a_duty_that_cannot_be_is_refused(tmp_path, old, new, words):
    with pytest.raises((ConfigError, ValueError), match=words):
        built(tmp_path, SITE.replace(old, new)).drivers("usb")


def test_check_says_what_is_wrong_with_it(tmp_path):
    file = read_site_text(SITE, Plugins())
    assert file.devices["dust"].common.duty is not None
    (tmp_path / "site.toml").write_text(SITE.replace('ready = "30 s"', 'ready = "280 s"'))
    from gateway.building import load_site

    with pytest.raises(ConfigError, match="no time for sleep"):
        prove(load_site(tmp_path / "site.toml"))
