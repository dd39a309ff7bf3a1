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
WORDS = ("a reading", "an hour", "a day")


def judged_alike(rows, twin, table, behaves):
    """rows: (at, value, flag, now, kind); the kernel tells what the twin tells. Gives what was told."""
    kept, told = state(), []
    for at, value, flag, now, kind in rows:
        expected = twin.take(at, value, flag, now, WORDS[kind])
        got = rules.watch(table, np.array([behaves], np.uint8), kept, now, np.zeros(1, np.int32), i8(at), f8(value), np.array([flag], np.uint8),
                          np.array([kind], np.uint8))
        assert [(KINDS[t.kind], t.severity, t.late) for t in got] == ([expected] if expected else [])
        told += [(KINDS[t.kind], t.value, t.late) for t in got]
    return told


def a_watch(limits, above, hold, dead, end_hold, gap, window, least, behaves):
    twin = naive.Watch(limits, above, hold * S, dead, end_hold * S, gap * S, window * S, least, behaves)
    levels = [limits.get(level, NAN) for level in range(1, 5)]
    return twin, rules.Watches(np.array([0], np.int32), np.array([1], np.int32), f8(*levels), f8(1 if above else -1), i8(hold * S), f8(dead),
                               i8(end_hold * S), i8(window * S), f8(least), i8(gap * S))


@quick
@given(watched, st.booleans(), st.sampled_from([0, 20]), st.sampled_from([0.0, 0.2]), st.sampled_from([0, 15]), st.sampled_from([0, 60]),
       st.sampled_from([1, 2, 3, 4]))
def check_watch(rows, above, hold, dead, end_hold, window, behaves):
    limits = {2: 1.05, 3: 1.55, 4: 2.05} if above else {2: 2.05, 3: 1.55, 4: 1.05}
    now, events = T0, []
    for pause, value, flag in rows:
        now += pause * S
        events.append((now, value, flag, now, 0))
    judged_alike(events, *a_watch(limits, above, hold, dead, end_hold, 45, window, 2 if window else 1, behaves), behaves)


def test_an_alert_climbs_falls_and_ends_as_a_person_would_judge(build):
    check_watch()


level = st.floats(0, 3).map(lambda x: round(x, 1))
renewed = st.lists(st.tuples(st.integers(-25, 30), st.integers(-30, 60), level, st.integers(0, 2), st.booleans()), max_size=60)


@quick
@given(renewed, st.sampled_from([0, 20]), st.sampled_from([0, 15]))
def check_order(rows, hold, end_hold):
    now, before, events = T0, T0, []
    for ahead, pause, value, kind, again in rows:
        now += max(0, pause) * S
        before = before if again else now + ahead * S
        events.append((before, value, 1, now, kind))
    judged_alike(events, *a_watch({2: 1.0, 3: 1.5, 4: 2.0}, True, hold, 0.2, end_hold, 45, 0, 1, 1), 1)


def test_what_is_renewed_behind_or_ahead_is_judged_as_a_person_would(build):
    """A renewed number takes the place of the one before; a day behind the newest can raise; what is ahead counts as now."""
    check_order()


def test_a_mean_of_sound_is_energetic_and_one_of_directions_is_by_vectors(build):
    """15 minutes of 80 dB and 45 of 40 dB are 73.98 dB, not 50; 350° and 10° are north, not 180°."""
    sound = [(T0 + k * 60 * S, 80.0 if k % 4 == 0 else 40.0, 1, T0 + k * 60 * S, 0) for k in range(1, 61)]
    ((step, value, _),) = judged_alike(sound, *a_watch({2: 60.0}, True, 0, 0.0, 0, 3600, 3600, 30, 2), 2)
    assert (step, value) == ("raised", pytest.approx(10 * math.log10(sum(10 ** (v / 10) for _, v, *_ in sound[:45]) / 45)))
    wind = [(T0 + k * 60 * S, 350.0 if k % 2 else 10.0, 1, T0 + k * 60 * S, 0) for k in range(1, 61)]
    told = judged_alike(wind, *a_watch({2: 300.0}, True, 0, 0.0, 0, 3600, 3600, 30, 3), 3)
    assert told
    assert all(min(value, 360.0 - value) < 1.0 for _, value, _ in told)
    assert not judged_alike(sound, *a_watch({2: 80.0}, True, 0, 0.0, 0, 3600, 3600, 30, 2), 2), "a level that is never passed raises nothing"
    steady = [(T0 + k * 60 * S, 60.0, 1, T0 + k * 60 * S, 0) for k in range(1, 200)]
    assert not judged_alike(steady, *a_watch({2: 60.0}, True, 0, 0.0, 0, 3600, 3600, 30, 2), 2), "an even 60 dB has the mean 60 dB"


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
