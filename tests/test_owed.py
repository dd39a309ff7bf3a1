"""An answer is only ever taken for the question that it answers: noise before it, late answers, polls and probes of one device."""

import random
from threading import Event

import modbus_devices
import pytest
from scanned import driven
from virtual import Taker, VirtualClock, VirtualLine, VirtualWire

from drivers.codecs import modbus_ascii
from drivers.codecs.modbus import Question, seal
from drivers.lines.serial import Options
from drivers.owed import Owed
from drivers.simulated.modbus import SimulatedDevice, TableSource
from gateway.health import LineHealth
from gateway.poller import Poller
from gateway.scanning.probe_job import Probe

SPEED = Options(port="none", baudrate=9600)
S = 1_000_000_000


class Slow:
    """Register r holds 100 + r. It keeps the requests that come while it works, or hears none of them; both are found in the field."""

    def __init__(self, turnaround_s: float, *, keeps: bool = True, noise: float = 0.0, seed: int = 0, options: Options = SPEED) -> None:
        self.device = SimulatedDevice(1, TableSource({register: 100 + register for register in range(2000)}))
        self.turnaround_s, self.keeps, self.noise, self.chance, self.options = turnaround_s, keeps, noise, random.Random(seed), options
        self.clock = VirtualClock()
        self.wire = VirtualWire(self.clock, self.hear, options.character_s)
        self.free_ns = 0
        self.asked = 0

    def hear(self, request: bytes) -> None:
        frame = seal if self.options.framing == "rtu" else modbus_ascii.seal
        body = request[:-2] if self.options.framing == "rtu" else modbus_ascii.unseal(request)
        assert body is not None
        if self.chance.random() < self.noise:
            self.wire.pending.append((self.clock.mono_ns + S // 100, self.chance.randbytes(12)))
        if self.keeps or self.clock.mono_ns >= self.free_ns:
            self.asked += 1
            answer = self.device.reply(body[1:], lambda unit, pdu: frame(bytes([unit]) + pdu)).frame
            self.free_ns = max(self.clock.mono_ns, self.free_ns) + round(self.turnaround_s * S)
            self.wire.pending.append((self.free_ns + round(len(answer) * self.options.character_s * S), answer))
        self.wire.pending.sort()


def polled(far: Slow, seconds: float, interval_s: float = 2.0, job: Probe | None = None) -> list[tuple[float, ...]]:
    """What the polls of registers 5 and 900 give meanwhile."""
    profile = modbus_devices.profile({"ph": {"register": 5}, "ec": {"register": 900}})
    driver = modbus_devices.driver(profile, far.options, name="probe", interval_s=interval_s, address=1)
    taker = Taker(far.clock)
    poller = Poller("bus", VirtualLine(far.wire), {"probe": driver}, far.clock, taker, LineHealth("bus", "serial", {"probe": "st"}), seed=1)
    if job is not None:
        poller.visits.add(job, 3600)
    end_ns, stop = far.clock.mono_ns + round(seconds * S), Event()
    while far.clock.mono_ns < end_ns:
        far.clock.go_on(min(1.0, poller.step(stop)) or 0.0001)
    return [tuple(batch.raw.tolist()) for delivery in taker.taken for batch in delivery.batches]


def wrong(polls: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    return [raw for raw in polls if any(value not in (105, 1000) and value == value for value in raw) or (raw[0] == 1000 or raw[-1] == 105)]


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
@pytest.mark.parametrize("keeps", [True, False], ids=["keeps requests", "hears none at work"])
@pytest.mark.parametrize("turnaround_s", [0.05, 0.3])
def test_noise_before_an_answer_gives_no_value_of_other_registers(turnaround_s, keeps, framing):
    far = Slow(turnaround_s, keeps=keeps, noise=0.2, options=Options(port="none", baudrate=9600, framing=framing))
    polls = polled(far, 1200)
    assert wrong(polls) == []
    assert sum(raw == (105, 1000) for raw in polls) > 0.75 * 600, "and nearly all is read all the same"


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps requests", "hears none at work"])
@pytest.mark.parametrize("turnaround_s", [0.45, 0.6, 0.8, 1.2])
def test_a_probe_never_shows_the_answer_to_an_earlier_question(turnaround_s, keeps):
    far = Slow(turnaround_s, keeps=keeps)
    runs = driven(Probe("bus", 1, SPEED, (0, 19), (3,)), far.wire)["runs"]
    shown = {run["first"] + place: value for run in runs for place, value in enumerate(run["reads"][-1])}
    assert {register: value for register, value in shown.items() if value != 100 + register} == {}
    assert far.asked > 0


@pytest.mark.parametrize("turnaround_s", [0.45, 0.6, 0.9])
def test_what_a_probe_is_owed_is_not_taken_by_a_poll(turnaround_s):
    far = Slow(0.01)
    answer_s = iter([0.01, turnaround_s] * 100_000)

    def hear(request: bytes) -> None:
        far.turnaround_s = next(answer_s)
        Slow.hear(far, request)

    far.wire.respond = hear
    polls = polled(far, 120, 1.0, Probe("bus", 1, SPEED, (0, 60), (3,)))
    assert wrong(polls) == []
    assert far.asked > 200


def test_what_is_owed_is_waited_for_once_and_no_longer_than_it_can_come():
    clock, owed, question = VirtualClock(), Owed(), Question(1, 3, 0, 1)
    wire = VirtualWire(clock, lambda request: None)
    owed.expect(1, 3, lambda so_far: 7 - len(so_far), clock.mono_ns + S)
    began_ns = clock.mono_ns
    assert owed.let_pass(2, 3, wire) == owed.let_pass(1, 4, wire) == b""
    assert clock.mono_ns == began_ns, "another unit's and another function's answers are never mistaken"
    wire.pending = [(began_ns + S // 2, seal(bytes([1, 3, 2, 0, 7])))]
    assert owed.let_pass(question.unit, question.function, wire) != b""
    assert clock.mono_ns - began_ns == S // 2
    assert owed.let_pass(1, 3, wire) == b""
    assert clock.mono_ns - began_ns == S // 2
    owed.expect(1, 3, lambda so_far: 7 - len(so_far), clock.mono_ns + S)
    owed.let_pass(1, 3, wire)
    assert clock.mono_ns - began_ns == S // 2 + S
