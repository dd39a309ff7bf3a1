"""Rows published to an MQTT broker as JSON, one message a row, with QoS 1: sent = the broker has acknowledged every one.

QoS 1 may deliver a message twice, and so may a restart; `n` and the series in each message are how a subscriber knows.
"""

import json
import math
import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from config.quantity import unit_of
from config.series import Series
from config.units import Duration
from gateway.broker import PLACE, BrokerTable, Message, Visit, topic_fault
from gateway.contracts import Rows, Surroundings
from gateway.row_table import LocalTime, reason_letter, zones
from gateway.sinks._home_assistant import discovery
from gateway.sinks._line_protocol import MEASURED, length, medium
from gateway.sinks._publishing import Publishing
from gateway.spelling import spell

_PLACES = {"station", "device", "quantity", "statistic", "medium"}


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


class Sink(Publishing):
    """Publishes to one broker over one kept connection; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        super().__init__(options, around)
        self._options = options
        self.in_order = bool(options.retain or options.home_assistant)
        self._utc = LocalTime(zones({})(""))
        self._topics: list[str] = []
        self._heads: list[str] = []
        self._announced: set[int] = set()
        """Series that Home Assistant was told of over this connection."""
        self._newest: dict[int, int] = {}
        """Newest end of each series: an older row is never kept by the broker."""

    def _sent(self, rows: Rows) -> None:
        for which, at in zip(rows.which.tolist(), rows.at.tolist(), strict=True):
            self._newest[which] = max(at, self._newest.get(which, at))

    def _left(self) -> None:
        self._announced.clear()

    def _say(self, visit: Visit, rows: Rows) -> None:
        new = sorted(set(rows.which.tolist()) - self._announced) if self._options.home_assistant else []
        visit.publish(self._announcements(new) + self._messages(rows))
        self._announced.update(new)

    def _forget(self) -> None:
        self._topics, self._heads = [], []
        self._newest.clear()
        self._announced.clear()

    def _met(self, series: tuple[Series, ...]) -> None:
        self._topics += [topic_of(self._options.topic, one) for one in series]
        self._heads += [_head(one) for one in series]

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
    values = {"station": series.station, "device": series.device, "quantity": ":".join(filter(None, (series.quantity, series.channel))),
              "statistic": statistic_of(series), "medium": medium(series.quantity)}
    return PLACE.sub(lambda match: spell(values[match[1]], "/+#"), template)


def statistic_of(series: Series) -> str:
    """Statistic, length and method of a series in one word: "measured", "mean-1h"."""
    span = length(series.period_s * 10**9) if series.period_s or series.method else ""
    return "-".join(part for part in (series.statistic or MEASURED, span, series.method) if part)


def _head(series: Series) -> str:
    """The part of a message that is the same for all rows of a series."""
    said = {"station": series.station, "device": series.device, "quantity": series.quantity, "channel": series.channel,
            "statistic": series.statistic or MEASURED, "period_s": series.period_s, "method": series.method,
            "unit": unit_of(series)}
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    if re.search("[\ud800-\udfff]", text):
        text = json.dumps(said, separators=(",", ":"))
    return text[1:-1]


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "null"
