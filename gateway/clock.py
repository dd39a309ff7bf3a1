"""The box's own time: monotonic for waiting, UTC for stamping, and whether UTC can be believed.

A Raspberry Pi has no battery clock: after a power cut it starts in the past. UTC is believed when it is later than this
software and than everything journalled, or when the kernel calls it synchronised; with `trust = "synchronised"` only then.
"""

import ctypes
import struct
import time
from functools import cache
from pathlib import Path
from typing import Literal

from drivers.reading import Stamp

RELEASED_NS = 1_789_000_000_000_000_000
"""When this software was made (2026-09): no true clock shows less."""
_STA_UNSYNC = 0x0040
_MS = 1_000_000


@cache
def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def synchronised() -> bool:
    """Whether the kernel says that its clock is disciplined (adjtimex)."""
    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None).adjtimex(buffer) < 0:
        return False
    return not struct.unpack_from("i", buffer, 40)[0] & _STA_UNSYNC


class SystemClock:
    """`drivers.reading.Clock` on the real clocks."""

    def __init__(self, trust: Literal["plausible", "synchronised"] = "plausible", not_before_ns: int = 0) -> None:
        self._trust = trust
        self._not_before_ns = not_before_ns
        self._boot = boot_id()

    def now(self) -> Stamp:
        """This instant; UTC cut to whole milliseconds."""
        utc = time.time_ns() // _MS * _MS
        return Stamp(self._boot, time.monotonic_ns(), utc, self._sure(utc))

    def _sure(self, utc_ns: int) -> bool:
        if utc_ns < RELEASED_NS:
            return False
        return (self._trust == "plausible" and utc_ns >= self._not_before_ns) or synchronised()
