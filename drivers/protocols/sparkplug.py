"""Edge nodes that speak Sparkplug B: births give names, data come by alias, a gap in the sequence asks for births again.

One device here is one device of an edge node, or the node's own metrics. Pure: messages in, batches or `Undecodable` out; what is to be
said (a request for births) is fetched by the line. Source: Eclipse Sparkplug specification 3.0.0, chapters 5 and 6.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from config.errors import Undecodable
from config.quantity import vocabulary
from config.series import Origin, Reason, Series
from config.table import Table
from drivers.codecs import sparkplug_topics as topics
from drivers.codecs.frame import NotAFrame
from drivers.codecs.sparkplug import BAD, STALE, Metric, Payload, figure, read
from drivers.driver import Device, Heard, Reply, Trouble
from drivers.protocols._named import MOST_CHANNELS, NamedRow, Quantities
from drivers.protocols._sparkplug_session import Session
from drivers.reading import Batch, Readings, Stamp

LINES = frozenset({"mqtt"})
"""Kinds of line that it works on."""
_OF_NODE = ("NBIRTH", "NDATA", "NDEATH")
_OF_DEVICES = ("DBIRTH", "DDATA", "DDEATH")
_ANY = "*"
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^+#/\x00]*$")]


class Options(Table):
    """Keys of such a device in the site file, beside those that all devices have."""

    group: Id
    node: Id
    """Group and edge node, as in its topics spBv1.0/GROUP/…/NODE."""
    device: Annotated[str, Field(max_length=200, pattern=r"^[^+#/\x00]*$")] = ""
    """Its device; left out = the node's own metrics."""
    quantities: Quantities = ()
    """Where metrics are named like quantities: only these, and these are missed when they stay away; left out = any."""


class Row(NamedRow):
    """One quantity of a profile: which metric it is. The row "*" stands for every metric that is named like a quantity."""

    metric: str = ""
    """Its whole name, as in "Air/Temperature"; left out = like the quantity."""


class Driver:
    """See Told, Converses and Skips."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if the profile has nothing to read."""
        options = device.options
        if not isinstance(options, Options):
            raise ValueError(f"device {device.name}: sparkplug needs group and node")
        self._device, self._options = device, options
        rows = {name: row for name, row in device.profile.rows.items() if isinstance(row, Row)}
        self._any = rows.pop(_ANY, None)
        self._rows = {row.metric or name: (device.series(*name.partition(":")[::2]), row) for name, row in rows.items()}
        if not self._rows and self._any is None:
            raise ValueError(f"device {device.name}: the profile {device.profile.name} has no quantities")
        self._session = Session(options.device)
        self._seen: dict[Series, None] = {}
        self._trouble: Trouble | None = None
        self._skipped: tuple[int, str] = (0, "")

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told: every message of the node that has a sequence number, and its death."""
        group, node = self._options.group, self._options.node
        return (*(topics.topic(group, verb, node) for verb in _OF_NODE), *(topics.topic(group, verb, node, "+") for verb in _OF_DEVICES))

    def wants(self, heard: Heard) -> bool:
        """See Told."""
        place = topics.place(heard.topic)
        return place is not None and (place.group, place.node) == (self._options.group, self._options.node) and place.verb in _OF_NODE + _OF_DEVICES

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told."""
        named = [self._device.series(quantity) for quantity in self._options.quantities] if self._any is not None else []
        return tuple((series, self._device.interval_s) for series in dict.fromkeys([*(series for series, _ in self._rows.values()), *named]))

    # what it says itself: Converses
    def connected(self) -> None:
        """See Converses: what was published meanwhile at QoS 0 is lost, so births are needed."""
        self._session.doubt()

    def replies(self, now: Stamp) -> tuple[Reply, ...]:
        """See Converses: births are asked for where they are needed, less and less often."""
        if not self._session.asking.is_due(now.mono_ns):
            return ()
        command = topics.topic(self._options.group, "NCMD", self._options.node)
        return (Reply(command, topics.rebirth_request(now.utc_ns // 1_000_000)),)

    def trouble(self) -> Trouble | None:
        """See Converses."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def skipped(self) -> tuple[int, str]:
        """See Skips."""
        skipped, self._skipped = self._skipped, (0, "")
        return skipped

    # what it hears
    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told. A message that the broker kept is no message of this session."""
        place = topics.place(heard.topic)
        if place is None:
            raise Undecodable("not a topic of an edge node")
        if heard.retained:
            return []
        try:
            payload = read(heard.payload)
        except NotAFrame as error:
            raise Undecodable(f"not a Sparkplug payload: {error}") from None
        session, is_ours = self._session, place.device == self._options.device
        if place.verb == "NDEATH":
            return self._gone(heard, "its edge node is gone (NDEATH)") if session.node_death(payload) else []
        if place.verb == "NBIRTH":
            session.node_birth(payload, heard.stamp.mono_ns)
        elif not (place.verb.endswith("DATA") and not session.is_whole and _is_plain(payload)):
            session.follow(payload.seq)
        if not is_ours:
            return []
        if place.verb == "DDEATH":
            session.device_death()
            return self._gone(heard, "it is gone, says its edge node (DDEATH)")
        if place.verb == "DBIRTH":
            session.device_birth(payload)
        return self._values(payload, heard)

    def _gone(self, heard: Heard, words: str) -> list[Batch]:
        """Every series is missing from now on, and people are told."""
        self._trouble = Trouble("gone", words)
        readings = Readings(heard.stamp)
        for series in dict.fromkeys([*(series for series, _ in self.expected()), *self._seen]):
            readings.add(series, math.nan, Reason.COMMUNICATION)
        return [readings.batch()]

    def _values(self, payload: Payload, heard: Heard) -> list[Batch]:
        """What the metrics say, each for itself: one that cannot be read costs no other."""
        found: dict[tuple[bool, bool], Readings] = {}
        faults: list[str] = []
        left_out: list[str] = []
        good = 0
        for metric in payload.metrics:
            if metric.name is not None and metric.datatype is not None:
                name, datatype = metric.name, metric.datatype
            else:
                meaning = self._session.meaning(metric)
                name, datatype = meaning.name, meaning.datatype or 0
            known = self._known(name)
            if known is None:
                continue
            said = self._said(known, metric, datatype, payload)
            if said.fault:
                (faults if said.reason else left_out).append(f"{known[0].quantity}: {said.fault}")
            if said.reason is None:
                continue
            good += not said.fault
            key = (said.at_ns is not None, metric.is_historical)
            if key not in found:
                found[key] = Readings(heard.stamp, own_time=key[0], origin=Origin.BACKFILL if metric.is_historical else Origin.LIVE)
            found[key].add(known[0], said.value, said.reason, said.at_ns)
        if (faults or left_out) and not good:
            raise Undecodable((faults or left_out)[0])
        self._skipped = (len(left_out), left_out[-1] if left_out else "")
        return [readings.batch() for readings in found.values()]

    def _known(self, name: str) -> tuple[Series, Row] | None:
        """The series of a metric; None for what is not ours (bdSeq, controls, names that are no quantity)."""
        if name in self._rows:
            return self._rows[name]
        quantity, _, channel = name.partition(":")
        wanted = self._options.quantities or vocabulary()
        if self._any is None or quantity not in wanted or len(channel) > 64:
            return None
        return self._device.series(quantity, channel), self._any

    def _said(self, known: tuple[Series, Row], metric: Metric, datatype: int, payload: Payload) -> "_Said":
        """What one metric says. What happened at a time that nobody knows gives no row where it is history, else a missing one now."""
        series, row = known
        if series not in self._seen:
            if series.channel and len(self._seen) >= MOST_CHANNELS:
                return _Said(fault=f"names more than {MOST_CHANNELS} channels")
            self._seen[series] = None
        try:
            at_ns = _time(metric, payload)
        except ValueError as error:
            return _Said(reason=None if metric.is_historical else Reason.DEVICE, fault=str(error))
        if metric.is_null:
            return _Said(at_ns, reason=Reason.DEVICE)
        try:
            value = row.value(figure(metric.value, datatype))
        except ValueError as error:
            return _Said(at_ns, reason=Reason.DEVICE, fault=str(error))
        return _Said(at_ns, value, Reason.DEVICE if math.isnan(value) else _reason(metric.quality))


@dataclass(frozen=True, slots=True)
class _Said:
    """One metric: its row, if `reason` is there, and what is wrong with it."""

    at_ns: int | None = None
    value: float = math.nan
    reason: Reason | None = None
    fault: str = ""


def _is_plain(payload: Payload) -> bool:
    """Every metric says its name and datatype itself: no birth is needed to read it."""
    return bool(payload.metrics) and all(metric.name is not None and metric.datatype is not None for metric in payload.metrics)


def _reason(quality: int | None) -> Reason:
    return Reason.FAULT if quality == BAD else Reason.COMMUNICATION if quality == STALE else Reason.NORMAL


def _time(metric: Metric, payload: Payload) -> int | None:
    """The metric's own time, else that of the payload; None = it has none. Raises ValueError for what can be none.

    0 is what encoders write who leave the field as it is: none, and for history a time that nobody knows.
    """
    stamp_ms = metric.timestamp_ms or payload.timestamp_ms
    if not stamp_ms:
        if metric.is_historical:
            raise ValueError("is history without a time")
        return None
    if not _FIRST_MS <= stamp_ms < _LAST_MS:
        raise ValueError(f"its timestamp {stamp_ms} ms is not a time between 2000 and 2100")
    return stamp_ms * 1_000_000
