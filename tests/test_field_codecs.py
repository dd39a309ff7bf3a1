"""Frames of the field protocols: known ones mean what their sources say, damaged ones are refused, cuts make no difference."""

import itertools
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

import field_vectors
import pytest
from field_vectors import close
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs import dlt645, ezo, mhz19, nmea, plantower, sdi12, sds011, shdlc, sm4, text_line, ultrasonic
from drivers.codecs.explain import PROTOCOLS, Beside, explain
from drivers.codecs.frame import Cutter, LineCutter, NotAFrame
from drivers.codecs.register_layout import RegisterLayout

RANGED = [  # the first frame is printed on DFRobot's pages, the others are computed
    {"id": f"ultrasonic-{mm}", "protocol": "ultrasonic", "direction": "sensor->host", "hex": ultrasonic.build(mm).hex(" "),
     "expected": {"distance_mm": mm}} for mm in (1953, 0, 255, 4500, 7500, 10_000)]
ROWS = field_vectors.ROWS + RANGED + [
    {"id": "ultrasonic-spoilt", "protocol": "ultrasonic", "hex": "ff 07 a1 a8", "expected": {"error": "checksum"}},
    {"id": "ultrasonic-too-far", "protocol": "ultrasonic", "hex": ultrasonic.build(10_001).hex(), "expected": {"error": "farther than it hears"}},
    {"id": "ultrasonic-cut", "protocol": "ultrasonic", "hex": "ff 07 a1", "expected": {"error": "short"}}]
FRAMES = [row if "hex" in row else row | {"hex": row["text"].encode().hex()} for row in ROWS]
DAMAGED = [row for row in FRAMES if isinstance(row["expected"].get("error"), str)]
GOOD = [row for row in FRAMES if row not in DAMAGED]
SUMS = ("modbus_rtu", "plantower", "sds011", "mhz19", "shdlc", "nmea0183", "dlt645", "ultrasonic")
CHECKED = [row for row in GOOD if row["protocol"] in SUMS or "crc" in row["expected"]]


def beside(row: dict) -> Beside:
    layout = field_vectors.LAYOUTS.get(row["id"])
    return Beside(row["expected"].get("topic", ""), RegisterLayout.read(layout) if layout else None, bytes.fromhex(field_vectors.key_of(row)))


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["id"])
def test_frames_of_manuals_mean_what_their_sources_say(row):
    fields = explain(row["protocol"], bytes.fromhex(row["hex"]), beside(row))
    wanted = row["expected"]
    assert {key: fields.get(key) for key in wanted if not close(fields.get(key), wanted[key])} == {}
    json.dumps(fields)


@pytest.mark.parametrize("row", DAMAGED, ids=lambda row: row["id"])
def test_frames_that_are_known_to_be_damaged_are_refused(row):
    with pytest.raises(NotAFrame):
        explain(row["protocol"], bytes.fromhex(row["hex"]))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_sm4_is_that_of_openssl():
    chance = random.Random(4)
    key, plain = chance.randbytes(16), chance.randbytes(16 * 40)
    command = ["openssl", "enc", "-sm4-ecb", "-nopad", "-K", key.hex()]
    theirs = subprocess.run(command, input=plain, capture_output=True, check=True, timeout=30).stdout
    ours = b"".join(sm4.encrypt(plain[at : at + 16], key) for at in range(0, len(plain), 16))
    assert ours == theirs
    assert b"".join(sm4.decrypt(ours[at : at + 16], key) for at in range(0, len(ours), 16)) == plain


def test_an_encrypted_segment_with_another_key_or_a_changed_byte_is_refused():
    [row] = [row for row in field_vectors.ROWS if row["id"] == "sm4-frame-synthetic"]
    frame, key = field_vectors.frame_of(row), bytes.fromhex(field_vectors.key_of(row))
    for at in range(6, len(frame) - 6):
        with pytest.raises(NotAFrame):
            sm4.read_segment(frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :], key)
    with pytest.raises(NotAFrame, match="another key"):
        sm4.read_segment(frame, bytes(16))


def test_every_protocol_has_its_frames():
    assert {row["protocol"] for row in FRAMES} | {"sparkplug"} == set(PROTOCOLS)
    assert PROTOCOLS["sparkplug"] is PROTOCOLS["sparkplug_b"]
    assert len(FRAMES) >= 114


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(data=st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_refused_with_one_error_only(protocol, data):
    with suppress(NotAFrame):
        explain(protocol, data)


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row["id"])
def test_a_frame_that_is_cut_off_anywhere_is_refused_or_says_nothing_else(row):
    """Whatever is left of a frame is refused; only leading FE (DL/T 645) and line ends may be missing, and text without a checksum."""
    frame = bytes.fromhex(row["hex"])
    if row not in CHECKED:
        return
    whole = explain(row["protocol"], frame)
    for start, stop in [(1, len(frame)), *((0, stop) for stop in range(len(frame)))]:
        try:
            assert explain(row["protocol"], frame[start:stop]) == whole
        except NotAFrame:
            continue
        assert frame[:start].strip(b"\xfe") == b""
        assert frame[stop:].strip(b"\r\n") == b""


def flips(frame: bytes) -> Iterator[bytes]:
    for at in range(len(frame)):
        for bit in range(8):
            yield frame[:at] + bytes((frame[at] ^ 1 << bit,)) + frame[at + 1 :]


@pytest.mark.parametrize("row", CHECKED, ids=lambda row: row["id"])
def test_one_flipped_bit_never_changes_what_is_read(row):
    frame = bytes.fromhex(row["hex"])
    whole = explain(row["protocol"], frame)
    for other in flips(frame):
        try:
            read = explain(row["protocol"], other)
        except NotAFrame:
            continue
        if row["protocol"] == "sdi12" and "crc" not in read:
            continue  # no longer an answer with a checksum: who asked for one refuses it
        assert read == whole, other.hex(" ")


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
STREAMS: dict[str, tuple[Callable[[], Cutter], list[bytes]]] = {
    "plantower": (lambda: plantower.cutter(28), [bytes.fromhex(r["hex"]) for r in GOOD if r["protocol"] == "plantower" and len(r["hex"]) == 95]),
    "sds011": (sds011.cutter, [bytes.fromhex(r["hex"]) for r in GOOD if r["protocol"] == "sds011" and r["direction"] == "sensor->host"]),
    "ultrasonic": (ultrasonic.cutter, [bytes.fromhex(r["hex"]) for r in GOOD if r["protocol"] == "ultrasonic"]),
    "dlt645": (lambda: Cutter(dlt645.frame_size, dlt645.is_good, 267),
               [bytes.fromhex(r["hex"]).lstrip(b"\xfe") for r in GOOD if r["protocol"] == "dlt645"]),
}


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=30), seed=st.integers(0, 2**32), noise=st.binary(max_size=12))
@settings(max_examples=60, deadline=None)
def test_it_makes_no_difference_where_a_stream_is_cut(name, cuts, seed, noise):
    make, frames = STREAMS[name]
    assert len(frames) >= 5
    chance = random.Random(seed)
    stream = b"".join(chance.choice(frames) + (noise if chance.random() < 0.3 else b"") for _ in range(6))
    whole, cut = make(), make()
    expected = whole.feed(stream)
    got = [frame for piece in pieces(stream, cuts) for frame in cut.feed(piece)]
    assert got == expected
    assert (cut.stray, cut.spoilt) == (whole.stray, whole.spoilt)


@pytest.mark.parametrize("name", STREAMS)
def test_good_frames_are_found_behind_what_only_looked_like_one(name):
    make, frames = STREAMS[name]
    first, second = frames[0], frames[1]
    for cut in range(1, len(first)):
        cutter = make()
        found = cutter.feed(first[:cut] + second + frames[2] * 20)
        assert found[0] == second, cut
        assert found[-1] == frames[2]


@pytest.mark.parametrize("name", STREAMS)
def test_a_damaged_frame_is_counted_and_the_next_is_read(name):
    make, frames = STREAMS[name]
    spoilt = bytearray(frames[0])
    spoilt[-2] ^= 0x10
    cutter = make()
    assert cutter.feed(bytes(spoilt)) == []
    assert (cutter.spoilt, cutter.stray > 0) == (1, True)
    assert cutter.feed(frames[1]) == [frames[1]]
    assert cutter.stray == 0


@given(text=st.lists(st.sampled_from([b"53.7\r\n", b"x\n", b"\r", b"61.2\r\n", b"A" * 600, b"\n"]), max_size=12),
       cuts=st.lists(st.integers(0, 10_000), max_size=30))
@settings(deadline=None)
def test_lines_are_the_same_wherever_they_are_cut(text, cuts):
    whole, cut = LineCutter(), LineCutter()
    stream = b"".join(text)
    assert [line for piece in pieces(stream, cuts) for line in cut.feed(piece)] == whole.feed(stream)


def test_a_line_that_began_before_we_listened_is_not_believed():
    cutter = LineCutter()
    assert cutter.feed(b"3.7\r\n53.7\r\n5") == [b"53.7"]
    cutter.forget()
    assert cutter.feed(b"9.9\r\n54.0\r\n") == [b"54.0"]


# ── both directions ──────────────────────────────────────────────────────────────────────────────────────────────────────
@given(st.sampled_from(sorted(plantower.WORDS)), st.data())
def test_a_plantower_frame_reads_back_what_was_put_into_it(length, data):
    values = {name: data.draw(st.integers(-400, 900)) / 10 if name == "temperature" else data.draw(st.integers(0, 990))
              for name in plantower.FIELDS[length]}
    got = plantower.read(plantower.build(length, values))
    assert {name: got[name] for name in values} == values


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=255))
def test_an_shdlc_frame_reads_back_what_was_put_into_it(address, command, state, data):
    answer = shdlc.Frame(address, command, data, state)
    bytes_ = shdlc.build(answer)
    assert shdlc.read_answer(bytes_) == answer
    assert 0x7E not in bytes_[1:-1]
    assert not {0x11, 0x13} & set(bytes_)
    request = shdlc.Frame(address, command, data)
    assert shdlc.read_request(shdlc.build(request)) == request
    assert shdlc.find(shdlc.build(request) + bytes_, request) == answer
    assert shdlc.find(bytes_, request) == answer or bytes_ == shdlc.build(request)


@given(st.integers(0, 10**12 - 1), st.sampled_from([0x11, 0x91, 0xB1, 0xD1, 0x01, 0x81, 0x13]), st.binary(max_size=200), st.integers(0, 6))
def test_a_meter_frame_reads_back_what_was_put_into_it(address, control, data, wake):
    frame = dlt645.Frame(f"{address:012d}", control, data)
    assert dlt645.read(dlt645.build(frame, wake)) == frame


@given(st.integers(-79_999_999, 79_999_999), st.integers(0, 4))
def test_packed_digits_read_back_the_number(raw, decimals):
    value = raw / 10**decimals
    assert dlt645.bcd(dlt645.to_bcd(value, 4, decimals, signed=True), decimals, signed=True) == value


def test_packed_digits_that_are_none_are_no_value():
    assert str(dlt645.bcd(b"\xff\xff", 1)) == "nan"
    assert str(dlt645.bcd(b"\xff\xff\xff", 4, signed=True)) == "nan"
    assert dlt645.bcd(bytes.fromhex("3322"), 1) == 223.3


def test_a_meter_is_known_by_its_address_and_its_item():
    energy = dlt645.item_bytes("00010000")
    mine = dlt645.Frame("000000000161", 0x91, energy + dlt645.to_bcd(0.26, 4, 2))
    echo = dlt645.build(dlt645.Frame("000000000161", 0x11, energy))
    stream = echo + dlt645.build(mine)
    assert dlt645.find(stream, 0x11, "000000000161", energy) == mine
    assert dlt645.find(stream, 0x11, dlt645.ANYONE, energy) == mine
    assert dlt645.find(stream, 0x11, "AAAAAAAA0161", energy) == mine
    for address, item, cause in [("000000000162", energy, "wrong"), ("000000000161", dlt645.item_bytes("02010100"), "late")]:
        with pytest.raises(NotAFrame) as error:
            dlt645.find(stream, 0x11, address, item)
        assert error.value.cause == cause
    whole = [cut for cut in range(len(stream) + 1) if dlt645.missing(stream[:cut], 0x11, "000000000161", energy, 8) == 0]
    assert whole == [len(stream)]


def test_the_crcs_of_the_sdi12_specification():
    for line in (b"0+3.14OqZ", b"0+3.14+2.718+1.414Ipz", b"0+1.11+2.22+3.33+4.44+5.55+6.66I]q", b"0+7.77+8.88+9.99IvW", b"0+3.14+2.718IWO", b"0AP@"):
        assert sdi12.crc_characters(line[:-3]) == line[-3:]


@given(st.sampled_from(sdi12.ADDRESSES), st.lists(st.decimals(-999999, 999999, places=1, allow_nan=False), max_size=9), st.booleans())
def test_sdi12_values_read_back(address, numbers, crc):
    values = tuple(f"{number:+}" for number in numbers)
    assert sdi12.read_values(sdi12.answer(address, "".join(values), crc=crc), crc=crc) == sdi12.Values(address, values)


@pytest.mark.parametrize("body", ["+", "3.14", "+3.1.4", "+12345678", "+1e5", "+.", "+3.14x", "++1"])
def test_what_is_no_sdi12_value_is_refused(body):
    with pytest.raises(NotAFrame):
        sdi12.read_values(sdi12.answer("0", body), crc=False)


def test_an_answer_without_the_crc_that_was_asked_for_is_refused():
    with pytest.raises(NotAFrame, match="checksum"):
        sdi12.read_values(b"0+3.14\r\n", crc=True)


def test_lines_of_an_ezo_circuit():
    assert ezo.read(b"9.560") == ezo.Line(values=("9.560",))
    assert ezo.read(b"8.05,92.3").values == ("8.05", "92.3")
    assert ezo.read(b"*OK").code == "OK"
    assert ezo.read(b"?I,pH,2.16").reply == ("I", "pH", "2.16")
    assert ezo.lines(b"9.56\r*OK\r9.5") == [b"9.56", b"*OK"]
    for bad in (b"", b"9.5.6", b"*XX", b"nan", b"\xff", b"9,56,"):
        with pytest.raises(NotAFrame):
            ezo.read(bad)


def test_a_pattern_takes_the_number_out_of_its_line():
    pattern = text_line.LinePattern(r"\s*([0-9.]+)\s*dBA?.*")
    assert pattern.number(b" 53.7 dBA FAST") == 53.7
    assert pattern.number(b"hello") is None
    with pytest.raises(NotAFrame):
        pattern.number(b"5.3.7 dB")
    for wrong in ("(", "no group", "(a)(b)"):
        with pytest.raises(ValueError, match=r"pattern|group"):
            text_line.LinePattern(wrong)


def test_an_answer_of_the_co2_sensor_is_found_behind_the_echo():
    answer = mhz19.answer(608, 31)
    stream = mhz19.ask(mhz19.READ) + answer
    assert answer == bytes.fromhex("ff8602604700 0000d1")
    assert mhz19.values(mhz19.read(stream)) == {"co2_ppm": 608, "temp_c": 31}
    assert [mhz19.missing(stream[:cut]) for cut in (0, 9, 10, 11, 18)] == [9, 9, 8, 7, 0]


@given(st.sampled_from(["IIMWV", "PGRME", "WIMDA"]), st.lists(st.text("0123456789.ARNMK-", max_size=6), max_size=12))
def test_a_sentence_reads_back(name, fields):
    sentence = nmea.read(nmea.build(name, tuple(fields)))
    assert (sentence.name, sentence.fields) == (name, tuple(fields))
