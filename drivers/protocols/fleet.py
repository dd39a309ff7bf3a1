"""Rows of another EcoSentry (a leaf), told through a broker by its sink of kind "fleet": series, numbers and doubts are kept.

One device here stands for one station of the leaf; its series keep the leaf's own device names. What the leaf flagged stays flagged: as
the reason `q` (suspect) or `r` (failed) where its own reason does not say so. The message is acknowledged when the journal has it.
"""

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from config.errors import Undecodable
from config.quantity import vocabulary
from config.series import Flag, Origin, Reason, Series
from config.table import Table
from drivers.codecs.fleet_rows import TOPIC, FleetRows, read
from drivers.codecs.strict_json import shown
from drivers.driver import Device, Heard, Reply, Trouble
from drivers.lines import _topics
from drivers.reading import Batch, Numbered, Stamp

LINES = frozenset({"mqtt"})
"""Kinds of line that it works on."""
_MOST_SERIES = 2000
_MOST_JOURNALS = 16
"""A leaf begins a new journal when its card is changed; more than so many is somebody who makes them up."""
_FAILED = frozenset({Reason.FAULT, Reason.COMMUNICATION, Reason.OUT_OF_SERVICE, Reason.REJECTED})
_ORIGINS = 0xFF


class Options(Table):
    """Keys of such a device in the site file, beside those that all devices have."""

    RELAYS: ClassVar[bool] = True
    """All that is measured at its station comes through it: `gateway.wiring.Wiring.home`."""

    topic: Annotated[str, Field(max_length=1000)] = ""
    """Left out = ecosentry/fleet/STATION, as the leaf's sink has it unless told otherwise."""

    @field_validator("topic")
    @classmethod
    def _is_topic(cls, topic: str) -> str:
        if topic and (fault := _topics.fault(topic) or ("+ and # cannot be used: one station, one topic" if set("+#") & set(topic) else "")):
            raise ValueError(fault)
        return topic


class Row(Table):
    """The row "*" stands for everything that the leaf measures."""

    unit: str = ""


class Driver:
    """See Told and Converses."""

    def __init__(self, device: Device) -> None:
        options = device.options
        assert isinstance(options, Options)
        self._device = device
        self._topic = options.topic or TOPIC.replace("{station}", device.station)
        self._series: dict[tuple[str, str, str], Series] = {}
        self._journals: set[str] = set()
        self._trouble: Trouble | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told."""
        return (self._topic,)

    def wants(self, heard: Heard) -> bool:
        """See Told."""
        return heard.topic == self._topic

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told: the leaf itself says what it misses."""
        return ()

    def connected(self) -> None:
        """See Converses: nothing is lost, the broker has kept it."""

    def replies(self, now: Stamp) -> tuple[Reply, ...]:
        """See Converses: it never says anything."""
        return ()

    def trouble(self) -> Trouble | None:
        """See Converses."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told. One batch for each origin that its rows have."""
        if heard.retained:
            return []
        rows = read(heard.payload)
        if rows.station != self._device.station:
            raise Undecodable(f"rows of the station {shown(rows.station)} on the topic of {self._device.station}")
        if rows.journal not in self._journals:
            if len(self._journals) >= _MOST_JOURNALS:
                raise Undecodable(f"the {_MOST_JOURNALS + 1}th journal since the start; a leaf has one")
            self._journals.add(rows.journal)
        known = [self._known(*one) for one in rows.series]
        strange = sorted({one[1] for one, series in zip(rows.series, known, strict=True) if series is None})
        if strange:
            self._trouble = Trouble("unknown", f"{shown(strange[0])} is not in the vocabulary here: bring this EcoSentry up to date")
        which = np.array(rows.which, np.int32)
        usable = np.array([series is not None for series in known], np.bool_)[which]
        if not usable.any():
            raise Undecodable(f"no quantity that is known here: {shown(strange[0])}")
        return _batches(rows, known, which, usable, heard.stamp)

    def _known(self, device: str, quantity: str, channel: str) -> Series | None:
        """A series of the leaf; None if its quantity is not known here. Raises Undecodable."""
        found = self._series.get((device, quantity, channel))
        if found is None and quantity in vocabulary():
            if len(self._series) >= _MOST_SERIES:
                raise Undecodable(f"more than {_MOST_SERIES} series")
            found = self._series[device, quantity, channel] = Series(self._device.station, device, quantity, channel)
        return found


def _batches(rows: FleetRows, known: list[Series | None], which: NDArray[np.int32], usable: NDArray[np.bool_], stamp: Stamp) -> list[Batch]:
    n, at, span = (np.array(column, np.int64) for column in (rows.n, rows.at, rows.span))
    raw = np.array([math.nan if value is None else value for value in rows.value], np.float64)
    reason = np.array([_reason(*one) for one in zip(rows.reason, rows.flag, rows.value, strict=True)], np.uint8)
    origin = np.array(rows.origin, np.uint8)
    found: list[Batch] = []
    for source in np.unique(origin[usable]).tolist():
        mine = usable & (origin == source)
        numbered = None if rows.owed else Numbered(f"{rows.journal}/{rows.station}", n[mine], rows.after)
        used, place = np.unique(which[mine], return_inverse=True)
        series = tuple(one for one in (known[i] for i in used.tolist()) if one is not None)
        found.append(Batch(series, place.astype(np.int32), at[mine], span[mine], raw[mine], reason[mine], stamp, own_time=True,
                           origin=Origin((source | Origin.RELAYED) & ~Origin.LATE & _ORIGINS), numbered=numbered))
    return found


def _reason(reason: int, flag: int, value: float | None) -> int:
    """The leaf's own reason where it says all that the leaf's flag says."""
    if value is None:
        return reason if reason != Reason.NORMAL else int(Reason.DEVICE)
    if flag == Flag.FAIL and reason not in _FAILED:
        return int(Reason.REJECTED)
    return int(Reason.DOUBTED) if flag == Flag.SUSPECT and reason == Reason.NORMAL else reason
