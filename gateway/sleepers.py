"""Devices of a polled line that sleep between measurements, or whose supply is switched: looked after at their own times, apart from polls.

A device that sleeps has no turn in the timetable and is not tried. When it wakes, and again when it is ready, all of it is due at once.
"""

from collections.abc import Mapping

from drivers.driver import Asked, Wire
from drivers.reading import Stamp
from drivers.resting import Rests, Standing
from gateway.turns import Turns

_SOONEST_NS = 1_000_000
_FIRST = Standing("asleep", 0, own_pace=False)


class Sleepers:
    """Used by the thread of their line."""

    def __init__(self, drivers: Mapping[str, Asked], turns: Turns) -> None:
        """Nothing is known of them yet: they have no turn before they were looked at."""
        self._all = {device: driver for device, driver in drivers.items() if isinstance(driver, Rests)}
        self._turns = turns
        self._look_ns = dict.fromkeys(self._all, 0)
        self._standing = dict.fromkeys(self._all, _FIRST)
        self.asleep = frozenset(self._all)
        """Those that are not to be asked just now."""

    def begin_anew(self) -> None:
        """The wire is another, or the clock was set: all are looked at."""
        self._look_ns = dict.fromkeys(self._all, 0)

    def found(self, device: str, now_ns: int) -> None:
        """It had been given up and answers again: what it was not asked for meanwhile is due at once, for it may sleep soon."""
        if device in self._all and device not in self.asleep:
            self._look_ns[device] = 0
            self._turns.call(device, now_ns, own_pace=self._standing[device].own_pace)

    def times(self, busy: frozenset[str]) -> list[int]:
        """When each is to be looked at; one that is `busy` with a poll says so itself."""
        return [max(at_ns, self._turns.settled_ns(device)) for device, at_ns in self._look_ns.items()
                if device not in busy or self._turns.settled_ns(device)]

    def due(self, now_ns: int, busy: frozenset[str]) -> str | None:
        """One that is to be looked at now. In the middle of a poll, or while it settles, it is left alone."""
        return next((device for device, at_ns in self._look_ns.items() if at_ns <= now_ns and device not in busy), None)

    def attend(self, device: str, wire: Wire | None, now: Stamp) -> tuple[Standing, bool]:
        """Wake it, put it to sleep, switch its supply, whatever is due; gives how it stands then, and whether it is another than before.

        Without a `wire` nothing is sent. Raises LineError.
        """
        standing, before = self._all[device].attend(wire, now), self._standing[device]
        self._standing[device], self._look_ns[device] = standing, max(standing.until_ns, now.mono_ns + _SOONEST_NS)
        changed = before is _FIRST or standing.state != before.state
        if changed and standing.state == "asleep":
            self.asleep |= {device}
            self._turns.withdraw(device)
        elif changed:
            self.asleep -= {device}
            self._turns.call(device, now.mono_ns, own_pace=standing.own_pace)
        return standing, changed
