"""The contract of drivers that ask: late, short, wrong, noisy, silent, echoed, in pieces, pulled, stopped.

It runs on every protocol of `drivers/protocols/` whose devices are asked. What Modbus alone can do, number and plan, is in
`test_modbus_driver.py`.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import field_devices
import pytest
from field_devices import FarEnd, FarServer, Probe, Sdi12Sensor, Sps30
from line_house import LineHouse
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError, LineError
from config.series import Reason
from drivers.codecs import dlt645, mhz19, shdlc
from drivers.driver import Asked, finish
from drivers.likely import explained
from drivers.lines import serial, tcp
from gateway.clock import SystemClock
from gateway.plugins import KINDS
from gateway.poller import Poller

Respond = Callable[[bytes], bytes | None]
CASES = Path(__file__).parent.parent / "cases"


@dataclass(frozen=True)
class Kind:
    """One protocol: a profile for it, what a healthy device answers, and how other answers look."""

    profile: str | Path
    device: Callable[[], Respond]
    values: list[float]
    stale: Callable[[], Respond]
    """The same device a while ago: other values."""
    stranger: Respond | None = None
    """What another device would answer; None = the protocol has no addresses."""
    residual: float | None = 1 / 256
    """Share of damaged answers that its checksum cannot tell; None = it has none."""
    options: dict[str, object] = field(default_factory=dict)
    framing: str = "rtu"
    line: str = "serial"

    @property
    def is_on_a_wire(self) -> bool:
        """Its frames are those of a serial line, though a converter may carry them; the others have a network's checks and numbers."""
        return self.framing != "tcp"


def _dlt645_stranger(request: bytes) -> bytes | None:
    return dlt645.build(dlt645.Frame("000000000262", 0x91, dlt645.read(request).data + bytes(4)))


def _sdi12_stranger(request: bytes) -> bytes | None:
    answer = Sdi12Sensor("0")(request)
    return None if answer is None else b"7" + answer[1:]


def _old(sensor: Sdi12Sensor) -> Respond:
    sensor.values = ("+11.11", "+11.11", "+0.111", "+1111.1", "+1.11")
    return sensor


def _shdlc_stranger(request: bytes) -> bytes | None:
    frame = shdlc.read_request(request)
    return shdlc.build(shdlc.Frame(9, frame.command, bytes(40), 0))


def _old_sps30() -> Respond:
    sensor = Sps30()
    sensor.values = bytes.fromhex("41200000" * 10)
    return sensor


SOIL = "cwt_soil_thc_s"
NOW = {"soil_moisture": 33.2, "soil_temperature": -10.1, "soil_ec": 512.0}
BEFORE = {"soil_moisture": 11.1, "soil_temperature": 11.1, "soil_ec": 111.0}


def _modbus(framing: str, residual: float | None, line: str = "serial") -> Kind:
    return Kind(SOIL, lambda: Probe(SOIL, NOW, framing=framing), list(NOW.values()), lambda: Probe(SOIL, BEFORE, framing=framing),
                Probe(SOIL, BEFORE, framing=framing, answers_as=9), residual, framing=framing, line=line)


KINDS_ASKED = {
    "modbus": _modbus("rtu", 1 / 65536),
    "modbus_ascii": _modbus("ascii", 1 / 256),
    "modbus_tcp": _modbus("tcp", None, "tcp"),
    "modbus_rtu_over_tcp": _modbus("rtu", 1 / 65536, "tcp"),
    "dlt645": Kind("dlt645_2007", lambda: field_devices.meter, [1234.56, 223.3, 1.234],
                   lambda: lambda request: field_devices.meter(request, volts=111.1),
                   _dlt645_stranger, options={"address": "161"}),
    "ezo": Kind("atlas_ezo_ph", lambda: field_devices.circuit, [9.56], lambda: lambda request: b"1.111\r*OK\r", residual=None),
    "mhz19": Kind("winsen_mhz19", lambda: field_devices.co2, [608.0], lambda: lambda request: mhz19.answer(1111)),
    "sdi12": Kind(CASES / "sdi12_probe/sdi12_probe.toml", Sdi12Sensor, [23.45, -1.5, 87.3, 1013.2, 7.01],
                  lambda: _old(Sdi12Sensor()), _sdi12_stranger, 1 / 256),
    "shdlc": Kind("sensirion_sps30", Sps30, [0.0390643, 0.053435143, 0.068498], _old_sps30, _shdlc_stranger),
}


class PieceWire(VirtualWire):
    """Answers come in pieces of `size` bytes, `pause_s` apart."""

    def __init__(self, respond: Respond, size: int = 1, pause_s: float = 0.001) -> None:
        super().__init__(VirtualClock(), lambda request: None)
        self.device, self.size, self.pause_s = respond, size, pause_s

    def send(self, data: bytes) -> None:
        super().send(data)
        answer = self.device(data) or b""
        for number, at in enumerate(range(0, len(answer), self.size)):
            self.pending.append((self.virtual.mono_ns + round((0.01 + number * self.pause_s) * 1e9), answer[at : at + self.size]))


def driver_of(kind: Kind) -> Asked:
    return field_devices.asked(kind.profile, line=kind.line, framing=kind.framing, **kind.options)


def wire(respond: Respond, delay_s: float = 0.01) -> VirtualWire:
    def answer(request: bytes) -> tuple[float, bytes] | None:
        said = respond(request)
        return None if said is None else (delay_s, said)

    return VirtualWire(VirtualClock(), answer)


def read(driver: Asked, line: VirtualWire) -> list[float]:
    batch = finish(driver.poll(driver.groups()[0], line), line)
    assert all(reason == Reason.NORMAL for reason in batch.reason)
    return [float(value) for value in batch.raw]


def answers_of(kind: Kind) -> list[bytes]:
    """What a healthy device answers in one poll, in order."""
    device, said = kind.device(), []

    def answer(request: bytes) -> bytes | None:
        said.append(device(request) or b"")
        return said[-1] or None

    read(driver_of(kind), wire(answer))
    return [one for one in said if one]


def once_spoilt(kind: Kind, turn: int, spoil: Callable[[bytes], bytes]) -> VirtualWire:
    """A healthy device of which one answer comes otherwise."""
    device, said = kind.device(), []

    def answer(request: bytes) -> bytes | None:
        whole = device(request)
        if whole is None:
            return None
        said.append(whole)
        return spoil(whole) if len(said) == turn + 1 else whole

    return wire(answer)


def believed(driver: Asked, line: VirtualWire) -> set[tuple[int, float]]:
    """Which values one poll takes for good, by their place; where it gives the connection up (Modbus TCP), it is made anew."""
    try:
        batch = driver.poll(driver.groups()[0], line)
    except DeviceError:
        return set()
    except LineError:
        line.pending.clear()
        return set()
    rows = zip(batch.which.tolist(), batch.raw.tolist(), batch.reason.tolist(), strict=True)
    return {(place, value) for place, value, reason in rows if reason == Reason.NORMAL}


def every(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", KINDS_ASKED)(test)


def every_on_a_wire(test: Callable[..., None]) -> Callable[..., None]:
    """What can happen to bytes on a wire and cannot within a TCP connection between two devices: echo, stray bytes, a second voice."""
    return pytest.mark.parametrize("name", [name for name, kind in KINDS_ASKED.items() if kind.is_on_a_wire])(test)


def test_every_protocol_that_asks_is_in_this_contract():
    told = {"frames", "nmea", "text_lines", "mqtt_json", "sparkplug", "fleet"}
    assert set(KINDS.names("protocols")) - told == set(KINDS_ASKED) - {"modbus_ascii", "modbus_tcp", "modbus_rtu_over_tcp"}


@every
def test_it_reads_a_healthy_device(name):
    kind = KINDS_ASKED[name]
    driver = driver_of(kind)
    assert isinstance(driver, Asked)
    (group,) = driver.groups()
    line = wire(kind.device())
    assert read(driver, line) == kind.values
    assert len(group.series) == len(kind.values)
    assert group.line_time_s > 0


@pytest.mark.parametrize(("priority", "rank"), [("high", 0), ("normal", 1), ("low", 2)])
def test_the_site_file_says_who_is_read_first(priority, rank):
    for name in ("sdi12", "dlt645", "shdlc"):
        kind = KINDS_ASKED[name]
        (group,) = field_devices.asked(kind.profile, **{**kind.options, "priority": priority}).groups()
        assert group.priority == rank, name


@every
def test_a_silent_device_is_told_as_silent_and_its_time_is_bounded(name):
    driver, line = driver_of(KINDS_ASKED[name]), wire(lambda request: None)
    with pytest.raises(DeviceError) as error:
        read(driver, line)
    assert error.value.cause == "silent"
    assert len(line.sent) <= 2
    assert line.virtual.mono_ns - VirtualClock().mono_ns < 4e9


@every
def test_a_device_that_comes_back_is_read_at_once(name):
    kind = KINDS_ASKED[name]
    driver, dead = driver_of(kind), wire(lambda request: None)
    with pytest.raises(DeviceError):
        read(driver, dead)
    assert read(driver, wire(kind.device())) == kind.values


@every
def test_a_late_answer_is_never_taken_for_the_next_one(name):
    """It comes just after we gave up, or while the next answer is waited for."""
    kind = KINDS_ASKED[name]
    for late_s in (0.05, 0.2, 0.45):
        driver, healthy, stale = driver_of(kind), kind.device(), kind.stale()
        line = wire(lambda request: None)
        line.respond = lambda request, line=line: None
        with pytest.raises(DeviceError):
            read(driver, line)
        gave_up_ns = line.virtual.mono_ns
        line.pending = [(gave_up_ns + round(late_s * 1e9), stale(line.sent[0][1]) or b"")]
        line.respond = lambda request, healthy=healthy: (0.01, answer) if (answer := healthy(request)) else None
        assert read(driver, line) == kind.values, late_s


@every_on_a_wire
def test_two_answers_are_told_as_two_devices_with_one_address_and_neither_is_believed(name):
    kind = KINDS_ASKED[name]
    healthy = kind.device()
    with pytest.raises(DeviceError, match="two answers came: have two devices this address") as error:
        read(driver_of(kind), wire(lambda request: 2 * answer if (answer := healthy(request)) else None))
    assert error.value.cause == "wrong"


@every
def test_every_fault_asks_what_is_likely_behind_it(name):
    kind = KINDS_ASKED[name]
    spoilt = [lambda answer: None, lambda answer: answer[: len(answer) // 2], lambda answer: 2 * answer,
              lambda answer: bytes(byte ^ 0x55 for byte in answer)]
    for spoil in spoilt if kind.is_on_a_wire else spoilt[:2]:
        healthy = kind.device()
        with pytest.raises(DeviceError) as error:
            read(driver_of(kind), wire(lambda request, healthy=healthy, spoil=spoil: spoil(answer) if (answer := healthy(request)) else None))
        assert "?" in explained(error.value)


@every
def test_an_answer_that_is_cut_anywhere_is_asked_for_again(name):
    kind = KINDS_ASKED[name]
    for cut in range(1, len(answers_of(kind)[0])):
        driver = driver_of(kind)
        assert read(driver, once_spoilt(kind, 0, lambda answer, cut=cut: answer[:cut])) == kind.values, cut


@every
def test_an_answer_that_loses_its_first_or_last_bytes_never_becomes_another_value(name):
    """Each answer of a poll in turn, each number of bytes: what is believed is right, and the next poll is whole."""
    kind = KINDS_ASKED[name]
    for turn, answer in enumerate(answers_of(kind)):
        for cut in range(1, len(answer)):
            for lost in (lambda answer, cut=cut: answer[cut:], lambda answer, cut=cut: answer[:-cut]):
                driver, line = driver_of(kind), once_spoilt(kind, turn, lost)
                assert believed(driver, line) <= set(enumerate(kind.values)), (turn, cut)
                assert read(driver, line) == kind.values, (turn, cut)


@every
def test_an_answer_that_is_always_cut_gives_nothing(name):
    kind = KINDS_ASKED[name]
    device = kind.device()
    with pytest.raises(DeviceError) as error:
        read(driver_of(kind), wire(lambda request: (device(request) or b"")[:3]))
    assert error.value.cause in ("short", "noise")


@every
def test_another_device_that_answers_is_not_believed(name):
    kind = KINDS_ASKED[name]
    if kind.stranger is None:
        pytest.skip(f"{name} has no addresses: one device a line")
    with pytest.raises(DeviceError) as error:
        read(driver_of(kind), wire(kind.stranger))
    assert error.value.cause in ("wrong", "silent")


@every_on_a_wire
def test_an_adapter_that_echoes_makes_no_difference(name):
    kind = KINDS_ASKED[name]
    device = kind.device()
    assert read(driver_of(kind), wire(lambda request: request + (device(request) or b""))) == kind.values
    with pytest.raises(DeviceError, match="echoes") as error:
        read(driver_of(kind), wire(lambda request: request))
    assert error.value.cause == "silent"


@every_on_a_wire
@pytest.mark.parametrize("garbage", [b"\x00", b"\xff\x00"])
def test_stray_bytes_before_an_answer_cost_at_most_a_second_try(name, garbage):
    kind = KINDS_ASKED[name]
    device, asked = kind.device(), []

    def stray(request: bytes) -> bytes | None:
        asked.append(request)
        answer = device(request)
        return garbage + answer if answer and len(asked) == 1 else answer

    assert read(driver_of(kind), wire(stray)) == kind.values


@every
@pytest.mark.parametrize(("size", "pause_s"), [(1, 0.002), (7, 0.016), (32, 0.016), (64, 0.016)])
def test_it_makes_no_difference_in_which_pieces_an_answer_comes(name, size, pause_s):
    kind = KINDS_ASKED[name]
    assert read(driver_of(kind), PieceWire(kind.device(), size, pause_s)) == kind.values


def spoilt(answer: bytes, chance: random.Random) -> bytes:
    """One to four bytes changed, now and then one lost or one too many."""
    found = bytearray(answer)
    for _ in range(chance.randint(1, 4)):
        found[chance.randrange(len(found))] ^= chance.randint(1, 255)
    if chance.random() < 0.2:
        del found[chance.randrange(len(found))]
    if chance.random() < 0.2:
        found.insert(chance.randrange(len(found) + 1), chance.randint(0, 255))
    return bytes(found)


@every
def test_on_a_noisy_line_wrong_values_are_as_rare_as_its_checksum_can_make_them(name):
    """Every answer is damaged. Accepted and wrong: no more than the 99.9 % bound of what the checksum cannot tell."""
    kind = KINDS_ASKED[name]
    chance, wrong, tried, driver, causes = random.Random(20), 0, 1500, driver_of(kind), set()
    for _ in range(tried):
        device = kind.device()
        line = wire(lambda request, device=device: spoilt(answer, chance) if (answer := device(request)) else None)
        try:
            batch = driver.poll(driver.groups()[0], line)
        except DeviceError as error:
            causes.add(error.cause)
            continue
        except LineError:
            assert not kind.is_on_a_wire, "noise costs a connection, never a port"
            continue
        got = [float(value) for value, reason in zip(batch.raw, batch.reason, strict=True) if reason == Reason.NORMAL]
        wrong += any(value not in kind.values for value in got)
    assert causes <= {"short", "noise", "wrong", "late", "silent", "exception", "busy"}
    if kind.residual is not None:
        mean = 2 * tried * kind.residual * len(line.sent or [1])  # each damaged answer is asked for twice
        assert wrong <= mean + 3.1 * mean**0.5


# ── a real port ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class House(LineHouse):
    """A poller in its thread on a pty, or a connection."""

    def __init__(self, far: FarEnd | FarServer, kind: Kind, interval_s: float = 0.1) -> None:
        if isinstance(far, FarServer):
            line: serial.Line | tcp.Line = tcp.Line("bus", tcp.Options(host="127.0.0.1", port=far.port, framing=kind.framing), str)
        else:
            line = serial.Line("bus", serial.Options(port=str(far.link), baudrate=115200, framing=kind.framing), str)
        driver = field_devices.asked(kind.profile, line=kind.line, interval_s=interval_s, framing=kind.framing, **kind.options)
        super().__init__(["probe"], lambda house: Poller("bus", line, {"probe": driver}, SystemClock(), house.take, house.health))

    def good(self) -> int:
        return sum(float(batch.raw[0]) == batch.raw[0] for batch in self.batches())


def far_end(kind: Kind, at: Path, respond: Respond) -> FarEnd | FarServer:
    return FarServer(respond) if kind.line == "tcp" else FarEnd(at, respond)


@every
def test_a_pulled_and_returned_wire_is_read_again_within_5_s(name, tmp_path):
    kind = KINDS_ASKED[name]
    with far_end(kind, tmp_path / "port", kind.device()) as far, House(far, kind) as house:
        house.until(lambda: house.good() >= 1)
        far.pull()
        house.until(lambda: house.health.line()["state"] == "lost")
        far.plug()
        before, back = house.good(), time.monotonic()
        house.until(lambda: house.good() > before)
        assert time.monotonic() - back <= 5.0


@every
def test_stop_ends_a_wait(name, tmp_path):
    kind = KINDS_ASKED[name]
    with far_end(kind, tmp_path / "port", lambda request: None) as far, House(far, kind) as house:
        house.until(lambda: len(far.heard) >= 1)
        began = time.monotonic()
        house.stop.set()
        house.thread.join(5)
        assert time.monotonic() - began < 0.8
