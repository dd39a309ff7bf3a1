"""The Modbus driver keeps what came, says why the rest is missing, and never takes a late answer for the next."""

import math
import random
import re
from collections.abc import Callable
from threading import Event

import modbus_devices
import numpy as np
import pytest
from virtual import Taker, VirtualClock, VirtualLine, VirtualWire

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.codecs import modbus
from drivers.codecs.modbus import Question, seal
from drivers.driver import finish
from drivers.likely import explained
from drivers.lines import serial, tcp
from drivers.simulated.modbus import ProfileSource, SimulatedDevice, TableSource, burst
from gateway.health import LineHealth
from gateway.poller import Poller

SERIAL = serial.Options(port="none", baudrate=9600)
TWO_BLOCKS = {"a": {"register": 0}, "b": {"register": 1000}}


def wire(*devices: SimulatedDevice, framing: str = "rtu", change: Callable[[bytes], bytes] = bytes) -> VirtualWire:
    """The simulated devices at the far end of a virtual wire."""

    def respond(request: bytes) -> tuple[float, bytes] | None:
        unit = request[0] if framing == "rtu" else request[6]
        for device in devices:
            if device.address == unit:
                if framing == "rtu":
                    reply = device.reply(request[1:-2], lambda u, pdu: seal(bytes([u]) + pdu))
                else:
                    reply = device.reply(request[7:], lambda u, pdu: modbus.wrap(int.from_bytes(request[:2]), u, pdu))
                return None if reply is None else (reply.delay_s, change(reply.frame))
        return None

    return VirtualWire(VirtualClock(), respond, SERIAL.character_s if framing == "rtu" else 0.0)


def table(address: int = 1, **registers: int) -> SimulatedDevice:
    return SimulatedDevice(address, TableSource({int(key[1:]): value for key, value in registers.items()}))


@pytest.mark.parametrize("line", [SERIAL, tcp.Options(host="x"), tcp.Options(host="x", framing="rtu")], ids=["serial", "tcp", "rtu-over-tcp"])
def test_values_come_decimal_true_with_their_series_and_stamp(line):
    of = modbus_devices.profile({"water_temperature": {"register": 0, "type": "s16", "decimals": 1}, "soil_moisture:10cm": {"register": 1}})
    driver = modbus_devices.driver(of, line, address=5)
    far = wire(table(5, r0=0xFF9B, r1=42), framing=line.framing)
    batch = driver.poll(driver.groups()[0], far)
    assert batch.raw.tolist() == [-10.1, 42.0]
    assert [str(series) for series in batch.series] == ["st/probe/water_temperature", "st/probe/soil_moisture/10cm"]
    assert batch.reason.tolist() == [Reason.NORMAL] * 2
    assert batch.stamp == far.clock.now()
    assert batch.at.tolist() == [batch.stamp.utc_ns] * 2


def test_what_came_is_kept_when_another_block_fails():
    driver = modbus_devices.driver(modbus_devices.profile(TWO_BLOCKS))
    device = table(r0=7)
    batch = driver.poll(driver.groups()[0], wire(device))
    assert batch.raw[0] == 7.0
    assert math.isnan(batch.raw[1])
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.DEVICE]


def test_a_device_that_falls_silent_is_not_asked_for_its_other_blocks():
    of = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1000}, "c": {"register": 2000}})
    driver = modbus_devices.driver(of)
    device = table(r0=7, r1000=8, r2000=9)
    far = wire(device)
    respond = far.respond
    far.respond = lambda request: respond(request) if len(far.sent) == 1 else None
    batch = driver.poll(driver.groups()[0], far)
    assert batch.raw[0] == 7.0
    assert np.isnan(batch.raw[1:]).all()
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.COMMUNICATION, Reason.COMMUNICATION]
    assert len(far.sent) == 2


def test_a_sentinel_is_missing_with_the_devices_own_reason():
    of = modbus_devices.profile({"a": {"register": 0, "missing": 0xFFFF}, "b": {"register": 1}})
    driver = modbus_devices.driver(of)
    batch = driver.poll(driver.groups()[0], wire(table(r0=0xFFFF, r1=3)))
    assert math.isnan(batch.raw[0])
    assert batch.reason.tolist() == [Reason.FAULT, Reason.NORMAL]


def test_a_declined_block_is_split_once_and_remembered():
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}, "b": {"register": 2}}))
    device = table(r0=7, r2=9)
    far = wire(device)
    assert driver.poll(driver.groups()[0], far).raw.tolist() == [7.0, 9.0]
    assert device.requests == 3
    assert driver.poll(driver.groups()[0], far).raw.tolist() == [7.0, 9.0]
    assert device.requests == 5


@pytest.mark.parametrize("lacking", range(8))
def test_one_register_that_a_device_lacks_costs_only_itself(lacking):
    driver = modbus_devices.driver(modbus_devices.profile({f"q{i}": {"register": i} for i in range(8)}))
    device = SimulatedDevice(1, TableSource({i: i for i in range(8) if i != lacking}))
    far = wire(device)
    driver.poll(driver.groups()[0], far)
    before = device.requests
    batch = driver.poll(driver.groups()[0], far)
    assert [i for i, value in enumerate(batch.raw) if math.isnan(value)] == [lacking]
    assert batch.reason[lacking] == Reason.DEVICE
    assert device.requests - before <= 4


def test_a_device_that_declines_everything_is_asked_no_more_often_for_it():
    driver = modbus_devices.driver(modbus_devices.profile({f"q{i}": {"register": i} for i in range(8)}))
    device = table()
    far = wire(device)
    for _ in range(2):
        with pytest.raises(DeviceError, match="illegal register"):
            driver.poll(driver.groups()[0], far)
    device.source.registers = dict.fromkeys(range(8), 5)
    before = device.requests
    assert driver.poll(driver.groups()[0], far).raw.tolist() == [5.0] * 8
    assert device.requests - before == 1


@pytest.mark.parametrize("fault", [{"wrong_address": 9}, {"exception": 11}, {"silent": True}])
def test_an_absent_device_costs_one_question_a_poll(fault):
    driver = modbus_devices.driver(modbus_devices.profile(TWO_BLOCKS))
    device = table(r0=7, r1000=8)
    for knob, value in fault.items():
        setattr(device.faults, knob, value)
    far = wire(device)
    with pytest.raises(DeviceError):
        driver.poll(driver.groups()[0], far)
    assert len(far.sent) == 1


@pytest.mark.parametrize(("fault", "cause"), [
    ({"silent": True}, "silent"), ({"exception": 4}, "exception"), ({"exception": 6}, "busy"), ({"exception": 11}, "silent"),
    ({"truncate": 3}, "short"), ({"wrong_address": 9}, "wrong"), ({"noise": 1.0}, None), ({"delay_s": 0.9}, "silent"),
])  # fmt: skip
def test_nothing_usable_is_a_device_error_with_its_cause(fault, cause):
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))
    device = table(r0=7)
    for knob, value in fault.items():
        setattr(device.faults, knob, value)
    with pytest.raises(DeviceError) as error:
        driver.poll(driver.groups()[0], wire(device))
    assert cause is None or error.value.cause == cause


def test_a_spoilt_answer_is_asked_for_once_more_at_once():
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))
    device = table(r0=7)
    chance = random.Random(3)
    spoil = iter([True, False])
    far = wire(device, change=lambda frame: burst(frame, chance) if next(spoil) else frame)
    assert driver.poll(driver.groups()[0], far).raw.tolist() == [7.0]
    assert device.requests == 2


@pytest.mark.parametrize("line", [SERIAL, tcp.Options(host="x"), tcp.Options(host="x", framing="rtu")], ids=["serial", "tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("delay_s", [0.52, 0.55, 0.6, 0.7, 0.9, 0.99])
def test_a_late_answer_is_never_taken_for_the_next_one(line, delay_s):
    of = modbus_devices.profile({"a": {"register": 0}})
    driver = modbus_devices.driver(of, line)
    device = table(r0=111)
    far = wire(device, framing=line.framing)
    device.faults.delay_s = delay_s
    with pytest.raises(DeviceError):
        driver.poll(driver.groups()[0], far)
    device.faults.delay_s = 0.0
    device.source.registers[0] = 222
    assert finish(driver.poll(driver.groups()[0], far), far).raw.tolist() == [222.0]


def test_a_late_answer_of_one_device_does_not_spoil_the_next_device():
    of = modbus_devices.profile({"a": {"register": 0}})
    first, second = modbus_devices.driver(of, name="first", address=1), modbus_devices.driver(of, name="second", address=2)
    slow, other = table(1, r0=111), table(2, r0=222)
    other.turnaround_s = 0.2
    far = wire(slow, other)
    slow.faults.delay_s = 0.6
    with pytest.raises(DeviceError):
        first.poll(first.groups()[0], far)
    assert finish(second.poll(second.groups()[0], far), far).raw.tolist() == [222.0]


def test_what_came_unasked_is_thrown_away_before_the_next_question():
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))
    device = table(r0=7)
    far = wire(device)
    far.pending.append((far.virtual.mono_ns, bytes(range(40, 60))))
    assert driver.poll(driver.groups()[0], far).raw.tolist() == [7.0]
    assert device.requests == 1


def test_the_answer_time_is_learned_and_bounded_by_the_profile():
    of = modbus_devices.profile({"a": {"register": 0}}, timing={"answer": "800 ms"})
    driver = modbus_devices.driver(of)
    device = table(r0=1)
    far = wire(device)

    def silent_s() -> float:
        device.faults.silent = True
        began = far.virtual.mono_ns
        with pytest.raises(DeviceError):
            driver.poll(driver.groups()[0], far)
        device.faults.silent = False
        far.virtual.go_on(5)
        return (far.virtual.mono_ns - began) / 1e9 - 5

    assert silent_s() == pytest.approx(0.8, abs=0.03)
    for _ in range(3):
        driver.poll(driver.groups()[0], far)
    assert silent_s() < 0.2
    assert silent_s() == pytest.approx(0.8, abs=0.03)


def test_no_noise_ever_becomes_a_value():
    """2000 answers, each hit by a burst of at most 16 bits: the checksum finds every one of them."""
    of = modbus_devices.profile({f"q{i}": {"register": i} for i in range(6)})
    driver = modbus_devices.driver(of)
    device = SimulatedDevice(1, ProfileSource(of, lambda quantity: 1000.0 + int(quantity[1:])))
    device.faults.noise = 1.0
    device.chance = random.Random(20)
    far = wire(device)
    for _ in range(1000):
        with pytest.raises(DeviceError):
            driver.poll(driver.groups()[0], far)
        far.virtual.go_on(2)
    assert device.requests >= 1000


def test_a_stream_that_is_not_modbus_tcp_closes_the_line():
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}), tcp.Options(host="x"))
    far = wire(table(r0=1), framing="tcp", change=lambda frame: b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
    with pytest.raises(LineError, match="not Modbus TCP"):
        driver.poll(driver.groups()[0], far)


def test_coils_and_contacts_are_states():
    of = modbus_devices.profile({"pump": {"register": 3, "function": 1, "type": "bit"}, "door": {"register": 9, "function": 1, "type": "bit"}})
    driver = modbus_devices.driver(of)
    device = SimulatedDevice(1, TableSource({}, {i: int(i == 9) for i in range(16)}))
    assert driver.poll(driver.groups()[0], wire(device)).raw.tolist() == [0.0, 1.0]


def test_input_registers_are_chosen_by_row_or_by_the_site_file():
    of = modbus_devices.profile({"a": {"register": 0}})
    assert modbus_devices.driver(of, function=4)._parts["all"].blocks[0].function == 4
    of = modbus_devices.profile({"a": {"register": 0, "function": 4}})
    assert modbus_devices.driver(of)._parts["all"].blocks[0].function == 4


@pytest.mark.parametrize("address", [0, 248, 255])
def test_an_address_that_no_serial_device_can_have_is_refused(address):
    with pytest.raises(ValueError, match="not a Modbus unit"):
        modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}), SERIAL, address=address)


def test_the_address_comes_from_the_site_file_else_the_profile_else_1():
    of = modbus_devices.profile({"a": {"register": 0}}, default={"address": 17})
    assert modbus_devices.driver(of)._unit == 17
    assert modbus_devices.driver(of, address=3)._unit == 3
    assert modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))._unit == 1


@pytest.mark.parametrize("row", [{"register": 65535, "type": "u32"}, {"register": 0, "function": 1}, {"register": 0, "type": "bit"},
                                 {"register": 0, "decimals": 1, "scale": 0.5}, {"register": -1}, {"register": 0, "order": "BACD"}])
def test_rows_that_cannot_be_read_are_refused(row):
    with pytest.raises(ValueError, match=r"register|function|decimals|order"):
        modbus_devices.profile({"a": row})


def test_a_question_knows_its_answers_size():
    assert Question(1, 1, 0, 9).data_bytes == 2
    assert Question(1, 3, 0, 9).data_bytes == 18


@pytest.mark.parametrize(("change", "cause", "words"), [
    (lambda frame: b"", "silent", r"no answer: power, wires A and B, address\?"),
    (lambda frame: frame[:-1] + b"\xaa", "noise", r"checksum does not fit: baud rate, parity, wiring, or two devices with one address\?"),
    (lambda frame: b"\xf8" * len(frame), "noise", r"does not fit: baud rate, parity, wiring, or two"),
    (lambda frame: seal(b"\x01\x03\x00\x00\x00\x01"), "silent", r"our own request came back: the adapter echoes"),
    (lambda frame: 2 * frame, "wrong", r"two answers came: have two devices this address\?"),
    (lambda frame: seal(b"\x01\x03\x04\x00\x01\x00\x02"), "late", r"4 instead of 2 bytes came: late, or does the profile fit another model\?"),
    (lambda frame: seal(b"\x01\x83\x02"), "exception", r"exception 2 \(illegal register\): does the profile fit this model\?"),
    (lambda frame: seal(b"\x07\x03\x02\x00\x01"), "wrong", r"unit 7 answered instead of 1: two devices with one address"),
    (lambda frame: frame[:-2], "short", r"answer ends after 5 bytes, 2 are missing: a loose wire"),
], ids=["nothing", "checksum", "garbage", "echo", "two answers", "length", "exception 2", "another unit", "cut"])
def test_every_fault_names_what_is_likely_behind_it(change, cause, words):
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))
    with pytest.raises(DeviceError) as fault:
        driver.poll(driver.groups()[0], wire(table(r0=7), change=change))
    assert fault.value.cause == cause
    assert re.search(words, explained(fault.value))


def test_each_exception_names_its_own_cause_and_none_but_the_first_three_the_profile():
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}))
    said = {}
    for code in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 99):
        with pytest.raises(DeviceError) as fault:
            driver.poll(driver.groups()[0], wire(table(r0=7), change=lambda frame, code=code: seal(bytes([1, 0x83, code]))))
        said[code] = explained(fault.value).partition("): ")[2]
        assert fault.value.cause == {5: "busy", 6: "busy", 11: "silent"}.get(code, "exception")
    assert {code for code, words in said.items() if "profile" in words} == {1, 2, 3}
    assert len(set(said.values())) == len(said) - 2, "1, 2 and 3 say the same"
    for code, words in {4: "its own display", 5: "longer `answer`", 6: "interval", 8: "memory", 10: "gateway", 11: "behind the gateway"}.items():
        assert words in said[code]


def test_register_groups_have_their_own_interval_and_priority():
    of = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1, "interval": "5 min", "priority": "low"}, "c": {"register": 2},
                                 "d": {"register": 3, "interval": "5 min", "priority": "low"}, "e": {"register": 1000, "priority": "high"}})
    driver = modbus_devices.driver(of, interval_s=10.0)
    groups = {group.name: group for group in driver.groups()}
    assert {name: (group.interval_s, group.priority, [series.quantity for series in group.series]) for name, group in groups.items()} == {
        "10 s normal": (10.0, 1, ["a", "c"]), "5 min low": (300.0, 2, ["b", "d"]), "10 s high": (10.0, 0, ["e"])}
    far = wire(SimulatedDevice(1, TableSource({0: 10, 1: 11, 2: 12, 3: 13, 1000: 14})))
    got = {name: driver.poll(group, far).raw.tolist() for name, group in groups.items()}
    assert got == {"10 s normal": [10.0, 12.0], "5 min low": [11.0, 13.0], "10 s high": [14.0]}
    assert all(group.line_time_s > 0 for group in groups.values())
    site = modbus_devices.driver(of, interval_s=10.0, priority="high").groups()
    assert {group.priority for group in site} == {0}, "the site file's word goes before the profile's"


def test_register_groups_are_polled_each_at_its_time_the_urgent_ones_first():
    of = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1, "interval": "10 s", "priority": "low"},
                                 "c": {"register": 2, "priority": "high"}})
    driver = modbus_devices.driver(of, interval_s=1.0, name="probe")
    far = wire(SimulatedDevice(1, TableSource({0: 10, 1: 11, 2: 12})))
    taker = Taker(far.virtual)
    poller = Poller("bus", VirtualLine(far), {"probe": driver}, far.virtual, taker, LineHealth("bus", "serial", {"probe": "st"}), seed=1)
    began, stop = far.virtual.mono_ns, Event()
    while far.virtual.mono_ns - began < 30e9:
        far.virtual.go_on(min(poller.step(stop), 30 - (far.virtual.mono_ns - began) / 1e9))
    asked = [batch.series[0].quantity for delivery in taker.taken for batch in delivery.batches]
    assert asked[:3] == ["c", "a", "b"]
    assert [asked.count(quantity) for quantity in "abc"] == [30, 3, 30]


def test_registers_counted_from_1_as_in_the_manual_go_over_the_wire_from_0():
    of = modbus_devices.profile({"a": {"register": 1, "base": 1}, "b": {"register": 1}, "c": {"register": 65536, "base": 1}})
    driver = modbus_devices.driver(of)
    assert [(block.first, block.count) for block in driver._parts["all"].blocks] == [(0, 2), (65535, 1)]
    assert driver.poll(driver.groups()[0], wire(table(r0=7, r1=8, r65535=9))).raw.tolist() == [7.0, 8.0, 9.0]
    with pytest.raises(ValueError, match="counted from 1 there is none"):
        modbus_devices.profile({"a": {"register": 0, "base": 1}})


def test_texts_are_numbers_in_digits_or_the_names_of_states():
    of = modbus_devices.profile({"a": {"register": 0, "type": "text", "length": 5}, "b": {"register": 3, "type": "text", "length": 4,
                                 "states": {"RUN": 1, "STOP": 0}}})
    driver = modbus_devices.driver(of)
    said = table(r0=0x3132, r1=0x2E35, r2=0x2020, r3=0x5354, r4=0x4F50)
    assert driver.poll(driver.groups()[0], wire(said)).raw.tolist() == [12.5, 0.0]
    said.source.registers[3] = 0x5858
    batch = driver.poll(driver.groups()[0], wire(said))
    assert math.isnan(batch.raw[1])
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.FAULT]
