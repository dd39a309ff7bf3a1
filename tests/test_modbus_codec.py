"""Modbus frames: known ones decode, damaged ones are refused, the length is known without waiting for silence."""

import random
import struct

import field_vectors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import DeviceError
from drivers.codecs import modbus, modbus_device
from drivers.codecs.modbus import FRAMINGS, DeclinedError, Mbap, Question, Rtu
from drivers.simulated.modbus import burst

FRAMES = [row for row in field_vectors.ROWS if row["protocol"] == "modbus_rtu"]
SCALE = {"moisture_pct": 10, "temp_c": 10, "ec_us_cm": 1, "ph": 10, "humidity_pct": 10, "raw": 1, "coils": 1}
questions = st.one_of(
    st.builds(Question, st.integers(1, 247), st.sampled_from([3, 4]), st.integers(0, 65000), st.integers(1, 125)),
    st.builds(Question, st.integers(1, 247), st.sampled_from([1, 2]), st.integers(0, 60000), st.integers(1, 2000)),
)


def sealed_answer(question: Question, read: list[int]) -> bytes:
    return modbus.seal(bytes([question.unit]) + modbus_device.answer_pdu(question, read))


def held(question: Question, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randint(0, 1 if question.function < 3 else 65535) for _ in range(question.count)]


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row["id"])
def test_frames_of_manuals_mean_what_the_manuals_say(row):
    frame = bytes.fromhex(row["hex"])
    assert modbus.is_sealed(frame)
    if row["direction"] == "host->sensor":
        assert modbus_device.request_size(frame) == len(frame)
        if frame[1] == 3:
            question = modbus_device.read_question(frame[0], frame[1:-2])
            assert Rtu().ask(question, 0) == frame
    else:
        count = len(row["expected"])
        question = Question(frame[0], frame[1], 0, count)
        raw = Rtu().answer(question, 0, frame)
        signed = [value - 65536 if value > 32767 else value for value in raw]
        assert {key: value / SCALE[key] for key, value in zip(row["expected"], signed, strict=True)} == row["expected"]


def test_the_crc_is_that_of_the_catalogue():
    assert modbus.crc16(b"123456789") == 0x4B37  # CRC-16/MODBUS in the CRC catalogue (reveng)


@given(questions, st.integers(0, 2**32), st.integers(0, 65535))
def test_both_sides_understand_each_other(question, seed, number):
    read = held(question, seed)
    request = Rtu().ask(question, number)
    assert modbus_device.request_size(request) == len(request)
    assert modbus_device.read_question(request[0], request[1:-2]) == question
    assert Rtu().answer(question, number, sealed_answer(question, read)) == read
    assert Mbap().answer(question, number, modbus.wrap(number, question.unit, modbus_device.answer_pdu(question, read))) == read


@pytest.mark.parametrize("name", ["rtu", "tcp"])
@given(questions, st.integers(0, 2**32))
@settings(max_examples=30)
def test_an_answer_is_complete_with_its_last_byte_and_not_before(name, question, seed):
    framing = FRAMINGS[name]
    pdu = modbus_device.answer_pdu(question, held(question, seed))
    frame = modbus.seal(bytes([question.unit]) + pdu) if name == "rtu" else modbus.wrap(7, question.unit, pdu)
    for cut in range(len(frame)):
        more = framing.still(question, 7, frame[:cut])
        assert 0 < more <= len(frame) - cut
    assert framing.still(question, 7, frame) == 0


@pytest.mark.parametrize("name", ["rtu", "tcp"])
@pytest.mark.parametrize("code", [*modbus.EXCEPTIONS, 99])
def test_an_exception_is_complete_after_its_few_bytes(name, code):
    question = Question(9, 3, 0, 40)
    pdu = modbus_device.exception_pdu(3, code)
    frame = modbus.seal(bytes([9]) + pdu) if name == "rtu" else modbus.wrap(7, 9, pdu)
    assert FRAMINGS[name].still(question, 7, frame) == 0
    with pytest.raises(DeclinedError, match=str(code)) as declined:
        FRAMINGS[name].answer(question, 7, frame)
    assert declined.value.code == code
    assert declined.value.cause == {5: "busy", 6: "busy", 11: "silent"}.get(code, "exception")


@given(questions, st.integers(0, 2**32))
@settings(max_examples=300)
def test_a_burst_of_up_to_16_bits_never_gives_a_value(question, seed):
    read = held(question, seed)
    damaged = burst(sealed_answer(question, read), random.Random(seed))
    with pytest.raises(DeviceError):
        Rtu().answer(question, 0, damaged)


@given(questions, st.integers(0, 2**32), st.data())
def test_a_truncated_answer_gives_no_value(question, seed, data):
    frame = sealed_answer(question, held(question, seed))
    cut = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(DeviceError) as fault:
        Rtu().answer(question, 0, frame[:cut])
    assert fault.value.cause == ("short" if cut else "silent")
    with pytest.raises(DeviceError):
        Rtu().answer(question, 0, frame[cut + 1 :])


@pytest.mark.parametrize("other", [Question(2, 3, 0, 4), Question(1, 4, 0, 4), Question(1, 3, 0, 5)])
def test_frames_of_other_questions_are_stepped_over(other):
    question = Question(1, 3, 100, 4)
    foreign, ours = sealed_answer(other, held(other, 1)), sealed_answer(question, [1, 2, 3, 4])
    assert Rtu().still(question, 0, foreign) == len(ours)
    with pytest.raises(DeviceError) as fault:
        Rtu().answer(question, 0, foreign)
    assert fault.value.cause == ("wrong" if other.unit != 1 else "late")
    assert Rtu().answer(question, 0, foreign + ours) == [1, 2, 3, 4]


def test_an_echo_of_the_request_and_stray_bytes_are_passed_over():
    question = Question(1, 3, 0, 2)
    ours = sealed_answer(question, [464, 332])
    echo = Rtu().ask(question, 0)
    assert Rtu().answer(question, 0, echo + ours) == [464, 332]
    assert Rtu().answer(question, 0, b"\x00" + ours) == [464, 332]
    assert Rtu().answer(question, 0, b"\xff\x00\xff" + ours) == [464, 332]
    with pytest.raises(DeviceError, match="echo"):
        Rtu().answer(question, 0, echo)


@pytest.mark.parametrize("before", [b"\x00", b"\xff", b"\x01", b"\x01\x03", b"\x00\x83\xff\x01", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("count", [1, 2, 7, 125])
def test_what_comes_before_an_answer_does_not_end_it_early(before, count):
    question = Question(1, 3, 0, count)
    ours = sealed_answer(question, list(range(1, count + 1)))
    for head in (before, Rtu().ask(question, 0), Rtu().ask(question, 0) + before[:2]):
        for cut in range(len(head + ours)):
            assert Rtu().still(question, 0, (head + ours)[:cut]) > 0, (head, cut)
        assert Rtu().answer(question, 0, head + ours) == list(range(1, count + 1))


def test_a_late_tcp_answer_is_told_by_its_number():
    question = Question(1, 3, 0, 1)
    late, ours = (modbus.wrap(n, 1, modbus_device.answer_pdu(question, [v])) for n, v in ((6, 111), (7, 222)))
    assert Mbap().still(question, 7, late) > 0
    assert Mbap().answer(question, 7, late + ours) == [222]
    with pytest.raises(DeviceError, match="no answer"):
        Mbap().answer(question, 7, late)


@pytest.mark.parametrize("stream", [b"HTTP/1.1 400 Bad Request\r\n", struct.pack(">HHH", 7, 0, 2) + b"\x01\x03", struct.pack(">HHH", 7, 0, 300)])
def test_a_stream_that_is_not_modbus_tcp_is_hopeless(stream):
    assert Mbap().still(Question(1, 3, 0, 1), 7, stream) == -1


@given(st.binary(max_size=300), questions)
def test_garbage_is_refused_and_never_crashes(garbage, question):
    for framing in FRAMINGS.values():
        assert framing.still(question, 1, garbage) >= -1
        with pytest.raises(DeviceError):
            framing.answer(question, 1, garbage)
    assert modbus_device.request_size(garbage) >= -1


@pytest.mark.parametrize(("pdu", "code"), [(b"", 1), (b"\x2b\x0e", 1), (b"\x03\x00", 3), (b"\x03\x00\x00\x00\x7e", 3), (b"\x03\x00\x00\x00\x00", 3),
                                           (b"\x03\xff\xff\x00\x02", 2), (b"\x01\x00\x00\x07\xd1", 3)])
def test_a_device_declines_what_it_cannot_do(pdu, code):
    with pytest.raises(DeclinedError) as declined:
        modbus_device.read_question(1, pdu)
    assert declined.value.code == code
