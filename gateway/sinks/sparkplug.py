"""Rows published as a Sparkplug B edge node: births with names and aliases, data by alias, a will, births again when a host asks.

The specification wants QoS 0 for births and data. So that "sent" still means that the broker has it, each send ends with a SUBSCRIBE that
the broker has to answer: it works through a connection in order. A host that is away misses what is published meanwhile, unless it is named
as `primary_host`: then rows wait in the journal until it says that it is there. Source: Eclipse Sparkplug specification 3.0.0.
"""

import math
import time
from itertools import groupby
from typing import Annotated

from pydantic import Field

from config.errors import Halted, Unavailable
from config.quantity import vocabulary
from config.series import Flag, Origin, Series
from config.units import Duration
from drivers.codecs import sparkplug_topics as topics
from drivers.codecs.frame import NotAFrame
from drivers.codecs.sparkplug import BAD, BOOLEAN, DOUBLE, INT64, STRING, Metric, Payload, write
from gateway.broker import BrokerTable, Message, Visit
from gateway.contracts import Rows, Surroundings
from gateway.sinks._publishing import Publishing
from gateway.sinks.mqtt import statistic_of
from gateway.spelling import spell

_KEEPALIVE_S = 60
_PORTION = 200
"""Metrics in one message."""
_OLD_NS = 60_000_000_000
"""Older rows are history: a host files them and does not show them as the present."""
_REBIRTH_EVERY_S = 1.0
_OLD_ORIGIN = Origin.BACKFILL | Origin.LATE | Origin.IMPORTED

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^+#/\x00]*$")]


class Options(BrokerTable):
    """Keys of `[sinks.NAME]` with kind = "sparkplug"."""

    group: Id
    node: Id
    """Group and edge node id; no two senders may share both."""
    primary_host: Annotated[str, Field(max_length=200, pattern=r"^[^+#/\x00]*$")] = ""
    """Send only while this host says that it is there; left out = always."""
    timeout: Duration = 30.0


class Sink(Publishing):
    """One edge node on one kept connection; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        super().__init__(options, around, _KEEPALIVE_S)
        self.in_order = False  # what is older than the newest goes as history
        self._options = options
        self._command = topics.topic(options.group, "NCMD", options.node)
        self._state = topics.state_topic(options.primary_host) if options.primary_host else ""
        self._devices: list[str] = []
        self._names: list[str] = []
        self._bd_seq = time.time_ns() // 10**9 % 256
        """Of the next connection; another one than before a restart, as far as a second tells."""
        self._born: dict[int, Metric] = {}
        """Series that are in the births of this connection, with what was said of them last."""
        self._seq = 0
        self._has_birth = False
        self._host_is_there = False
        self._reborn = -math.inf

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────
    def _connect(self) -> Visit:
        will = Message(topics.topic(self._options.group, "NDEATH", self._options.node), topics.death(self._bd_seq), False, 1, "")
        visit = self._broker.connect(will)
        try:
            self._listen(visit)
            if self._state:  # what the broker keeps of it comes behind the first answer and before the second
                self._listen(visit)
        except (Unavailable, Halted):
            visit.leave()
            raise
        return visit

    def _listen(self, visit: Visit) -> None:
        visit.listen(*filter(None, (self._command, self._state)))

    def _leave(self) -> None:
        """Without a farewell, so that the broker says at once that we are gone; but nobody who was not born dies."""
        if self._visit is not None:
            self._visit.leave(politely=not self._has_birth)
            self._bd_seq = (self._bd_seq + 1) % 256
        self._visit = None
        self._born.clear()
        self._has_birth = self._host_is_there = False

    def tend(self) -> None:
        """See Tended: births again if a host asked for them."""
        with self._busy:
            if self._visit is None:
                return
            self._broker.errand.begin(time.monotonic() + 2.0)
            try:
                if self._visit.attend() and (not self._must_be_reborn(self._visit) or self._give_birth(self._visit, set())):
                    self._used = time.monotonic()
                    return
            except (Unavailable, Halted):
                pass  # the next rows connect anew
            self._leave()

    def _must_be_reborn(self, visit: Visit) -> bool:
        """Reads what was heard: a host that asks for births, the state of the primary one."""
        asked = False
        for topic, body in visit.heard():
            if topic == self._state:
                self._host_is_there = topics.is_online(body)
            elif topic == self._command:
                asked |= _asks(body)
        if asked and time.monotonic() - self._reborn >= _REBIRTH_EVERY_S and self._has_birth:
            self._reborn = time.monotonic()
            return True
        return False

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _met(self, series: tuple[Series, ...]) -> None:
        self._devices += [":".join(spell(part, "/+#") for part in one[:2] if part) for one in series]
        self._names += [name_of(one) for one in series]

    def _forget(self) -> None:
        self._devices, self._names = [], []
        self._born.clear()

    def _say(self, visit: Visit, rows: Rows) -> None:
        reborn = self._must_be_reborn(visit)
        if self._state and not self._host_is_there:
            raise Unavailable(f"the host {self._options.primary_host} does not say that it is there ({self._state})")
        new = set(rows.which.tolist()) - self._born.keys()
        if reborn or new or not self._has_birth:
            self._give_birth(visit, new, whole=reborn or not self._has_birth)
        visit.publish(self._messages(rows))
        self._listen(visit)

    def _give_birth(self, visit: Visit, new: set[int], *, whole: bool = True) -> bool:
        """NBIRTH and the birth of every device, or only those of devices that have something new. Always True."""
        now_ms = time.time_ns() // 10**6
        for which in new:
            self._born[which] = self._metric(which, math.nan, now_ms, is_null=True)
        devices = dict.fromkeys(self._devices[which] for which in sorted(self._born if whole else new))
        messages = []
        if whole:
            self._seq = 0
            messages.append(self._message("NBIRTH", "", (
                Metric(topics.BD_SEQ, timestamp_ms=now_ms, datatype=INT64, value=self._bd_seq),
                Metric(topics.REBIRTH, timestamp_ms=now_ms, datatype=BOOLEAN, value=False),
                Metric("Properties/Software", timestamp_ms=now_ms, datatype=STRING, value=f"EcoSentry {self._around.version}"))))
        for device in devices:
            mine = [metric for which, metric in sorted(self._born.items()) if self._devices[which] == device]
            messages.append(self._message("DBIRTH", device, tuple(mine)))
        visit.publish(messages)
        self._listen(visit)
        self._has_birth = True
        return True

    def _metric(self, which: int, value: float, at_ms: int, *, is_null: bool, quality: int | None = None, named: bool = True,
                is_old: bool = False) -> Metric:
        known = vocabulary().get(self._table[which].quantity)
        return Metric(self._names[which] if named else None, which + 1, at_ms, DOUBLE if named else None, None if is_null else value,
                      is_historical=is_old, is_null=is_null, quality=quality, unit=known.unit if named and known and known.unit != "1" else "")

    def _message(self, verb: str, device: str, metrics: tuple[Metric, ...]) -> Message:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        body = write(Payload(metrics, time.time_ns() // 10**6, seq))
        return Message(topics.topic(self._options.group, verb, self._options.node, device), body, False, 0, "")

    def _messages(self, rows: Rows) -> list[Message]:
        """DDATA by alias, device after device; within a device in the rows' order."""
        now_ns, found = time.time_ns(), []
        columns = zip(rows.which.tolist(), rows.at.tolist(), rows.value.tolist(), rows.flag.tolist(), rows.origin.tolist(), strict=True)
        for device, mine in groupby(sorted(columns, key=lambda row: self._devices[row[0]]), key=lambda row: self._devices[row[0]]):
            metrics = [self._of_row(now_ns, *row) for row in mine]
            found += [self._message("DDATA", device, tuple(metrics[i : i + _PORTION])) for i in range(0, len(metrics), _PORTION)]
        return found

    def _of_row(self, now_ns: int, which: int, at: int, value: float, flag: int, origin: int) -> Metric:
        at_ms, is_null = max(0, at // 10**6), not math.isfinite(value)
        quality = BAD if flag in (Flag.FAIL, Flag.MISSING) else None
        newest = self._born[which].timestamp_ms or 0
        has_value = not self._born[which].is_null or self._born[which].quality is not None
        is_old = now_ns - at > _OLD_NS or bool(origin & _OLD_ORIGIN) or (has_value and at_ms < newest)
        if not is_old or not has_value:
            self._born[which] = self._metric(which, value, at_ms, is_null=is_null, quality=quality)
        return self._metric(which, value, at_ms, is_null=is_null, quality=quality, named=False, is_old=is_old)


def name_of(series: Series) -> str:
    """The metric of a series within its device.

    >>> name_of(Series("qinghe", "soil", "soil_moisture", "10cm")), name_of(Series("qinghe", "probe", "ph", "", "mean", 3600))
    ('soil_moisture:10cm', 'ph/mean-1h')
    """
    name = ":".join(filter(None, (series.quantity, series.channel)))
    return name if not (series.statistic or series.method) else f"{name}/{statistic_of(series)}"


def _asks(body: bytes) -> bool:
    try:
        return topics.asks_for_rebirth(body)
    except NotAFrame:
        return False
