"""Rows handed on to another EcoSentry (a hub) through a broker: measured rows with their arrival numbers, in columns, with QoS 1.

The other side is `drivers/protocols/fleet.py`. What the broker has acknowledged waits there for the hub, which acknowledges when its own
journal has it: a row that counts as sent here reaches that journal, if the broker keeps what it has. Means and indices are not handed on:
the hub computes its own, or they would be there twice.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from config.series import Series
from config.units import Duration
from drivers.codecs.fleet_rows import TOPIC, FleetRows
from gateway.broker import BrokerTable, Message, Visit, topic_fault
from gateway.contracts import Rows, Surroundings
from gateway.sinks._publishing import Publishing

_PORTION = 500
"""Rows in one message: some 40 kB."""


class Options(BrokerTable):
    """Keys of `[sinks.NAME]` with kind = "fleet"."""

    topic: Annotated[str, Field(min_length=1)] = TOPIC
    """Has {station}: the rows of each station go to a topic of their own."""
    timeout: Duration = 30.0

    @field_validator("topic")
    @classmethod
    def _is_template(cls, topic: str) -> str:
        if wrong := topic_fault(topic, {"station"}):
            raise ValueError(wrong)
        if "{station}" not in topic:
            raise ValueError("needs {station}: the hub knows the stations apart by it")
        return topic


class Sink(Publishing):
    """Publishes to one broker over one kept connection; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        super().__init__(options, around)
        self._topic = options.topic
        self._newest: dict[str, int] = {}
        """By station, the number of the newest row that the broker has acknowledged in this life."""

    def _say(self, visit: Visit, rows: Rows) -> None:
        visit.publish(self._messages(rows), needs_listener=True)

    def _sent(self, rows: Rows) -> None:
        for which, n in zip(rows.which.tolist(), rows.n.tolist(), strict=True):
            station = rows.series[which].station
            self._newest[station] = max(n, self._newest.get(station, 0))

    def _forget(self) -> None:
        self._newest.clear()

    def _messages(self, rows: Rows) -> Sequence[Message]:
        measured = rows.pick(np.array([not rows.series[which].statistic for which in rows.which.tolist()], np.bool_))
        stations = np.array([rows.series[which].station for which in measured.which.tolist()], object)
        found: list[Message] = []
        for station in dict.fromkeys(stations.tolist()):
            mine = measured.pick(stations == station)
            after = self._newest.get(station)
            for start in range(0, len(mine), _PORTION):
                portion = mine.pick(slice(start, start + _PORTION))
                found.append(Message(self._topic.replace("{station}", station), self._body(station, portion, after), False))
                after = max(after or 0, int(portion.n[-1]))
        return found

    def _body(self, station: str, rows: Rows, after: int | None) -> bytes:
        """`after` is left out of rows that are sent again out of their order: they fill a hole that is known."""
        table: dict[int, int] = {}
        places = [table.setdefault(which, len(table)) for which in rows.which.tolist()]
        is_owed = after is not None and int(rows.n[0]) <= after
        return FleetRows(
            journal=self._around.journal, station=station, after=after, owed=is_owed, series=[_identity(rows.series[which]) for which in table],
            n=rows.n.tolist(), which=places, at=rows.at.tolist(), span=rows.span.tolist(),
            value=[value if math.isfinite(value) else None for value in rows.value.tolist()], flag=rows.flag.tolist(),
            reason=rows.reason.tolist(), origin=rows.origin.tolist()).model_dump_json().encode()


def _identity(series: Series) -> tuple[str, str, str]:
    return series.device, series.quantity, series.channel
