"""What is written to a Modbus device is written once, confirmed by nothing but its own confirmation, or said to be unknown."""

from collections.abc import Callable

import modbus_devices
import pytest
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError, LineError
from drivers.codecs import modbus_ascii, modbus_write
from drivers.codecs.modbus import DeclinedError, seal, wrap
from drivers.codecs.modbus_write import Write
from drivers.lines import serial, tcp
from drivers.order import Order, Outcome
from drivers.protocols.modbus import Command
from drivers.simulated.modbus import SimulatedDevice, TableSource

CLEAN = {"what": "start the wiper", "function": 5, "register": 16, "value": 1}
LEVEL = {"what": "set the level", "function": 6, "register": 2, "decimals": 2, "range": [0, 10], "unit": "m"}
SCALE = {"what": "set the scale", "function": 16, "register": 4, "type": "f32", "range": [0.5, 2.0]}
COILS = {"what": "set the relays", "function": 15, "register": 16, "value": [1, 0, 1]}
COMMANDS = {"clean": CLEAN, "level": LEVEL, "scale": SCALE, "relays": COILS}
ORDERS = (Order("clean"), Order("level", 1.25), Order("scale", 1.1), Order("relays"))
LINES = {"rtu": serial.Options(port="none", baudrate=9600), "ascii": serial.Options(port="none", baudrate=9600, framing="ascii"),
         "tcp": tcp.Options(host="x"), "rtu-over-tcp": tcp.Options(host="x", framing="rtu")}


class Bench:
    """A driver at one end, a device at the other; `change` is what the line makes of an answer, by request number from 1."""

    def __init__(self, line: str = "rtu", commands: dict[str, dict[str, object]] = COMMANDS, change: Callable[[int, bytes], bytes] = lambda n, b: b,
                 *, echo: bool = False, may_obey: bool = True) -> None:
        self.written: list[Write] = []
        self.device = SimulatedDevice(1, TableSource(dict.fromkeys(range(9), 0), dict.fromkeys(range(16, 20), 0)), obeyed=self.written.append)
        self.requests: list[bytes] = []
        framing = LINES[line].framing

        def respond(request: bytes) -> tuple[float, bytes] | None:
            self.requests.append(request)
            if framing == "tcp":
                reply = self.device.reply(request[7:], lambda unit, pdu: wrap(int.from_bytes(request[:2]), unit, pdu))
            elif framing == "ascii":
                body = modbus_ascii.unseal(request)
                assert body is not None
                reply = self.device.reply(body[1:], lambda unit, pdu: modbus_ascii.seal(bytes([unit]) + pdu))
            else:
                reply = self.device.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu))
            answer = change(len(self.requests), reply.frame) if reply else b""
            came = (request if echo else b"") + answer
            return (reply.delay_s if reply else 0.01, came) if came else None

        self.wire = VirtualWire(VirtualClock(), respond, LINES[line].character_s)
        of = modbus_devices.profile({"a": {"register": 0}}, commands=commands)
        self.driver = modbus_devices.driver(of, LINES[line], may_obey=may_obey)

    def obey(self, order: Order = ORDERS[0]) -> Outcome:
        return self.driver.obey(order, self.wire)


DONE = Outcome("done", "confirmed by the device")


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.verb)
@pytest.mark.parametrize(("line", "echo"), [*((line, False) for line in LINES), *((line, True) for line in LINES if line != "tcp")])
def test_an_order_is_written_once_and_confirmed_by_the_device(line, order, echo):
    bench = Bench(line, echo=echo)
    assert bench.obey(order) == DONE
    expected = {"clean": (5, 16, (1,)), "level": (6, 2, (125,)), "scale": (16, 4, (0x3F8C, 0xCCCD)), "relays": (15, 16, (1, 0, 1))}
    assert [(w.function, w.first, w.values) for w in bench.written] == [expected[order.verb]]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.verb)
@pytest.mark.parametrize("line", ["rtu", "ascii", "rtu-over-tcp"])
def test_on_a_line_that_echoes_our_own_request_is_no_confirmation(line, order):
    """The request of 5 and 6 and its confirmation are the same bytes; the device here carries nothing out and says nothing."""
    bench = Bench(line, echo=True, change=lambda number, answer: answer if number == 1 else b"")
    bench.device.obeyed = lambda write: None
    assert bench.obey(order) == Outcome("unknown", "it was sent; no confirmation came", "silent")
    assert len(bench.requests) == 2


def test_a_device_that_does_not_answer_is_sent_nothing():
    bench = Bench()
    bench.device.faults.silent = True
    outcome = bench.obey()
    assert outcome.state == "failed"
    assert outcome.words.startswith("nothing was written: no answer")
    assert len(bench.requests) == 1


def test_a_line_that_is_lost_before_anything_was_written_is_a_known_failure():
    bench = Bench()

    def gone(data: bytes) -> None:
        raise LineError("cannot send: Input/output error")

    bench.wire.send = gone
    assert bench.obey() == Outcome("failed", "nothing was written: cannot send: Input/output error")


def test_a_line_that_is_lost_while_the_confirmation_is_awaited_is_for_the_caller_to_call_unknown():
    bench = Bench()
    send = bench.wire.send

    def gone(data: bytes) -> None:
        if data[1] == 5:
            raise LineError("cannot read: Input/output error")
        send(data)

    bench.wire.send = gone
    with pytest.raises(LineError):
        bench.obey()


@pytest.mark.parametrize(("code", "state"), [
    (1, "failed"), (2, "failed"), (3, "failed"), (4, "unknown"), (5, "unknown"), (6, "failed"), (11, "unknown"),
])
def test_a_device_that_declines_is_a_failure_unless_it_may_have_done_it(code, state):
    bench = Bench(change=lambda number, answer: answer if number == 1 else seal(bytes([1, 0x85, code])))
    outcome = bench.obey()
    assert outcome.state == state
    assert f"exception {code} " in outcome.words


@pytest.mark.parametrize("answer", [b"", b"\x01", seal(b"\x01\x05\x00\x11\xff\x00"), seal(b"\x01\x05\x00\x10\x00\x00"),
                                    seal(b"\x02\x05\x00\x10\xff\x00"),
                                    seal(b"\x01\x06\x00\x10\xff\x00"), b"\x01\x05\x00\x10\xff\x00\x00\x00"],
                         ids=["nothing", "cut", "register", "value", "unit", "function", "checksum"])
def test_nothing_but_the_whole_confirmation_is_one_and_it_is_never_sent_again(answer):
    bench = Bench(change=lambda number, frame: frame if number == 1 else answer)
    assert bench.obey().state == "unknown"
    assert len(bench.requests) == 2
    assert len(bench.written) == 1, "it was carried out, and nobody can know"


def test_every_single_damaged_bit_of_a_confirmation_leaves_it_unknown():
    whole = seal(b"\x01\x05\x00\x10\xff\x00")
    for bit in range(8 * len(whole)):
        harmed = (int.from_bytes(whole) ^ 1 << bit).to_bytes(len(whole))
        assert Bench(change=lambda number, frame, harmed=harmed: frame if number == 1 else harmed).obey().state == "unknown", bit


def test_stray_bytes_and_frames_of_others_before_the_confirmation_are_stepped_over():
    before = b"\x00\xff" + seal(b"\x07\x03\x02\x00\x01")
    assert Bench(change=lambda number, frame: frame if number == 1 else before + frame).obey() == DONE


def test_a_confirmation_of_another_request_over_tcp_is_not_ours():
    def late(number: int, frame: bytes) -> bytes:
        return frame if number == 1 else ((int.from_bytes(frame[:2]) ^ 0xFF).to_bytes(2) + frame[2:])

    assert Bench("tcp", change=late).obey().state == "unknown"


def test_without_the_word_of_the_site_file_nothing_is_ever_written():
    bench = Bench(may_obey=False)
    assert not bench.driver.verbs
    with pytest.raises(ValueError, match="knows no clean; it knows no commands"):
        bench.obey()
    assert not bench.requests


@pytest.mark.parametrize(("order", "words"), [
    (Order("dance"), "knows no dance; it knows clean, level, scale, relays"),
    (Order("clean", 1.0), "takes no value"),
    (Order("level"), "needs a value, 0 to 10 m"),
    (Order("level", 10.01), "takes 0 to 10 m, not 10.01"),
    (Order("level", float("nan")), "takes 0 to 10 m, not nan"),
    (Order("level", 1.255), "cannot write 1.255 exactly: the nearest that the device can hold is 1.2"),
])
def test_an_order_that_cannot_be_is_refused_before_anything_is_sent(order, words):
    bench = Bench()
    with pytest.raises(ValueError, match=words):
        bench.driver.check(order)
    with pytest.raises(ValueError, match=words):
        bench.obey(order)
    assert not bench.requests


@pytest.mark.parametrize(("keys", "words"), [
    ({"value": None}, "either value"), ({"range": [0, 1]}, "either value"), ({"value": None, "range": [1, 1]}, "a range that is"),
    ({"function": 6, "type": "f32"}, "writes one register"), ({"function": 6, "value": 70000}, "does not fit"), ({"function": 7}, "function"),
    ({"function": 15, "value": []}, "writes 1 to 1968 values"),
    ({"function": 3}, "write value = "), ({"function": 3, "value": [1]}, "write value = "), ({"function": 15, "value": [2]}, "values from 0 to 1"),
    ({"function": 5, "value": 7}, "cannot write 7 exactly"), ({"register": 65535, "function": 16, "value": [1, 2]}, "ends beyond"),
    ({"what": ""}, "what"),
])
def test_a_command_that_cannot_be_is_refused_when_the_profile_is_read(keys, words):
    with pytest.raises(ValueError, match=words):
        Command.model_validate({key: value for key, value in (CLEAN | keys).items() if value is not None})


@pytest.mark.parametrize(("pdu", "code"), [(b"", 1), (b"\x07", 1), (b"\x05\x00", 3), (b"\x05\x00\x01\x00\x01", 3), (b"\x06\x00\x01\x00\x01\x00", 3),
                                           (b"\x0f\x00\x00\x00\x00\x00", 3), (b"\x10\x00\x00\x00\x01\x02\x00", 3),
                                           (b"\x10\x00\x00\x00\x7c\xf8" + b"\0" * 248, 3),
                                           (b"\x10\xff\xff\x00\x02\x04\0\0\0\0", 2)])
def test_a_device_declines_requests_that_are_none(pdu, code):
    with pytest.raises(DeclinedError) as declined:
        modbus_write.read_write(1, pdu)
    assert declined.value.code == code


@pytest.mark.parametrize("write", [Write(1, 5, 16, (1,)), Write(1, 5, 16, (0,)), Write(1, 6, 2, (0xFFFF,)), Write(1, 15, 3, (1, 0, 1) * 7),
                                   Write(1, 16, 0xFFF0, tuple(range(16)))], ids=str)
def test_a_device_understands_what_the_master_means(write):
    assert modbus_write.read_write(1, write.pdu) == write


def test_frames_are_those_of_the_specification():
    """MODBUS Application Protocol V1.1b3: the examples of 6.5, 6.6, 6.11 and 6.12."""
    assert Write(1, 5, 172, (1,)).pdu.hex(" ") == "05 00 ac ff 00"
    assert Write(1, 6, 1, (3,)).pdu.hex(" ") == "06 00 01 00 03"
    assert Write(1, 15, 19, (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)).pdu.hex(" ") == "0f 00 13 00 0a 02 cd 01"
    assert Write(1, 15, 19, (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)).confirmation.hex(" ") == "0f 00 13 00 0a"
    assert Write(1, 16, 1, (10, 258)).pdu.hex(" ") == "10 00 01 00 02 04 00 0a 01 02"
    assert Write(1, 16, 1, (10, 258)).confirmation.hex(" ") == "10 00 01 00 02"


def test_a_confirmation_of_something_else_is_said_with_both():
    with pytest.raises(DeviceError, match="confirmed 00 10 00 00 instead of 00 10 ff 00"):
        modbus_write.confirmed("rtu", Write(1, 5, 16, (1,)), 0, seal(b"\x01\x05\x00\x10\x00\x00"), echoes=False)


EMPTY = {"start": {"what": "start measuring", "function": 3, "register": 0x2500, "value": []},
         "wipe": {"what": "wipe", "function": 16, "register": 0x3100, "value": []}}
"""What a Yosemitech sensor is told by asking for no register."""


class Acting(TableSource):
    """A device that takes a request for no register as a command."""

    def write(self, write: Write) -> None:
        if write.values:
            raise DeclinedError(2)


def acting(line: str = "rtu", **keys: object) -> Bench:
    bench = Bench(line, EMPTY, **keys)
    bench.device.source = Acting({0: 0})
    return bench


@pytest.mark.parametrize("verb", EMPTY)
@pytest.mark.parametrize(("line", "echo"), [*((line, False) for line in LINES), *((line, True) for line in LINES if line != "tcp")])
def test_a_device_that_acts_when_it_is_asked_for_no_register_is_told_once_and_confirms(verb, line, echo):
    bench = acting(line, echo=echo)
    assert bench.obey(Order(verb)) == DONE
    assert [(w.function, w.first, w.values) for w in bench.written] == [(EMPTY[verb]["function"], EMPTY[verb]["register"], ())]
    silent = acting(line, echo=echo, change=lambda number, answer: answer if number == 1 else b"")
    assert silent.obey(Order(verb)) == Outcome("unknown", "it was sent; no confirmation came", "silent"), "our own echo is none"
    assert len(silent.requests) == 2


@pytest.mark.parametrize("verb", EMPTY)
def test_a_damaged_confirmation_of_such_a_request_leaves_it_unknown(verb):
    whole = seal(bytes([1]) + Command.model_validate(EMPTY[verb]).write(1, None).confirmation)
    for bit in range(8 * len(whole)):
        harmed = (int.from_bytes(whole) ^ 1 << bit).to_bytes(len(whole))
        assert acting(change=lambda number, frame, harmed=harmed: frame if number == 1 else harmed).obey(Order(verb)).state == "unknown", bit


@pytest.mark.parametrize("verb", EMPTY)
def test_a_device_that_keeps_to_the_specification_declines_such_a_request(verb):
    bench = Bench(commands=EMPTY)
    assert bench.obey(Order(verb)).words.startswith("the device answers exception 3")
    assert not bench.written


def test_the_frames_of_such_requests_are_those_that_were_captured():
    """A Yosemitech Y511-A on 9 September 2026, the wiper watched: the requests and the answers, checksums and all."""
    start, wipe = (Command.model_validate(EMPTY[verb]).write(1, None) for verb in EMPTY)
    assert modbus_write.request("rtu", start, 0) == bytes.fromhex("01 03 25 00 00 00 4E C6")
    assert modbus_write.request("rtu", wipe, 0) == bytes.fromhex("01 10 31 00 00 00 00 74 94")
    assert modbus_write.confirmed("rtu", start, 0, bytes.fromhex("01 03 00 20 F0"), echoes=False)
    assert modbus_write.confirmed("rtu", wipe, 0, bytes.fromhex("01 10 31 00 00 00 CE F5"), echoes=False)
    for write, answer in ((start, "01 03 00 20 F0"), (wipe, "01 10 31 00 00 00 CE F5")):
        assert modbus_write.answer_size("rtu", write) == len(bytes.fromhex(answer))
