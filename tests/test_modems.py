"""Modems that connect to us: known by what they register, never mixed up, bounded whoever else comes, and no late answer is believed."""

import io
import math
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event

import field_devices
import modbus_devices
import pytest
import servers
from contract.test_asked import KINDS_ASKED
from daemon_inside import running
from mqtt_devices import Journal, Notebook
from virtual import VirtualClock, VirtualWire
from waiting import until
from witnesses import journal_rows

from config.errors import DeviceError, LineError
from config.reading_profile import load_profile
from config.reading_site import read_site_text
from drivers.codecs.calling import Registration, Sieve, imei
from drivers.driver import Asked, Called, finish
from drivers.lines import _door, _switchboard, tcp_server
from drivers.protocols import modbus
from drivers.reading import Delivery
from drivers.simulated.modbus import ProfileSource, SimulatedDevice, TableSource
from drivers.simulated.modem import Modem
from gateway.building import Builder, load_site
from gateway.checking.check import prove, run_check
from gateway.checking.live_check import check_live
from gateway.clock import SystemClock
from gateway.health import LineHealth
from gateway.plugins import KINDS
from gateway.poller import Poller

PROFILE = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1, "type": "s16", "decimals": 1}},
                                 timing={"answer": "200 ms", "turnaround": "10 ms"})


def sensor(address: int = 1, value: int = 7) -> SimulatedDevice:
    return SimulatedDevice(address, TableSource({0: value, 1: 0xFF9B}), 0.001)


def options(port: int, registration: str = "weir-01", **keys: object) -> tcp_server.Options:
    table = {"listen": f"127.0.0.1:{port}", "registration": registration, "round_trip": "100 ms"} | keys
    return tcp_server.Options.model_validate(table)


def driver(of: tcp_server.Options, address: int = 1, name: str = "probe", interval_s: float = 1.0) -> modbus.Driver:
    return modbus_devices.driver(PROFILE, of, name, interval_s, address=address)  # type: ignore[arg-type]


@pytest.fixture
def port() -> int:
    return servers.free_port()


@contextmanager
def listening(of: tcp_server.Options, name: str = "weir") -> Iterator[tuple[tcp_server.Line, Event]]:
    stop = Event()
    line = tcp_server.Line(name, of, str)
    try:
        yield line, stop
    finally:
        line.close()
        stop.set()
        until(lambda: of.place not in _switchboard._BOARDS or bool(_switchboard._BOARDS[of.place].subscribers))


def opened(line: tcp_server.Line, stop: Event, within_s: float = 5.0):
    end = time.monotonic() + within_s
    while True:
        try:
            return line.open(stop, SystemClock())
        except LineError:
            if time.monotonic() > end:
                raise


def values(of: Asked, wire) -> list[float]:
    return [float(value) for value in finish(of.poll(of.groups()[0], wire), wire).raw]


def refused(of: tcp_server.Options, said: bytes, within_s: float = 3.0) -> bool:
    """Does the listener hang up on somebody who says this?"""
    with socket.create_connection(("127.0.0.1", of.place.port), 2) as wire:
        wire.settimeout(within_s)
        wire.sendall(said)
        try:
            return wire.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


@pytest.mark.parametrize(("registration", "said"), [
    ("weir-01", b"weir-01"), ("weir-01", b"weir-01\r\n"), ("hex:AA 55 01", b"\xaa\x55\x01"), ("imei:490154203237518", b"490154203237518"),
    ("imei:490154203237518", b"IMEI:490154203237518\r\n"), ("imei:490154203237518", bytes.fromhex("0490154203237518"))])
@pytest.mark.parametrize("size", [1, 1000])
def test_a_modem_is_known_by_what_it_registers_however_that_is_cut(port: int, registration: str, said: bytes, size: int) -> None:
    of = options(port, registration)
    with listening(of) as (line, stop), Modem(port, [sensor()], said) as modem:
        modem.register_in = size
        wire = opened(line, stop)
        assert values(driver(of), wire) == [7, -10.1]
        assert isinstance(wire, Called)
        assert "modem at 127.0.0.1, connected since 20" in wire.caller


@pytest.mark.parametrize("heartbeat", [b"PING", b"\xfe", b"\x00\x00", b"*"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_heartbeats_in_the_middle_of_an_answer_are_no_part_of_it_however_they_are_cut(port: int, heartbeat: bytes, size: int) -> None:
    of = options(port, heartbeat=f"hex:{heartbeat.hex()}")
    with listening(of) as (line, stop), Modem(port, [sensor(value=0x5049)], b"weir-01", heartbeat) as modem:
        modem.beats_inside, modem.pieces = len(heartbeat) > 1 or size > 3, size
        wire = opened(line, stop)
        assert [values(driver(of), wire) for _ in range(3)] == [[0x5049, -10.1]] * 3
        assert modem.requests == 3, "each was understood at once"


def test_an_answer_that_holds_the_bytes_of_a_heartbeat_is_still_read(port: int) -> None:
    of = options(port, heartbeat="hex:12 34")
    with listening(of) as (line, stop), Modem(port, [sensor(value=0x1234)], b"weir-01", b"\x12\x34") as modem:
        wire = opened(line, stop)
        assert values(driver(of), wire) == [0x1234, -10.1]
        modem.is_quiet = True
        with pytest.raises(DeviceError, match="no answer"):
            values(driver(of), wire)


def test_a_heartbeat_is_no_answer_and_no_noise(port: int) -> None:
    of = options(port, heartbeat="PING")
    with listening(of) as (line, stop), Modem(port, [sensor()], b"weir-01", b"PING") as modem:
        modem.beat_every_s = 0.02
        wire = opened(line, stop)
        with pytest.raises(DeviceError) as failed:
            values(driver(of, address=9), wire)
        assert failed.value.cause == "silent"
        assert values(driver(of), wire) == [7, -10.1]


def test_the_newest_connection_counts_and_the_older_is_ended(port: int) -> None:
    of = options(port)
    with listening(of) as (line, stop), Modem(port, [sensor(value=1)], b"weir-01"):
        wire = opened(line, stop)
        assert values(driver(of), wire)[0] == 1
        with socket.create_connection(("127.0.0.1", port)) as second:
            second.sendall(b"weir-01")
            until(lambda: line._door.has_newer)
            wire.drain()  # between two exchanges: gone over to without a word
            wire.send(b"hello")
            second.settimeout(2)
            assert second.recv(10) == b"hello"
            with socket.create_connection(("127.0.0.1", port)) as third:
                third.sendall(b"weir-01")
                assert second.recv(10) == b"", "the older one is ended"
                with pytest.raises(LineError, match="connected anew in the middle"):
                    wire.receive(lambda so_far: 1, 5)


def test_a_modem_that_connects_anew_between_two_polls_costs_no_reading(port: int) -> None:
    of = options(port)
    with listening(of) as (line, stop), ExitStack() as stack:
        stack.enter_context(Modem(port, [sensor(value=1)], b"weir-01"))
        wire = opened(line, stop)
        probe = driver(of)
        assert values(probe, wire)[0] == 1
        stack.close()
        with Modem(port, [sensor(value=2)], b"weir-01") as again:
            until(lambda: again.connections == 1 and line._door.has_newer)
            assert values(probe, wire)[0] == 2


def test_two_modems_with_one_registration_that_take_turns_are_believed_no_more_and_that_is_said(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of = options(port)
    with listening(of) as (line, stop):
        with Modem(port, [sensor(value=1)], b"weir-01"), Modem(port, [sensor(value=2)], b"weir-01"):
            opened(line, stop)
            until(lambda: line._door.quarrel() != "", 20)
        with pytest.raises(LineError, match="two modems register alike"):
            line.open(stop, SystemClock())
        monkeypatch.setattr(_door, "_QUARREL_S", 0.0)
        with Modem(port, [sensor(value=1)], b"weir-01"):
            assert values(driver(of), opened(line, stop))[0] == 1


def test_a_modem_whose_addresses_change_is_no_quarrel_and_one_that_returns_is() -> None:
    def moved(*peers: str) -> str:
        door, ends = _door.Door("weir"), []
        for peer in peers:
            near, far = socket.socketpair()
            ends.append(far)
            door.offer(_door.Call(near, peer))
        words = door.quarrel()
        door.shut()
        for end in ends:
            end.close()
        return words

    assert moved("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4") == ""
    assert moved("10.0.0.1", "10.0.0.1", "10.0.0.1") == ""
    assert "10.0.0.1, 10.0.0.2" in moved("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2")


TCP_REPAIR = 19


def taken_over(times: int, then: Callable[[socket.socket], None]) -> str:
    """One registration comes again and again from one address, slowly; what `then` does the modem that had to give way."""
    door, words, old = _door.Door("weir"), "", None
    with socket.create_server(("127.0.0.1", 0)) as ear, ExitStack() as ends:
        for _ in range(times + 1):
            far = ends.enter_context(socket.create_connection(ear.getsockname()))
            near, _ = ear.accept()
            door.offer(_door.Call(near, "10.8.0.1"))
            if old is not None:
                then(old)
            old = far
            door.take(0.0, Event())
        end = time.monotonic() + 0.2  # a living far side may take 40 ms to acknowledge
        while not words and time.monotonic() < end:
            words = door.quarrel()
            time.sleep(0.01)
        door.shut()
        door.leave()
    return words


def forgotten(modem: socket.socket) -> None:
    """As after its supply failed: whatever comes for the old connection is answered as unknown."""
    try:
        modem.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except PermissionError:
        pytest.skip("to lose a connection without a word needs root (TCP_REPAIR)")
    modem.close()


def talks_on(modem: socket.socket) -> None:
    until(lambda: modem.recv(1, socket.MSG_PEEK) == b"")
    time.sleep(0.02)  # the kernel keeps such times in ticks
    modem.sendall(b"more")


@pytest.mark.parametrize("then", [lambda modem: None, talks_on, lambda modem: modem.close()])
def test_two_modems_behind_one_address_that_take_turns_slowly_are_a_quarrel(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[socket.socket], None],
) -> None:
    monkeypatch.setattr(_door, "_CHANGES", 1000)
    assert taken_over(5, then) == ""
    assert "two modems register alike and take turns (10.8.0.1)" in taken_over(6, then)


def test_one_modem_whose_supply_fails_again_and_again_is_no_quarrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_door, "_CHANGES", 1000)
    assert taken_over(20, forgotten) == ""


def test_several_lines_share_an_address_and_each_gets_its_own_modem(port: int) -> None:
    first, second = options(port), options(port, "mast-02")
    modems = Modem(port, [sensor(value=1), sensor(2, 11)], b"weir-01"), Modem(port, [sensor(value=2)], b"mast-02")
    with listening(first) as (weir, stop), listening(second, "mast") as (mast, other), modems[0], modems[1]:
        for of, line, end, expected in ((first, weir, stop, 1), (second, mast, other, 2)):
            assert values(driver(of), opened(line, end, 8))[0] == expected
        assert values(driver(first, 2), opened(weir, stop))[0] == 11, "several devices behind one modem"


def test_whoever_is_unknown_silent_or_from_elsewhere_is_turned_away_and_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_switchboard, "_REGISTER_S", 0.2)
    monkeypatch.setattr(tcp_server, "_WAIT_S", 0.1)
    monkeypatch.setattr(_switchboard, "_BURST", 300.0)
    of = options(port, heartbeat="PING")
    with listening(of) as (line, stop):
        with pytest.raises(LineError, match="a modem that registers as weir-01 has not connected"):
            line.open(stop, SystemClock())
        for said in (b"thief", b"weir-02", b"we", b"", b"PING" * 200, b"\x16\x03\x01\x02\x00\x01\x00"):
            assert refused(of, said), said
        with pytest.raises(LineError, match="registers as hex:16 03 01 02 00 01 00, which no line does"):
            line.open(stop, SystemClock())
        with Modem(port, [sensor()], b"weir-01"):
            assert values(driver(of), opened(line, stop)) == [7, -10.1]
    far = options(port, networks="10.0.0.0/8")
    with listening(far) as (line, stop):
        with pytest.raises(LineError):
            line.open(stop, SystemClock())
        assert refused(far, b"weir-01")
        with pytest.raises(LineError, match=r"127\.0\.0\.1 is not of an allowed network"):
            line.open(stop, SystemClock())


def test_a_flood_of_connections_is_bounded_and_the_modem_that_is_there_is_read_on(port: int) -> None:
    of = options(port)
    with listening(of) as (line, stop), Modem(port, [sensor()], b"weir-01"):
        wire = opened(line, stop)
        flood = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(200)]
        try:
            board = _switchboard._BOARDS[of.place]
            until(lambda: board.turned_away >= 200 - _switchboard._BURST)
            assert len(board._unknown) <= _switchboard._MOST_OF_ONE
            assert values(driver(of), wire) == [7, -10.1]
        finally:
            for one in flood:
                one.close()


@contextmanager
def strangers(port: int, addresses: range, each: int) -> Iterator[None]:
    """Silent connections from so many addresses of this machine."""
    with ExitStack() as stack:
        for _ in range(each):
            for number in addresses:
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 5, (f"127.0.0.{number}", 0)))
        yield


def test_no_flood_from_other_addresses_keeps_out_a_modem_that_takes_its_time_to_register(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_server, "_WAIT_S", 0.1)
    of = options(port)
    with listening(of) as (line, stop):
        with pytest.raises(LineError):
            line.open(stop, SystemClock())
        board = _switchboard._BOARDS[of.place]
        with strangers(port, range(2, 12), 8):
            until(lambda: board.turned_away >= 16)
            with socket.create_connection(("127.0.0.1", port)) as modem:
                modem.sendall(b"weir")
                until(lambda: any(stranger.came == b"weir" for stranger in board._unknown.values()))
                before = board.turned_away
                with strangers(port, range(20, 50), 4):  # full all the while, and each address has more than the modem's
                    until(lambda: board.turned_away >= before + 120)
                    assert len(board._unknown) == _switchboard._MOST_UNKNOWN
                    modem.sendall(b"-01")
                    opened(line, stop).send(b"hello")
                    modem.settimeout(2)
                    assert modem.recv(10) == b"hello"
        assert "give way" in line._door.strangers


def test_of_one_address_a_few_wait_and_who_had_time_gives_way_to_the_newest_but_nobody_before(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_server, "_WAIT_S", 0.1)
    of = options(port)
    with listening(of) as (line, stop):
        with pytest.raises(LineError):
            line.open(stop, SystemClock())
        board = _switchboard._BOARDS[of.place]
        with strangers(port, range(2, 3), _switchboard._MOST_OF_ONE):
            until(lambda: len(board._unknown) == _switchboard._MOST_OF_ONE)
            with socket.create_connection(("127.0.0.1", port), 5, ("127.0.0.2", 0)) as early:
                assert early.recv(1) == b"", "the others have just come and may yet register"
            monkeypatch.setattr(_switchboard, "_PATIENCE_S", 0.0)
            with socket.create_connection(("127.0.0.1", port), 5, ("127.0.0.2", 0)) as modem:
                modem.sendall(b"weir-01")
                opened(line, stop)
            assert len(board._unknown) == _switchboard._MOST_OF_ONE - 1, "one gave way, and who has registered counts no more"


def test_a_port_that_is_taken_is_said(port: int) -> None:
    taken = rf"127\.0\.0\.1:{port} is in use by another program"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(LineError, match=taken):
        tcp_server.Line("weir", options(port), str).open(Event(), SystemClock())


class Queue:
    """Takes what a poller hands over."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    def __call__(self, delivery: Delivery, wait_s: float) -> bool:
        for batch in delivery.batches:
            self.rows.append((batch.series[0].device, float(batch.raw[0]), time.monotonic()))
        return True


def test_one_slow_modem_does_not_delay_another_line_and_a_reconnect_is_survived(port: int) -> None:
    first, second = options(port, "slow", round_trip="1 s"), options(port, "fast")
    stop, queue = Event(), Queue()
    healths = {name: LineHealth(name, "tcp_server", {name: "st"}) for name in ("slow", "fast")}
    pollers = [Poller(name, tcp_server.Line(name, of, str), {name: driver(of, name=name, interval_s=0.2)}, SystemClock(), queue, healths[name])
               for name, of in (("slow", first), ("fast", second))]
    threads = [threading.Thread(target=poller.run, args=(stop,)) for poller in pollers]
    with ExitStack() as stack, Modem(port, [sensor(value=1)], b"slow") as slow:
        slow.round_trip_s = lambda: 0.9
        fast = Modem(port, [sensor(value=2)], b"fast")
        stack.callback(lambda: [stop.set(), *(thread.join(10) for thread in threads)])
        fast.start()
        for thread in threads:
            thread.start()
        until(lambda: sum(row[0] == "fast" for row in queue.rows) >= 10, 15)
        fast.close()
        fast.start()
        before = len(queue.rows)
        until(lambda: sum(row[:2] == ("fast", 2.0) for row in queue.rows[before:]) >= 5, 10)
        until(lambda: any(row[0] == "slow" for row in queue.rows), 10)
        words = healths["fast"].line()
        fast.close()
    assert "modem at 127.0.0.1" in words["words"]
    assert words["state"] == "open"
    assert {value for device, value, _ in queue.rows if device == "slow" and not math.isnan(value)} == {1.0}
    times = [at for device, value, at in queue.rows if device == "fast" and value == 2.0][:10]
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.8


def test_a_sensor_that_speaks_by_itself_is_heard_through_a_modem_and_its_heartbeats_are_not(port: int) -> None:
    of = options(port, heartbeat="PING")
    journal, notebook, stop = Patient(), Notebook(), Event()
    driver_of = {"dust": field_devices.streamed("plantower_pms5003")}
    line = tcp_server.Line("weir", of, str)
    thread = threading.Thread(target=line.run, args=(driver_of, journal, stop, SystemClock(), notebook))
    thread.start()
    try:
        until(lambda: of.place in _switchboard._BOARDS)
        with socket.create_connection(("127.0.0.1", port)) as modem:
            modem.sendall(b"weir-01")
            until(lambda: notebook.times("opened") == 1)
            for number in range(5):
                frame = field_devices.plantower_frame(number)
                modem.sendall(frame[:10] + b"PI")
                time.sleep(0.01)
                modem.sendall(b"NG" + frame[10:])
                until(lambda: len(journal.deliveries) == number + 1)  # noqa: B023 - used at once
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert notebook.times("failed") == 0


class Patient(Journal):
    """Takes everything, also from a line that waits."""

    def __call__(self, delivery: Delivery, wait_s: float) -> bool:
        return super().__call__(delivery, 0)


@pytest.mark.parametrize("cut", [False, True])
def test_answers_that_come_after_0_2_to_12_seconds_are_never_taken_for_another_question_s(cut: bool) -> None:
    """Virtual time: the far side says with which request a value belongs; every value that is believed is of its own request."""
    chance = random.Random(3)
    asked: list[int] = []

    def respond(request: bytes) -> tuple[float, bytes] | None:
        if chance.random() < 0.1:
            return None
        question = int.from_bytes(request[2:4])
        asked.append(question)
        answer = modbus_answer(1, [question * 256 + len(asked) % 256])
        delay_s = chance.choice([0.2, 0.6, 1.5, 3.0, 3.6, 5.0, 12.0])
        return (delay_s, answer[: chance.randrange(1, len(answer))]) if cut and chance.random() < 0.2 else (delay_s, answer)

    of = tcp_server.Options.model_validate({"registration": "x"})
    rows = {"a": {"register": 0}, "b": {"register": 100}, "c": {"register": 200}}
    profile = modbus_devices.profile(rows, timing={"answer": "500 ms", "forbidden": [[1, 99], [101, 199]]})
    far = modbus_devices.driver(profile, of, address=1)  # type: ignore[arg-type]
    wire = VirtualWire(VirtualClock(), respond)
    good = 0
    for _ in range(400):
        try:
            batch = finish(far.poll(far.groups()[0], wire), wire)
        except DeviceError:
            continue
        for place, value in zip((0, 100, 200), batch.raw.tolist(), strict=True):
            if not math.isnan(value):
                good += 1
                assert int(value) // 256 == place, "an answer to another question was believed"
        wire.virtual.go_on(5)
    assert good > 200


def modbus_answer(unit: int, registers: list[int]) -> bytes:
    from drivers.codecs.modbus import seal

    return seal(bytes([unit, 3, 2 * len(registers)]) + b"".join(register.to_bytes(2) for register in registers))


def test_how_long_to_wait_is_learned_from_the_modem_s_own_answers() -> None:
    of = tcp_server.Options.model_validate({"registration": "x", "round_trip": "500 ms"})
    far = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}}, timing={"answer": "5 s"}), of)  # type: ignore[arg-type]
    silent: list[bool] = [False]
    wire = VirtualWire(VirtualClock(), lambda request: None if silent[0] else (0.3, modbus_answer(1, [1])))
    for _ in range(3):
        finish(far.poll(far.groups()[0], wire), wire)
    silent[0] = True
    began = wire.virtual.mono_ns
    with pytest.raises(DeviceError):
        finish(far.poll(far.groups()[0], wire), wire)
    assert (wire.virtual.mono_ns - began) / 1e9 < 1.5, "6 s are allowed, 0.3 s were usual"


@pytest.mark.parametrize("name", ["modbus", "dlt645", "mhz19", "shdlc"])
def test_a_silent_device_is_waited_for_as_the_others_taught_with_the_usual_options(name: str) -> None:
    """A round trip of 1.5 s is allowed for; answers took 0.25 s, so nobody waits 3 s for one that does not come."""
    kind = KINDS_ASKED[name]
    made = field_devices.device(kind.profile, **kind.options)
    driver = KINDS.driver(made.profile.file.protocol)(replace(made, line_options=tcp_server.Options(registration="x")))
    assert isinstance(driver, Asked)
    healthy, silent = kind.device(), [False]
    wire = VirtualWire(VirtualClock(), lambda request: None if silent[0] or (said := healthy(request)) is None else (0.25, said))
    for _ in range(20):
        values(driver, wire)
    silent[0] = True
    began = wire.virtual.mono_ns
    with pytest.raises(DeviceError):
        values(driver, wire)
    assert (wire.virtual.mono_ns - began) / 1e9 < 1.5


def test_what_is_taken_out_of_a_stream_is_the_codes_and_nothing_else() -> None:
    sieve = Sieve([b"PING", b"weir-01"])
    assert sieve.without(b"\x01PINGPING\x02weir-01\x03") == b"\x01\x02\x03"
    assert [sieve.is_begun(text) for text in (b"xPIN", b"weir-0", b"x", b"", b"PING")] == [True, True, False, False, False]
    assert Sieve([]).without(b"PING") == b"PING"
    assert Registration.read("imei:490154203237518").length(b"4901542") == 0
    assert Registration.read("a").resembles(Registration.read("ab"))


@pytest.mark.parametrize("wrong", ["490154203237519", "49015420323751", "x" * 15])
def test_an_imei_has_fifteen_digits_and_a_check_digit(wrong: str) -> None:
    with pytest.raises(ValueError, match="not an IMEI"):
        imei(wrong)


@pytest.mark.parametrize(("table", "words"), [
    ({"listen": "0.0.0.0:8899"}, "take whoever connects from anywhere"), ({"listen": "8899"}, "not an address of this box"),
    ({"listen": "127.0.0.1:0"}, "port 0"), ({"listen": "box.example:80"}, "not an address of this box"),
    ({"registration": "hex:1"}, "not in hex digits"), ({"registration": "x" * 65}, "65 bytes"), ({"heartbeat": ["hex:zz"]}, "not in hex digits"),
    ({"networks": ["10.0.0.0/40"]}, "write as in"), ({"registration": "imei:1"}, "not an IMEI"),
    ({"registration": "weir-01", "heartbeat": "weir"}, "inside of its registration"), ({"round_trip": "0.5"}, "duration")])
def test_wrong_options_are_refused_in_words(table: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tcp_server.Options.model_validate(table)


@pytest.mark.parametrize(("first", "second", "words"), [
    ('registration = "weir"', 'registration = "weir-2"', "begins like the other's"),
    ('registration = "weir"', "", "one of them has no registration"),
    ('registration = "a"', 'registration = "b"\nlisten = "0.0.0.0:8899"', "cannot be had twice")])
def test_lines_that_cannot_share_an_address_are_refused_by_the_check(first: str, second: str, words: str) -> None:
    from config.errors import ConfigError

    text = f'[stations.a]\n[lines.one]\nkind = "tcp_server"\n{first}\n[lines.two]\nkind = "tcp_server"\n{second}\n'
    with pytest.raises(ConfigError, match=words):
        read_site_text(text, KINDS)
    read_site_text(text.replace(second, 'registration = "other"') if second else text + 'registration = "other"\n', KINDS)


MODEM_SITE = """[stations.river]
[lines.weir]
kind = "tcp_server"
{codes}
[devices]
it = {device}
"""
METER, DUST = '{ profile = "sim_noise_meter", address = 1 }', '{ profile = "plantower_pms5003" }'


@pytest.mark.parametrize(("codes", "device", "answer", "words"), [
    ('registration = "weir-01"\nheartbeat = ["PING", "hex:00"]', DUST, 78, "of what it says every byte 00 would be taken"),
    ('registration = "w"\nheartbeat = "PING"', DUST, 78, "of what it says every byte 77 would be taken"),
    ('registration = "weir-01"\nheartbeat = "hex:00"', METER, 0, "warning   lines.weir: a registration or heartbeat of 1 byte stands in many"),
    ('registration = "weir-01"\nheartbeat = ["PING", "BIP"]', DUST, 0, "a registration or heartbeat of 3 bytes stands in many"),
    ('registration = "weir-01"\nheartbeat = "PING"', DUST, 0, "OK.")])
def test_codes_of_a_modem_that_would_eat_readings_are_refused_or_warned_of(tmp_path: Path, codes: str, device: str, answer: int, words: str) -> None:
    (tmp_path / "site.toml").write_text(MODEM_SITE.format(codes=codes, device=device), "utf-8")
    out = io.StringIO()
    assert run_check(str(tmp_path / "site.toml"), live=False, schema=False, all_=False, as_json=False, out=out) == answer
    assert words in out.getvalue()
    if answer:
        with pytest.raises(ValueError, match="speaks by itself"):
            Builder(load_site(tmp_path / "site.toml")).drivers("weir")


def test_every_protocol_of_a_serial_line_can_be_carried_by_a_modem() -> None:
    for protocol in KINDS.names("protocols"):
        kinds = KINDS.lines(protocol)
        assert ("tcp" in kinds) == ("tcp_server" in kinds), protocol




SITE = """# site.toml
[stations.river]
[lines.weir]
kind = "tcp_server"
listen = "127.0.0.1:{port}"
registration = "weir-01"
heartbeat = "PING"
round_trip = "100 ms"
listen_first = "0 s"
[devices]
noise = {{ profile = "sim_noise_meter", address = 1, interval = "200 ms" }}
[console]
enabled = false
"""


def test_what_the_devices_behind_a_modem_said_is_what_the_journal_has_also_over_reconnections(tmp_path: Path, port: int) -> None:
    """Two witnesses: the meter's own ledger and the journal as SQLite shows it; the modem is cut off and comes again."""
    said: list[float] = []

    def value(quantity: str) -> float:
        said.append(round(30 + len(said) % 500 / 10, 1))
        return said[-1]

    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", KINDS), value))
    (tmp_path / "site.toml").write_text(SITE.format(port=port), "utf-8")
    with running(tmp_path / "site.toml") as daemon:
        for _ in range(3):
            with Modem(port, [meter], b"weir-01", b"PING") as modem:
                modem.beats_inside, modem.pieces = True, 3
                before = len(said)
                until(lambda: len(said) > before + 12, 15)  # noqa: B023 - used at once
        [line] = [health.line() for health in daemon.health]
    assert line["state"] in ("open", "lost")
    kept = [raw for _, _, raw, _ in journal_rows(tmp_path, "noise")]
    assert set(Counter(kept) - Counter(said)) == set(), "a value that was never said"
    assert len(said) - len(kept) <= 6 * len(set(meter_quantities())), "more was lost than the exchanges that were cut off"
    assert len(kept) > 20


def meter_quantities() -> list[str]:
    return list(load_profile("sim_noise_meter", KINDS).rows)


def test_a_look_at_the_lines_waits_for_the_modem_and_says_who_did_not_come(tmp_path: Path, port: int) -> None:
    (tmp_path / "site.toml").write_text(SITE.format(port=port), "utf-8")
    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", KINDS), lambda quantity: 50.0))
    file, out = load_site(tmp_path / "site.toml"), io.StringIO()
    caller = threading.Timer(1.5, lambda: modem.start())
    modem = Modem(port, [meter], b"weir-01", b"PING")
    caller.start()
    try:
        assert check_live(file, prove(file), as_json=False, out=out, listen_s=10.0) == 0, out.getvalue()
    finally:
        caller.join()
        modem.close()
    until(lambda: not _switchboard._BOARDS)
    out = io.StringIO()
    assert check_live(file, prove(file), as_json=False, out=out, listen_s=0.5) == 1
    assert "a modem that registers as weir-01 has not connected" in out.getvalue()
    assert "its server address, port and registration packet" in out.getvalue()
