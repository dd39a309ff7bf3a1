"""What goes to InfluxDB is what the journal holds, whatever names and numbers come along."""

import math
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from line_protocol import Line, parse, series_of
from rows import DAY_NS, T0, rows
from servers import InfluxDB1, VictoriaMetrics, http

from config.series import Flag, Reason, Series
from config.site import Station
from gateway.sinks._line_protocol import Encoder, medium, station_line, tag

PH = Series("qinghe", "probe", "ph")
HOUR = Series("qinghe", "probe", "ph", statistic="mean", period_s=3600)
HOSTILE = "\\\",= #_\n\r\t\0%'\x1b\x7f\x85\u200f\u202e\ufeff\u0301é北京😀aZ0.-/+"
NAMES = st.text(HOSTILE, max_size=6) | st.text(max_size=8) | st.sampled_from(["measured", "measured_", "a\\", "# m", "_x", "e\u0301", "é", "\ud800"])
FLOATS = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 35.4])


def lines(*args, **columns) -> list[str]:
    return Encoder(lambda quantity: "water").lines(rows(*args, **columns))


def test_an_ordinary_reading_is_one_short_line() -> None:
    assert lines([PH], [0], [7.25]) == [f"water,device=probe,quantity=ph,station=qinghe,statistic=measured value=7.25,flag=1i {T0}"]


def test_the_time_of_an_interval_is_its_start_and_its_end_is_a_field() -> None:
    line = parse(lines([HOUR], [0], [7.5], span=3600 * 10**9, share=0.75)[0])
    assert line == Line("water", {"device": "probe", "period": "1h", "quantity": "ph", "station": "qinghe", "statistic": "mean"},
                        {"value": 7.5, "flag": 1, "share": 0.75, "end": T0}, T0 - 3600 * 10**9)


def test_a_missing_row_has_flag_and_reason_and_no_value() -> None:
    assert parse(lines([PH], [0], [math.nan])[0]).fields == {"flag": Flag.MISSING, "reason": ord("l")}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_a_number_is_never_sent(value: float) -> None:
    line = parse(lines([PH, HOUR], [0], [value], raw=value, share=value, flag=Flag.FAIL, tests=6)[0])
    assert line.fields == {"flag": 4, "tests": 6} | ({"reason": ord("l")} if math.isnan(value) else {})


def test_a_revision_writes_every_field_so_that_none_of_the_old_point_is_left() -> None:
    first = parse(lines([PH], [0], [7.0], raw=6.5, flag=Flag.FAIL, tests=12, reason=Reason.FAULT, origin=32)[0])
    second = parse(lines([PH], [0], [7.0], revision=1)[0])
    assert first.fields.keys() <= second.fields.keys()
    assert second.fields == {"value": 7.0, "flag": 1, "raw": 7.0, "reason": ord("N"), "origin": 0, "tests": 0, "revision": 1}
    assert (first.tags, first.at_ns) == (second.tags, second.at_ns)


def test_rows_that_start_together_but_end_apart_are_two_points() -> None:
    since_midnight = lines([PH], [0, 0], [50.0, 51.0], at=[T0 + 60 * 10**9, T0 + 120 * 10**9], span=[60 * 10**9, 120 * 10**9])
    one, two = map(parse, since_midnight)
    assert one.at_ns == two.at_ns == T0
    assert (one.tags["span"], two.tags["span"]) == ("1m", "2m")


def mixed_rows(n: int):
    """Half of them ordinary, the others anything."""
    rng = np.random.default_rng(1)

    def choose(ordinary: float, *others: float):
        return np.where(rng.random(n) < 0.93, ordinary, rng.choice(others, n))

    value = choose(2.5, 1.0, 1e22, math.nan, 3)
    return rows([PH, HOUR], rng.integers(0, 2, n), value, raw=np.where(rng.random(n) < 0.9, value, 7.0), span=choose(0, 10**9, 3600 * 10**9),
                flag=choose(1, 2, 3, 4, 9), reason=choose(ord("N"), 0, 34, 255), tests=choose(0, 2**32 - 1), revision=choose(0, 1, 2),
                origin=choose(0, 64), share=choose(math.nan, 0.0, 1.0))


def test_every_field_has_one_type_for_ever() -> None:
    made = Encoder(lambda quantity: "water").lines(mixed_rows(1000))
    types = {(key, type(value)) for line in made for key, value in parse(line).fields.items()}
    assert types == {("value", float), ("raw", float), ("share", float), ("flag", int), ("end", int), ("origin", int),
                     ("tests", int), ("revision", int), ("reason", int)}


def test_the_measurement_of_every_quantity_is_its_medium() -> None:
    assert (medium("ph"), medium("no such quantity")) == ("water", "other")


SERIES = st.builds(Series, NAMES, NAMES, NAMES, NAMES, NAMES, st.integers(0, 10**6), NAMES)


@settings(max_examples=300, derandomize=True, deadline=None)
@example(Series("a", "b", "c", statistic="measured"), 0, 1.0, 2.0, 1, 78, 0, 0, 0, math.nan, T0)
@given(SERIES, st.integers(0, 10**15), FLOATS, FLOATS, st.sampled_from(list(Flag)), st.integers(0, 255), st.integers(0, 2**32 - 1),
       st.integers(0, 2**31 - 1), st.integers(0, 255), FLOATS, st.integers(T0 - DAY_NS, T0))
def test_a_line_read_back_is_the_row(series, span, value, raw, flag, reason, tests, revision, origin, share, at) -> None:
    made = rows([PH, series], [1], [value], raw=raw, span=span, flag=flag, reason=reason, tests=tests, revision=revision,
                origin=origin, share=share, at=at)
    line = parse(Encoder(lambda quantity: "water").lines(made)[0])
    assert series_of(line) == (series, span)
    assert line.at_ns == at - span
    fields = line.fields
    expected = {"value": value, "share": share}
    for name, number in expected.items():
        assert repr(fields.get(name, math.nan)) == repr(number if math.isfinite(number) else math.nan)
    if not series.statistic and math.isfinite(raw):
        assert repr(fields.get("raw", value)) == repr(raw) or (revision == 0 and raw == value == 0)
    assert fields["flag"] == flag
    assert fields.get("reason", Reason.NORMAL) == reason
    assert fields.get("end", at) == at
    assert fields.get("revision", 0) == revision
    assert fields.get("origin", 0) == origin


def test_a_row_is_the_same_line_alone_and_among_many() -> None:
    made = mixed_rows(400)
    encoder = Encoder(lambda quantity: "water")
    together = encoder.lines(made)
    assert together == [line for i in range(len(made)) for line in encoder.lines(made.pick(slice(i, i + 1)))]
    assert together == [line for i in range(0, 400, 40) for line in encoder.lines(made.pick(slice(i, i + 40)))]


def test_a_series_table_may_grow_and_may_be_another_ones() -> None:
    encoder = Encoder(lambda quantity: "water")
    for table in ([PH], [PH, HOUR], [HOUR, PH], [PH]):
        for n in (1, 20):
            made = rows(table, [len(table) - 1] * n, [7.0] * n)
            assert encoder.lines(made) == lines(table, [len(table) - 1] * n, [7.0] * n)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(NAMES, NAMES)
def test_two_names_are_never_one(one: str, two: str) -> None:
    assert (tag(one) == tag(two)) == (one == two)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(NAMES)
def test_what_is_sent_is_composed_and_has_no_control_characters(name: str) -> None:
    spelled = tag(name)
    assert unicodedata.is_normalized("NFC", spelled)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in spelled)
    spelled.encode()


def test_a_station_is_described_once_a_day() -> None:
    line = parse(station_line("qinghe", Station(name='清河 "断面" \\', latitude=30.5, longitude=120, area="330106"), T0 - T0 % DAY_NS))
    assert line == Line("station", {"station": "qinghe"},
                        {"name": '清河 "断面" \\', "area": "330106", "time_zone": "UTC", "latitude": 30.5, "longitude": 120.0},
                        T0 - T0 % DAY_NS)


def hostile_rows(seed: int, n: int, values: tuple[float, ...] = (0.1, 1e-300, -123456789.123456, math.nan)):
    rng = random.Random(seed)
    alphabet = [c for c in HOSTILE if c != "\ud800"] + ["water,x=y v=1 ", "\nother,x=y v=1", "\\", "\\\\ "]

    def name() -> str:
        return "".join(rng.choices(alphabet, k=rng.randint(1, 6)))

    series = {Series("s" + name(), name(), name(), rng.choice(["", name()]), rng.choice(["", name()]), rng.choice([0, 60]),
                     rng.choice(["", name()])): None for _ in range(n // 4)}
    table = tuple(series)
    return rows(table, [i % len(table) for i in range(n)], rng.choices(values, k=n),
                span=[table[i % len(table)].period_s * 10**9 for i in range(n)])


@pytest.mark.server
def test_influxdb_stores_hostile_points_as_they_are_and_nothing_else(influx: InfluxDB1) -> None:
    made = hostile_rows(1, 12_000)
    encoded = Encoder(lambda quantity: "water").lines(made)
    for i in range(0, len(encoded), 4000):
        assert http(f"{influx.url}/write?db=eco&precision=ns", "\n".join(encoded[i : i + 4000]).encode()) == (204, b"")
    assert influx.measurements() == ["water"]
    stored = {(series_of(Line("water", p.tags, {}, p.at_ns)), p.at_ns): p.fields.get("value") for p in influx.points("water")}
    expected = {((made.series[w], span), at - span): None if math.isnan(v) else v for w, at, span, v in zip(
        made.which.tolist(), made.at.tolist(), made.span.tolist(), made.value.tolist(), strict=True)}
    assert len(expected) == 12_000
    assert stored == expected


@pytest.mark.server
def test_victoria_metrics_stores_hostile_points_as_they_are(victoria: VictoriaMetrics) -> None:
    made = hostile_rows(2, 2_000, (0.1, 35.4, -7.123456, math.nan))
    encoded = Encoder(lambda quantity: "water").lines(made)
    assert http(f"{victoria.url}/api/v2/write", "\n".join(encoded).encode())[0] == 204
    found = victoria.export('{__name__="water_value"}')
    stored = {}
    for samples in found:
        tags = {k: v for k, v in samples.metric.items() if k not in ("__name__", "db")}
        for at_ms, value in zip(samples.at_ms, samples.values, strict=True):
            stored[series_of(Line("water", tags, {}, 0)), at_ms] = value
    expected = {((made.series[w], span), (at - span) // 10**6): v for w, at, span, v in zip(
        made.which.tolist(), made.at.tolist(), made.span.tolist(), made.value.tolist(), strict=True) if not math.isnan(v)}
    assert stored == expected
    assert {s.metric["__name__"] for s in victoria.export()} == {"water_value", "water_flag", "water_end", "water_reason"}
