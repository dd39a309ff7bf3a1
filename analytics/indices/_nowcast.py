"""The arithmetic of the US NowCasts: particles as an exact weighted mean, ozone as a regression on 96 hours."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from analytics.indices._exact import Figure, maybe

_HOURS = 336
_LAGS = 96
_ENOUGH = 252
_LONGEST_GAP = 7


def nowcast_fraction(hours_most_recent_first: Sequence[Figure | None]) -> tuple[Fraction, Fraction] | None:
    """The weight and the NowCast of 12 hourly means, exactly; None with fewer than two valid of the three most recent hours.

    w = min/max of the valid hours, at least 1/2; NowCast = sum(w^i c_i) / sum(w^i), i the hour's true age: a missing hour
    is left out of both sums and keeps its exponent. All zero: w = 1. Source: EPA-454/B-24-002 pages 16-17.

    >>> nowcast_fraction(["12.3", "11.7"])
    (Fraction(39, 41), Fraction(4803, 400))
    """
    hours = [maybe(value) for value in hours_most_recent_first[:12]]
    if sum(value is not None for value in hours[:3]) < 2:
        return None
    valid = [(age, Fraction(value)) for age, value in enumerate(hours) if value is not None]
    least, most = min(value for _, value in valid), max(value for _, value in valid)
    weight = min(max(least / most, Fraction(1, 2)), Fraction(1)) if most > 0 else Fraction(1)
    return weight, sum((weight**age * value for age, value in valid), Fraction(0)) / sum((weight**age for age, _ in valid), Fraction(0))


def _filled(hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Missing hours from their neighbours: four on each side (more where all are missing), weighted 1/2 a step away."""
    filled = hours.copy()
    known = np.flatnonzero(~np.isnan(hours))
    for place in np.flatnonzero(np.isnan(hours)):
        reach = 4
        while np.count_nonzero(np.abs(known - place) <= reach) < 2:
            reach += 1
        near = known[np.abs(known - place) <= reach]
        weights = 0.5 ** np.abs(near - place)
        filled[place] = float(np.sum(weights * hours[near]) / np.sum(weights))
    return filled


def _running_8h(hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the hours -4 … +3 around each, NaN with fewer than 6 of them or beyond the ends."""
    means = np.full(hours.size, np.nan)
    for place in range(4, hours.size - 3):
        window = hours[place - 4:place + 4]
        if np.count_nonzero(~np.isnan(window)) >= 6:
            means[place] = float(np.nanmean(window))
    return means


def _regressed(hours: NDArray[np.float64]) -> float:
    """Ordinary least squares with intercept of the 8 h means on the 96 hours before: what the partial least squares of all 96 components are."""
    filled, means = _filled(hours), _running_8h(hours)
    rows = np.lib.stride_tricks.sliding_window_view(filled, _LAGS)
    target = means[_LAGS - 1:]
    usable = ~np.isnan(target)
    if np.count_nonzero(~usable) > 0.25 * target.size:
        return float("nan")
    design = np.column_stack((np.ones(np.count_nonzero(usable)), rows[usable]))
    solved = np.linalg.lstsq(design, target[usable], rcond=None)[0]
    return float(solved[0] + rows[-1] @ solved[1:])


def nowcast_o3_ppb(hours: NDArray[np.float64]) -> tuple[float, str]:
    """The NowCast of ozone (ppb) of the last of 336 hourly values (ppb, oldest first, NaN = missing), and how it was made.

    ways : regression, surrogate, zero, none, earlier_1h and earlier_2h (the NowCast of an hour or two before). Fewer than
    252 valid hours or more than 7 missing in a row: surrogate 0.85 O3 + 4.5 of the newest of the last three hours.
    Source: EPA's ozone NowCast of 2019 (Reff, Mintz, Naess).

    >>> nowcast_o3_ppb(np.array([40.0]))
    (38.5, 'surrogate')
    """
    series = np.full(_HOURS, np.nan)
    given = hours[-_HOURS:]
    series[_HOURS - given.size:] = given
    missing = np.isnan(series)
    recent = [float(value) for value in series[::-1][:3]]
    newest = next((value for value in recent if value == value), None)
    if missing.all():
        return float("nan"), "none"
    runs = np.diff(np.flatnonzero(np.concatenate(([True], ~missing, [True])))) - 1
    if np.count_nonzero(~missing) < _ENOUGH or int(runs.max(initial=0)) > _LONGEST_GAP:
        return (0.85 * newest + 4.5, "surrogate") if newest is not None else (float("nan"), "none")
    if float(np.nansum(series)) == 0:
        return 0.0, "zero"
    if newest is None:
        return float("nan"), "none"
    age = next(age for age, value in enumerate(recent) if value == value)
    if age:
        return nowcast_o3_ppb(hours[:-age])[0], f"earlier_{age}h"
    return max(_regressed(series), 0.0), "regression"
