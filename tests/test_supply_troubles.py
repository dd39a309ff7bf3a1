"""Whoever is not asked because it sleeps, or because its supply fails, is not called broken, and what is amiss is said where people look."""

import io
import time
from threading import Event, Thread

import field_devices
import pytest
from field_devices import FarEnd, SleepySps30
from polled import S
from virtual import VirtualClock

from config.errors import ConfigError, LineError
from config.regime import SupplyTable
from config.series import Reason
from drivers.duty import Cycle, Duty
from drivers.lines._stream import StreamListener
from drivers.reading import Delivery
from drivers.resting import RestingTold
from gateway.building import load_site
from gateway.checking.check import prove
from gateway.checking.forecast import warnings
from gateway.checking.live_check import check_live
from gateway.health import LineHealth
from gateway.listener import Listener
from gateway.supplies import Supplies

SITE = """
[stations.river]
[lines.dust]
kind = "serial"
port = "{port}"
listen_first = "0 s"
[devices]
dust = {{ profile = "sensirion_sps30", interval = "5 min", ready = "30 s", duty = {{ every = "1 h", on = "1 min" }}{more} }}
"""


def live(folder, port, more="") -> tuple[int, str]:
    (folder / "site.toml").write_text(SITE.format(port=port, more=more))
    file, out = load_site(folder / "site.toml"), io.StringIO()
    return check_live(file, prove(file), as_json=False, out=out, listen_s=1.0), out.getvalue()


def test_check_live_wakes_one_that_sleeps_by_command_and_reads_it(tmp_path):
    sensor = SleepySps30()
    sensor.asleep = True

    def respond(request: bytes) -> bytes | None:
        if request.startswith(b"\xff"):
            sensor(b"\xff")
        return sensor(request.lstrip(b"\xff")) if request.strip(b"\xff") else None

    far = FarEnd(tmp_path / "port", respond)
    far.plug()
    code, said = live(tmp_path, tmp_path / "port")
    far.pull()
    assert code == 0, said
    assert "pm2_5" in said
    assert "without a value" not in said


def test_check_live_switches_no_supply_and_says_that_it_may_be_off(tmp_path, monkeypatch):
    switched = []
    monkeypatch.setattr("drivers.gpio.OutputPin.set", lambda pin, on: switched.append(on))
    far = FarEnd(tmp_path / "port", lambda request: None)
    far.plug()
    code, said = live(tmp_path, tmp_path / "port", ', supply = { gpio = "gpiochip0:17" }')
    far.pull()
    assert code == 1
    assert "its supply may be off" in said
    assert "without a value" not in said
    assert far.heard, "it was asked all the same: its supply may be on"
    assert switched == []


RELAY = """
relay = { line = "box", profile = "sensirion_sps30", orders = true, duty = { every = "1 h", on = "1 min" } }
[lines.box]
kind = "tcp"
host = "127.0.0.1"
"""


@pytest.mark.parametrize(("new", "words"), [
    ('line = "dust", profile = "sensirion_sps30", supply = { device = "relay", on = "clean", off = "clean" }', "relay sleeps itself"),
    ('line = "dust", profile = "nova_sds011", interval = "5 min"', "it speaks every 5 min and is on for 1 min")])
def test_check_refuses_a_duty_cycle_that_can_give_no_value(tmp_path, new, words):
    text = SITE.format(port="/dev/serial/by-path/x", more="").replace('profile = "sensirion_sps30", interval = "5 min"', new)
    (tmp_path / "site.toml").write_text(text + RELAY)
    with pytest.raises(ConfigError, match=words):
        prove(load_site(tmp_path / "site.toml"))


def test_check_warns_of_supplies_that_come_on_later_than_their_devices_are_awake(tmp_path):
    devices = "".join(f"""
[devices.d{n}]
profile = "sim_water_probe"
address = {n}
duty = {{ every = "10 min", on = "{on}" }}
supply = {{ gpio = "gpiochip0:{n}", after = "20 s" }}
""" for n, on in ((1, "30 s"), (2, "30 s"), (3, "1 min")))
    (tmp_path / "site.toml").write_text('[stations.river]\n[lines.box]\nkind = "tcp"\nhost = "127.0.0.1"\n' + devices)
    found = [words for words in warnings(load_site(tmp_path / "site.toml")) if "one after another" in words]
    assert [words.split(":")[0] for words in found] == ["devices.d1", "devices.d2"]
    assert "3 supplies come on one after another, the last after 40 s, and it is awake for 30 s" in found[0]


class Pin:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.broken, self.sets = clock, True, list[tuple[float, bool]]()

    def set(self, on: bool) -> None:
        if self.broken:
            raise LineError("gpiochip0:1 cannot be switched: no such chip")
        self.sets.append((self.clock.mono_ns / S, on))


class Stream:
    """A particle sensor that speaks by itself, behind a pin, on a line that is only directed here."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.pin, self.taken, self.stop = Pin(self.clock), list[Delivery](), Event()
        supply = Supplies(self.clock).supply("dust", SupplyTable(gpio="gpiochip0:1"), self.pin)
        self.driver = RestingTold(field_devices.told("plantower_pms3003"), Cycle(Duty(300, 60, 30)), supply)
        self.health = LineHealth("usb", "serial", {"dust": "st"})
        self.listener = Listener("usb", object(), {"dust": self.driver}, self.clock, self.take, self.health, {"dust": 300.0})  # type: ignore[arg-type]
        self.listener.opened()
        self.stream = StreamListener("usb", object(), {"dust": self.driver}, self.take, self.stop, self.clock, self.listener)  # type: ignore[arg-type]

    def take(self, delivery: Delivery, wait_s: float) -> bool:
        self.taken.append(delivery)
        return True

    def live(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.go_on(1)
            self.stream._direct(None)
            self.listener.alive(self.clock.mono_ns)

    def reasons(self) -> str:
        return "".join(chr(delivery.batches[0].reason[0]) for delivery in self.taken)

    def view(self) -> dict[str, object]:
        return dict(self.health.devices(self.clock.mono_ns)[0])


def test_a_supply_that_fails_is_the_reason_in_the_status_of_one_that_speaks_by_itself():
    made = Stream()
    made.listener._heard_ns = {"dust": made.clock.mono_ns}
    made.live(2000)
    assert made.reasons() == chr(Reason.POWER)
    assert made.view()["state"] == "failing"
    assert str(made.view()["words"]).endswith("gpiochip0:1 cannot be switched: no such chip")
    assert made.view()["causes"] == {"supply": 1}
    made.pin.broken = False
    made.live(1200)
    assert made.view()["causes"] == {"supply": 1, "silent": 1}, "with its supply it is missed as any other"


class Unplugged:
    """A line that cannot be opened."""

    def open(self, stop: Event, clock: object) -> None:
        raise LineError("not there")

    def close(self) -> None:
        pass


def test_a_supply_is_switched_in_time_while_the_line_is_lost():
    made = Stream()
    made.pin.broken, made.stream._line = False, Unplugged()  # type: ignore[assignment]
    thread = Thread(target=made.stream.run)
    thread.start()
    try:
        for wanted in ([True], [True, False]):
            until = time.monotonic() + 5
            while [on for _, on in made.pin.sets] != wanted and time.monotonic() < until:
                time.sleep(0.02)
            assert [on for _, on in made.pin.sets] == wanted
            made.clock.go_on(100)
    finally:
        made.stop.set()
        thread.join()
