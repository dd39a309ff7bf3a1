"""A line keeps its timetable whatever its devices do. Virtual time: no thread, no waiting."""

import itertools
import logging
import math
from collections.abc import Callable
from itertools import pairwise
from threading import Event

import modbus_devices
import pytest
from polled import MS, Device, House, S, every, pausing
from virtual import START_UTC_NS, Taker, VirtualClock, VirtualLine, VirtualWire

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.codecs.modbus import seal
from drivers.lines import tcp_server
from drivers.simulated.modbus import SimulatedDevice, TableSource
from gateway.health import LineHealth
from gateway.poller import Poller


def test_polls_start_at_once_and_then_stay_on_whole_intervals_of_utc():
    house = House(a=every(5))
    house.clock.utc_ns = START_UTC_NS + 1_700 * MS
    house.poller = Poller("bus", house.line, house.devices, house.clock, house.taker, house.health)
    house.devices["a"].on_poll = lambda: house.clock.go_on(0.3)
    house.run_for(60)
    assert house.at("a")[:4] == [0.0, 3.3, 8.3, 13.3]
    assert all(math.isclose((at + 1.7) % 5, 0, abs_tol=1e-6) for at in house.at("a")[1:])
    assert house.view("a")["late"] == 0


@pytest.mark.parametrize("step_s", [3_333, -3_333, 86_401.5, 2.1])
def test_a_clock_that_is_set_moves_the_timetable_once_to_whole_intervals_and_no_poll_comes_twice(step_s):
    house = House(a=every(5), b=every(60))
    house.run_for(123.4)
    house.clock.utc_ns += round(step_s * S)
    house.run_for(300)
    polls = house.at("a")
    late = [(START_UTC_NS + round((at + step_s) * S)) % (5 * S) / S for at in polls if at > 123.4]
    assert max(late[1:]) < 0.05, "only the poll whose interval passed with the step may be late"
    gaps = [b - a for a, b in pairwise(polls) if not math.isclose(b - a, 5.0, abs_tol=0.03)]
    assert len(gaps) in (1, 2)
    assert all(2.5 <= gap <= 7.5 for gap in gaps)
    assert house.view("a")["late"] == house.view("b")["late"] == 0
    assert len(house.at("b")) in (7, 8)


@pytest.mark.parametrize("step_s", [0.3, -1.9])
def test_a_clock_that_is_set_by_a_moment_moves_nothing(step_s):
    house = House(a=every(5))
    house.run_for(11)
    house.clock.utc_ns += round(step_s * S)
    house.run_for(20)
    assert house.at("a") == [5.0 * i for i in range(7)]


def test_the_timetable_is_aligned_once_more_when_the_clock_is_believed_for_the_first_time():
    house = House(a=every(60))
    unsure = house.clock.now
    house.clock.utc_ns += 17 * S  # what it shows at first is nearly true
    house.clock.now = lambda: unsure()._replace(sure=house.clock.mono_ns - house.start_ns > 100 * S)  # type: ignore[method-assign]
    house.begin_anew(lambda note: None)
    house.run_for(99)
    house.clock.utc_ns -= S
    house.run_for(250)
    assert house.at("a") == pytest.approx([0, 43, 104, 164, 224, 284, 344], abs=0.1)


def test_polls_that_do_not_fit_are_left_out_whole_and_counted_and_the_phase_is_kept():
    house = House(a=every(1, takes_s=2.5))
    house.run_for(30)
    gaps = [b - a for a, b in zip(house.at("a"), house.at("a")[1:], strict=False)]
    assert all(gap in (2.5, 2.0, 3.0) for gap in gaps)
    polls, late = len(house.at("a")), house.view("a")["late"]
    assert polls + late == pytest.approx(30, abs=3)
    assert house.health.line()["late"] == late


def test_an_overloaded_line_serves_all_devices_alike():
    house = House(**{f"d{i}": every(1, takes_s=0.3) for i in range(10)})
    house.run_for(60)
    counts = [len(device.polled) for device in house.devices.values()]
    assert max(counts) - min(counts) <= 2  # who answered first is asked once more before all the others have been
    assert sum(counts) == pytest.approx(200, abs=3)


def test_a_line_full_of_dead_devices_reads_the_living_one_in_time_also_before_they_are_given_up():
    house = House(living=every(1, 0.03), **{f"d{i}": every(60) for i in range(246)})
    for name, device in house.devices.items():
        device.fault = None if name == "living" else DeviceError("no answer", "silent")
    house.run_for(400)
    waits = [later - now for now, later in zip(house.at("living"), house.at("living")[1:], strict=False)]
    assert max(waits) < 2
    assert sum(len(device.polled) for device in house.devices.values()) > 246 * 3


def test_a_device_that_failed_is_not_starved_by_a_full_line():
    house = House(**{f"d{i}": every(1, takes_s=0.3) for i in range(10)})
    house.devices["d4"].fault = DeviceError("cut off", "short")
    house.run_for(20)
    house.devices["d4"].fault = None
    house.run_for(100)
    counts = [len([at for at in house.at(name) if at > 60]) for name in house.devices]
    assert max(counts) - min(counts) <= 2


def test_bytes_after_every_answer_are_a_second_device_with_the_same_address():
    house = House(a=every(1, priority=2), b=every(1))
    house.devices["a"].on_poll = lambda: house.line.wire.pending.append((house.clock.mono_ns + 60 * MS, b"second"))
    house.run_for(2.5)
    assert house.view("a")["words"] == "", "twice may be noise"
    house.run_for(10)
    assert "have two devices this address?" in str(house.view("a")["words"])
    assert house.view("b")["words"] == ""
    assert house.health.line()["causes"]["unasked"] >= 10
    house.devices["a"].on_poll = lambda: None
    house.run_for(5)
    assert house.view("a")["words"] == ""


def test_who_is_silent_behind_a_modem_takes_no_time_from_the_others():
    """What it owes can come for 20 s; unit 2 is silent, unit 1 is asked every 10 s all the same."""
    of = tcp_server.Options.model_validate({"registration": "x"})
    clock = VirtualClock()
    wire = VirtualWire(clock, lambda request: (0.4, seal(bytes([1, 3, 2, 0, 7]))) if request[0] == 1 else None)
    drivers = {f"u{unit}": modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}), of, name=f"u{unit}", address=unit, interval_s=10.0)
               for unit in (2, 1)}
    taker = Taker(clock)
    poller = Poller("weir", VirtualLine(wire), drivers, clock, taker, LineHealth("weir", "tcp_server", dict.fromkeys(drivers, "st")), seed=1)
    until_ns = clock.mono_ns + 300 * S
    while clock.mono_ns < until_ns:
        clock.go_on(min(1.0, poller.step(Event())) or 0.0001)
    asked = [ns for ns, request in wire.sent if request[0] == 1]
    assert max(later - now for now, later in itertools.pairwise(asked)) < 15 * S
    assert len(asked) >= 29
    assert sum(request[0] == 2 for _, request in wire.sent) >= 5


def test_higher_priority_is_read_first_when_several_are_due():
    house = House(a=every(10), b=every(10), urgent=every(10, priority=0))
    house.run_for(1)
    assert house.at("urgent")[0] < house.at("a")[0] < house.at("b")[0]


def test_higher_priority_goes_before_what_has_waited_longer():
    house = House(a=every(1, takes_s=0.4), b=every(1, takes_s=0.4), c=every(1, takes_s=0.4), urgent=every(1, takes_s=0.1, priority=0))
    house.run_for(30)
    assert len(house.at("urgent")) >= 30
    assert max(at % 1 for at in house.at("urgent")) <= 0.45, "it waits for the poll that is under way, and for no other"


def test_a_dead_device_does_not_delay_the_others():
    house = House(**{f"d{i}": every(1) for i in range(8)})
    house.devices["d3"].fault = DeviceError("no answer")
    house.run_for(600)
    for name, device in house.devices.items():
        if name != "d3":
            late_s = [(ns - house.start_ns) % S / S for ns in device.polled]
            assert len(device.polled) >= 598
            assert sum(late > 0.2 for late in late_s) <= 20, "only the slots that met one of the few probes may be late"
            assert house.view(name)["late"] == 0
    spent_s = 0.5 * len(house.devices["d3"].polled)
    assert spent_s / 600 < 0.03


def test_a_dead_device_says_nothing_of_its_namesake_on_another_line():
    """Two lines, each with a device of address 1: one line's is dead. An address means something on its own line only."""
    clock, stop, taken, health = VirtualClock(), Event(), {}, {}
    living = SimulatedDevice(1, TableSource({0: 7}))
    pollers = {}
    for name, interval_s in (("dead", 1.0), ("living", 30.0)):
        def respond(request: bytes, name: str = name) -> tuple[float, bytes] | None:
            reply = living.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu)) if name == "living" else None
            return (reply.delay_s, reply.frame) if reply else None

        driver = modbus_devices.driver(modbus_devices.profile({"ph": {"register": 0}}), name=name, interval_s=interval_s, address=1)
        taken[name], health[name] = Taker(clock), LineHealth(f"line {name}", "serial", {name: "st"})
        pollers[name] = Poller(f"line {name}", VirtualLine(VirtualWire(clock, respond)), {name: driver}, clock, taken[name], health[name], seed=1)
    until = clock.mono_ns + 300 * S
    while clock.mono_ns < until:
        clock.go_on(min(poller.step(stop) for poller in pollers.values()))
    assert [raw for _, raw, _ in taken["living"].rows("living")] == [7.0] * 10
    assert health["living"].line()["errors"] == 0
    assert health["dead"].devices(clock.mono_ns)[0]["state"] == "silent"


def test_a_dead_device_is_missing_once_a_minute_from_its_first_failure_on():
    house = House(a=every(5), b=every(5))
    house.devices["a"].fault = DeviceError("no answer")
    house.run_for(299)
    rows = house.taker.rows("a")
    assert all(math.isnan(raw) and reason == Reason.DEVICE for _, raw, reason in rows)
    assert [round((ns - house.start_ns) / S) for ns, _, _ in rows] in ([0, 60, 120, 180, 240], [1, 60, 120, 180, 240])
    assert len(house.taker.rows("b")) == 60
    assert house.view("a")["state"] == "silent"
    assert house.view("a")["causes"] == {"silent": len(house.devices["a"].polled)}


def test_what_is_likely_wrong_and_when_it_is_tried_again_stands_in_the_status_and_in_the_log(caplog):
    house = House(a=every(5))
    house.devices["a"].fault = DeviceError("meter 12 answered instead of 13", "wrong")
    with caplog.at_level(logging.WARNING, "gateway.poller"):
        house.run_for(60)
    words = "meter 12 answered instead of 13: two devices with one address"
    assert house.view("a")["words"].startswith(words)
    assert words in caplog.text
    assert 0 < house.view("a")["retry_s"] <= 58
    house.devices["a"].fault = None
    house.run_for(60)
    assert (house.view("a")["words"], house.view("a")["retry_s"]) == ("", None)


def test_a_device_that_says_that_it_is_busy_is_not_given_up_and_its_value_is_there_soon_after():
    house = House(a=every(5), b=every(5))
    house.run_for(2)
    busy = house.devices["a"]
    busy.fault, busy.timeout_s = DeviceError("exception 6 (busy)", "busy"), 0.02
    house.run_for(60)
    assert house.view("a")["state"] == "failing"
    assert "interval gives it" in house.view("a")["words"]
    assert house.view("a")["causes"] == {"busy": len(busy.polled) - 1}
    assert [round(at, 1) % 5 for at in house.at("b")] == [0.0] * len(house.at("b")), "the others keep their timetable"
    busy.fault, ended_ns = None, house.clock.mono_ns
    house.run_for(10)
    assert min(ns for ns, raw, _ in house.taker.rows("a") if ns > ended_ns and not math.isnan(raw)) - ended_ns < 5.2 * S


def test_a_device_that_is_busy_is_asked_again_a_few_times_in_a_long_slot_and_missing_only_then():
    house = House(a=every(60))
    house.devices["a"].fault = DeviceError("exception 5", "busy")
    house.devices["a"].timeout_s = 0.0
    house.run_for(59)
    assert house.at("a") == [0.0, 1.0, 3.0, 7.0]
    assert [(round((ns - house.start_ns) / S), chr(reason)) for ns, _, reason in house.taker.rows("a")] == [(7, "d")]
    house.run_for(3)
    house.devices["a"].fault = None
    house.run_for(10)
    assert house.at("a")[4:] == [60.0, 61.0, 63.0]
    assert [math.isnan(raw) for _, raw, _ in house.taker.rows("a")] == [True, False]


def test_a_device_that_was_given_up_and_says_that_it_is_busy_is_back():
    house = House(a=every(5))
    house.devices["a"].fault = DeviceError("no answer")
    house.run_for(60)
    assert house.view("a")["state"] == "silent"
    house.devices["a"].fault = DeviceError("exception 6 (busy)", "busy")
    house.run_for(60)
    assert (house.view("a")["state"], house.view("a")["retry_s"]) == ("failing", None)


def test_a_slow_dead_device_is_missing_at_each_due_time():
    house = House(a=every(300))
    house.devices["a"].fault = DeviceError("no answer")
    house.run_for(1499)
    assert len(house.taker.rows("a")) == 5


def test_a_device_that_returns_is_read_again_within_a_minute():
    house = House(**{f"d{i}": every(1) for i in range(4)})
    dead = house.devices["d0"]
    dead.fault = DeviceError("no answer")
    house.run_for(3600)
    dead.fault = None
    back_ns = house.clock.mono_ns
    house.run_for(90)
    good = [ns for ns, raw, _ in house.taker.rows("d0") if not math.isnan(raw)]
    assert good[0] - back_ns <= 60 * S
    assert len(good) >= 30
    assert house.view("d0")["state"] == "good"


def test_all_dead_devices_together_take_a_capped_share_of_the_line():
    house = House(alive=every(1), **{f"d{i}": every(1) for i in range(30)})
    for name, device in house.devices.items():
        device.fault = None if name == "alive" else DeviceError("no answer")
    house.run_for(120)
    before = sum(len(d.polled) for n, d in house.devices.items() if n != "alive")
    alive = len(house.devices["alive"].polled)
    house.run_for(600)
    probes = sum(len(d.polled) for n, d in house.devices.items() if n != "alive") - before
    assert 0.5 * probes / 600 <= 0.11
    assert len(house.devices["alive"].polled) - alive >= 598


def test_a_flapping_device_keeps_what_it_gives():
    house = House(a=every(1))
    device = house.devices["a"]

    def flap() -> None:
        device.fault = DeviceError("noise", "noise") if len(device.polled) % 3 else None

    device.on_poll = flap
    house.run_for(60)
    assert len([1 for _, raw, _ in house.taker.rows("a") if raw == 7.0]) == 20
    assert house.view("a")["state"] != "silent"


def test_a_lost_line_makes_all_its_series_missing_and_is_opened_again_by_name():
    house = House(a=every(5), b=every(5))
    house.run_for(12)
    house.line.broken = "/dev/serial/by-path/x is not there"
    house.devices["a"].fault = house.devices["b"].fault = LineError("cannot read: Input/output error")
    opened = len(house.line.opened)
    house.run_for(130)
    for name in ("a", "b"):
        reasons = [reason for _, raw, reason in house.taker.rows(name) if math.isnan(raw)]
        assert reasons == [Reason.LINE] * 3
        assert house.view(name)["state"] == "unreachable"
    assert house.health.line()["state"] == "lost"
    assert "not there" in house.health.line()["words"]
    gaps = [(b - a) / S for a, b in zip(house.line.opened[opened:], house.line.opened[opened + 1 :], strict=False)]
    assert max(gaps) <= 4.8
    assert not house.line.is_open

    house.line.broken = ""
    house.devices["a"].fault = house.devices["b"].fault = None
    house.run_for(10)
    assert house.health.line()["state"] == "open"
    assert [raw for _, raw, _ in house.taker.rows("a")[-2:]] == [7.0, 7.0]


def test_a_line_that_has_worked_is_opened_again_at_once():
    house = House(a=every(1))
    house.run_for(3)
    device = house.devices["a"]
    device.fault = LineError("the other side closed the line")
    device.on_poll = lambda: setattr(device, "fault", None if len(device.polled) > 4 else device.fault)
    house.run_for(3)
    assert house.line.opened[1] - house.devices["a"].polled[3] <= 0.1 * S


def test_each_loss_of_the_line_begins_with_short_waits_again():
    house = House(a=every(1))
    device = house.devices["a"]
    for _ in range(3):
        house.line.broken, device.fault = "not there", LineError("cannot read")
        house.run_for(60)
        house.line.broken, device.fault = "", None
        house.run_for(10)
    house.line.broken, device.fault = "not there", LineError("cannot read")
    tried = len(house.line.opened)
    house.run_for(5)
    assert len(house.line.opened) - tried >= 4


def test_one_device_that_breaks_the_connection_does_not_take_the_others_with_it():
    house = House(a=every(1), b=every(1), killer=every(1))
    house.devices["killer"].fault = LineError("the other side closed the line")
    house.run_for(120)
    for name in ("a", "b"):
        assert len([1 for _, raw, _ in house.taker.rows(name) if raw == 7.0]) >= 115
    assert len(house.devices["killer"].polled) < 15


def test_a_full_queue_makes_the_next_polls_late_and_loses_nothing():
    house = House(a=every(1))
    house.run_for(5)
    house.taker.full = True
    device = house.devices["a"]
    fullness = iter(range(25))
    house.poller._onward._deliver = lambda delivery, wait_s: house.taker(delivery, wait_s) or (next(fullness, None) is None and _open(house))
    house.run_for(10)
    assert house.view("a")["late"] in (4, 5)
    assert len(house.taker.rows("a")) == len(device.polled)


def _open(house: House) -> bool:
    house.taker.full = False
    return False


def test_what_was_read_is_handed_over_within_two_seconds_of_the_stop_or_counted():
    house = House(a=every(1))
    house.run_for(0.5)
    house.taker.full = True
    house.stop.set()
    began_ns = house.clock.mono_ns
    house.poller._take(house.poller._turns.all[0], house.clock.mono_ns, house.stop)
    assert house.clock.mono_ns - began_ns <= 2.1 * S
    assert house.health.line()["causes"] == {"dropped": 1}


def test_a_poll_cut_short_by_the_stop_is_no_failure_of_the_device():
    house = House(a=every(1))
    house.run_for(2.5)
    taken = len(house.taker.taken)
    house.devices["a"].fault = DeviceError("no answer")
    house.devices["a"].on_poll = house.stop.set
    house.run_for(1)
    assert len(house.taker.taken) == taken
    assert house.view("a")["errors"] == 0


def test_a_line_that_cannot_be_opened_at_the_start_is_missing_at_once():
    house = House(a=every(5))
    house.line.broken = "in use by another program"
    house.run_for(4)
    assert [reason for _, _, reason in house.taker.rows("a")] == [Reason.LINE]
    assert house.health.line()["words"] == "in use by another program"


def test_a_device_that_asks_for_time_gets_it_and_the_others_are_asked_meanwhile():
    house = House(slow=every(10), a=every(1), b=every(1, takes_s=0.1))
    pausing(house, "slow", 3.0, times=2)
    house.run_for(60)
    slow = [(ns - house.start_ns) / S % 10 for ns, _, _ in house.taker.rows("slow")]
    assert len(slow) == 6
    assert all(6.0 <= at <= 6.4 for at in slow), "two pauses of 3 s, and at most one exchange of another device"
    for name in ("a", "b"):
        assert len(house.taker.rows(name)) == 60
        assert house.view(name)["late"] == 0


def test_a_pause_longer_than_the_interval_leaves_out_slots_and_counts_them():
    house = House(slow=every(2), a=every(1))
    pausing(house, "slow", 5.0)
    house.run_for(59)
    rows, late = len(house.taker.rows("slow")), house.view("slow")["late"]
    assert rows == 11, "each takes 5 s and is followed by the slot that is due then"
    assert rows + late == pytest.approx(29, abs=3)
    assert all(raw == 7.0 for _, raw, _ in house.taker.rows("slow"))


def test_a_line_that_is_lost_in_a_pause_makes_the_value_missing_and_the_next_poll_begins_anew():
    house = House(slow=every(20), a=every(1))
    pausing(house, "slow", 5.0)
    house.run_for(2)
    house.line.broken, house.devices["a"].fault = "not there", LineError("cannot read")
    house.run_for(10)
    assert [reason for _, _, reason in house.taker.rows("slow")] == [Reason.LINE]
    house.line.broken, house.devices["a"].fault = "", None
    house.run_for(20)
    assert [raw for _, raw, _ in house.taker.rows("slow")][1:] == [7.0]


def test_a_device_that_dies_in_its_pause_is_given_up_and_found_again():
    house = House(slow=every(10), a=every(1))
    pausing(house, "slow", 3.0)
    device = house.devices["slow"]
    device.on_poll = lambda: setattr(device, "fault", DeviceError("no answer"))
    house.run_for(100)
    assert house.view("slow")["state"] == "silent"
    device.fault, device.on_poll = None, lambda: None
    house.run_for(70)
    assert house.view("slow")["state"] == "good"


def test_one_dead_device_of_32_makes_the_mean_cycle_of_a_full_line_at_most_5_percent_longer_and_is_back_within_a_minute():
    """Every device is due all the time: what the dead one takes is taken from the others. Its own poll, asked no more, is given back."""
    for timeout_s in (0.5, 2.0):
        house = House(**{f"d{i}": every(0.5, takes_s=0.2) for i in range(32)})
        dead, other = house.devices["d7"], house.devices["d8"]
        dead.timeout_s = timeout_s

        def cycle_s(house: House = house, other: Device = other) -> float:
            before = len(other.polled)
            house.run_for(1200)
            return 1200 / (len(other.polled) - before)

        healthy_s = cycle_s()
        dead.fault = DeviceError("no answer")
        house.run_for(120)
        assert cycle_s() <= 1.05 * healthy_s
        for wait_s in (0, 7, 13, 29):
            dead.fault = DeviceError("no answer")
            house.run_for(300 + wait_s)
            dead.fault, back_ns = None, house.clock.mono_ns
            house.run_for(60)
            assert next(ns for ns, raw, _ in house.taker.rows("d7") if ns >= back_ns and raw == 7.0) - back_ns <= 60 * S


def test_a_fault_that_lasts_is_logged_once(caplog):
    house = House(a=every(1))
    house.devices["a"].fault = DeviceError("no answer")
    with caplog.at_level(logging.INFO, "gateway.poller"):
        house.run_for(600)
    assert len([r for r in caplog.records if "given up" in r.message]) == 1


def test_run_ends_with_stop_and_closes_the_line():
    house = House(a=every(1))
    house.devices["a"].on_poll = lambda: house.stop.set() if len(house.devices["a"].polled) > 3 else None
    house.poller.step = _stepping(house)
    house.poller.run(house.stop)
    assert not house.line.is_open
    assert house.health.line()["state"] == "stopped"


def _stepping(house: House) -> Callable[[Event], float]:
    step = house.poller.step

    def stepping(stop: Event) -> float:
        house.clock.go_on(step(stop))
        return 0.0

    return stepping
