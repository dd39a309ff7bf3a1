"""Sub-indices and overall index over columns in integers: what `analytics.indices` computes exactly, fast.

A concentration is first made a whole number of the standard's own step, by comparing it with the exact half or whole step
as a correctly rounded float, so that no product of binary floats decides a tie. All that follows is integer arithmetic.
"""

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

HALF_EVEN, HALF_UP, DOWN, AS_IT_IS = 0, 1, 2, 3
"""How a concentration becomes steps; AS_IT_IS takes steps of 10⁻⁶ and rounds up to the next, which no threshold lies between."""
INDEX_UP, INDEX_HALF_UP, INDEX_BAND = 0, 1, 2
TOP_STAYS, TOP_EXTENDS, TOP_NONE, TOP_SEVERE = 0, 1, 2, 3
NO_INDEX, SEVERE = -1, -2
"""What a sub-index is where the standard defines none, and where it only says severe."""
_MOST = 1e6
"""Larger than anything measured, and small enough that no extended index leaves 32 bits; what is larger counts as this."""


@kernel
def steps_of(value: float, scale: float, rule: int) -> int:
    """Whole steps (1 / scale) of a concentration by a rounding rule of magnitude; -1 for a value that stays negative or is NaN."""
    if value != value:
        return -1
    size = min(abs(value), _MOST)
    if rule == AS_IT_IS:
        if value < 0:
            return -1
        near = int(np.floor(size * scale + 0.5))
        return near + 1 if size > near / scale else near
    if rule == DOWN:
        near = int(np.floor(size * scale + 0.5))
        whole = near - 1 if size < near / scale else near
    else:
        whole = int(np.floor(size * scale))
        half = (2 * whole + 1) / (2 * scale)
        if size > half or (size == half and (rule == HALF_UP or whole % 2 == 1)):
            whole += 1
    return -1 if value < 0 and whole > 0 else whole


@kernel
def index_of(steps: int, rows: NDArray[np.int64], first: int, last: int, index_rule: int, top: int) -> int:
    """Sub-index of whole steps on rows first … last of a table; each row is (from, to, index from, index to), flat.

    Rows of bands carry the band as index; NO_INDEX below the first row and where `top` says so, SEVERE above a table without number.
    """
    if steps < rows[4 * first]:
        return NO_INDEX
    row = first
    while row < last and steps > rows[4 * row + 1]:
        row += 1
    if steps > rows[4 * row + 1]:
        if top == TOP_NONE:
            return NO_INDEX
        if top == TOP_SEVERE:
            return SEVERE
        if top == TOP_STAYS:
            return int(rows[4 * row + 3])
    low, high, index_low, index_high = rows[4 * row], rows[4 * row + 1], rows[4 * row + 2], rows[4 * row + 3]
    if index_rule == INDEX_BAND:
        return int(index_low)
    rise = (index_high - index_low) * (max(steps, low) - low)
    run = high - low
    if index_rule == INDEX_UP:
        return int(index_low + (rise + run - 1) // run)
    return int(index_low + (2 * rise + run) // (2 * run))


@kernel
def index_every_step(rows: NDArray[np.int64], first: int, last: int, index_rule: int, top: int, table: NDArray[np.int32]) -> None:
    """Sub-index of every number of steps from 0 to the length of `table`, filled: a look-up saves the search and the division."""
    for steps in range(table.size):
        table[steps] = index_of(steps, rows, first, last, index_rule, top)


@kernel
def index_columns(values: NDArray[np.float64], count: int, starts: NDArray[np.int64], rows: NDArray[np.int64], scales: NDArray[np.float64],
                  rules: NDArray[np.int64], index_rules: NDArray[np.int64], tops: NDArray[np.int64], ready_starts: NDArray[np.int64],
                  ready: NDArray[np.int32], sub: NDArray[np.int32]) -> None:
    """Sub-indices of several pollutants' columns, one after the other.

    values : float64[p * count], pollutant by pollutant, NaN = missing; starts : int64[p + 1], first table row of each;
    ready : int32, the sub-indices of `index_every_step`, ready_starts : int64[p + 1], where each pollutant's begin;
    sub : int32[p * count], filled.
    """
    for part in range(scales.size):
        first, last = starts[part], starts[part + 1] - 1
        scale, rule, index_rule, top = scales[part], rules[part], index_rules[part], tops[part]
        begin, known = ready_starts[part], ready_starts[part + 1] - ready_starts[part]
        for place in range(part * count, (part + 1) * count):
            steps = steps_of(values[place], scale, rule)
            if steps < 0:
                sub[place] = NO_INDEX
            elif steps < known:
                sub[place] = ready[begin + steps]
            else:
                sub[place] = index_of(steps, rows, first, last, index_rule, top)


@kernel
def largest(sub: NDArray[np.int32], count: int, parts: int, least: int, primary_above: int, overall: NDArray[np.int32],
            primary: NDArray[np.int64]) -> None:
    """Overall index and primary pollutants of `count` moments: the largest sub-index, at least `least`, NO_INDEX where all are missing.

    primary : int64[count], bit p for pollutant p; 0 where the overall index is not above `primary_above`.
    """
    for place in range(count):
        found = NO_INDEX
        who = 0
        for part in range(parts):
            score = sub[part * count + place]
            if score > found:
                found = score
                who = 1 << part
            elif score == found and score >= 0:
                who |= 1 << part
        overall[place] = max(found, least) if found >= 0 else NO_INDEX
        primary[place] = who if found > primary_above else 0
