"""Builds `Rows` for tests: what is not said is ordinary."""

from collections.abc import Sequence

import numpy as np

from config.series import Flag, Reason, Series
from gateway.contracts import Rows

DAY_NS = 86_400 * 10**9
T0 = 1_790_000_000 * 10**9
"""2026-09-21T14:13:20Z"""


def rows(series: Sequence[Series], which: Sequence[int], value: Sequence[float], **columns: object) -> Rows:
    """Rows of these series; by default measured, good, live, one second apart from T0 on."""
    n = len(which)
    values = np.array(value, np.float64)

    def column(name: str, default: object, dtype: type) -> np.ndarray:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(columns.pop(name, default), dtype), (n,)))

    made = Rows(
        series=tuple(series), n=column("n", np.arange(1, n + 1), np.int64), which=np.array(which, np.int32),
        at=column("at", T0 + np.arange(n) * 10**9, np.int64), span=column("span", 0, np.int64),
        raw=column("raw", values, np.float64), value=values,
        flag=column("flag", np.where(np.isnan(values), Flag.MISSING, Flag.GOOD), np.uint8),
        reason=column("reason", np.where(np.isnan(values), Reason.LINE, Reason.NORMAL), np.uint8),
        tests=column("tests", 0, np.uint32), revision=column("revision", 0, np.int32), origin=column("origin", 0, np.uint8),
        share=column("share", np.nan, np.float64),
    )
    assert not columns, f"no such columns: {sorted(columns)}"
    return made
