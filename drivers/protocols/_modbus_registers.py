"""One register group of a Modbus device: its rows, the blocks in which they are read, and how numbers are made of what comes."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from config.errors import DeviceError
from config.series import Reason
from drivers.blocks import Block, Cost, Want, divide, plan
from drivers.codecs.modbus import DeclinedError, Question
from drivers.decode import Form
from drivers.driver import Group, Pause, Wire
from drivers.protocols._modbus_status import Word, speak
from drivers.protocols._modbus_talk import Talk
from drivers.readers import Reader, reader
from drivers.reading import Batch, Columns

log = logging.getLogger("drivers.protocols.modbus")
_AT_ONCE_S = 0.02
"""So long it is waited for on the spot."""
_ABSENT = frozenset({"silent", "late", "wrong"})
"""Faults after which a device is not asked for its other blocks in the same poll."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests to this model must keep."""

    max_registers: int = 125
    forbidden: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A block as it is asked, and how each of its rows is read out of the answer: (row, where in the block, reader)."""

    question: Question
    cells: tuple[tuple[int, int, Reader], ...]


@dataclass(slots=True)
class _Poll:
    """What one poll has so far: values by row, and why others are missing."""

    values: dict[int, float] = field(default_factory=dict)
    failures: dict[int, DeviceError] = field(default_factory=dict)
    silent: bool = False


class Registers:
    """One register group of a device: its rows, and the blocks in which they are read."""

    def __init__(
        self, name: str, unit: int, group: Group, forms: Sequence[Form], wants: Sequence[Want], price: Cost, limits: Limits, talk: Talk,
        words: Sequence[Word] = (),
    ) -> None:
        """`forms` and `wants` belong together: one a series of the group, and then those of `words`. Raises ValueError if they cannot be read."""
        self.name, self._unit, self._wants, self._price, self._limits, self._talk = name, unit, wants, price, limits, talk
        self._words = words
        self._readers = [reader(form) for form in forms]
        self._columns = Columns(group.series)
        self._places, self._all_is_well = range(len(group.series)), bytes([Reason.NORMAL]) * len(group.series)
        self._prepared: dict[Block, _Prepared] = {}
        self._blocks = plan(wants, price, limits.max_registers, limits.forbidden)
        self._functions = sorted({block.function for block in self._blocks})
        self.group = replace(group, line_time_s=sum(price.of(block.function, block.count) for block in self._blocks))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """As planned, or divided since."""
        return self._blocks

    def poll(self, wire: Wire) -> Batch | Pause:
        """See Asked. While an earlier answer can still come, others are asked: theirs are told from it by the unit."""
        if not wire.owed:
            return self._poll(wire)
        now_ns = wire.clock.now().mono_ns
        owed_s = max(wire.owed.rest_s(self._unit, function, now_ns) for function in self._functions)
        return Pause(owed_s, self._poll) if owed_s > _AT_ONCE_S else self._poll(wire)

    def _poll(self, wire: Wire) -> Batch:
        done, planned = _Poll(), self._blocks
        for block in planned:
            self._read(block, wire, done)
        if not done.values:
            self._blocks = planned  # one that declines everything is not the better for being asked piece by piece
            raise next(iter(done.failures.values()))
        return self._batch(done, wire)

    def _read(self, block: Block, wire: Wire, done: _Poll) -> None:
        """One block into `done`; one that the device declines as illegal is divided, for good."""
        try:
            if done.silent:
                raise DeviceError("not asked: the device is silent")
            prepared = self._prepared.get(block) or self._prepare(block)
            registers = self._talk.ask(prepared.question, wire)
        except DeviceError as fault:
            done.silent = done.silent or fault.cause in _ABSENT
            if isinstance(fault, DeclinedError) and fault.code in (2, 3) and len(block.rows) > 1:
                for piece in self._divide(block):
                    self._read(piece, wire, done)
            else:
                done.failures.update(dict.fromkeys(block.rows, fault))
        else:
            for row, at, read in prepared.cells:
                done.values[row] = read(registers, at)

    def _prepare(self, block: Block) -> _Prepared:
        cells = tuple((row, self._wants[row].first - block.first, self._readers[row]) for row in block.rows)
        self._prepared[block] = made = _Prepared(Question(self._unit, block.function, block.first, block.count), cells)
        return made

    def _divide(self, block: Block) -> tuple[Block, ...]:
        pieces = divide(block, self._wants, self._price, self._limits.max_registers, self._limits.forbidden)
        log.info("%s: declines registers %d to %d in one request; from now on read in %d", self.name, block.first,
                 block.first + block.count - 1, len(pieces))
        place = self._blocks.index(block)
        self._blocks = (*self._blocks[:place], *pieces, *self._blocks[place + 1 :])
        return pieces

    def _batch(self, done: _Poll, wire: Wire) -> Batch:
        raw = [done.values.get(place, math.nan) for place in self._places]
        reason = bytearray(self._all_is_well)
        if math.isnan(sum(raw)):  # something is missing, or infinite on both sides
            for place, value in enumerate(raw):
                reason[place] = self._reason(done.failures.get(place), value)
        if self._words:
            speak(self._words, done.values, reason)
        return self._columns.batch(wire.clock.now(), raw, reason)

    @staticmethod
    def _reason(fault: DeviceError | None, value: float) -> Reason:
        if fault is None:
            return Reason.FAULT if math.isnan(value) else Reason.NORMAL
        return Reason.DEVICE if isinstance(fault, DeclinedError) else Reason.COMMUNICATION
