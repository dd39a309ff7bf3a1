"""Answers that may still come to questions that were given up.

Serial answers do not say what was asked: a late one could be taken for the answer to another question of the same kind, and its
registers for others. What is owed belongs to the line and not to a driver, for polls, orders and visits share the devices: whoever
asks next listens first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.driver import Wire


@dataclass(frozen=True, slots=True)
class _Late:
    still: Callable[[bytes], int]
    until_ns: int


@dataclass(slots=True)
class Owed:
    """By unit and function: an answer of another unit or function is never mistaken."""

    _late: dict[tuple[int, int], _Late] = field(default_factory=dict)

    def expect(self, unit: int, function: int, still: Callable[[bytes], int], until_ns: int) -> None:
        """Such an answer may come until then (monotonic); `still` says how much of it is missing, as for `Wire.receive`."""
        self._late[unit, function] = _Late(still, until_ns)

    def __len__(self) -> int:
        return len(self._late)

    def is_clear(self, now_ns: int) -> bool:
        """Nothing can come that was asked for."""
        return all(late.until_ns <= now_ns for late in self._late.values())

    def rest_s(self, unit: int, function: int, now_ns: int) -> float:
        """For how long such an answer can still come; 0 = none is owed."""
        late = self._late.get((unit, function)) if self._late else None
        return max(0.0, (late.until_ns - now_ns) / 1e9) if late is not None else 0.0

    def let_pass(self, unit: int, function: int, wire: "Wire") -> bytes:
        """Before this unit is asked with this function: listen until what it owes has come or can come no more. Gives what came."""
        late = self._late.pop((unit, function), None) if self._late else None
        rest_s = (late.until_ns - wire.clock.now().mono_ns) / 1e9 if late is not None else 0.0
        return wire.receive(late.still, rest_s) if late is not None and rest_s > 0 else b""
