"""Registers mean what the device says, exactly, in both directions."""

import math
import struct
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.decode import ORDERS, TYPES, Form, decode, encode
from drivers.readers import reader

CODES = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}
WHOLE = ("u16", "s16", "u32", "s32", "u64", "s64")


def swapped(order: str, packed: bytes) -> list[int]:
    """Twin of the orders, from their definition: CDAB words turned round, BADC bytes exchanged, DCBA both."""
    words = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [int.from_bytes(word) for word in words]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", WHOLE)
@given(st.data())
def test_whole_numbers_of_every_type_and_order_are_those_of_struct(kind, order, data):
    size = 8 * struct.calcsize(CODES[kind])
    low, high = (-(1 << size - 1), (1 << size - 1) - 1) if kind[0] == "s" else (0, (1 << size) - 1)
    value = data.draw(st.integers(low, high))
    registers = swapped(order, struct.pack(">" + CODES[kind], value))
    assert decode(Form(kind, order), registers) == float(value)
    if abs(value) < 2**53:
        assert list(encode(Form(kind, order), float(value))) == registers


@pytest.mark.parametrize("order", ORDERS)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_the_shortest_decimal_that_names_it(order, value):
    registers = swapped(order, struct.pack(">f", value))
    got = decode(Form("f32", order), registers)
    assert np.float32(got) == np.float32(value)
    with np.errstate(over="ignore"):
        enough = next(n for n in range(1, 10) if np.float32(f"{value:.{n - 1}e}") == np.float32(value))
    assert len(Decimal(repr(got)).normalize().as_tuple().digits) <= enough, "35.4, not 35.400001525878906"
    assert list(encode(Form("f32", order), got)) == registers


@pytest.mark.parametrize("order", ORDERS)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_is_itself(order, value):
    registers = swapped(order, struct.pack(">d", value))
    assert decode(Form("f64", order), registers) == value
    assert list(encode(Form("f64", order), value)) == registers


@pytest.mark.parametrize("kind", WHOLE)
@given(raw=st.integers(-32768, 65535), decimals=st.integers(-3, 9))
def test_decimals_are_exact(kind, raw, decimals):
    raw = max(raw, 0) if kind[0] == "u" else min(raw, 32767)
    form = Form(kind, decimals=decimals)
    value = float(Decimal(raw).scaleb(-decimals))
    packed = struct.pack(">" + CODES[kind], raw)
    registers = [int.from_bytes(packed[i : i + 2]) for i in range(0, len(packed), 2)]
    assert decode(form, registers) == value
    assert list(encode(form, value)) == registers


@given(raw=st.integers(0, 65535), scale=st.decimals("-99", "99", places=4).filter(bool), offset=st.decimals("-999", "999", places=3))
def test_scale_and_offset_are_exact_and_reversible(raw, scale, offset):
    form = Form("u16", scale=scale, offset=offset)
    assert decode(form, [raw]) == float(Decimal(raw) * scale + offset)
    assert encode(form, decode(form, [raw])) == (raw,)


@given(tenths=st.integers(-(10**6), 10**6))
def test_a_scaled_float32_is_scaled_as_a_decimal(tenths):
    value = tenths / 10
    registers = encode(Form("f32"), value)
    assert decode(Form("f32", scale=Decimal("0.001")), registers) == float(Decimal(repr(value)) * Decimal("0.001"))


@given(raw=st.integers(-32767, 32767), order=st.sampled_from(ORDERS))
def test_a_sign_bit_before_a_magnitude_is_a_sign(raw, order):
    registers = swapped(order, struct.pack(">H", abs(raw) + (0x8000 if raw < 0 else 0)))
    assert decode(Form("sm16", order, decimals=2), registers) == raw / 100
    assert list(encode(Form("sm16", order, decimals=2), raw / 100)) == registers


@pytest.mark.parametrize(("form", "registers", "value"), [
    (Form("sm16", decimals=2), [0x8010], -0.16),
    (Form("sm16", missing=(0x8000,)), [0x8010], -16.0),
    (Form("u16", decimals=1), [332], 33.2),
    (Form("s16", decimals=1), [0xFF9B], -10.1),
    (Form("f32", "CDAB"), [0x999A, 0x420D], 35.4),
    (Form("f32", "ABCD"), [0x41CC, 0x0000], 25.5),
    (Form("u64", decimals=2), [0, 0, 1, 0], 655.36),
    (Form("u16", decimals=-2), [12], 1200.0),
    (Form("s32", "BADC"), struct.unpack(">2H", struct.pack("<2H", 0xFFFE, 0x1DC0)), -123456.0),
    (Form("u16", bit=3), [0b1000], 1.0),
    (Form("u16", bit=4, bits=3), [0b1010000], 5.0),
    (Form("u32", "CDAB", bit=16), [0, 1], 1.0),
    (Form("bit"), [1], 1.0),
    (Form("bcd64", decimals=2), [0x0000, 0x0012, 0x3456, 0x7890], 12345678.90),
    (Form("text", length=6), [0x3132, 0x2E35, 0x2020], 12.5),
    (Form("text", "BADC", length=4, scale=Decimal("0.001")), [0x322D, 0x3035], -0.25),
    (Form("text", length=3, states=(("RUN", 1.0), ("OFF", 0.0))), [0x5255, 0x4E20], 1.0),
])  # fmt: skip
def test_known_figures(form, registers, value):
    assert decode(form, list(registers)) == value
    assert encode(form, value) == tuple(registers)


@pytest.mark.parametrize(("form", "registers"), [
    (Form("u16", missing=(0xFFFF,)), [0xFFFF]),
    (Form("s16", missing=(-32768,)), [0x8000]),
    (Form("sm16", missing=(0x8000,)), [0x8000]), (Form("sm16", missing=(-9999,)), [0x8000 + 9999]),
    (Form("s16", decimals=1, missing=(0x8000,)), [0x8000]),
    (Form("u32", "CDAB", missing=(0xFFFFFFFF,)), [0xFFFF, 0xFFFF]),
    (Form("f32", missing=(-9999,)), list(encode(Form("f32"), -9999.0))),
    (Form("f32"), [0x7FC0, 0]), (Form("f32"), [0x7F80, 0]), (Form("f32"), [0xFF80, 0]),
    (Form("f64"), [0x7FF8, 0, 0, 0]), (Form("f64"), [0x7FF0, 0, 0, 0]),
    (Form("f64", scale=Decimal("1e300")), list(encode(Form("f64"), 1e300))),
    (Form("bcd64"), [0, 0, 0, 0x00A0]),
    (Form("text", length=4), [0x2020, 0x2020]), (Form("text", length=4), [0x6E61, 0x6E00]), (Form("text", length=4), [0xFFFF, 0xFFFF]),
    (Form("text", length=4, missing=(9999,)), [0x3939, 0x3939]),
    (Form("text", length=3, states=(("RUN", 1.0),)), [0x4641, 0x4C20]),
])  # fmt: skip
def test_what_is_no_number_is_missing(form, registers):
    assert math.isnan(decode(form, registers))


@pytest.mark.parametrize("form", [Form("u16", missing=(0xFFFF,)), Form("s16", missing=(-32768,)), Form("f32"), Form("f64"),
                                  Form("f32", missing=(-9999,)), Form("s32", "DCBA", missing=(0x7FFFFFFF,)),
                                  Form("text", length=5), Form("text", length=3, states=(("RUN", 1.0),))])
def test_missing_is_written_so_that_it_is_read_as_missing(form):
    assert math.isnan(decode(form, encode(form, math.nan)))


@pytest.mark.parametrize(("form", "value"), [
    (Form("u16"), -1.0), (Form("u16"), 65536.0), (Form("s16", decimals=1), 3276.8), (Form("u16"), math.nan),
    (Form("sm16"), -32768.0), (Form("sm16"), 32768.0),
    (Form("f32"), 1e39), (Form("u16", bit=0), 2.0), (Form("u16"), math.inf),
    (Form("text", length=3), 1234.0), (Form("text", length=3, states=(("RUN", 1.0),)), 2.0),
])  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(form, value):
    with pytest.raises(ValueError, match=r"fit|missing|states"):
        encode(form, value)


@pytest.mark.parametrize("keys", [
    {"decimals": 1, "scale": Decimal(2)}, {"scale": Decimal(0)}, {"scale": Decimal("NaN")}, {"offset": Decimal("Infinity")},
    {"type": "f32", "bit": 1}, {"bit": 16}, {"bit": 15, "bits": 2}, {"bits": 2}, {"bit": -1},
    {"type": "text"}, {"length": 2}, {"states": (("RUN", 1.0),)}, {"type": "text", "length": 3, "decimals": 1, "states": (("RUN", 1.0),)},
])  # fmt: skip
def test_forms_that_mean_nothing_are_refused(keys):
    with pytest.raises(ValueError, match=r"has|takes"):
        Form(**keys)


def test_the_table_knows_every_type():
    assert {Form(kind, length=5 if kind == "text" else 0).registers for kind in TYPES} == {1, 2, 3, 4}


FORMS = st.one_of(
    st.builds(Form, st.sampled_from([kind for kind in TYPES if kind != "text"]), st.sampled_from(ORDERS), decimals=st.integers(-2, 3),
              missing=st.lists(st.sampled_from([-32768, -9999, -1, 0, 32767, 0x8000, 0xFFFF, 65536, 1.5, math.inf]), max_size=3).map(tuple)),
    st.builds(Form, st.sampled_from(["u16", "s16", "u32"]), st.sampled_from(ORDERS), scale=st.sampled_from([Decimal("0.01"), Decimal(-3)]),
              offset=st.sampled_from([Decimal(-40), Decimal("0.5")]), bit=st.integers(0, 8), bits=st.integers(1, 8)),
    st.builds(Form, st.just("text"), st.sampled_from(ORDERS), length=st.integers(1, 8)),
)


@given(FORMS, st.data())
def test_a_prepared_reader_says_what_decode_says(form, data):
    """Twin: whatever is worked out beforehand or remembered, the meaning is that of `decode`; also the second time, and at any place."""
    word = st.one_of(st.integers(0, 0xFFFF), st.sampled_from([0, 1, 0x7FFF, 0x8000, 0xFFFF, 0xD8F1, 0x3132, 0x2E30]))
    registers = data.draw(st.lists(word, min_size=form.registers + 2, max_size=form.registers + 2))
    read = reader(form)
    for at in (0, 2, 1, 1):
        assert str(read(registers, at)) == str(decode(form, registers[at : at + form.registers]))
