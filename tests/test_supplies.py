"""A supply is switched before its device is asked, one after another, by a relay's own orders or a pin; and tried again if it failed."""

import os
from collections.abc import Mapping
from itertools import pairwise

import pytest
from polled import Device, House, S, every
from virtual import VirtualClock

from config.errors import ConfigError, DeviceError, LineError
from config.regime import SupplyTable
from drivers.duty import Cycle, Duty
from drivers.gpio import GET_LINE, REQUEST, SET_VALUES, VALUES, OutputPin
from drivers.order import Order, Outcome, Verb
from drivers.resting import RestingTold
from drivers.resting_asked import RestingAsked, RestingObedient
from gateway.building import Builder, load_site
from gateway.checking.check import prove
from gateway.intake import Awaited
from gateway.journal.reader import Reader
from gateway.journal.writer import Writer
from gateway.preparing import Prepared
from gateway.supplies import Supplied, Supplies

RELAY = SupplyTable(device="relay", on="close", off="open")
DONE = Outcome("done", "confirmed by the device")


class Yard:
    """A relay and an instrument behind it on one line; the instrument is silent without its supply."""

    def __init__(self, folder, duty: Duty) -> None:
        self.house = House(relay=every(10), probe=every(10))
        self.clock, self.folder = self.house.clock, folder
        self.outcomes: list[Outcome] = []
        self.switched: list[tuple[float, str]] = []
        self.probe, relay = self.house.devices["probe"], self.house.devices["relay"]
        self.probe.fault = DeviceError("silent")
        verbs: Mapping[str, Verb] = {"close": Verb("power on"), "open": Verb("power off")}
        relay.verbs, relay.check, relay.obey = verbs, self.check, self.obey  # type: ignore[attr-defined]
        self.supply = Supplies(self.clock).supply("probe", RELAY)
        self.house.devices["probe"] = RestingAsked(self.probe, Cycle(duty), self.supply)  # type: ignore[assignment]
        self.writer = Writer(folder)
        self.house.begin_anew(self.tell)
        self.supply.bind({"relay": self.house.poller.orders})

    @staticmethod
    def check(order: Order) -> None:
        if order.verb not in ("close", "open"):
            raise ValueError(f"knows no {order.verb}")

    def obey(self, order: Order, wire: object) -> Outcome:
        outcome = self.outcomes.pop(0) if self.outcomes else DONE
        self.switched.append((self.clock.mono_ns / S, order.verb))
        if outcome.state == "done":
            self.probe.fault = None if order.verb == "close" else DeviceError("silent")
        return outcome

    def tell(self, note: Awaited) -> None:
        with self.writer.transaction():
            note.write(self.writer)
        if isinstance(note, Awaited):
            note.kept()

    def reasons(self) -> str:
        return bytes(reason for _, _, reason in self.house.taker.rows("probe")).decode()

    def close(self) -> None:
        self.house.poller.orders.close()
        self.writer.abandon()


@pytest.fixture
def yard(tmp_path):
    made = Yard(tmp_path, Duty(100.0, 40.0, 10.0))
    yield made
    made.close()


def test_the_relay_is_told_before_its_instrument_is_asked_and_each_time_by_an_order_of_the_journal(yard):
    yard.house.run_for(1000)
    assert yard.reasons().replace("y", "").strip("wN") == ""
    assert yard.reasons().count("N") == 40, "each time from the moment it is ready"
    assert "d" not in yard.reasons(), "never asked without its supply"
    assert yard.house.view("probe")["state"] == "good"
    verbs = [verb for _, verb in yard.switched]
    assert verbs == ["close", "open"] * (len(verbs) // 2) + ["close"] * (len(verbs) % 2)
    assert len(verbs) in range(19, 22)
    with Reader(yard.folder) as reader:
        orders = reader.orders(100)
    assert {(one.device, one.by, one.state) for one in orders} == {("relay", "supply of probe", "done")}


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_relay_that_did_not_do_it_is_told_again_and_nothing_counts_before(yard, state):
    yard.outcomes += [Outcome(state, "no answer")] * 3
    yard.house.run_for(49)
    assert [verb for _, verb in yard.switched] == ["close"] * 3
    assert [b - a for (a, _), (b, _) in pairwise(yard.switched)] == [pytest.approx(10, abs=2.5), pytest.approx(20, abs=4.5)]
    assert yard.reasons() == "yp", "what is missing is so for its supply"
    assert (yard.house.view("probe")["state"], yard.house.view("probe")["words"]) == (
        "failing", "its supply is not switched on: relay: no answer")
    yard.house.run_for(300)
    assert "N" in yard.reasons()
    assert (yard.house.view("probe")["state"], yard.house.view("probe")["words"]) == ("good", "")


def test_without_a_duty_it_is_on_for_good_and_its_instrument_gets_ready(tmp_path):
    yard = Yard(tmp_path, Duty(0.0, 0.0, 60.0))
    yard.house.run_for(300)
    assert [verb for _, verb in yard.switched] == ["close"]
    assert yard.reasons().lstrip("y").startswith("w")
    assert yard.reasons().lstrip("yw").strip("N") == ""
    assert yard.reasons().count("w") in (6, 7)
    yard.close()


class Row:
    """A relay, eight instruments each behind a contact of its own, and one that is always on, all on one line."""

    def __init__(self, folder) -> None:
        supplies: list[Supplied] = []

        def behind(clock: VirtualClock, name: str) -> RestingAsked:
            self.supplies = self.supplies if supplies else Supplies(clock)
            supplies.append(self.supplies.supply(name, SupplyTable(device="relay", on=f"close_{name}", off=f"open_{name}")))
            return RestingAsked(Device(clock, name, 10.0), Cycle(Duty(0.0, 0.0)), supplies[-1])

        self.supplies: Supplies
        self.house = House(relay=every(10), live=every(0.25), **{f"d{n}": behind for n in range(8)})  # type: ignore[arg-type]
        self.relay, self.orders = self.house.devices["relay"], list[float]()
        self.relay.verbs = {f"{what}_d{n}": Verb("") for n in range(8) for what in ("close", "open")}  # type: ignore[attr-defined]
        self.relay.check, self.relay.obey = lambda order: None, self.obey  # type: ignore[attr-defined]
        self.writer = Writer(folder)
        self.house.begin_anew(self.tell)
        for supply in supplies:
            supply.bind({"relay": self.house.poller.orders})

    def die(self) -> None:
        self.relay.fault = DeviceError("no answer", "silent")

    def obey(self, order: Order, wire: object) -> Outcome:
        self.orders.append((self.house.clock.mono_ns - self.house.start_ns) / S)
        self.house.clock.go_on(0.5 if self.relay.fault else 0.03)
        return Outcome("failed", "nothing was written: no answer", "silent") if self.relay.fault else DONE

    tell = Yard.tell


def test_a_dead_relay_costs_its_line_a_handful_of_orders_and_is_used_again_when_it_answers(tmp_path):
    row = Row(tmp_path)
    row.die()
    row.house.run_for(600)
    assert len(row.orders) <= 3, "its breaker is theirs"
    polls = len(row.house.at("live"))
    assert polls >= 2400 - 60
    assert row.house.view("live")["late"] <= 60, "what three orders and the probes take"
    view = row.house.view("d5")
    assert view["state"] == "failing"
    assert view["words"] == "its supply is not switched on: relay: it does not answer, and is given up for now"
    assert view["causes"] == {"supply": 1}
    assert bytes(reason for _, _, reason in row.house.taker.rows("d5")).decode() in ("p", "yp")
    with Reader(tmp_path) as reader:
        assert len(reader.orders(100)) == len(row.orders)
    row.relay.fault = None
    row.house.run_for(70)
    assert len(row.orders) <= 3 + 8
    assert {row.house.view(f"d{n}")["state"] for n in range(8)} == {"good"}
    row.house.poller.orders.close()
    row.writer.abandon()


def test_a_lost_line_of_the_relay_costs_no_orders_and_is_said(tmp_path):
    row = Row(tmp_path)
    row.house.line.broken = "not there"
    row.house.run_for(600)
    row.house.line.broken = ""
    row.house.run_for(10)
    assert len(row.orders) == 8
    with Reader(tmp_path) as reader:
        assert [one.state for one in reader.orders(100)] == ["done"] * 8
    row.house.poller.orders.close()
    row.writer.abandon()


def test_devices_behind_one_contact_share_it_and_it_is_on_while_one_of_them_wants_it():
    clock = VirtualClock()
    supplies, pin = Supplies(clock), Pin(clock)
    table = SupplyTable(gpio="gpiochip0:1")
    one, other = supplies.supply("one", table, pin), supplies.supply("other", table, pin)
    for turned, on, of_one, of_other in ((one, True, True, None), (other, True, True, True), (one, False, False, True), (one, True, True, True),
                                         (one, False, False, True), (other, False, False, False)):
        clock.go_on(1)
        turned.turn(on)
        assert one.is_on is of_one
        assert of_other is None or other.is_on is of_other
    assert [on for _, on in pin.sets] == [True, False]


class Pin:
    """Stands for an output of the box."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.sets, self.broken = clock, list[tuple[float, bool]](), False

    def set(self, on: bool) -> None:
        if self.broken:
            raise LineError("no such chip")
        self.sets.append((self.clock.mono_ns / S, on))


def test_supplies_come_on_one_after_another_and_go_off_at_once():
    clock = VirtualClock()
    all_, pins = Supplies(clock), [Pin(clock) for _ in range(3)]
    supplies = [all_.supply(f"d{n}", SupplyTable(gpio=f"gpiochip0:{n}", after="5 s"), pin) for n, pin in enumerate(pins)]
    for second in range(60):
        for supply in supplies:
            supply.turn(second < 40)
        clock.go_on(1)
    on = [pin.sets[0][0] for pin in pins]
    assert [at - on[0] for at in on] == [0, 5, 10]
    assert [pin.sets[1][0] - on[0] for pin in pins] == [40, 40, 40]
    assert [len(pin.sets) for pin in pins] == [2, 2, 2]


def test_a_pin_that_cannot_be_switched_is_tried_again():
    clock = VirtualClock()
    pin = Pin(clock)
    pin.broken = True
    supply = Supplies(clock).supply("d", SupplyTable(gpio="gpiochip0:1"), pin)
    for second in range(200):
        pin.broken = second < 50
        supply.turn(True)
        assert supply.is_on in ((None,) if second < 50 else (None, True))
        clock.go_on(1)
    assert len(pin.sets) == 1
    assert supply.is_on is True
    assert supply.trouble is None


class Kernel:
    """Stands for ioctl: keeps what was asked for, and gives a descriptor of its own."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, ...]] = []
        self.values: list[tuple[int, int]] = []
        self.line = -1

    def __call__(self, descriptor: int, number: int, given: bytearray) -> int:
        if number == GET_LINE:
            self.requests.append(REQUEST.unpack(given))
            self.line = os.open(os.devnull, os.O_RDWR)
            given[-4:] = self.line.to_bytes(4, "little")
        else:
            assert (number, descriptor) == (SET_VALUES, self.line)
            self.values.append(VALUES.unpack(given))
        return 0


@pytest.mark.parametrize(("active_low", "flags"), [(False, 0b1000), (True, 0b1010)])
def test_a_pin_is_asked_for_as_the_kernel_wants_it_and_has_its_value_from_the_first_moment(tmp_path, active_low, flags):
    (tmp_path / "gpiochip0").touch()
    kernel = Kernel()
    pin = OutputPin("gpiochip0:17", active_low=active_low, folder=str(tmp_path), control=kernel)
    for on in (True, False, True):
        pin.set(on)
    (request,) = kernel.requests
    assert REQUEST.size == 592, "struct gpio_v2_line_request"
    assert request[0] == 17
    assert set(request[1:64]) == {0}
    assert request[64].rstrip(b"\0") == b"ecosentry"  # type: ignore[attr-defined]
    assert request[65:67] == (flags, 1)
    assert request[72:76] == (2, 0, 1, 1), "output values, of the first line"
    assert request[112:114] == (1, 0)
    assert kernel.values == [(0, 1), (1, 1)]
    pin.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(kernel.line)


def test_a_pin_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(LineError, match="may this user open"):
        OutputPin("gpiochip7:1", folder=str(tmp_path)).set(True)


SITE = """
[stations.river]
[lines.usb]
kind = "serial"
port = "/dev/serial/by-path/x"
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices]
relay = { line = "cabinet", profile = "sim_water_probe" }
probe = { line = "cabinet", profile = "sim_water_probe", address = 2, supply = { device = "dust", on = "a", off = "b" } }
[devices.dust]
line = "usb"
profile = "plantower_pms3003"
ready = "30 s"
duty = { every = "5 min", on = "30 s" }
supply = { gpio = "gpiochip0:17", after = "5 s" }
"""


def built(tmp_path, old="", new=""):
    (tmp_path / "site.toml").write_text(SITE.replace(old, new))
    return Builder(load_site(tmp_path / "site.toml"))


def test_one_that_knows_no_sleep_has_a_duty_cycle_by_its_supply(tmp_path):
    build = built(tmp_path)
    assert isinstance(build.drivers("usb")["dust"], RestingTold)
    assert [switch.device for switch in build.switches] == ["dust"]


@pytest.mark.parametrize(("old", "new", "words"), [
    ('device = "dust"', 'device = "pump"', "no other device pump"), ('device = "dust"', 'device = "dust"', "has a switched supply itself"),
    ('device = "dust"', 'device = "relay"', "needs orders = true"), ('on = "a", off = "b"', 'on = "a"', "is either device"),
    ('gpio = "gpiochip0:17"', 'gpio = "17"', "gpio")])
def test_a_supply_that_cannot_be_is_refused(tmp_path, old, new, words):
    with pytest.raises((ConfigError, ValueError), match=words):
        built(tmp_path, old, new).drivers("cabinet")


def test_a_relay_that_may_not_be_told_is_refused():
    house = House(relay=every(10))
    supply = Supplies(house.clock).supply("probe", RELAY)
    with pytest.raises(ValueError, match="needs orders = true"):
        supply.bind({})


WIPED = """
[stations.river]
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices.probe]
profile = "wiped"
orders = true
duty = { every = "10 min", on = "1 min" }
before = ["wipe"]
[devices.relay]
profile = "wiped"
address = 2
orders = true
[devices.other]
profile = "wiped"
address = 3
supply = { device = "relay", on = "wipe", off = "wipe" }
"""
WIPER = """
maker = "Test"
model = "wiped"
medium = "water"
protocol = "modbus"
source = "made for this test"
verified = "S"
interval = "10 s"
[quantities]
ph = { register = 0, decimals = 2, unit = "1" }
[commands.wipe]
what = "start the wiper"
function = 5
register = 16
value = 1
"""


def wiped(tmp_path, monkeypatch, old="", new=""):
    (tmp_path / "devices").mkdir(exist_ok=True)
    (tmp_path / "devices" / "wiped.toml").write_text(WIPER)
    monkeypatch.setenv("ECOSENTRY_CONFIG", str(tmp_path))
    (tmp_path / "site.toml").write_text(WIPED.replace(old, new))
    return load_site(tmp_path / "site.toml")


@pytest.mark.parametrize("duty", [Duty(100.0, 60.0), Duty(100.0, 20.0, 0.0, 15.0)], ids=["long", "as short as its wipe"])
def test_an_instrument_with_a_wiper_is_asked_only_after_it_was_wiped(tmp_path, duty):
    house = House(probe=every(10))
    probe, told, writer = house.devices["probe"], [], Writer(tmp_path)

    def obey(order: Order, wire: object) -> Outcome:
        told.append((house.clock.mono_ns, order.verb))
        return DONE if len(told) != 3 else Outcome("unknown", "it is stuck")

    probe.verbs, probe.check, probe.obey = {"wipe": Verb("wipe", 15.0)}, lambda order: None, obey  # type: ignore[attr-defined]
    prepared = Prepared("probe", ("wipe",), None)
    house.devices["probe"] = RestingObedient(probe, Cycle(duty), prepared)  # type: ignore[assignment]

    def tell(note: Awaited) -> None:
        with writer.transaction():
            note.write(writer)
        if isinstance(note, Awaited):
            note.kept()

    house.begin_anew(tell)
    prepared.bind({"probe": house.poller.orders})
    house.run_for(1000)
    assert len(told) in (10, 11), "once each time"
    assert len(probe.polled) >= 20
    for begun, verb in told:
        assert verb == "wipe"
        assert not [at for at in probe.polled if begun < at < begun + 15 * S], "it is left alone while it wipes"
    first = [min((at for at in probe.polled if at > begun), default=None) for begun, _ in told[:-1]]
    assert all(at is not None and at - begun < 40 * S for at, (begun, _) in zip(first, told, strict=False)), "one that is stuck costs no measurement"
    house.poller.orders.close()
    writer.abandon()


def test_check_takes_a_site_whose_commands_are_there(tmp_path, monkeypatch):
    prove(wiped(tmp_path, monkeypatch))


@pytest.mark.parametrize(("old", "new", "words"), [
    ('before = ["wipe"]', 'before = ["rinse"]', "knows no rinse"), ('on = "wipe"', 'on = "rinse"', "knows no rinse"),
    ('duty = { every = "10 min", on = "1 min" }', "", "give it a duty"),
    ("orders = true\nduty", "duty", "needs orders = true")])
def test_check_refuses_commands_that_are_not_there(tmp_path, monkeypatch, old, new, words):
    with pytest.raises(ConfigError, match=words):
        prove(wiped(tmp_path, monkeypatch, old, new))
