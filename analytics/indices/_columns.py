"""The exact scales of a standard as integer tables, and its index over whole columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analytics.indices._exact import concentration_rounding
from analytics.kernels import indices as kernels
from config.standard import Standard
from config.standard_tables import Pollutant

_RULES = {"half-even": kernels.HALF_EVEN, "half-up": kernels.HALF_UP, "down": kernels.DOWN, "none": kernels.AS_IT_IS}
_INDEX_RULES = {"up": kernels.INDEX_UP, "half-up": kernels.INDEX_HALF_UP}
_TOPS = {"cap": kernels.TOP_STAYS, "hold": kernels.TOP_STAYS, "last": kernels.TOP_STAYS, "extrapolate": kernels.TOP_EXTENDS,
         "none": kernels.TOP_NONE, "severe": kernels.TOP_SEVERE}
_READY = 20_000
"""Scales with fewer steps than this are looked up instead of computed."""
_FINE = 6
"""Decimals of a concentration that is not rounded."""


@dataclass(frozen=True, slots=True)
class IndexColumns:
    """Integer tables of some scales of a standard, in the kernels' form."""

    names: tuple[str, ...]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    scales: NDArray[np.float64]
    rules: NDArray[np.int64]
    index_rules: NDArray[np.int64]
    tops: NDArray[np.int64]
    ready_starts: NDArray[np.int64]
    ready: NDArray[np.int32]
    least: int
    primary_above: int

    def subindices(self, values: NDArray[np.float64]) -> NDArray[np.int32]:
        """Sub-indices, int32[p, n], of concentrations float64[p, n] (NaN = missing): -1 where there is none, -2 severe."""
        parts, count = values.shape
        flat = np.ascontiguousarray(values).reshape(-1)
        sub = np.empty(flat.size, dtype=np.int32)
        kernels.index_columns(flat, count, self.starts, self.rows, self.scales, self.rules, self.index_rules, self.tops,
                              self.ready_starts, self.ready, sub)
        return sub.reshape(parts, count)

    def overall(self, sub: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Overall index int32[n] (-1 where none) and primary pollutants int64[n] (bit p for `names[p]`) of sub-indices."""
        parts, count = sub.shape
        index, primary = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int64)
        kernels.largest(np.ascontiguousarray(sub).reshape(-1), count, parts, self.least, self.primary_above, index, primary)
        return index, primary


def _rows(scale: Pollutant, decimals: int) -> list[tuple[int, int, int, int]]:
    factor = Decimal(10) ** decimals
    if scale.bands:
        ends = [int(upper * factor) for upper in scale.bands]
        froms = [0, *(end + 1 for end in ends)]
        return [(low, high, band, band) for band, (low, high) in enumerate(zip(froms, [*ends, 2**62], strict=True), 1)]
    lines = scale.segments or tuple((low[0], high[0], low[1], high[1]) for low, high in pairwise(scale.breakpoints))
    return [(int(low * factor), int(high * factor), int(index_low), int(index_high)) for low, high, index_low, index_high in lines]


def index_columns_of(law: Standard, scales: Sequence[Pollutant]) -> IndexColumns:
    """The integer tables of some of a standard's scales; ValueError if the standard has no rounding rules.

    >>> from config.reading_standards import standards
    >>> law = standards().named("HJ633-2026")
    >>> daily = index_columns_of(law, [scale for scale in law.pollutants if scale.shown in ("PM2.5", "PM10") and "daily" in scale.means])
    >>> sub = daily.subindices(np.array([[50.5, np.nan], [35.5, 61.0]]))
    >>> sub.tolist(), daily.overall(sub)[0].tolist(), daily.names
    ([[50, -1], [52, 101]], [52, 101], ('PM10', 'PM2.5'))
    """
    if law.rounding is None:
        raise ValueError(f"{law.name} has no rounding rules, so it is no index of pollutants")
    starts, rows, decimals = [0], [], []
    for scale in scales:
        how = concentration_rounding(scale, law.rounding)
        decimals.append(_FINE if how.rule == "none" else how.decimals)
        rows += _rows(scale, decimals[-1])
        starts.append(len(rows))
    rule = _RULES[law.rounding.concentration.rule]
    index_rules = [kernels.INDEX_BAND if scale.bands else _INDEX_RULES[law.rounding.subindex.rule] for scale in scales]
    least, above = (law.index.range[0], law.index.primary_above) if law.index else (None, None)
    table, tops = np.array(rows, dtype=np.int64).reshape(-1), [_TOPS[scale.above_top] for scale in scales]
    ready: list[NDArray[np.int32]] = []
    for part, (first, after) in enumerate(pairwise(starts)):
        ends = [row[1] for row in rows[first:after] if row[1] < _READY]
        ready.append(np.empty(max(ends, default=-1) + 1, dtype=np.int32))
        kernels.index_every_step(table, first, after - 1, index_rules[part], tops[part], ready[-1])
    return IndexColumns(tuple(scale.shown for scale in scales), np.array(starts, dtype=np.int64), table,
                        np.array([10.0**places for places in decimals]), np.full(len(scales), rule, dtype=np.int64),
                        np.array(index_rules, dtype=np.int64), np.array(tops, dtype=np.int64),
                        np.cumsum([0, *(part.size for part in ready)], dtype=np.int64), np.concatenate(ready),
                        int(least or 0), -1 if above is None else int(above))
