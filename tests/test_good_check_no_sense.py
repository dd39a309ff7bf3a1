"""Frames whose check fits and whose content is too short, too long or beside the point: refused in words, and nothing else happens.

Random bytes hardly ever have a fitting check, so noise never comes here; a confused device or somebody who means harm does.
"""

import itertools
import random
from collections.abc import Callable
from contextlib import suppress

import field_devices
import pytest
from modbus_devices import driver, profile
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError, Undecodable
from drivers.codecs import dlt645, mhz19, modbus, modbus_ascii, modbus_write, nmea, sdi12, shdlc
from drivers.codecs.explain import PROTOCOLS, explain
from drivers.codecs.masters import Masters
from drivers.codecs.modbus import FRAMINGS, Framing, Question, wrap
from drivers.codecs.modbus_overheard import Ear
from drivers.codecs.modbus_write import Write
from drivers.lines import serial

SEALS: dict[str, Callable[[bytes], bytes]] = {"rtu": modbus.seal, "ascii": modbus_ascii.seal, "tcp": lambda body: wrap(7, body[0], body[1:])}
FRAMES: dict[str, Framing] = {"rtu": FRAMINGS["rtu"], "ascii": modbus_ascii.Ascii(), "tcp": FRAMINGS["tcp"]}
QUESTIONS = (Question(1, 3, 0, 1), Question(1, 1, 0, 9), Question(1, 4, 2, 4))
WRITES = (Write(1, 6, 0, (1,)), Write(1, 16, 0, (1, 2)), Write(1, 3, 0, ()), Write(1, 5, 0, (1,)))


def bodies() -> list[bytes]:
    """Unit, function and too little: every function that means something, every length up to that of the shortest answer and beyond."""
    heads = itertools.product((1, 2, 0), (1, 3, 4, 5, 6, 15, 16, 17, 0x81, 0x83, 0x84, 0x86, 0x90, 0))
    return [bytes(head) + rest for head in heads for rest in (b"", b"\0", b"\1", b"\2", b"\xff", b"\2\0", b"\0\1\0", b"\0\0\0\1", b"\2\0\1\0\0\0")]


def refused(read: Callable[[], object]) -> None:
    """It may be read, or refused in the one way that is agreed."""
    with suppress(DeviceError, Undecodable):
        read()


@pytest.mark.parametrize("framing", SEALS)
def test_a_modbus_frame_of_any_length_is_an_answer_or_refused(framing: str) -> None:
    frame = FRAMES[framing]
    for body in bodies():
        for stream in (SEALS[framing](body), SEALS[framing](body) * 2, b"\0" + SEALS[framing](body)):
            for question in QUESTIONS:
                refused(lambda question=question, stream=stream: (frame.still(question, 7, stream), frame.answer(question, 7, stream)))
            for write in WRITES:
                refused(lambda write=write, stream=stream: modbus_write.confirmed(framing, write, 7, stream, echoes=False))


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_a_line_with_a_short_frame_is_read_again_at_once(framing: str) -> None:
    """Through the driver: the worker of the line goes on, and the next poll has the value."""
    line = serial.Options(port="none", framing=framing)
    for body in bodies():
        reader = driver(profile({"a": {"register": 0}}), line)
        (group,) = reader.groups()
        refused(lambda reader=reader, group=group, body=body: reader.poll(group, VirtualWire(VirtualClock(), lambda _: (0.01, SEALS[framing](body)))))
        healthy = VirtualWire(VirtualClock(), lambda _: (0.01, SEALS[framing](b"\1\3\2\0\7")))
        assert reader.poll(group, healthy).raw.tolist() == [7.0], body.hex()


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_who_listens_to_another_master_goes_on_and_takes_no_scrap_for_a_request(framing: str) -> None:
    question = QUESTIONS[0]
    asked, answered = SEALS[framing](b"\1" + question.pdu), SEALS[framing](b"\1\3\2\0\7")
    for body in bodies():
        ear, masters = Ear(framing), Masters()
        for stream in (SEALS[framing](body), asked, SEALS[framing](body), answered):
            masters.feed(stream, 0)
            ear.feed(stream, 0)
        ear.fall_silent(10**10)
        assert isinstance(masters.words(), str)
        ear = Ear(framing)
        ear.feed(SEALS[framing](body), 0)
        ear.fall_silent(10**9)
        assert ear.requests == 0 or len(body) >= 6, body.hex()
        assert [one.registers for one in ear.feed(asked + answered, 10**11)][-1] == (7,)


def dlt645_frame(chance: random.Random) -> bytes:
    data = chance.choice((bytes.fromhex("33333433")[: chance.randint(0, 4)], chance.randbytes(chance.randint(0, 9))))
    frame = bytes.fromhex("6861010000000068") + bytes((chance.choice((0x91, 0xD1, 0xB1, 0x93, 0x81)), len(data))) + data
    return frame + bytes((sum(frame) & 0xFF, 0x16))


def sdi12_line(chance: random.Random) -> bytes:
    line = (chance.choice("07") + "".join(chance.choices("0123456789+-.. ?a", k=chance.randint(0, 12)))).encode()
    return line + chance.choice((b"", sdi12.crc_characters(line))) + sdi12.END


def shdlc_frame(chance: random.Random) -> bytes:
    data = chance.randbytes(chance.choice((0, 1, 39, 40, 41)))
    return shdlc.build(shdlc.Frame(0, chance.choice((0, 3, 0xD1)), data, chance.choice((0, 0x43, 0x80, 0xFF))))


def mhz19_frame(chance: random.Random) -> bytes:
    frame = b"\xff\x86" + chance.randbytes(6)
    return frame + bytes((mhz19.checksum(frame),))


def ezo_line(chance: random.Random) -> bytes:
    return "".join(chance.choices("0123456789.,-+*?OKER", k=chance.randint(0, 12))).encode() + b"\r"


ANSWERS = {"dlt645_2007": dlt645_frame, "winsen_mhz19": mhz19_frame, "sensirion_sps30": shdlc_frame, "atlas_ezo_ph": ezo_line}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_with_a_good_check_and_any_content_is_a_value_or_refused(name: str) -> None:
    chance, said = random.Random(2), ANSWERS[name]
    for _ in range(150):
        reader = field_devices.asked(name)
        refused(lambda reader=reader: reader.poll(reader.groups()[0], VirtualWire(VirtualClock(), lambda _: (0.01, said(chance)))))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_explanation_of_any_frame_with_a_good_check_is_fields_or_a_refusal(protocol: str) -> None:
    chance = random.Random(3)
    frames = [SEALS["rtu"](body) for body in bodies()] + [made(chance) for made in (*ANSWERS.values(), sdi12_line) for _ in range(60)]
    frames += [nmea.build(name, fields) for name in ("", "P", "GPGGA") for fields in ((), ("",), ("1", "2"))]
    frames += [dlt645.build(dlt645.Frame("AA" * 6, control)) for control in (0x11, 0x91, 0xD1)]
    for frame in frames:
        refused(lambda frame=frame: explain(protocol, frame))
