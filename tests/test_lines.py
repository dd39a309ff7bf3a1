"""Real ports and sockets: exclusive, silent for t3.5, bounded in every wait, found again after a fault."""

import logging
import math
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import modbus_devices
import pytest
from line_house import LineHouse

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.codecs.modbus import DeclinedError, Question
from drivers.driver import AskedLine, finish
from drivers.lines import serial, tcp
from drivers.lines._alarm import Alarm
from drivers.protocols._modbus_talk import Talk
from drivers.simulated.modbus import SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from drivers.simulated.modbus_tcp import TcpServer
from gateway.clock import SystemClock
from gateway.poller import Poller

PROFILE = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1, "type": "s16", "decimals": 1}})


def device(address: int = 1, turnaround_s: float = 0.001) -> SimulatedDevice:
    return SimulatedDevice(address, TableSource({0: 7, 1: 0xFF9B}), turnaround_s)


@contextmanager
def opened(line: AskedLine, stop: Event | None = None) -> Iterator[object]:
    try:
        yield line.open(stop or Event(), SystemClock())
    finally:
        line.close()


def serial_line(path: Path, **keys: object) -> tuple[serial.Line, serial.Options]:
    options = serial.Options.model_validate({"port": str(path), "baudrate": 9600} | keys)
    return serial.Line("bus", options, str), options


def test_a_serial_port_is_opened_as_its_options_say(tmp_path):
    with SerialBus([device()]) as bus:
        line, _ = serial_line(bus.path, baudrate=19200)
        with opened(line):
            assert bus.baudrate == 19200


def test_a_port_belongs_to_one_program_alone():
    with SerialBus([device()]) as bus:
        first, _ = serial_line(bus.path)
        second, _ = serial_line(bus.path)
        with opened(first), pytest.raises(LineError, match="in use by another program"):
            second.open(Event(), SystemClock())
        with opened(second):
            pass


def test_two_names_of_one_port_are_one_port(tmp_path):
    """by-id and by-path names are links to the device."""
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "ttyUSB1").touch()
    for name, device_file in (("by-id", "ttyUSB0"), ("by-path", "ttyUSB0"), ("by-path-1", "ttyUSB1")):
        (tmp_path / name).symlink_to(tmp_path / device_file)
    by_id, by_path, another = (serial_line(tmp_path / name)[1] for name in ("by-id", "by-path", "by-path-1"))
    words, repair = by_id.clash(by_path)
    assert words.endswith(f"by-id and {tmp_path}/by-path are {tmp_path}/ttyUSB0")
    assert "put the devices of both on it" in repair
    assert by_id.clash(another) is None


def test_a_port_that_is_not_there_says_what_to_do(tmp_path):
    line, _ = serial_line(tmp_path / "gone")
    with pytest.raises(LineError, match="is the adapter plugged in"):
        line.open(Event(), SystemClock())


@pytest.mark.parametrize("baudrate", [9600, 19200, 115200])
def test_two_frames_are_never_closer_than_the_silent_interval(baudrate):
    with SerialBus([device(), device(2)]) as bus:
        line, options = serial_line(bus.path, baudrate=baudrate)
        drivers = [modbus_devices.driver(PROFILE, options, name=f"d{i}", address=i) for i in (1, 2)]
        with opened(line) as wire:
            for i in range(40):
                driver = drivers[i % 2]
                driver.poll(driver.groups()[0], wire)
    gaps = [later.came_s - earlier.answered_s for earlier, later in zip(bus.seen, bus.seen[1:], strict=False)]
    assert len(gaps) == 39
    assert min(gaps) >= options.silence_s
    assert statistics.quantiles(gaps, n=10)[0] <= options.silence_s + 0.003  # a busy machine wakes late now and then


def test_a_paced_line_is_left_idle_no_longer_than_it_must_be():
    """9600 baud, bytes at their own pace: a cycle takes at most a tenth more than the physical least (alone: 1 %)."""
    with SerialBus([device(turnaround_s=0.005)], paced_baud=9600) as bus:
        line, options = serial_line(bus.path)
        driver = modbus_devices.driver(PROFILE, options)
        with opened(line) as wire:
            for _ in range(20):
                driver.poll(driver.groups()[0], wire)
    cycles = [later.came_s - earlier.came_s for earlier, later in zip(bus.seen, bus.seen[1:], strict=False)]
    least_s = (8 + 9 + 3.5) * options.character_s + 0.005
    assert least_s <= min(cycles)
    assert statistics.quantiles(cycles, n=10)[0] <= 1.10 * least_s + 0.002


def test_a_device_that_declines_is_not_waited_for_as_if_it_answered():
    """At 9600 baud an answer of 100 registers takes 214 ms, an exception 5 ms; the line may stand idle for it once."""
    source, question = TableSource(dict.fromkeys(range(100), 7)), Question(1, 3, 0, 100)
    with SerialBus([SimulatedDevice(1, source, 0.005)], paced_baud=9600) as bus:
        line, options = serial_line(bus.path)
        talk = Talk("probe", options, 0.5)
        with opened(line) as wire:
            for _ in range(4):
                assert talk.ask(question, wire) == [7] * 100
            source.registers.clear()
            for _ in range(4):
                with pytest.raises(DeclinedError):
                    talk.ask(question, wire)
    waits = [later.came_s - earlier.came_s for earlier, later in zip(bus.seen, bus.seen[1:], strict=False)][-3:]
    assert sorted(waits)[1] < 0.1, waits


def test_baudrate_and_format_come_from_the_profiles_unless_the_site_file_says():
    cwt, eight_even = {"baudrate": 4800, "format": "8N1"}, {"baudrate": 9600, "format": "8E1"}
    options = serial.Options(port="x")
    assert options.filled([cwt, {}]).baudrate == 4800
    assert options.filled([]).character_s == 10 / 9600
    assert serial.Options(port="x", baudrate=9600, format="8N1").filled([cwt, eight_even]).baudrate == 9600
    with pytest.raises(ValueError, match="4800 and 9600"):
        options.filled([cwt, eight_even])
    assert serial.Options(port="x", format="8E1").character_s == 11 / 9600
    assert serial.Options(port="x", baudrate=115200).silence_s == 0.00175


def test_a_pulled_wire_is_a_line_error():
    bus = SerialBus([device(turnaround_s=0.3)])
    bus.plug()
    line, options = serial_line(bus.path)
    driver = modbus_devices.driver(PROFILE, options)
    with opened(line) as wire:
        pull = threading.Timer(0.1, bus.unplug)
        pull.start()
        with pytest.raises(LineError):
            driver.poll(driver.groups()[0], wire)
        with pytest.raises(LineError):
            driver.poll(driver.groups()[0], wire)
        pull.join()


def test_noise_on_a_real_line_gives_no_value_and_the_next_answer_is_good():
    far = device()
    with SerialBus([far]) as bus:
        line, options = serial_line(bus.path, baudrate=115200)
        driver = modbus_devices.driver(PROFILE, options)
        with opened(line) as wire:
            for _ in range(10):
                far.faults.noise = 1.0
                with pytest.raises(DeviceError):
                    driver.poll(driver.groups()[0], wire)
                far.faults.noise = 0.0
                assert driver.poll(driver.groups()[0], wire).raw.tolist() == [7.0, -10.1]


def test_a_late_answer_on_a_real_line_is_thrown_away():
    far = device()
    with SerialBus([far]) as bus:
        line, options = serial_line(bus.path)
        driver = modbus_devices.driver(PROFILE, options, answer="100 ms")
        with opened(line) as wire:
            driver.poll(driver.groups()[0], wire)
            far.faults.delay_s = 0.3
            with pytest.raises(DeviceError):
                driver.poll(driver.groups()[0], wire)
            far.faults.delay_s = 0.0
            far.source.registers[0] = 8
            assert finish(driver.poll(driver.groups()[0], wire), wire).raw.tolist() == [8.0, -10.1]


def stopped_after(seconds: float, stop: Event, work: Callable[[], object]) -> float:
    """How long `work` still took after the stop."""
    at: list[float] = []

    def pull() -> None:
        at.append(time.monotonic())
        stop.set()

    timer = threading.Timer(seconds, pull)
    timer.start()
    work()
    timer.join()
    return time.monotonic() - at[0]


def test_stop_ends_a_wait_for_an_answer_at_once():
    stop = Event()
    with SerialBus([]) as bus:
        line, _ = serial_line(bus.path)
        with opened(line, stop) as wire:
            assert stopped_after(0.1, stop, lambda: wire.receive(lambda so_far: 5, 30.0)) <= 0.3


def test_stop_ends_a_connection_that_hangs():
    stop = Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):  # a full backlog drops further connection attempts without a word
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        line = tcp.Line("meter", tcp.Options(host="127.0.0.1", port=port, connect="20 s"), str)

        def connect() -> None:
            with pytest.raises(LineError):
                line.open(stop, SystemClock())

        assert stopped_after(0.2, stop, connect) <= 0.4
        for filler in fillers:
            filler.close()


def test_a_name_server_that_is_silent_is_bounded(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.5) or [])
    line = tcp.Line("meter", tcp.Options(host="meter.example", connect="300 ms"), str)
    began = time.monotonic()
    with pytest.raises(LineError, match="name server"):
        line.open(Event(), SystemClock())
    assert time.monotonic() - began < 0.8


def test_a_refused_or_closed_connection_is_a_line_error():
    server = TcpServer([device()])
    server.start()
    options = tcp.Options(host="127.0.0.1", port=server.port)
    line = tcp.Line("meter", options, str)
    driver = modbus_devices.driver(PROFILE, options)
    with opened(line) as wire:
        assert driver.poll(driver.groups()[0], wire).raw.tolist() == [7.0, -10.1]
        server.close()
        with pytest.raises(LineError):
            driver.poll(driver.groups()[0], wire)
    with pytest.raises(LineError, match=f"127.0.0.1 port {server.port}"):
        line.open(Event(), SystemClock())


def test_serial_frames_through_a_transparent_converter_that_cuts_them_anywhere():
    """A converter on a socket: forwards bytes to a simulated RTU line and back in pieces of one byte."""
    with SerialBus([device()]) as bus, socket.create_server(("127.0.0.1", 0)) as listener:
        end = os.open(bus.path, os.O_RDWR | os.O_NOCTTY)

        def convert() -> None:
            client, _ = listener.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while request := client.recv(256):
                    os.write(end, request)
                    for byte in os.read(end, 256):
                        client.send(bytes([byte]))
                        time.sleep(0.001)

        thread = threading.Thread(target=convert)
        thread.start()
        options = tcp.Options(host="127.0.0.1", port=listener.getsockname()[1], framing="rtu")
        driver = modbus_devices.driver(PROFILE, options)
        with opened(tcp.Line("dtu", options, str)) as wire:
            for _ in range(5):
                assert driver.poll(driver.groups()[0], wire).raw.tolist() == [7.0, -10.1]
        thread.join(5)
        os.close(end)


def test_frames_are_logged_in_hex_with_debug(caplog):
    with SerialBus([device()]) as bus:
        line, options = serial_line(bus.path)
        driver = modbus_devices.driver(PROFILE, options, name="soil")
        with caplog.at_level(logging.DEBUG, "drivers.protocols.modbus"), opened(line) as wire:
            driver.poll(driver.groups()[0], wire)
    assert "soil  > 01 03 00 00 00 02 c4 0b  < 01 03 04 00 07 ff 9b" in caplog.text


class House(LineHouse):
    """A poller in its thread."""

    def __init__(self, line: AskedLine, options: serial.Options | tcp.Options, *addresses: int, interval_s: float = 0.2) -> None:
        drivers = {f"d{a}": modbus_devices.driver(PROFILE, options, name=f"d{a}", interval_s=interval_s, address=a, answer="150 ms")
                   for a in addresses}
        super().__init__(drivers, lambda house: Poller("bus", line, drivers, SystemClock(), house.take, house.health))


def test_a_pulled_and_returned_wire_is_read_again_within_5_s(tmp_path):
    bus = SerialBus([device()], link=tmp_path / "by-path")
    with bus:
        line, options = serial_line(bus.path)
        with House(line, options, 1) as house:
            house.until(lambda: len(house.batches("d1")) >= 2)
            bus.unplug()
            house.until(lambda: house.health.line()["state"] == "lost")
            house.until(lambda: house.batches("d1")[-1].reason[0] == Reason.LINE)
            time.sleep(1.0)
            seen = len(house.batches("d1"))
            bus.plug()
            back = time.monotonic()
            house.until(lambda: any(b.raw[0] == 7.0 for b in house.batches("d1")[seen:]), within_s=5.0)
            assert time.monotonic() - back <= 5.0
            assert house.health.line()["state"] == "open"


def test_a_server_that_restarts_is_read_again(tmp_path):
    with TcpServer([device()]) as server:
        options = tcp.Options(host="127.0.0.1", port=server.port)
        with House(tcp.Line("meter", options, str), options, 1) as house:
            house.until(lambda: len(house.batches("d1")) >= 2)
            server.close()
            house.until(lambda: house.health.line()["state"] == "lost")
            seen = len(house.batches("d1"))
            server.start()
            house.until(lambda: any(b.raw[0] == 7.0 for b in house.batches("d1")[seen:]))


def test_a_unit_that_makes_the_server_hang_up_does_not_silence_its_neighbours():
    killer = device(9)
    killer.faults.disconnect = True
    with TcpServer([device(1), killer]) as server:
        options = tcp.Options(host="127.0.0.1", port=server.port)
        with House(tcp.Line("meter", options, str), options, 1, 9, interval_s=0.1) as house:
            house.until(lambda: len([b for b in house.batches("d1") if b.raw[0] == 7.0]) >= 15)
            assert killer.requests <= 8


def test_dead_and_living_devices_share_a_real_line():
    with SerialBus([device(1), device(3)]) as bus:
        line, options = serial_line(bus.path, baudrate=115200)
        with House(line, options, 1, 2, 3) as house:
            house.until(lambda: house.health.devices(0)[1]["state"] == "silent")
            house.until(lambda: len([b for b in house.batches("d3") if b.raw[0] == 7.0]) >= 10)
            dead = house.batches("d2")
    assert all(math.isnan(value) for b in dead for value in b.raw)
    assert len(dead) == 1
    state = {d["name"]: d["state"] for d in house.health.devices(time.monotonic_ns())}
    assert state == {"d1": "good", "d2": "silent", "d3": "good"}


def test_stop_ends_the_poller_within_half_a_second():
    with SerialBus([]) as bus:
        line, options = serial_line(bus.path)
        house = House(line, options, 1)
        with house:
            time.sleep(0.05)
            began = time.monotonic()
            house.stop.set()
            house.thread.join(5)
            assert time.monotonic() - began <= 0.5
    assert house.health.line()["state"] == "stopped"


class FakePort:
    """Stands where pyserial's port stands: a pty shows neither parity nor stop bits nor the kernel's RS-485 mode. What was set is kept."""

    made: list["FakePort"]

    def __init__(self, port: str, baudrate: int, bits: int, parity: str, stop: float, *, exclusive: bool, **_: object) -> None:
        self.set = (baudrate, bits, parity, stop, exclusive)
        self.rs485_mode: object = None
        self.ends = os.pipe()
        self.is_open = True
        FakePort.made.append(self)

    def reset_input_buffer(self) -> None:
        """Nothing has come."""

    def set_low_latency_mode(self, wished: bool) -> None:
        raise NotImplementedError

    def fileno(self) -> int:
        return self.ends[0]

    def close(self) -> None:
        for end in self.ends:
            os.close(end)
        self.is_open = False


@pytest.fixture
def fake_port(monkeypatch):
    FakePort.made = []
    monkeypatch.setattr(serial.serial, "Serial", FakePort)
    return FakePort


@pytest.mark.parametrize(("written", "bits"), [("8N1", (8, "N", 1)), ("7E1", (7, "E", 1)), ("8O1", (8, "O", 1)), ("7O2", (7, "O", 2))])
def test_parity_and_stop_bits_reach_the_port_and_nobody_else_may_open_it(fake_port, written, bits):
    line, options = serial_line(Path("/dev/ttyAMA0"), format=written, baudrate=4800)
    with opened(line):
        (port,) = fake_port.made
        assert port.set == (4800, *bits, True)
        assert port.rs485_mode is None
    assert not port.is_open
    assert options.character_s == pytest.approx((1 + bits[0] + (bits[1] != "N") + bits[2]) / 4800)


@pytest.mark.parametrize(("written", "mode"), [
    (True, (True, False, False, None, None)),
    ({"sending": "low"}, (False, True, False, None, None)),
    ({"before": "2 ms", "after": "1 ms", "echo": "on"}, (True, False, True, 0.002, 0.001)),
])  # fmt: skip
def test_the_kernel_switches_the_direction_of_rs485_as_the_site_file_says(fake_port, written, mode):
    line, options = serial_line(Path("/dev/ttyAMA0"), rs485=written)
    with opened(line):
        kept = fake_port.made[0].rs485_mode
    assert (kept.rts_level_for_tx, kept.rts_level_for_rx, kept.loopback, kept.delay_before_tx, kept.delay_before_rx) == mode
    assert options.round_trip_s == sum(part or 0.0 for part in mode[3:]), "the planner and the forecast know of it"


def test_a_port_without_rs485_mode_says_what_to_do():
    """A real pty: its driver refuses, as a USB adapter's does."""
    with SerialBus([device()]) as bus:
        line, _ = serial_line(bus.path, rs485=True)
        with pytest.raises(LineError, match=r"no RS-485 mode in its driver.*leave rs485 out"):
            line.open(Event(), SystemClock())
        other, _ = serial_line(bus.path)
        with opened(other):
            pass


def test_a_silence_is_never_cut_short_and_little_longer_than_asked():
    """However late the box is woken, and whatever was learned of it; open eyes are kept for no more than 0.1 ms of each."""
    alarm = Alarm()
    over, spent = [], time.thread_time()
    for _ in range(100):
        until = time.monotonic() + 0.002
        alarm.wait(until)
        over.append(time.monotonic() - until)
    assert min(over) >= 0
    assert statistics.median(over) < 0.001
    assert 0 <= alarm.late_s <= 0.00008
    assert (time.thread_time() - spent) / 100 < 0.001
