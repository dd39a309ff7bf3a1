"""`ecosentry probe`: one Modbus device in every reading of its registers; what fits it, and a profile that can be used."""

import io
import json
import os
import signal
import struct
from pathlib import Path

import pytest
from scanned import RecognisableSoil, device, driven
from virtual import VirtualClock, VirtualWire

from drivers.codecs.modbus import DeclinedError, seal
from drivers.lines.serial import Options
from drivers.simulated.modbus import RegisterSource, SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from gateway.checking.devices import run_devices
from gateway.scanning.meanings import Run, meanings, shown
from gateway.scanning.probe_command import ProbeWish, run_probe
from gateway.scanning.probe_job import Probe, probe_of, probing

NO_SITE = Path("no-site.toml")
HIGH, LOW = struct.unpack(">2H", struct.pack(">f", 22.4))
PH_HIGH, PH_LOW = struct.unpack(">2H", struct.pack(">f", 7.24))
UNKNOWN = {0: HIGH, 1: LOW, 2: PH_LOW, 3: PH_HIGH, 4: 215, 5: 65436, 6: 0, 7: 0xFFFF}
"""COD as f32 ABCD, pH as f32 CDAB, a temperature in tenths, one below zero, nothing."""


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch):
    monkeypatch.setattr("gateway.scanning.probe_job._REST_S", 0.01)


def probe(name: str, address: str, site: Path = NO_SITE, **wishes: object) -> tuple[int, str]:
    out = io.StringIO()
    code = run_probe(name, site, ProbeWish(address, listen_s=0.0, **wishes), out, out)  # type: ignore[arg-type]
    return code, out.getvalue()


class Island:
    """Holds runs of registers; a request that leaves its run, or asks for more than `most`, is declined or not answered at all."""

    def __init__(self, *runs: range, most: int = 125, function: int = 3) -> None:
        self.runs, self.most, self.function = runs, most, function
        self.asked = 0

    def read(self, function: int, first: int, count: int) -> list[int]:
        self.asked += 1
        if function != self.function:
            raise DeclinedError(1)
        if count > self.most:
            raise DeclinedError(3)
        for run in self.runs:
            if first in run and first + count - 1 in run:
                return [place + 100 for place in range(first, first + count)]
        raise DeclinedError(2)


def virtually(source: RegisterSource, **wishes: object) -> tuple[dict[str, object], SimulatedDevice]:
    one = device(7, source)

    def respond(request: bytes) -> tuple[float, bytes] | None:
        reply = one.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu))
        return (reply.delay_s, reply.frame) if reply and reply.frame else None

    clock = VirtualClock()
    job = Probe("bus", 7, Options(port="x"), profiles=(), **wishes)  # type: ignore[arg-type]
    return dict(driven(job, VirtualWire(clock, respond))), one


def spans(result: dict[str, object]) -> list[tuple[int, int, int]]:
    return [(run["function"], run["first"], len(run["reads"][0])) for run in result["runs"]]  # type: ignore[attr-defined, index]


@pytest.mark.parametrize(("runs", "most"), [
    ([range(8)], 125), ([range(1)], 125), ([range(77)], 125), ([range(200)], 125), ([range(50)], 16),
    ([range(0x100, 0x10D), range(0x7D0, 0x7D2)], 125)])
def test_runs_of_registers_are_found_whole_whatever_the_device_gives_at_a_time(runs, most):
    source = Island(*runs, most=most)
    result, _ = virtually(source)
    covered = {register for _, first, count in spans(result) for register in range(first, first + count)}
    assert covered == {register for run in runs for register in run}
    assert all(values == [register + 100 for register in range(run["first"], run["first"] + len(values))]
               for run in result["runs"] for values in run["reads"])
    assert all(len(run["reads"]) == 3 for run in result["runs"]), "read three times, to see what keeps still"
    assert source.asked < 200


def test_input_registers_are_looked_for_too_and_a_range_can_be_given():
    assert spans(virtually(Island(range(4), function=4))[0]) == [(4, 0, 4)]
    assert spans(virtually(Island(range(700, 720)))[0]) == []
    assert spans(virtually(Island(range(700, 720)), span=(690, 730))[0]) == [(3, 700, 20)]


def test_a_device_that_answers_for_every_register_there_is_is_bounded():
    result, _ = virtually(Island(range(0x10000)))
    assert 512 <= sum(count for _, _, count in spans(result)) <= 512 + 125


def test_a_device_that_says_nothing_where_others_decline_does_not_take_for_ever():
    class Deaf(Island):
        def read(self, function: int, first: int, count: int) -> list[int]:
            if first + count > 8:
                one.faults.silent = True
            return [1] * count

    one = device(7, Deaf(range(8)))
    clock = VirtualClock()

    def respond(request: bytes) -> tuple[float, bytes] | None:
        one.faults.silent = False
        reply = one.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu))
        return None if one.faults.silent or reply is None else (reply.delay_s, reply.frame)

    began = clock.mono_ns
    result = driven(Probe("bus", 7, Options(port="x"), profiles=(), functions=(3,)), VirtualWire(clock, respond))
    assert spans(dict(result)) == [(3, 0, 8)]
    assert (clock.mono_ns - began) / 1e9 < 60  # 0.2 s a silence, where 1 s a register would be minutes


@pytest.mark.parametrize("make", [lambda answer_s: probe_of("bus", Options(port="x"), "7", "0-9", answer_s),
                                  lambda answer_s: probing("bus", Options(port="x"), {"address": 7, "registers": "0-9", "answer_s": answer_s})])
def test_a_slow_device_is_probed_with_the_patience_that_is_asked_for(make):
    one, clock = device(7, Island(range(4))), VirtualClock()
    wires = [VirtualWire(clock, lambda request: None),
             VirtualWire(clock, lambda request: (0.8, one.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu)).frame))]
    found = {}
    for answer_s, wire in ((0.0, wires[0]), (2.0, wires[0]), (2.0, wires[1])):
        job, began = make(answer_s), clock.mono_ns
        job.profiles, job.functions = (), (3,)
        found[answer_s, wires.index(wire)] = spans(dict(driven(job, wire))), (clock.mono_ns - began) / 1e9
    assert found[2.0, 1][0] == [(3, 0, 4)]
    assert found[2.0, 0][1] > 2 * found[0.0, 0][1]
    with pytest.raises(ValueError, match="up to 10"):
        probing("bus", Options(port="x"), {"address": 7, "answer_s": 11})


@pytest.mark.usefixtures("ctrl_c")
def test_what_was_probed_before_ctrl_c_is_told_and_that_it_is_not_whole(tmp_path):
    class Interrupting(Island):
        def read(self, function: int, first: int, count: int) -> list[int]:
            if function == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().read(function, first, count)

    out = io.StringIO()
    with SerialBus([device(4, Interrupting(range(3)))], tmp_path / "tty"), pytest.raises(KeyboardInterrupt):
        run_probe(str(tmp_path / "tty"), NO_SITE, ProbeWish("4", registers="0-2", listen_s=0.0, quiet=True), out, out)
    assert "address 4 answers function 3, registers 0–2" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "This is not whole: it was broken off."


# ── meanings ──
def test_plausible_readings_are_marked_and_the_absurd_ones_are_not():
    registers = tuple(UNKNOWN.values())
    marked = {(m.register, m.type, m.order) for m in meanings([Run(3, 0, (registers,) * 3)]) if m.is_plausible}
    assert {(0, "f32", "ABCD"), (2, "f32", "CDAB"), (4, "u16", "ABCD"), (5, "s16", "ABCD")} <= marked
    assert not {place for place in marked if place[0] in (6, 7)}, "empty, and no value"
    assert not {(0, "u16", "ABCD"), (3, "u16", "ABCD")} & marked, "half of a float"


def test_what_does_not_keep_still_is_not_plausible():
    still = [m.is_plausible for m in meanings([Run(3, 0, ((100,), (104,), (102,)))]) if m.type == "u16"]
    wild = [m.is_plausible for m in meanings([Run(3, 0, ((100,), (9000,), (300,)))]) if m.type == "u16"]
    assert (still, wild) == ([True], [False])


def test_what_the_display_shows_finds_register_type_order_and_decimals():
    everything = meanings([Run(3, 0, (tuple(UNKNOWN.values()),) * 3)])
    found, missing = shown(everything, {"cod": "22.4", "ph": "7.24", "water_temperature": "21.5", "turbidity": "999"})
    rows = {one.quantity: (one.meaning.register, one.meaning.type, one.meaning.order, one.decimals) for one in found}
    assert rows == {"cod": (0, "f32", "ABCD", 0), "ph": (2, "f32", "CDAB", 0), "water_temperature": (4, "u16", "ABCD", 1)}
    assert missing == ["turbidity"]


# ── the command ──
def test_an_unknown_device_becomes_a_profile_that_passes_its_test(tmp_path):
    file = tmp_path / "my_cod.toml"
    with SerialBus([device(4, TableSource(UNKNOWN))], tmp_path / "tty"):
        code, said = probe(str(tmp_path / "tty"), "4", shows=("cod=22.4", "ph=7.24", "water_temperature=21.5"), write=str(file), registers="0-9")
        assert code == 0, said
        again, words = probe(str(tmp_path / "tty"), "4", write=str(file))
        assert (again, "is there already" in words) == (2, True)
    assert "* 22.4" in said
    assert "cod 22.4  → function 3, register 0, f32 ABCD" in said
    assert run_devices([], test=str(file), as_json=False, out=(out := io.StringIO())) == 0, out.getvalue()
    assert 'cod = { register = 0, type = "f32", unit = "mg/L" }' in file.read_text("utf-8")
    assert 'water_temperature = { register = 4, type = "u16", decimals = 1, unit = "°C" }' in file.read_text("utf-8")


def test_a_known_device_is_recognised_and_its_rows_make_a_profile_too(tmp_path):
    with SerialBus([device(1, RecognisableSoil(1))], tmp_path / "tty"):
        code, said = probe(str(tmp_path / "tty"), "1", write=str(tmp_path / "soil.toml"))
    assert code == 0, said
    assert "fits cwt_soil_7in1 on 7 of 7, recognised" in said
    assert run_devices([], test=str(tmp_path / "soil.toml"), as_json=False, out=(out := io.StringIO())) == 0, out.getvalue()


def test_the_same_as_json_has_every_reading(tmp_path):
    with SerialBus([device(4, TableSource(UNKNOWN))], tmp_path / "tty"):
        code, said = probe(str(tmp_path / "tty"), "4", registers="0-7", as_json=True, shows=("ph=7.24",))
    found = json.loads(said)
    assert (code, found["format"], found["through"]) == (0, 1, "port")
    assert {(m["type"], m["order"]) for m in found["meanings"] if m["register"] == 0} >= {
        (kind, order) for kind in ("u32", "s32", "f32", "u64", "f64") for order in ("ABCD", "CDAB", "BADC", "DCBA")}
    assert found["shown"][0]["register"] == 2


def test_who_does_not_answer_and_what_cannot_be_are_said(tmp_path):
    with SerialBus([device(4, TableSource({}))], tmp_path / "tty"):
        code, said = probe(str(tmp_path / "tty"), "5", registers="0-1")
    assert (code, "address 5 does not answer at 9600 8N1" in said) == (1, True)
    code, said = probe("/dev/none", "4", shows=("pH=7.24",))
    assert (code, "pH is no quantity; did you mean ph?" in said) == (2, True), "before the port is opened"
    code, said = probe("/dev/none", "4", write=str(tmp_path / "none" / "mine.toml"))
    assert (code, "there is no folder" in said) == (2, True)
    for wishes in ({"shows": ("ph",)}, {"shows": ("ph=x",)}, {"registers": "9-0"}, {"registers": "x"}):
        assert probe(str(tmp_path / "tty"), "4", **wishes)[0] == 2
    with pytest.raises(ValueError, match="one address at a time"):
        probe_of("bus", Options(port="x"), "1-5", "")
