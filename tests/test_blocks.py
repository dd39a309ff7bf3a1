"""Registers are read in the blocks that take the least line time, and the forecast adds them up."""

import functools
import importlib.util
import itertools
from pathlib import Path

import modbus_devices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.blocks import Cost, Want, cost, load, plan
from drivers.codecs.modbus import BIT_FUNCTIONS, MOST
from drivers.lines import serial, tcp

SLOW = cost(serial.Options(port="x", baudrate=9600), 0.02)
rows = st.lists(st.builds(Want, st.just(3), st.integers(0, 60), st.sampled_from([1, 2, 4])), min_size=1, max_size=7)


def naive_best(wants: list[Want], price: Cost, most: int) -> float:
    """Twin: every way to cut the sorted rows into runs."""
    order = sorted(set(wants), key=lambda want: (want.first, want.count))
    best = float("inf")
    for cuts in itertools.product([False, True], repeat=len(order) - 1):
        runs, run = [], [order[0]]
        for cut, want in zip(cuts, order[1:], strict=True):
            if cut:
                runs.append(run)
                run = []
            run.append(want)
        runs.append(run)
        counts = [max(w.first + w.count for w in run) - run[0].first for run in runs]
        if max(counts) <= most:
            best = min(best, sum(price.of(3, count) for count in counts))
    return best


@given(rows, st.sampled_from([4, 16, 125]), st.sampled_from([SLOW, Cost(0.001, 0.001), Cost(0.1, 0.0)]))
@settings(max_examples=150)
def test_no_other_cut_takes_less_line_time(wants, most, price):
    blocks = plan(wants, price, most)
    assert sorted(i for block in blocks for i in block.rows) == list(range(len(wants)))
    for block in blocks:
        assert block.count <= most
        assert all(block.first <= wants[i].first and wants[i].first + wants[i].count <= block.first + block.count for i in block.rows)
    assert sum(price.of(b.function, b.count) for b in blocks) <= naive_best(wants, price, most) + 1e-9


def test_a_small_hole_is_read_over_and_a_large_one_is_not():
    near, far = [Want(3, 0, 2), Want(3, 6, 2)], [Want(3, 0, 2), Want(3, 90, 2)]
    assert [(b.first, b.count) for b in plan(near, SLOW)] == [(0, 8)]
    assert [(b.first, b.count) for b in plan(far, SLOW)] == [(0, 2), (90, 2)]
    quick = cost(tcp.Options(host="x"), 0.02)
    assert [(b.first, b.count) for b in plan(far, quick)] == [(0, 92)]


def test_forbidden_registers_and_other_functions_are_never_in_a_block():
    wants = [Want(3, 0, 1), Want(3, 2, 1), Want(4, 5, 1)]
    assert [(b.function, b.first, b.count) for b in plan(wants, SLOW, forbidden=[(1, 1)])] == [(3, 0, 1), (3, 2, 1), (4, 5, 1)]
    assert [(b.first, b.count) for b in plan(wants[:2], SLOW, over_holes=False)] == [(0, 1), (2, 1)]


def test_a_row_that_fits_into_no_request_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        plan([Want(3, 0, 4)], SLOW, max_registers=3)


def test_the_forecast_is_the_share_of_the_lines_time():
    of = modbus_devices.profile({"ph": {"register": 0}}, timing={"turnaround": "10 ms"})
    driver = modbus_devices.driver(of, serial.Options(port="x", baudrate=9600), interval_s=0.5)
    character = 10 / 9600
    seconds = 8 * character + 0.010 + 7 * character + 3.5 * character
    assert load(driver.groups()) == pytest.approx(seconds / 0.5)


def _planning():
    """The benchmark's own arithmetic."""
    place = Path(__file__).parent.parent / "benchmarks/planning.py"
    spec = importlib.util.spec_from_file_location("planning", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def least(wants: frozenset[Want], price: Cost, most: int, forbidden: tuple[tuple[int, int], ...]) -> float:
    """Twin: every way to share rows out among requests, whether they are neighbours or not."""
    @functools.cache
    def of(left: frozenset[Want]) -> float:
        if not left:
            return 0.0
        one = min(left, key=lambda want: (want.function, want.first, want.count))
        longest = MOST[one.function] if one.function in BIT_FUNCTIONS else most
        others = [want for want in left if want != one and want.function == one.function and want.first + want.count - one.first <= longest]
        return min(price.of(one.function, count) + of(left - {one, *more})
                   for size in range(len(others) + 1) for more in itertools.combinations(others, size)
                   for count in [max(want.first + want.count for want in (one, *more)) - one.first]
                   if not any(low < one.first + count and high >= one.first for low, high in forbidden))

    return of(wants)


def test_no_plan_of_a_shipped_profile_can_be_cheaper():
    """By no sharing out of its rows among requests: those that gain least cannot gain more."""
    planning = _planning()
    for name, profile in planning.profiles().items():
        ours, wants, price = planning.planned(profile)
        least_s = least(frozenset(wants), price, profile.timing.max_registers, profile.timing.forbidden)
        assert ours == pytest.approx(least_s, rel=1e-9), name


def test_no_shipped_profile_takes_more_line_time_than_simpler_ways_and_probes_take_a_third():
    """Two cannot: their registers lie so far apart that the holes cost as much (the test above: no plan can be cheaper).

    Three more are asked for a few registers at once only, so that there is nothing to plan.
    """
    found = _planning().main()
    profiles = found["profiles"]
    assert len(profiles) >= 20
    assert min(row["times_one_each"] for row in profiles.values()) >= 1.0
    assert min(row["times_neighbours"] for row in profiles.values()) >= 1.0
    assert found["probes_asked_for_few_registers"] == ["insitu_aqua_troll_600", "insitu_aqua_troll_600_ise", "lambrecht_ws7"]
    many = {name: row["times_one_each"] for name, row in profiles.items()
            if row["quantities"] >= 5 and name not in found["probes_asked_for_few_registers"]}
    scattered = {"eastron_sdm230": 2.2, "soil_7in1_layout_b": 2.9}
    assert {name for name, times in many.items() if times < 3.0} <= set(scattered)
    assert all(many[name] >= least for name, least in scattered.items())
    assert found["probes_mean_times_one_each"] >= 4.0
    assert profiles["soil_7in1_layout_b"]["times_neighbours"] >= 1.7
