"""Drivers of any protocol made from shipped profiles, and far sides that answer or speak as the real devices do."""

import os
import socket
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

import servers

from config.device import Profile
from config.find import Found
from config.reading_profile import read_profile
from drivers.codecs import dlt645, ezo, mhz19, modbus, modbus_ascii, plantower, sdi12, sds011, shdlc, ultrasonic
from drivers.driver import Asked, Device, Streamed, Told
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from gateway.plugins import KINDS

PACKAGED = Path(str(files("config"))) / "devices"


def profile(of: Path | str) -> Profile:
    """A profile by its file, or a shipped one by its name."""
    path = of if isinstance(of, Path) else PACKAGED / f"{of}.toml"
    return read_profile(Found(path.stem, str(path), True, path.read_bytes()), KINDS)


@cache
def _shipped(of: str) -> Profile:
    return profile(of)


def device(
    of: Path | str, name: str = "probe", line: str = "serial", interval_s: float | None = None, framing: str = "rtu", **options: object,
) -> Device:
    """A device by its profile (a file, or a shipped one by name) on a line as the profile leaves the factory."""
    read = profile(of)
    factory = {key: value for key, value in read.file.default.items() if key in ("baudrate", "format")}
    places = {"serial": {"port": "none", "framing": framing, **factory}, "tcp": {"host": "127.0.0.1", "port": 1, "framing": framing},
              "mqtt": {"url": "mqtt://127.0.0.1"}}
    own = KINDS.options("protocols", read.file.protocol).model_validate(options)
    return Device("st", name, read, own, KINDS.options("lines", line).model_validate(places[line]), interval_s or read.file.interval)


def asked(of: Path | str, **keys: object) -> Asked:
    made = device(of, **keys)  # type: ignore[arg-type]
    driver = KINDS.driver(made.profile.file.protocol)(made)
    assert isinstance(driver, Asked)
    return driver


def told(of: Path | str, **keys: object) -> Told:
    made = device(of, **keys)  # type: ignore[arg-type]
    driver = KINDS.driver(made.profile.file.protocol)(made)
    assert isinstance(driver, Told)
    return driver


def streamed(of: Path | str, **keys: object) -> Told:
    driver = told(of, **keys)
    assert isinstance(driver, Streamed)
    return driver


# ── far sides: what a healthy device answers to a request; None = the request is not for it ──
def meter(request: bytes, address: str = "000000000161", volts: float = 223.3) -> bytes | None:
    frame = dlt645.read(request)
    if not dlt645.is_of(address, frame.address):
        return None
    values = {"00010000": dlt645.to_bcd(1234.56, 4, 2), "02010100": dlt645.to_bcd(volts, 2, 1), "02020100": dlt645.to_bcd(1.234, 3, 3)}
    if frame.item not in values:
        return dlt645.build(dlt645.Frame(address, 0xD1, b"\x02"), 0)
    return dlt645.build(dlt645.Frame(address, 0x91, dlt645.item_bytes(frame.item) + values[frame.item]))


class Probe:
    """A Modbus slave of one profile: framing rtu, ascii (in hex digits) or tcp."""

    def __init__(self, of: str, values: dict[str, float], *, framing: str = "rtu", answers_as: int = 1) -> None:
        self.device = SimulatedDevice(1, ProfileSource(_shipped(of), values.__getitem__))
        self.device.faults.wrong_address = answers_as
        self.framing = framing

    def __call__(self, request: bytes) -> bytes | None:
        body = bytes.fromhex(request[1:-2].decode())[:-1] if self.framing == "ascii" else request[6:] if self.framing == "tcp" else request[:-2]
        number = int.from_bytes(request[:2])
        wrap = {"rtu": modbus.seal, "ascii": modbus_ascii.seal, "tcp": lambda told: modbus.wrap(number, told[0], told[1:])}[self.framing]
        reply = self.device.reply(body[1:], lambda unit, pdu: wrap(bytes([unit]) + pdu)) if body[0] == 1 else None
        return reply.frame if reply else None


def co2(request: bytes) -> bytes | None:
    return mhz19.answer(608) if request == mhz19.ask(mhz19.READ) else None


class Sps30:
    """Measures only after it was started."""

    def __init__(self, *, started: bool = True) -> None:
        self.started = started
        self.values = bytes.fromhex("3d2001e33d5adecf3d81cc533d8c48ae3e73397e3e97b9033e9e8b9f3e9ff1713ea04e183f365012")

    def __call__(self, request: bytes) -> bytes | None:
        frame = shdlc.read_request(request)
        if frame.command == shdlc.START:
            self.started = True
            return shdlc.build(shdlc.Frame(0, frame.command, b"", 0))
        state = 0 if self.started else shdlc.NOT_NOW
        return shdlc.build(shdlc.Frame(0, frame.command, self.values if self.started else b"", state))


def circuit(request: bytes) -> bytes | None:
    return b"9.560\r*OK\r" if request == ezo.command("R") else b"*ER\r"


class Sdi12Sensor:
    """Answers to M, MC, C, CC, V and R with five values, three a fetch."""

    def __init__(self, address: str = "0", ready_s: int = 0) -> None:
        self.address, self.ready_s = address, ready_s
        self.values = ("+23.45", "-1.5", "+0.873", "+1013.2", "+7.01")
        self.crc = False

    def __call__(self, request: bytes) -> bytes | None:
        asked = sdi12.read_command(request)
        if asked.address != self.address:
            return None
        body = asked.body
        if body == "I":
            return sdi12.answer(self.address, "14ECOSENTRPROBE1100")
        if body[0] == "D":
            at = 3 * int(body[1])
            return sdi12.answer(self.address, "".join(self.values[at : at + 3]), crc=self.crc)
        if body[0] == "R":
            return sdi12.answer(self.address, "".join(self.values), crc="C" in body)
        self.crc = "C" in body[1:]
        return sdi12.answer(self.address, f"{self.ready_s:03d}{len(self.values):0{2 if body[0] == 'C' else 1}d}")


class SleepySps30(Sps30):
    """Sleeps and wakes too; asleep it answers to nothing but the command that wakes it, and to that only after any byte."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = self.stirred = False
        self.cleaned = 0

    def __call__(self, request: bytes) -> bytes | None:
        if self.asleep and request == b"\xff":
            self.stirred = True
        if request == b"\xff":
            return None
        command = shdlc.read_request(request).command
        if self.asleep:
            if command != shdlc.WAKE or not self.stirred:
                return None
            self.asleep = self.stirred = self.started = False
            return shdlc.build(shdlc.Frame(0, command, b"", 0))
        if command == shdlc.CLEAN:
            self.cleaned += self.started
            return shdlc.build(shdlc.Frame(0, command, b"", 0 if self.started else shdlc.NOT_NOW))
        if command in (shdlc.STOP, shdlc.SLEEP, shdlc.WAKE):
            is_wrong = self.started is (command == shdlc.SLEEP)
            self.started = self.started and command != shdlc.STOP
            self.asleep = command == shdlc.SLEEP and not is_wrong
            return shdlc.build(shdlc.Frame(0, command, b"", shdlc.NOT_NOW if is_wrong or command == shdlc.WAKE else 0))
        return super().__call__(request)


class SleepySensor:
    """An SDS011 or a Plantower that obeys sleep and wake, and gives nonsense for its first seconds after it woke. `deaf`: words it misses."""

    def __init__(self, kind: str, nonsense_s: int = 25) -> None:
        self.kind, self.nonsense_s = kind, nonsense_s
        self.awake_s: int | None = nonsense_s
        self.heard: list[bytes] = []
        self.deaf = 0
        self.awake_in_all_s = 0

    def obey(self, words: bytes) -> None:
        self.heard.append(words)
        if self.deaf:
            self.deaf -= 1
            return
        if self.kind == "sds011":
            frame = sds011.read(words)
            assert (frame.kind, frame.action, frame.body[1], frame.id) == (sds011.COMMAND, sds011.SLEEP, 1, sds011.ANY_ID)
            awake = frame.body[2] == 1
        else:
            code, value = plantower.read_command(words)
            assert code == 0xE4
            awake = value == 1
        self.awake_s = (self.awake_s or 0) if awake else None

    def second(self) -> bytes:
        """What it says in this second."""
        if self.awake_s is None:
            return b""
        self.awake_s += 1
        self.awake_in_all_s += 1
        value = 20.0 if self.awake_s > self.nonsense_s else 900.0
        if self.kind == "sds011":
            return sds011.data(value, value, 0xA160)
        return plantower.build(28, dict.fromkeys(("pm1_atm", "pm25_atm", "pm10_atm"), value))


# ── streams: one frame a call ──
def plantower_frame(number: int) -> bytes:
    return plantower.build(28, {"pm1_atm": 10 + number, "pm25_atm": 20 + number, "pm10_atm": 30 + number, "n03": 300})


def sds011_frame(number: int) -> bytes:
    return sds011.data(20.5 + number, 30.5 + number, 0xA160)


def ultrasonic_frame(number: int) -> bytes:
    return ultrasonic.build(1000 + number)


class FarServer:
    """What a serial converter or a Modbus TCP device is on the network: answers by a function; can be pulled and put back at its port."""

    def __init__(self, respond: Callable[[bytes], bytes | None]) -> None:
        self.respond, self.port = respond, servers.free_port()
        self.heard: list[bytes] = []
        self._ends: list[socket.socket] = []
        self._thread: threading.Thread | None = None

    def plug(self) -> None:
        ear = socket.create_server(("127.0.0.1", self.port))
        self._ends = [ear]
        self._thread = threading.Thread(target=self._serve, args=(ear,), daemon=True)
        self._thread.start()

    def _serve(self, ear: socket.socket) -> None:
        with suppress(OSError):
            while True:
                wire = ear.accept()[0]
                self._ends.append(wire)
                while request := wire.recv(512):
                    self.heard.append(request)
                    wire.sendall(self.respond(request) or b"")

    def pull(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(5)
            assert not self._thread.is_alive()
        for end in self._ends:
            end.close()
        self._ends, self._thread = [], None

    def __enter__(self) -> "FarServer":
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()


class FarEnd:
    """The far end of a serial line: a pty that answers by a function, or says what a test tells it to; can be pulled and put back."""

    def __init__(self, link: Path, respond: Callable[[bytes], bytes | None] | None = None) -> None:
        self.link, self.respond = link, respond
        self.heard: list[bytes] = []
        self._ends: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def plug(self) -> None:
        far, near = os.openpty()
        tty.setraw(near)
        self._ends = (far, near)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(near))
        if self.respond is not None:
            self._thread = threading.Thread(target=self._serve, args=(far,), daemon=True)
            self._thread.start()

    def _serve(self, far: int) -> None:
        while True:
            try:
                request = os.read(far, 512)
            except OSError:
                return
            if request.endswith(b"\x04end"):
                return
            self.heard.append(request)
            answer = self.respond(request) if self.respond else None
            if answer:
                os.write(far, answer)

    def say(self, data: bytes) -> None:
        assert self._ends is not None
        os.write(self._ends[0], data)

    def pull(self) -> None:
        if self._ends is None:
            return
        self.link.unlink(missing_ok=True)
        if self._thread is not None:
            os.write(self._ends[1], b"\x04end")
            self._thread.join(5)
            self._thread = None
        for end in self._ends:
            os.close(end)
        self._ends = None

    def __enter__(self) -> "FarEnd":
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()
