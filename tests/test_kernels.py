"""Every kernel gives what its plain twin gives, on random, NaN, constant, empty and single inputs, compiled or not."""

import math

import naive
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics import means, quality, rules
from analytics.kernels.means import RING
from analytics.state import Layout, State

S = 10**9
T0 = 1_795_262_400 * S
NAN = math.nan
COLUMNS = quality.COLUMNS + means.COLUMNS + rules.COLUMNS
values = st.one_of(st.just(NAN), st.just(5.0), st.floats(-20, 120).map(lambda x: round(x, 1)))
quick = settings(max_examples=60, deadline=None, derandomize=True)
KINDS = {1: "raised", 2: "climbed", 3: "fell", 4: "ended"}


def state(series=1, watches=1, devices=1):
    return State(Layout(COLUMNS, {"series": tuple(f"s{i}" for i in range(series)), "watch": tuple(f"w{i}" for i in range(watches)),
                                  "device": tuple(f"d{i}" for i in range(devices))}))


def f8(*x):
    return np.array(x, np.float64)


def i8(*x):
    return np.array(x, np.int64)


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def build(request, monkeypatch):
    """The same source, as numba compiled it and as Python runs it."""
    if request.param == "plain":
        for module, name in ((quality, "flag_rows"), (means, "hours_take"), (means, "hours_close"), (rules, "judge"),
                             (rules, "silence_hear"), (rules, "silence_advance"), (rules, "silence_start")):
            monkeypatch.setattr(module, name, getattr(getattr(module, name), "py_func", getattr(module, name)))
    return request.param


row = st.tuples(st.integers(0, 1), st.integers(0, 40), values, st.sampled_from(b"NNNNNNDMTCwy"))


@quick
@given(st.lists(row, max_size=40), st.integers(0, 40))
def check_flags(rows, cut):
    limits = {0: ((0.0, 100.0), (10.0, 60.0), 3.0), 1: (None, None, None)}
    table = quality.Limits(f8(0, NAN), f8(100, NAN), f8(10, NAN), f8(60, NAN), f8(3, NAN))
    rows = [(s, T0 + at * S, v, r) for s, at, v, r in rows]
    kept, got = state(2), []
    for part in (rows[:cut], rows[cut:]):
        which, at, value, reason = zip(*part, strict=True) if part else ((),) * 4
        flag, _ = quality.flags(table, kept, np.array(which, np.int32), i8(*at), f8(*value), np.array(reason, np.uint8))
        got += flag.tolist()
    assert got == naive.flags(rows, limits)


def test_flags_follow_range_rate_and_the_instrument_s_own_word(build):
    check_flags()


@quick
@given(st.sampled_from([1, 2, 3, 4, 5]),
       st.lists(st.tuples(st.integers(1, 3 * 3600), values, st.sampled_from([1, 1, 2, 3, 4]), st.booleans()), max_size=60))
def check_hours(behaves, rows):
    rows = sorted((T0 + at * S, v, 9 if math.isnan(v) else f, late) for at, v, f, late in rows)
    kinds, kept = means.Kinds(np.array([behaves], np.uint8), i8(600 * S)), state()
    got = {}
    for at, value, flag, late in rows:
        closed = means.close(kinds, kept, at)
        taken = means.take(kinds, kept, at, np.zeros(1, np.int32), i8(at), f8(value), np.array([flag], np.uint8), np.array([late]))
        for hours in [closed, *taken]:
            got.update(issued(hours))
    got.update(issued(means.close(kinds, kept, T0 + 10 * naive.HOUR)))
    expected = naive.hourly(rows, behaves, 600 * S)
    assert got.keys() == expected.keys()
    for end, (value, flag, share) in expected.items():
        assert got[end][1:] == (flag, share)
        near = 1e-9 if behaves in (1, 4, 5) else 1e-6
        angle = behaves == 3 and not math.isnan(value)
        assert (math.isnan(value) and math.isnan(got[end][0])) or (angle and resultant_is_small(rows, end)) or \
            got[end][0] == pytest.approx(value, rel=near, abs=near)


def issued(hours):
    return {int(e): (float(v), int(f), float(s)) for e, v, f, s in zip(hours.end, hours.value, hours.flag, hours.share, strict=True)}


def resultant_is_small(rows, end):
    good = [math.radians(v) for at, v, f, _ in rows if -(-at // naive.HOUR) * naive.HOUR == end and f in (1, 2, 3)]
    return math.hypot(sum(map(math.sin, good)), sum(map(math.cos, good))) < 1e-9


def test_an_hour_s_mean_is_the_mean_of_its_valid_readings(build):
    check_hours()


def test_an_hour_of_equal_readings_has_their_value_to_the_last_bit(build):
    """3600 times 0.1 added up plainly is 360.0000000000139: nobody should see an hour's mean that none of its readings had."""
    kinds, kept = means.Kinds(np.array([1], np.uint8), i8(S)), state()
    for begin in range(0, 3600, 100):
        at = T0 + np.arange(begin + 1, begin + 101) * S
        means.take(kinds, kept, int(at[-1]), np.zeros(100, np.int32), at, np.full(100, 0.1), np.ones(100, np.uint8), np.zeros(100, np.bool_))
    assert issued(means.close(kinds, kept, T0 + 2 * naive.HOUR)) == {T0 + naive.HOUR: (0.1, 1, 1.0)}


def test_a_long_backfill_issues_every_hour_even_when_it_comes_in_one_batch(build):
    kinds, kept = means.Kinds(np.array([1], np.uint8), i8(600 * S)), state()
    at = T0 + np.arange(1, 6 * 48 + 1) * 600 * S
    value = np.arange(6 * 48) // 6 * 1.0
    now = T0 + 100 * naive.HOUR
    parts = means.take(kinds, kept, now, np.zeros(len(at), np.int32), at, value, np.ones(len(at), np.uint8), np.ones(len(at), np.bool_))
    got = {}
    for hours in [*parts, means.close(kinds, kept, now + 61 * S)]:
        got.update(issued(hours))
    assert got == {T0 + (k + 1) * naive.HOUR: (float(k), 1, 1.0) for k in range(48)}


watched = st.lists(st.tuples(st.integers(1, 30), st.floats(0, 3).map(lambda x: round(x, 1)), st.sampled_from([1, 1, 1, 1, 2, 3, 4])), max_size=60)


@quick
@given(watched, st.booleans(), st.sampled_from([0, 20]), st.sampled_from([0.0, 0.2]), st.sampled_from([0, 15]), st.sampled_from([0, 60]))
def check_watch(rows, above, hold, dead, end_hold, window):
    limits = {2: 1.0, 3: 1.5, 4: 2.0} if above else {2: 2.0, 3: 1.5, 4: 1.0}
    gap, least = 45, 2 if window else 1
    twin = naive.Watch(limits, above, hold * S, dead, end_hold * S, gap * S, window * S, least)
    table = rules.Watches(np.array([0], np.int32), np.array([1], np.int32), f8(NAN, *limits.values()), f8(1 if above else -1), i8(hold * S), f8(dead),
                          i8(end_hold * S), i8(window * S), f8(least), i8(gap * S))
    kept, now = state(), T0
    for pause, value, flag in rows:
        now += pause * S
        expected = twin.take(now, value, flag)
        got = rules.watch(table, kept, np.zeros(1, np.int32), i8(now), f8(value), np.array([flag], np.uint8))
        assert [(KINDS[t.kind], t.severity) for t in got] == ([expected] if expected else [])


def test_an_alert_climbs_falls_and_ends_as_a_person_would_judge(build):
    check_watch()


@quick
@given(st.lists(st.tuples(st.integers(1, 200), st.booleans(), values, st.sampled_from(b"NMd")), max_size=40))
@example([(20, True, math.nan, ord("M")), (15, False, 0.0, ord("N"))])
def check_silence(moments):
    period = 10 * S
    expect = rules.Expectations(np.array([1], np.uint8), i8(period), np.zeros(1, np.int32), i8(period))
    kept, twin, steady = state(), naive.Silence(period, 0), 0
    rules.start(expect, kept, 0)
    for pause, speaks, value, reason in moments:
        steady += pause * S
        series, at, found = rules.advance(expect, kept, steady, T0 + steady)
        missing, alert = twin.advance(steady)
        assert at.tolist() == ([] if missing is None else [T0 + missing])
        assert len(series) == len(at)
        assert [t.at for t in found] == ([] if alert is None else [T0 + alert])
        if speaks:
            ended = rules.hear(expect, kept, steady, np.zeros(1, np.int32), i8(T0 + steady), f8(value), np.array([reason], np.uint8))
            assert bool(ended) == twin.hear(steady, value, chr(reason))


def test_silence_is_noticed_when_it_is_due_and_only_then(build):
    check_silence()


def test_state_survives_a_checkpoint_and_moves_to_another_layout_by_key():
    from analytics.state import carry, load

    kept = state(2)
    kept["known_value"][:] = (1.5, 2.5)
    kept["hour_total"][:] = range(2 * RING)
    again = load(kept.dump(), kept.layout)
    assert again.buffer.tobytes() == kept.buffer.tobytes()
    other = Layout(COLUMNS, {"series": ("new", "s1"), "watch": (), "device": ()})
    moved = carry(kept, other)
    assert math.isnan(moved["known_value"][0])
    assert moved["known_value"][1] == 2.5
    assert moved["hour_total"].tolist() == [0] * RING + [*range(RING, 2 * RING)]


@quick
@given(st.data())
def test_a_damaged_checkpoint_is_refused_and_never_taken(data):
    from analytics.state import load

    blob = bytearray(state().dump())
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="damaged"):
        load(bytes(blob), state().layout)


def test_warming_up_leaves_nothing_to_compile_for_the_first_reading(tmp_path, build):
    if build == "plain" or not hasattr(quality.flag_rows, "signatures"):
        pytest.skip("nothing is compiled here")
    from house import AMMONIA, LADDER, LAEQ, House, site

    from gateway.step import warm_up

    kernels = [quality.flag_rows, means.hours_take, means.hours_close, rules.judge, rules.silence_hear, rules.silence_advance, rules.silence_start]
    warm_up()
    before = [kernel.signatures for kernel in kernels]
    assert all(before), "warming up did not reach every kernel"
    house = House(tmp_path, site(ammonia=LADDER, mean={**LADDER, "mean": "1 min"}))
    for _ in range(30):
        house.clock.forward(200)
        house.say((AMMONIA, 3.0), (LAEQ, math.nan))
        house.turn()
    house.again()
    house.kill()
    assert [kernel.signatures for kernel in kernels] == before
