"""`@kernel`: one source, compiled by numba where it has a wheel, plain Python everywhere else.

Never `fastmath`: it assumes that NaN does not occur, and NaN is how a missing value is written.
`nogil`: a kernel that held the GIL would stall the line threads for as long as it runs.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])


def _can_cache() -> bool:
    """Whether a folder for compiled kernels can be written, and is ours alone: a cache is code that we will run."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return True
    folder = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    if folder and os.access(folder, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "ecosentry-numba")
        return True
    return os.access(Path.home(), os.W_OK)  # numba then takes the user's own cache folder


def _compiler() -> Callable[[Function], Function] | None:
    if os.environ.get("ECOSENTRY_NUMBA", "1") == "0":
        return None
    cache = _can_cache()
    try:
        from numba import njit
    except ImportError:  # no wheel for this processor: the same source runs as plain Python
        return None
    return cast("Callable[[Function], Function]", njit(cache=cache, nogil=True))


_compile = _compiler()
ENGINE = "python" if _compile is None else "numba"
"""Which build of the kernels this process runs; results are bit-equal within one."""


def kernel(function: Function) -> Function:
    """Compile a function of scalars and C-contiguous 1-D arrays; outputs and state are arguments."""
    return function if _compile is None else _compile(function)
