"""Another master speaks on the line: it is read along without a byte of ours, and never asked into by mistake."""

import math
import os
import random
import socket
import struct
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import field_devices
import modbus_devices
import pytest
from daemon_inside import running
from mqtt_devices import Notebook
from virtual import VirtualClock, VirtualLine, VirtualWire
from waiting import until

from config.errors import LineError
from config.series import Reason
from drivers.codecs import dlt645, modbus_ascii
from drivers.codecs.masters import Masters
from drivers.codecs.modbus import Question, seal
from drivers.codecs.modbus_device import answer_pdu, exception_pdu
from drivers.codecs.modbus_overheard import Ear, Overheard
from drivers.driver import Heard, Overhears
from drivers.lines import serial, tcp
from drivers.overheard import payload, topic
from drivers.reading import Stamp
from gateway.building import Builder, load_site
from gateway.clock import SystemClock
from gateway.journal.reader import Reader
from gateway.listening_first import ListenFirst

S = 1_000_000_000


def request(question: Question) -> bytes:
    return seal(bytes([question.unit]) + question.pdu)


def answer(question: Question, *registers: int) -> bytes:
    return seal(bytes([question.unit]) + answer_pdu(question, registers))


SOIL = Question(1, 3, 0, 2)
OTHER = Question(2, 4, 0x0300, 3)
COILS = Question(3, 1, 0x0300, 20)  # the request and the answer of three bytes have the same length


# ── pairing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def conversation(seed: int) -> tuple[bytes, list[Overheard]]:
    """Whole exchanges in a row, as a master has them, with bytes of any value."""
    chance = random.Random(seed)
    stream, pairs = b"", []
    for _ in range(40):
        function = chance.choice((1, 2, 3, 4))
        question = Question(chance.randint(1, 247), function, chance.randint(0, 65000), chance.choice((1, 2, 8, 20, 24, 100)))
        registers = [chance.randint(0, 1 if function < 3 else 65535) for _ in range(question.count)]
        stream += request(question)
        if chance.random() < 0.2:
            stream += seal(bytes([question.unit]) + exception_pdu(function, 2))
            pairs.append(Overheard(question, declined=2))
        elif chance.random() < 0.1:
            pairs.append(Overheard(question))
        else:
            stream += answer(question, *registers)
            pairs.append(Overheard(question, tuple(registers)))
    return stream, pairs


@pytest.mark.parametrize("seed", range(12))
def test_every_exchange_of_another_master_is_paired_however_the_stream_is_cut(seed):
    stream, pairs = conversation(seed)
    chance, ear, found, at = random.Random(seed), Ear(), [], 0
    while at < len(stream):
        size = chance.choice((1, 3, 16, 64))
        found += ear.feed(stream[at : at + size], 0)
        at += size
    found += ear.fall_silent(10 * S)
    assert found == pairs
    assert (ear.unpaired, ear.stray) == (0, 0)


def test_the_same_in_ascii():
    stream = b"".join(map(modbus_ascii.seal, (bytes([1]) + SOIL.pdu, bytes([1]) + answer_pdu(SOIL, (215, 65436)))))
    for size in (1, 5, 100):
        ear = Ear("ascii")
        assert [p for at in range(0, len(stream), size) for p in ear.feed(stream[at : at + size], 0)] == [Overheard(SOIL, (215, 65436))]


def test_an_answer_whose_request_was_missed_is_counted_and_not_guessed():
    ear = Ear()
    assert ear.feed(answer(SOIL, 215, 300), 0) == []
    assert ear.unpaired == 1
    lost = request(Question(1, 3, 100, 2))
    assert ear.feed(request(SOIL), S) == []
    broken = lost[:5] + bytes([lost[5] ^ 1]) + lost[6:]  # the next request came spoilt: the answer is not to the first one
    assert ear.feed(broken, S) + ear.fall_silent(S + 1) + ear.feed(answer(SOIL, 1, 2), S + 2) == []
    assert ear.unpaired == 2


def test_an_answer_that_comes_too_late_or_from_another_unit_or_of_another_length_is_not_paired():
    for other in (answer(Question(2, 3, 0, 2), 1, 2), answer(Question(1, 4, 0, 2), 1, 2), answer(Question(1, 3, 0, 3), 1, 2, 3)):
        ear = Ear()
        assert ear.feed(request(SOIL) + other, 0) == []
        assert ear.unpaired == 1
    ear = Ear()
    assert ear.feed(request(SOIL), 0) + ear.feed(answer(SOIL, 1, 2), 4 * S) == []


def test_stray_bytes_and_cut_frames_cost_only_themselves():
    ear = Ear()
    assert ear.feed(b"\x00" + request(SOIL) + b"\xff" + answer(SOIL, 215, 300), 0) == [Overheard(SOIL, (215, 300))]
    assert ear.feed(answer(SOIL, 1, 2)[:-3], S) + ear.fall_silent(S + 1) == []
    assert ear.feed(request(SOIL) + answer(SOIL, 7, 8), 2 * S) == [Overheard(SOIL, (7, 8))]


def test_a_request_that_is_not_answered_is_told_with_the_next_or_after_a_while():
    ear = Ear()
    assert ear.feed(request(SOIL) + request(OTHER), 0) == [Overheard(SOIL)]
    assert ear.fall_silent(S) == []
    assert ear.fall_silent(4 * S) == [Overheard(OTHER)]
    assert ear.feed(request(SOIL), 5 * S) + ear.feed(request(SOIL), 6 * S) == [Overheard(SOIL)]


def test_noise_gives_no_value():
    chance = random.Random(7)
    ear, found = Ear(), []
    for at in range(400):
        found += ear.feed(chance.randbytes(500), at * S) + ear.fall_silent(at * S + 1)
    assert [pair for pair in found if pair.registers] == []
    assert len(ear._rest) <= 256


def test_what_a_master_writes_is_no_answer_and_no_noise():
    ear = Ear()
    write = seal(bytes([1, 16, 0, 8, 0, 2, 4, 0, 1, 0, 2]))
    stream = seal(bytes([1, 6, 0, 8, 0, 1])) * 2 + write + seal(write[:6]) + request(SOIL) + answer(SOIL, 1, 2)
    assert ear.feed(stream, 0) == [Overheard(SOIL, (1, 2))]
    assert (ear.stray, ear.unpaired) == (0, 0)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def heard(question: Question, *registers: int) -> Heard:
    return Heard(topic(question), payload(registers), Stamp("b", 0, 1_000_000_000))


def test_a_request_for_a_part_gives_the_values_of_that_part_as_ordinary_polling_would():
    profile = modbus_devices.profile({
        "soil_temperature": {"register": 1, "type": "s16", "decimals": 1, "missing": 0x7FFF}, "ph": {"register": 2, "decimals": 1},
        "ec": {"register": 4, "type": "f32", "order": "CDAB"}, "turbidity": {"register": 0, "function": 4}})
    driver = modbus_devices.driver(profile, address=7)
    assert isinstance(driver, Overhears)
    ear = driver.overheard()
    whole = Question(7, 3, 0, 6)
    high, low = struct.unpack(">2H", struct.pack(">f", 35.4))
    (batch,) = ear.hear(heard(whole, 9, 65435, 72, 0, low, high))
    assert {s.quantity: v for s, v in zip(batch.series, batch.raw, strict=True)} == {"soil_temperature": -10.1, "ph": 7.2, "ec": 35.4}
    (batch,) = ear.hear(heard(Question(7, 3, 1, 4), 0x7FFF, 72, 0, low))  # ec only half: nothing is made of it
    assert [s.quantity for s in batch.series] == ["soil_temperature", "ph"]
    assert math.isnan(batch.raw[0])
    assert list(batch.reason) == [Reason.FAULT, Reason.NORMAL]
    assert ear.hear(heard(Question(7, 3, 100, 4), 1, 2, 3, 4)) == []
    assert not ear.wants(heard(Question(77, 3, 0, 6)))
    assert {s.quantity for s, _ in ear.expected()} == {"soil_temperature", "ph", "ec", "turbidity"}


# ── a real line ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Wire:
    """A pty on which a test plays master and devices; everything that our side sends is kept."""

    def __init__(self, link: Path) -> None:
        self.far, self.near = os.openpty()
        tty.setraw(self.near)
        os.set_blocking(self.far, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.near))
        self.ours = b""

    def say(self, data: bytes) -> None:
        os.write(self.far, data)

    def collect(self) -> bytes:
        try:
            while True:
                self.ours += os.read(self.far, 4096)
        except BlockingIOError:
            return self.ours

    def close(self) -> None:
        os.close(self.far)
        os.close(self.near)


@contextmanager
def wire(link: Path) -> Iterator[Wire]:
    made = Wire(link)
    try:
        yield made
    finally:
        made.close()


SITE = """
[stations.field]
[lines.cabinet]
kind = "serial"
port = "{port}"
{keys}
[devices]
probe = {{ line = "cabinet", address = 1, profile = "cwt_soil_7in1", interval = "500 ms" }}
[console]
enabled = false
"""


def site(folder: Path, keys: str) -> Path:
    path = folder / "site.toml"
    path.write_text(SITE.format(port=folder / "tty", keys=keys), "utf-8")
    return path


def test_a_listening_line_journals_what_another_asks_and_never_sends_a_byte(tmp_path):
    whole, stranger = Question(1, 3, 0, 7), Question(7, 3, 0, 10)
    with wire(tmp_path / "tty") as line, running(site(tmp_path, 'mode = "listen"')) as daemon:
        health = daemon.health[0]

        def state() -> str:
            return str(health.devices(time.monotonic_ns())[0]["state"])

        def ask() -> None:
            line.say(request(whole))
            line.say(answer(whole, 321, 65435, 412, 72, 10, 20, 30) + request(stranger))
            time.sleep(0.1)

        until(lambda: ask() or (state() == "good" and "7 is asked" in health.line()["words"]))
        assert "address 7 is asked for 0x0000–0x0009" in health.line()["words"]
        assert "no device configured" in health.line()["words"]
        assert health.line()["causes"]["stranger"] >= 1
        until(lambda: state() == "silent")  # the other master stops asking
        until(lambda: values(tmp_path, "soil_moisture")[1] > 0, every_s=0.05)
        assert line.collect() == b""
    moist, missing = values(tmp_path, "soil_moisture")
    assert set(moist) == {32.1}
    assert missing >= 1, "a device that is no longer asked is missing"
    assert set(values(tmp_path, "soil_temperature")[0]) == {-10.1}


def values(folder: Path, quantity: str) -> tuple[list[float], int]:
    """What the journal holds of a quantity as measured, and how many rows of it are missing."""
    with Reader(folder / "journal") as reader:
        rows = reader.rows_after(0, 10_000)
    raw = [float(value) for value, which in zip(rows.raw, rows.which, strict=True) if rows.series[which].quantity == quantity]
    return [value for value in raw if not math.isnan(value)], sum(map(math.isnan, raw))


def test_a_mute_line_refuses_to_send_whoever_asks_it_to(tmp_path):
    with wire(tmp_path / "tty") as far:
        line = serial.Line("cabinet", serial.Options(port=str(tmp_path / "tty"), mode="listen"), str)
        try:
            opened = line.open(Event(), SystemClock())
            with pytest.raises(LineError, match="nothing is sent"):
                opened.send(request(SOIL))
            driver = modbus_devices.driver(modbus_devices.profile({"ph": {"register": 0}}))
            with pytest.raises(LineError, match="nothing is sent"):
                driver.poll(driver.groups()[0], opened)
        finally:
            line.close()
        time.sleep(0.05)
        assert far.collect() == b""


def test_frames_through_a_converter_are_read_along_too_and_nothing_is_sent_into_the_socket():
    profile = modbus_devices.profile({"ph": {"register": 0, "decimals": 1}})
    device = modbus_devices.driver(profile, tcp.Options(host="127.0.0.1", framing="rtu", mode="listen"), address=1)
    got: list[float] = []
    stop = Event()

    def deliver(delivery, wait_s):
        got.extend(float(value) for batch in delivery.batches for value in batch.raw)
        stop.set()
        return True

    with socket.create_server(("127.0.0.1", 0)) as server:
        options = tcp.Options(host="127.0.0.1", port=server.getsockname()[1], framing="rtu", mode="listen")
        line, given = tcp.Line("modem", options, str), ({"soil": device.overheard()}, deliver, stop, SystemClock(), Notebook())
        worker = threading.Thread(target=line.run, args=given)
        worker.start()
        peer, _ = server.accept()
        with peer:
            peer.sendall(request(SOIL) + answer(SOIL, 72, 0))
            worker.join(5)
            assert got == [7.2]
            peer.settimeout(1)
            assert peer.recv(100) == b"", "it hung up without a byte"


def test_what_can_only_be_asked_is_refused_on_a_listening_line(tmp_path):
    path = site(tmp_path, 'mode = "listen"')
    path.write_text(path.read_text("utf-8").replace("cwt_soil_7in1", "dlt645_2007").replace("address = 1", 'address = "161"'), "utf-8")
    with pytest.raises(ValueError, match="only Modbus can"):
        Builder(load_site(path)).drivers("cabinet")
    with pytest.raises(ValueError, match='framing = "rtu"'):
        tcp.Options(host="h", mode="listen")


# ── listening first ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("frame", [
    request(SOIL), modbus_ascii.seal(bytes([1]) + SOIL.pdu), seal(bytes([1, 6, 0, 8, 0, 1])),
    dlt645.build(dlt645.Frame("000000000161", dlt645.READ_2007, bytes.fromhex("00000100")))])
def test_requests_of_any_master_are_recognised(frame):
    heard = Masters()
    heard.feed(b"\x55" + frame, 0)
    heard.fall_silent(S)
    assert heard.requests == 1
    assert heard.words()


@pytest.mark.parametrize("stream", [
    field_devices.plantower_frame(3) * 20, field_devices.sds011_frame(3) * 20, b"$WIMWV,214.8,R,0.1,N,A*28\r\n" * 20, b"A=53.7 dB\r\n" * 50,
    answer(SOIL, 1, 2), dlt645.build(dlt645.Frame("000000000161", 0x91, bytes.fromhex("0000010012345678"))), random.Random(5).randbytes(20_000)])
def test_who_speaks_by_himself_or_answers_is_no_master(stream):
    heard = Masters()
    for at in range(0, len(stream), 40):
        heard.feed(stream[at : at + 40], at)
    heard.fall_silent(S)
    assert heard.requests == 0


def test_the_first_opening_listens_and_later_ones_do_not():
    clock = VirtualClock()
    far = VirtualWire(clock, lambda _: None)
    line = ListenFirst("bus", VirtualLine(far), 3.0)
    began = clock.mono_ns
    line.open(Event(), clock)
    assert clock.mono_ns - began == 3 * S
    line.close()
    line.open(Event(), clock)
    assert clock.mono_ns - began == 3 * S
    assert far.sent == []


def test_a_line_where_another_master_speaks_is_lost_with_its_repair_until_it_is_free():
    clock = VirtualClock()
    far = VirtualWire(clock, lambda _: None)
    inner = VirtualLine(far)
    line = ListenFirst("bus", inner, 3.0)
    for _ in range(2):
        far.pending = [(clock.mono_ns + 2 * S, request(SOIL))]
        with pytest.raises(LineError, match=r'another master asks address 1 in Modbus RTU: .* mode = "listen"'):
            line.open(Event(), clock)
        assert not inner.is_open
    assert line.open(Event(), clock) is far
    assert far.sent == []


FAR = """
[stations.field]
[lines]
weir = { %s, framing = "%s", listen_first = "500 ms" }

[devices]
soil = { line = "weir", profile = "cwt_soil_7in1", address = 1 }
"""


@contextmanager
def talk_behind(kind: str) -> Iterator[tuple[str, Callable[[], socket.socket]]]:
    """The keys of a line, and how its far side, a converter or a modem, is met once it is opened."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if kind == "tcp":
            yield f'kind = "tcp", host = "127.0.0.1", port = {port}', lambda: server.accept()[0]
            return

    def dialled() -> socket.socket:
        for _ in range(100):
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", port))
            time.sleep(0.05)
        raise AssertionError("nobody listens")

    yield f'kind = "tcp_server", listen = "127.0.0.1:{port}"', dialled


@pytest.mark.parametrize(("framing", "said", "is_asked"), [("rtu", request(OTHER), False), ("ascii", modbus_ascii.seal(request(OTHER)[:-2]), False),
                                                           ("tcp", request(OTHER), True)])
@pytest.mark.parametrize("kind", ["tcp", "tcp_server"])
def test_serial_frames_behind_a_network_are_listened_to_before_they_are_asked_too(tmp_path, kind, framing, said, is_asked):
    stop, outcome = Event(), []

    def opening():
        try:
            line.open(stop, SystemClock())
            outcome.append("free")
        except LineError as error:
            outcome.append(str(error))

    with talk_behind(kind) as (keys, far):
        (tmp_path / "site.toml").write_text(FAR % (keys, framing), "utf-8")
        line = Builder(load_site(tmp_path / "site.toml")).asked_line("weir")
        worker = threading.Thread(target=opening)
        worker.start()
        with far() as peer:
            peer.sendall(said)
            worker.join(5)
            stop.set()
            line.close()
    assert ("another master asks address 2" in outcome[0]) is not is_asked, outcome


def test_the_daemon_does_not_ask_into_the_talk_of_another_master_and_says_so(tmp_path, caplog):
    with wire(tmp_path / "tty") as line, running(site(tmp_path, 'listen_first = "1 s"')) as daemon:
        until(lambda: line.say(request(OTHER)) or "another master" in daemon.health[0].line()["words"], every_s=0.05)
        assert line.collect() == b""
        assert 'mode = "listen"' in str(daemon.health[0].devices(time.monotonic_ns())[0]["words"])
        until(lambda: line.collect() != b"")  # it has gone away: now we ask
    assert any("another master" in record.message for record in caplog.records)
