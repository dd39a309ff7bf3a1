"""A Modbus device that another master asks: its values out of answers that were meant for somebody else.

The line pairs requests with answers (`drivers/lines/_overhearing.py`) and gives each pair as one message: the topic says what
was asked, the payload is the registers. Of a request that covers a part of the profile the values of that part are kept.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol

from config.errors import Undecodable
from config.series import Reason, Series
from drivers.blocks import Want
from drivers.codecs.modbus import Question
from drivers.decode import Form, decode
from drivers.driver import Group, Heard
from drivers.reading import Batch, Readings


def topic(question: Question) -> str:
    """What was asked, as the topic of a message.

    >>> topic(Question(7, 3, 0, 10))
    '7/3/0/10'
    """
    return f"{question.unit}/{question.function}/{question.first}/{question.count}"


def payload(registers: Sequence[int]) -> bytes:
    """Registers or coils as the payload of a message."""
    return struct.pack(f">{len(registers)}H", *registers)


def asked(heard: Heard) -> Question:
    """What `topic` wrote. Raises Undecodable."""
    try:
        unit, function, first, count = map(int, heard.topic.split("/"))
    except ValueError:
        raise Undecodable(f"{heard.topic!r} is not what a master asks") from None
    return Question(unit, function, first, count)


class Statuses(Protocol):
    """What the device said of itself last."""

    def hear(self, number: int, contents: float) -> None:
        """The status of this number was heard."""
        ...

    def reason(self, series: Series) -> Reason:
        """Of a value of this series that is well."""
        ...


class OverheardDriver:
    """See Told: pure, and asks nothing."""

    def __init__(
        self, unit: int, forms: Sequence[Form], wants: Sequence[Want], series: Sequence[Series], groups: Iterable[Group],
        words: Sequence[tuple[Form, Want]] = (), statuses: Statuses | None = None,
    ) -> None:
        """`forms`, `wants` and `series` belong together, one a quantity; `groups` say how often each is expected.

        `words`: how each of the `statuses` is read.
        """
        self._words, self._statuses = tuple(words), statuses
        self.unit = unit
        self._rows = tuple(zip(forms, wants, series, strict=True))
        self._expected = tuple((one, group.interval_s) for group in groups for one in group.series)

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told: none."""
        return ()

    def wants(self, heard: Heard) -> bool:
        """See Told: answers of its unit."""
        return heard.topic.startswith(f"{self.unit}/")

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told: the values whose registers were asked for whole."""
        question = asked(heard)
        registers = struct.unpack(f">{len(heard.payload) // 2}H", heard.payload)
        readings = Readings(heard.stamp)
        for number, (form, want) in enumerate(self._words):
            if self._statuses is not None and (part := _part(want, question, registers)):
                self._statuses.hear(number, decode(form, part))
        for form, want, series in self._rows:
            if part := _part(want, question, registers):
                value = decode(form, part)
                well = self._statuses.reason(series) if self._statuses is not None else Reason.NORMAL
                readings.add(series, value, Reason.FAULT if math.isnan(value) else well)
        batch = readings.batch()
        return [batch] if len(batch) else []

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told."""
        return self._expected


def _part(want: Want, question: Question, registers: Sequence[int]) -> Sequence[int]:
    """The registers that are wanted, of those that were asked for; empty = they were not, or not all of them."""
    at = want.first - question.first
    return registers[at : at + want.count] if want.function == question.function and at >= 0 and at + want.count <= question.count else ()
