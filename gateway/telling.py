"""Telling the daemon something from the command: what comes back, or why it was not taken, said and as an exit code."""

import sys
from collections.abc import Callable
from typing import TypeVar

from gateway.control import NoAnswer
from gateway.exit_codes import Exit

T = TypeVar("T")


def told(tell: Callable[[], T | None], *, unheard: str, absent: str) -> T | Exit:
    """What `tell` brings; else it is printed why not, and the exit code comes back.

    `unheard`: what is not known, and where to look, when the daemon says nothing. `absent`: what to do when there is none.
    """
    try:
        found = tell()
    except NoAnswer as silent:
        print(f"{silent}; {unheard}", file=sys.stderr)
        return Exit.UNAVAILABLE
    except RuntimeError as refused:
        print(f"not taken: {refused}", file=sys.stderr)
        return Exit.AMISS
    if found is None:
        print(f"no daemon answers: {absent}", file=sys.stderr)
        return Exit.UNAVAILABLE
    return found
