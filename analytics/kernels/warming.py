"""Which values an instrument gave while it was warming up: a left fold in arrival order per device. Plain twin: tests/naive.py `warming`."""

import math

import numpy as np
from numpy.typing import NDArray

from analytics.kernels._kernel import kernel

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U1 = NDArray[np.uint8]

NORMAL, WARMING = 78, 119
NEVER = -(2**62)


@kernel
def warm_rows(
    which: I4, at: I8, value: F8, steady: int, device: I4, ready: I8, patience: I8, began: I8,
    heard_at: I8, heard_steady: I8, since: I8, until: I8, reason: U1,
) -> None:
    """Set `reason` to w (119) where it is N (78) and the instrument was powered up less than `ready` ago.

    Rows: which int32[n] series id; at int64[n] UTC ns; value float64[n], NaN is no speech. `steady` ns on the steady clock, of all
    rows. device int32[series], -1 = none. Per device: `ready` ns, 0 = at once; `patience` ns after which it is called silent.
    `began` int64[2], steady ns: the last start of the gateway, the last boot of its box. State per device: its newest value (UTC and
    steady ns, NEVER = none yet) and the newest time of warming up. Powered up is who speaks for the first time, for the first time
    since the box was booted, or after a silence while the gateway listened. What comes late is judged by its own time and starts nothing.
    """
    for i in range(len(which)):
        d = device[which[i]]
        if d < 0 or ready[d] <= 0 or math.isnan(value[i]):
            continue
        t = at[i]
        if t > heard_at[d]:
            cold = heard_at[d] == NEVER or heard_steady[d] < began[1]
            if not cold and t - heard_at[d] > patience[d]:
                cold = patience[d] > 0 and steady - max(heard_steady[d], began[0]) > patience[d]
            if cold:
                since[d] = t
                until[d] = t + ready[d]
            heard_at[d] = t
            heard_steady[d] = steady
        if since[d] <= t < until[d] and reason[i] == NORMAL:
            reason[i] = WARMING
