"""How long each device of a line takes to begin its answer, so that a thread can sleep until the whole of it should be there.

To be woken by the first byte and again by the last one costs a small box more than reading them. What is learned stays near the
quickest answers: who wakes too early looks out for the bytes as if nothing were known, who wakes too late has let the line stand idle.
"""

from dataclasses import dataclass

_LATER_S = 0.00001
_SOONER_S = 0.00005
"""Five times as much: if a device takes now more and now less time, five answers in six are looked out for and one was there already."""
_IN_A_ROW = 3
"""So many that were there already, and the device has become quicker: it is followed in steps that double."""
_MOST = 512
"""So many kinds of questions are known on one line."""


@dataclass(slots=True)
class _Habit:
    begins_s: float
    in_a_row: int = 0
    """Answers that were there already."""


class Habits:
    """By what was asked: the first bytes of a question, which say whom, what of and how much."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Habit] = {}

    def begins_s(self, asked: bytes) -> float | None:
        """From the end of the question to the first byte of its answer, seconds; None = not known."""
        habit = self._known.get(asked)
        return None if habit is None else habit.begins_s

    def forget(self, asked: bytes) -> None:
        """Another answer came than usual: whoever declines every time is not slept through every time."""
        self._known.pop(asked, None)

    def came(self, asked: bytes, began_s: float, *, was_there: bool) -> None:
        """An answer began after so long. `was_there`: that is how long we slept, and it may have been there for a while.

        One that came quicker than the line can carry it, through a bridge or from a simulator, is no habit.
        """
        habit = self._known.get(asked)
        if habit is None:
            if began_s > 0 and len(self._known) < _MOST:
                self._known[asked] = _Habit(began_s)
        elif was_there:
            habit.in_a_row += 1
            habit.begins_s -= _SOONER_S * 2 ** max(0, habit.in_a_row - _IN_A_ROW)
        else:
            habit.begins_s, habit.in_a_row = min(habit.begins_s + _LATER_S, began_s), 0
        if habit is not None and habit.begins_s <= 0:
            del self._known[asked]
