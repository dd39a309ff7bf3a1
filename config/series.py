"""What a number is about (`Series`) and how far it can be trusted (`Flag`, `Reason`, `Origin`).

These four types are shared by every part of the house; they import nothing of ours and never change meaning,
because readings are filed under them for years.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple


class Flag(IntEnum):
    """How good a value is: the primary flags of QARTOD (IOOS, Manual for Real-Time Quality Control, 2.3)."""

    GOOD = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


class Reason(IntEnum):
    """Why a value is as it is, one ASCII byte: HJ 212-2017 table 8 data flags in capitals, our own in lower case."""

    NORMAL = ord("N")
    OUT_OF_SERVICE = ord("F")
    MAINTENANCE = ord("M")
    MANUAL = ord("S")
    FAULT = ord("D")
    CALIBRATION = ord("C")
    OVER_RANGE = ord("T")
    COMMUNICATION = ord("B")
    POWER = ord("p")
    LINE = ord("l")
    DEVICE = ord("d")
    HELD = ord("h")
    BEGUN = ord("c")
    """A counter was read for the first time or began anew: there is nothing to subtract from."""
    DOWN = ord("g")
    """The gateway itself was not running."""
    LEFT_OUT = ord("k")
    """It was not asked, or nothing came and nobody said why."""
    SILENT = ord("s")
    """A source that speaks by itself did not, for longer than its period."""
    DOUBTED = ord("q")
    """Another gateway measured it and called it suspect."""
    REJECTED = ord("r")
    """Another gateway measured it and called it failed."""
    WARMING = ord("w")
    """The instrument was powered up a short while ago."""
    RESTING = ord("y")
    """It is put to sleep between measurements: its duty cycle."""
    LOST = ord("x")
    """It was measured and kept, and the file that held it is gone or damaged: in the ledger of gaps only."""
    INCOMPLETE = ord("i")
    """Something that the standard asks for is missing, so there is no index and no class."""


class Origin(IntFlag):
    """How a reading came here; several may hold at once."""

    LIVE = 0
    BACKFILL = 1
    IMPORTED = 2
    MANUAL = 4
    RELAYED = 8
    RESTAMPED = 16
    UNSURE = 32
    LATE = 64


GAP = "gap"
"""Statistic of the series that a measured one's gaps are filed under: value = length in seconds, share = how much of it came later,
reason = why, time = its end."""


class Series(NamedTuple):
    """The identity of a row of values, for ever: ids are slugs, names are labels, the unit follows from the quantity."""

    station: str
    device: str
    quantity: str
    channel: str = ""
    """Tells two sensors of one kind in one device apart: "10cm", "a"."""
    statistic: str = ""
    """"" as measured; else mean, leq, sum, min, max, count, share, index, class, forecast …"""
    period_s: int = 0
    """Length of the interval of a statistic, seconds; 0 as measured."""
    method: str = ""
    """Standard or detector id; the edition is chosen by date."""

    def __str__(self) -> str:
        """The name people see: station/device/quantity, then what tells it apart from its siblings."""
        name = "/".join(part for part in self[:3] if part)
        extra = [self.channel, self.statistic, f"{self.period_s} s" if self.period_s else "", self.method]
        return name + "".join(f"/{part}" for part in extra if part)
