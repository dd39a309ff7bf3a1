"""Modbus ASCII: frames of the specification's form, damaged ones refused, a device read over a line of hex digits; BCD registers."""

import math

import modbus_devices
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError
from drivers.blocks import cost
from drivers.codecs import modbus_device
from drivers.codecs.modbus import DeclinedError, Question
from drivers.codecs.modbus_ascii import Ascii, lrc, seal, unseal
from drivers.decode import Form, decode, encode
from drivers.lines import serial

ASKED = Question(1, 3, 0, 2)
ANSWER = seal(bytes.fromhex("01030400 07ff9b"))


def test_a_frame_is_a_colon_hex_digits_and_a_sum_that_makes_zero():
    assert Ascii().ask(Question(1, 3, 0, 1), 0) == b":010300000001FB\r\n"
    assert lrc(bytes.fromhex("010300000001")) == 0xFB
    assert unseal(b":010300000001fb\r\n") == bytes.fromhex("010300000001")


def test_an_answer_is_found_behind_echo_strangers_and_stray_characters():
    for before in (b"", Ascii().ask(ASKED, 0), b"\x00\xff", seal(bytes.fromhex("02030400010002")), b":0103"):
        stream = before + ANSWER
        assert Ascii().answer(ASKED, 0, stream) == [7, 0xFF9B], before
        assert [cut for cut in range(len(stream) + 1) if Ascii().still(ASKED, 0, stream[:cut]) == 0] == [len(stream)]


def test_what_is_missing_is_said_exactly():
    assert Ascii().answer_size(ASKED) == len(ANSWER)
    for cut in range(len(ANSWER)):
        assert Ascii().still(ASKED, 0, ANSWER[:cut]) == len(ANSWER) - cut
    declined = seal(b"\x01\x83\x02")
    assert Ascii().still(ASKED, 0, declined[:7]) == len(declined) - 7


@pytest.mark.parametrize(("came", "cause"), [
    (b"", "silent"), (Ascii().ask(ASKED, 0), "silent"), (b"xyz", "noise"), (ANSWER[:9], "short"), (ANSWER.replace(b"07", b"08"), "noise"),
    (seal(bytes.fromhex("02030400010002")), "wrong"), (seal(bytes.fromhex("0103020001")), "late")])
def test_what_is_no_answer_says_its_cause(came, cause):
    with pytest.raises(DeviceError) as error:
        Ascii().answer(ASKED, 0, came)
    assert error.value.cause == cause


def test_a_device_that_declines_is_understood():
    with pytest.raises(DeclinedError) as error:
        Ascii().answer(ASKED, 0, seal(b"\x01\x83\x02"))
    assert error.value.code == 2


def test_one_flipped_bit_never_changes_what_is_read():
    for at in range(len(ANSWER)):
        for bit in range(8):
            other = ANSWER[:at] + bytes((ANSWER[at] ^ 1 << bit,)) + ANSWER[at + 1 :]
            try:
                read = Ascii().answer(ASKED, 0, other)
            except DeviceError:
                continue
            assert read == [7, 0xFF9B]  # a digit in the other case


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_with_one_error_only(stream):
    Ascii().still(ASKED, 0, stream)
    with pytest.raises(DeviceError):
        Ascii().answer(ASKED, 0, stream)


@pytest.mark.parametrize("function", [3, 0x83, 1, 6, 17])
def test_a_good_frame_that_is_too_short_for_an_answer_ends_the_wait_and_is_refused(function):
    """Random bytes never have a fitting check: these have one, and nothing behind the function."""
    short = seal(bytes((1, function)))
    assert unseal(short) == bytes((1, function))
    assert Ascii().still(ASKED, 0, short) == 0
    with pytest.raises(DeviceError) as error:
        Ascii().answer(ASKED, 0, short)
    assert error.value.cause == "noise"


def test_a_device_is_read_over_a_line_of_hex_digits():
    def respond(request: bytes) -> tuple[float, bytes]:
        body = unseal(request)
        assert body is not None
        question = modbus_device.read_question(body[0], body[1:])
        registers = [7, 0xFF9B][question.first : question.first + question.count]
        return 0.01, seal(body[:1] + modbus_device.answer_pdu(question, registers))

    line = serial.Options(port="none", baudrate=9600, format="7E1", framing="ascii")
    driver = modbus_devices.driver(modbus_devices.profile({"a": {"register": 0}, "b": {"register": 1, "type": "s16", "decimals": 1}}), line)
    wire = VirtualWire(VirtualClock(), respond, line.character_s)
    assert driver.poll(driver.groups()[0], wire).raw.tolist() == [7.0, -10.1]
    assert wire.sent[0][1].startswith(b":0103")


def test_its_frames_are_planned_at_twice_the_length():
    rtu, ascii_ = (cost(serial.Options(port="x", framing=framing), 0.0) for framing in ("rtu", "ascii"))
    line = serial.Options(port="x")
    asked, answered = len(Ascii().ask(Question(1, 3, 0, 10), 0)), Ascii().answer_size(Question(1, 3, 0, 10))
    assert ascii_.of(3, 10) == pytest.approx((asked + answered) * line.character_s + line.silence_s)
    assert rtu.of(3, 10) == pytest.approx((8 + 25) * line.character_s + line.silence_s)


# ── BCD ──
@pytest.mark.parametrize(("form", "registers", "value"), [
    (Form("bcd16"), [0x1234], 1234.0), (Form("bcd16", decimals=2), [0x1234], 12.34), (Form("bcd32"), [0x0012, 0x3456], 123456.0),
    (Form("bcd32", "CDAB", decimals=2), [0x3456, 0x0012], 1234.56), (Form("bcd16"), [0x0000], 0.0)])
def test_digits_of_four_bits(form, registers, value):
    assert decode(form, registers) == value
    assert list(encode(form, value)) == registers


@pytest.mark.parametrize(("form", "registers"), [(Form("bcd16"), [0x12A4]), (Form("bcd16"), [0xFFFF]), (Form("bcd32", missing=(9999,)), [0, 0x9999])])
def test_what_is_no_digit_is_no_value(form, registers):
    assert math.isnan(decode(form, registers))


def test_a_number_with_too_many_digits_does_not_fit():
    with pytest.raises(ValueError, match="does not fit"):
        encode(Form("bcd16"), 12345)
    with pytest.raises(ValueError, match="only whole numbers"):
        Form("bcd16", bit=1)


def test_two_answers_are_told_as_two_devices_with_one_address():
    framing, question = Ascii(), Question(1, 3, 0, 1)
    one = seal(b"\x01\x03\x02\x00\x07")
    assert framing.answer(question, 0, one) == [7]
    with pytest.raises(DeviceError, match="two answers came"):
        framing.answer(question, 0, one + seal(b"\x01\x03\x02\x00\x08"))
