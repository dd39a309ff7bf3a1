"""Rows published to an MQTT broker as JSON, one message a row, with QoS 1: sent = the broker has acknowledged every one.

QoS 1 may deliver a message twice, and so may a restart; `n` and the series in each message are how a subscriber knows.
"""

import json
import math
import re
import time
from threading import Lock
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from config.errors import Refused, Unavailable
from config.quantity import vocabulary
from config.series import Series
from config.units import Duration
from gateway.broker import PLACE, Broker, BrokerTable, Message, Visit, topic_fault
from gateway.contracts import Rows, Surroundings
from gateway.row_table import LocalTime, reason_letter, zones
from gateway.sinks._home_assistant import discovery
from gateway.sinks._line_protocol import MEASURED, length, medium
from gateway.spelling import spell

_PLACES = {"station", "device", "quantity", "statistic", "medium"}
_KEEPALIVE_S = 300
_IDLE_S = 200.0
"""After so long without a row the connection is made anew: nobody has kept it alive."""


class Options(BrokerTable):
    """Keys of `[sinks.NAME]` with kind = "mqtt"."""

    topic: Annotated[str, Field(min_length=1)] = "ecosentry/{station}/{device}/{quantity}/{statistic}"
    """May hold {station} {device} {quantity} {statistic} {medium}."""
    timeout: Duration = 30.0
    retain: bool = False
    """The broker keeps the newest row of each series for who comes later."""
    home_assistant: str = ""
    """Prefix of Home Assistant's discovery, there "homeassistant"; empty = it is told nothing."""
    expire_after: Duration = 600.0
    """Home Assistant calls a series unavailable that was silent for so long."""

    @field_validator("topic")
    @classmethod
    def _is_template(cls, topic: str) -> str:
        if wrong := topic_fault(topic, _PLACES):
            raise ValueError(wrong)
        return topic

    @field_validator("home_assistant")
    @classmethod
    def _is_prefix(cls, prefix: str) -> str:
        if wrong := topic_fault(prefix, ()):
            raise ValueError(wrong)
        return prefix.rstrip("/")

    @model_validator(mode="after")
    def _is_told_apart(self) -> Self:
        needed = {"station", "device", "quantity", "statistic"} - set(PLACE.findall(self.topic))
        if (self.home_assistant or self.retain) and needed:
            raise ValueError(f"needs {', '.join(f'{{{name}}}' for name in sorted(needed))} in topic: else one series takes the place of another")
        return self


class Sink:
    """Publishes to one broker over one kept connection; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._around = around
        self._broker = Broker(options, around.secret, _KEEPALIVE_S)
        self._utc = LocalTime(zones({})(""))
        self._table: tuple[Series, ...] = ()
        self._topics: list[str] = []
        self._heads: list[str] = []
        self._busy = Lock()
        self._visit: Visit | None = None
        self._used = self._until = 0.0
        self._acknowledged = 0
        self._announced: set[int] = set()
        """Series that Home Assistant was told of over this connection."""
        self._newest: dict[int, int] = {}
        """Newest end of each series: an older row is never kept by the broker."""

    def send(self, rows: Rows, deadline: float) -> None:
        """Publish all rows; return = each was acknowledged. Raises Unavailable, Halted or Refused."""
        with self._busy:
            self._until = min(deadline, time.monotonic() + self._options.timeout)
            self._broker.errand.begin(self._until)
            self._learn(rows.series)
            kept = self._visit is not None and time.monotonic() - self._used < _IDLE_S
            try:
                self._publish(rows, kept)
            except Unavailable as error:
                if self._acknowledged and len(rows) > 1 and time.monotonic() >= self._until:  # it takes them, but slowly
                    raise Refused(f"{error}: only {self._acknowledged} of {len(rows)} rows; they are sent in smaller portions") from error
                if not kept:
                    raise
                self._publish(rows, False)  # the broker had let go of us while there was nothing to say
            self._used = time.monotonic()
            for which, at in zip(rows.which.tolist(), rows.at.tolist(), strict=True):
                self._newest[which] = max(at, self._newest.get(which, at))

    def check(self, deadline: float) -> str:
        """Connects and logs in. Whether publishing is allowed shows with the first row."""
        with self._busy:
            self._broker.errand.begin(min(deadline, time.monotonic() + self._options.timeout))
            self._broker.connect().leave()
        return f"{self._broker.where} lets us in and takes writes, as far as it says (MQTT {self._broker.version})"

    def close(self) -> None:
        """Let go; a send that runs ends soon with Unavailable."""
        self._broker.errand.end()
        with self._busy:
            self._leave()

    def _leave(self) -> None:
        if self._visit is not None:
            self._visit.leave()
        self._visit = None
        self._announced.clear()

    def _publish(self, rows: Rows, kept: bool) -> None:
        if not kept:
            self._leave()
        done, self._acknowledged = False, 0
        try:
            if self._visit is None:
                self._visit = self._broker.connect()
            new = sorted(set(rows.which.tolist()) - self._announced) if self._options.home_assistant else []
            self._visit.publish(self._announcements(new) + self._messages(rows))
            self._announced.update(new)
            done = True
        finally:
            if not done:
                self._acknowledged = self._visit.acknowledged if self._visit else 0
                self._leave()

    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _learn(self, table: tuple[Series, ...]) -> None:
        if table is self._table:
            return
        if table[: len(self._table)] != self._table:  # another journal
            self._table, self._topics, self._heads = (), [], []
            self._newest.clear()
            self._announced.clear()
        new = table[len(self._table) :]
        self._topics += [topic_of(self._options.topic, series) for series in new]
        self._heads += [_head(series) for series in new]
        self._table = table

    def _announcements(self, new: list[int]) -> list[Message]:
        options, site = self._options, self._around.site
        found = (discovery(self._table[i], self._topics[i], site, options.home_assistant, round(options.expire_after), self._around.version)
                 for i in new)
        return [message for message in found if message]

    def _messages(self, rows: Rows) -> list[Message]:
        """One a row; the newest of a series is the one that the broker keeps."""
        newest: dict[int, tuple[int, int]] = {}
        if self._options.retain:
            for i, (which, at) in enumerate(zip(rows.which.tolist(), rows.at.tolist(), strict=True)):
                if at >= newest.get(which, (self._newest.get(which, at), 0))[0]:
                    newest[which] = (at, i)
        keep = {i for _, i in newest.values()}
        columns = (rows.n, rows.which, rows.at, rows.span, rows.value, rows.raw, rows.flag, rows.reason, rows.share, rows.revision, rows.origin)
        found = []
        for i, (n, which, at, span, value, raw, flag, reason, share, revision, origin) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            body = (f'{{"n":{n},"time":"{self._time(at - span)}","end":"{self._time(at)}",{self._heads[which]},"value":{_number(value)},'
                    f'"raw":{_number(raw)},"flag":{flag},"reason":"{reason_letter(reason)}","share":{_number(share)},"revision":{revision},'
                    f'"origin":{origin}}}')
            found.append(Message(self._topics[which], body.encode(), i in keep))
        return found

    def _time(self, at_ns: int) -> str:
        return self._utc.text(at_ns).removesuffix("+00:00") + "Z"


def topic_of(template: str, series: Series) -> str:
    """The topic of a series. No name leads to another topic: `/`, `+` and `#` are percent-encoded in it.

    >>> topic_of("e/{station}/{quantity}/{statistic}", Series("qinghe", "soil", "soil_moisture", "10cm", "mean", 3600))
    'e/qinghe/soil_moisture:10cm/mean-1h'
    """
    statistic = "-".join(part for part in (series.statistic or MEASURED, length(series.period_s * 10**9) if series.period_s or series.method else "",
                                           series.method) if part)
    values = {"station": series.station, "device": series.device, "quantity": ":".join(filter(None, (series.quantity, series.channel))),
              "statistic": statistic, "medium": medium(series.quantity)}
    return PLACE.sub(lambda match: spell(values[match[1]], "/+#"), template)


def _head(series: Series) -> str:
    """The part of a message that is the same for all rows of a series."""
    known = vocabulary().get(series.quantity)
    said = {"station": series.station, "device": series.device, "quantity": series.quantity, "channel": series.channel,
            "statistic": series.statistic or MEASURED, "period_s": series.period_s, "method": series.method,
            "unit": "" if known is None or known.unit == "1" else known.unit}
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    if re.search("[\ud800-\udfff]", text):
        text = json.dumps(said, separators=(",", ":"))
    return text[1:-1]


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "null"
