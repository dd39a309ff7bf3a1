"""The timetable of a polled line: which group of which device is due when, and who is to be left alone for now."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from drivers.driver import Asked, Group, Pause, Wire
from drivers.reading import Batch, Stamp

_BUSY_S = (1.0, 2.0, 4.0)
"""After these waits a device that says that it is busy is asked again."""
_DUE = operator.attrgetter("due_ns")
NEVER_NS = 2**62
"""Due no sooner than somebody calls: its device sleeps."""


@dataclass(slots=True, eq=False)
class Turn:
    """One group of one device in the timetable."""

    device: str
    driver: Asked
    group: Group
    period_ns: int
    due_ns: int = 0
    phase_ns: int = 0
    """Monotonic time of any whole interval of UTC, as it was at the start."""
    own_pace: bool = False
    """It goes by its device's waking, and not by UTC."""
    missing_ns: int | None = None
    """The slot for which MISSING was last told; None while it answers."""
    rest: Callable[[Wire], Batch | Pause] | None = None
    """How its poll goes on after a Pause; None = it has not begun."""
    busy: int = 0
    """So often it said in this slot that it is busy."""
    rest_ns: int = 0
    """When it does."""

    def advance(self) -> None:
        """On to the next slot: whole intervals from the phase, however late this one was."""
        self.due_ns += self.period_ns - (self.due_ns - self.phase_ns) % self.period_ns

    def leave_out(self, now_ns: int) -> int:
        """On to the newest slot that has come; gives how many passed whole."""
        passed = (now_ns - self.due_ns) // self.period_ns
        self.due_ns += passed * self.period_ns
        return passed


class Turns:
    """All turns of a line. A device that is in the middle of a poll, or settles after an order, is at rest: nothing is asked of it."""

    def __init__(self, drivers: Mapping[str, Asked]) -> None:
        self.all = [Turn(device, driver, group, max(1, round(group.interval_s * 1e9)))
                    for device, driver in drivers.items() for group in driver.groups()]
        self._trusted: set[str] = set()
        self._ranks = self._ranked()
        self._was_trusted = False
        """The newest turn that was taken."""
        self._pausing: dict[str, Turn] = {}
        self._settling: dict[str, int] = {}

    def align(self, now: Stamp) -> None:
        """Every turn is due at once, and from then on at whole intervals of UTC."""
        self.begin_anew()
        for turn in self.all:
            turn.due_ns, turn.phase_ns = now.mono_ns, now.mono_ns - now.utc_ns % turn.period_ns

    def realign(self, now: Stamp) -> None:
        """UTC was set: every turn moves to the nearest whole interval, so that none comes twice."""
        for turn in self.all:
            if not turn.own_pace:
                turn.phase_ns, half_ns = now.mono_ns - now.utc_ns % turn.period_ns, turn.period_ns // 2
                turn.due_ns += (turn.phase_ns - turn.due_ns + half_ns) % turn.period_ns - half_ns if turn.due_ns != NEVER_NS else 0

    def withdraw(self, device: str) -> None:
        """It sleeps: nothing of it is due before it is called."""
        for turn in self.all:
            if turn.device == device:
                turn.due_ns, turn.missing_ns = NEVER_NS, None

    def call(self, device: str, now_ns: int, *, own_pace: bool) -> None:
        """All of it is due at once; with `own_pace` it goes on at its intervals from now, and not at those of UTC."""
        for turn in self.all:
            if turn.device == device:
                turn.due_ns, turn.phase_ns, turn.own_pace = now_ns, now_ns if own_pace else turn.phase_ns, own_pace

    def begin_anew(self) -> None:
        """The wire is gone: no poll goes on where it left off. Its slot is due still."""
        for turn in self._pausing.values():
            turn.rest = None
        self._pausing.clear()

    def pause(self, turn: Turn, pause: Pause, now_ns: int) -> None:
        """Its poll goes on later."""
        turn.rest, turn.rest_ns = pause.then, now_ns + round(pause.for_s * 1e9)
        self._pausing[turn.device] = turn

    def ask_again(self, turn: Turn, now_ns: int) -> bool:
        """It is busy: poll it anew after a while. False if it was so often enough, or its next slot comes before."""
        if turn.busy >= len(_BUSY_S) or now_ns + round(_BUSY_S[turn.busy] * 1e9) >= turn.due_ns + turn.period_ns:
            return False
        self.pause(turn, Pause(_BUSY_S[turn.busy], lambda wire: turn.driver.poll(turn.group, wire)), now_ns)
        turn.busy += 1
        return True

    def go_on(self, turn: Turn) -> Callable[[Wire], Batch | Pause]:
        """How its poll begins, or goes on after a pause, which ends with this."""
        rest, turn.rest = turn.rest, None
        if rest is None:
            turn.busy = 0
            return lambda wire: turn.driver.poll(turn.group, wire)
        del self._pausing[turn.device]
        return rest

    def settle(self, device: str, until_ns: int) -> None:
        """Leave a device alone after an order."""
        self._settling[device] = until_ns

    def settled_ns(self, device: str) -> int:
        """When it has settled after its last order."""
        return self._settling.get(device, 0)

    def resting(self, now_ns: int) -> frozenset[str]:
        """Devices that are to be left alone."""
        if not (self._pausing or self._settling):
            return frozenset()
        self._settling = {device: until_ns for device, until_ns in self._settling.items() if until_ns > now_ns}
        return frozenset(self._pausing) | frozenset(self._settling)

    def next_ns(self, turn: Turn) -> int | None:
        """When it wants the wire; None = not before another turn of its device is through."""
        pausing = self._pausing.get(turn.device)
        if pausing is not None:
            return turn.rest_ns if pausing is turn else None
        settled_ns = self._settling.get(turn.device, 0)
        return turn.due_ns if turn.due_ns + turn.period_ns <= settled_ns else max(turn.due_ns, settled_ns)

    def trust(self, device: str, *, answers: bool) -> None:
        """Who answered last time goes before who did not: a silent device takes long, and many of them would take all."""
        if answers == (device in self._trusted):
            return
        (self._trusted.add if answers else self._trusted.discard)(device)
        self._ranks = self._ranked()

    def _ranked(self) -> list[tuple[list[Turn], list[Turn]]]:
        """By priority: the turns of devices that are trusted, and those of the others."""
        ranks = sorted({turn.group.priority for turn in self.all})
        return [([turn for turn in self.all if turn.group.priority == rank and turn.device in self._trusted],
                 [turn for turn in self.all if turn.group.priority == rank and turn.device not in self._trusted]) for rank in ranks]

    def most_due(self, now_ns: int) -> Turn | None:
        """The turn that is to be taken: by priority; the others at most every second time; then by who has waited longest."""
        is_any_resting = bool(self.resting(now_ns))
        for ranked in self._ranks:
            trusted, other = (self._longest(turns, now_ns, is_any_resting) if turns else None for turns in ranked)
            if trusted is not None or other is not None:
                self._was_trusted = other is None or (trusted is not None and not self._was_trusted)
                return trusted if self._was_trusted else other
        return None

    def _longest(self, turns: list[Turn], now_ns: int, is_any_resting: bool) -> Turn | None:
        if not is_any_resting:
            first = min(turns, key=_DUE)
            return first if first.due_ns <= now_ns else None
        due = [(at_ns, place) for place, turn in enumerate(turns) if (at_ns := self.next_ns(turn)) is not None and at_ns <= now_ns]
        return turns[min(due)[1]] if due else None

    def times(self, given_up: Iterable[str] = ()) -> list[int]:
        """When each turn wants the wire; those of devices `given_up` left out."""
        without = frozenset(given_up)
        if not (without or self._pausing or self._settling):
            return [turn.due_ns for turn in self.all]
        return [at_ns for turn in self.all if turn.device not in without and (at_ns := self.next_ns(turn)) is not None]
