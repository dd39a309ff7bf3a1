"""The integer kernels equal the exact path, and run as plain Python too."""

import random
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.indices._columns import index_columns_of
from analytics.indices._exact import concentration_rounding, maybe, subindex
from analytics.indices.air_cn import aqi_cn
from analytics.kernels import indices as kernels
from config.reading_standards import standards

usual = settings(deadline=None, derandomize=True)

LAWS = [law for law in standards().all if law.pollutants]
SCALES = [(law, scale) for law in LAWS for scale in law.pollutants]


def exact_index(law, scale, value: float) -> int:
    found = subindex(scale, law.rounding, maybe(value))
    return kernels.SEVERE if found.severe else kernels.NO_INDEX if found.index is None else found.index


@pytest.mark.parametrize(("law", "scale"), SCALES, ids=[f"{law.name}-{scale.shown}-{'/'.join(scale.means.values())}" for law, scale in SCALES])
def test_columns_equal_the_exact_path_on_every_step_and_on_every_tie(law, scale):
    places = concentration_rounding(scale, law.rounding).decimals
    top = float((scale.bands or [row[1] for row in scale.segments] or [row[0] for row in scale.breakpoints])[-1])
    steps = np.arange(0, int(top * 10**places * 1.1) + 3)
    every = steps / 10.0**places
    ties = (2 * steps + 1) / (2 * 10.0**places)
    ends = np.array([float(end) for end in (scale.bands or [c for row in scale.segments for c in row[:2]] or [row[0] for row in scale.breakpoints])])
    values = np.concatenate((every, ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), ends, np.nextafter(ends, 1e9), np.nextafter(ends, -1),
                             [np.nan, -1.0, -0.04, -1e-9, 0.0, 1e6]))
    found = index_columns_of(law, [scale]).subindices(values[None, :])[0]
    expected = [exact_index(law, scale, value) for value in values.tolist()]
    wrong = [(value, int(got), want) for value, got, want in zip(values.tolist(), found, expected, strict=True) if got != want]
    assert not wrong


@usual
@given(pair=st.sampled_from(SCALES), value=st.one_of(st.floats(-5, 4000), st.decimals(0, 3000, places=4).map(float), st.floats(0, 1)))
def test_columns_equal_the_exact_path_on_any_float(pair, value: float):
    law, scale = pair
    assert index_columns_of(law, [scale]).subindices(np.array([[value]]))[0, 0] == exact_index(law, scale, value)


def test_overall_index_and_primary_pollutants_of_columns_are_those_of_single_days():
    law = standards().named("HJ633-2026")
    daily = index_columns_of(law, [scale for scale in law.pollutants if "daily" in scale.means])
    source = random.Random(2026)
    days = [{name: None if source.random() < 0.1 else str(Decimal(source.randrange(0, 3000 if name != "CO" else 300)) / 10) for name in daily.names}
            for _ in range(400)]
    values = np.array([[float("nan") if day[name] is None else float(day[name]) for day in days] for name in daily.names])
    overall, primary = daily.overall(daily.subindices(values))
    for place, day in enumerate(days):
        expected = aqi_cn("daily", day, daily.names, law=law)  # none required, so that only the arithmetic is compared
        assert overall[place] == (-1 if expected["aqi"] is None else expected["aqi"])
        assert sorted(name for part, name in enumerate(daily.names) if primary[place] >> part & 1) == expected["primary"]


def test_the_kernels_are_the_same_as_plain_python():
    law = standards().named("HJ633-2012")
    columns = index_columns_of(law, law.pollutants[:2])
    values = np.array([[0.0, 50.5, 150.0, 2620.1, np.nan], [0.0, 150.00001, 800.0, 800.5, -1.0]])
    sub = np.empty(10, dtype=np.int32)
    plain = getattr(kernels.index_columns, "py_func", kernels.index_columns)
    plain(values.reshape(-1), 5, columns.starts, columns.rows, columns.scales, columns.rules, columns.index_rules, columns.tops,
          columns.ready_starts, columns.ready, sub)
    assert sub.reshape(2, 5).tolist() == columns.subindices(values).tolist()


def test_no_days_are_no_indices():
    law = standards().named("HJ633-2026")
    daily = index_columns_of(law, law.pollutants)
    assert daily.overall(daily.subindices(np.empty((len(daily.names), 0))))[0].size == 0
