"""A journal without a core, a store of any mood, and a courier that is turned by hand on a clock that a test turns."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from house import NOON, S, TurnedClock

from config.errors import Refused, Unavailable
from config.series import Series
from config.site import Console, Sink, SinkTable, Site, Station
from config.table import Table
from gateway.bell import Bell
from gateway.contracts import Rows
from gateway.courier import Courier
from gateway.intake import Intake
from gateway.journal.columns import Columns
from gateway.journal.progress import sign_on
from gateway.journal.reader import Reader
from gateway.journal.verifying import verify
from gateway.journal.writer import READINGS, Writer
from gateway.step import NOTHING
from gateway.traffic import Traffic

SERIES = tuple(Series("river", f"probe{i}", "ph") for i in range(20))


def site(choice: SinkTable) -> Site:
    return Site(stations={"river": Station(time_zone="Asia/Shanghai")}, sinks={"store": Sink(kind="x", common=choice, options=Table())},
                console=Console(enabled=False))


class Store:
    """The far side. A point is overwritten by a later one of the same series and time; what it lost in a crash it does not have.

    `base_s` and `row_s` are what a request takes of the virtual clock; `bytes_each` of the uplink's traffic.
    """

    def __init__(self, clock: TurnedClock, base_s: float = 0.02, row_s: float = 10e-6, bytes_each: int = 0) -> None:
        self.clock, self.base_s, self.row_s, self.bytes_each = clock, base_s, row_s, bytes_each
        self.traffic, self.in_order, self.unsure_s = Traffic(), False, 0.0
        self.down = False
        self.mood: Callable[[Rows], None] = lambda rows: None
        self.refuses: set[int] = set()
        self.points: dict[tuple[int, int], int] = {}
        """(series, at) → n of the row that is there."""
        self.accepted: dict[int, float] = {}
        """n → when (monotonic s) it was accepted first."""
        self.order: list[int] = []
        self.requests: list[int] = []
        self._fresh: list[tuple[float, dict[tuple[int, int], int | None]]] = []
        """When, and what was there before: undone by a crash."""
        self._connected = False

    @property
    def now_s(self) -> float:
        return self.clock.mono_ns / S

    def _answer(self) -> None:
        if self.down:
            self._connected = False
            raise Unavailable("connection refused")
        if not self._connected:
            self._connected = True
            self.traffic.connections += 1

    def send(self, rows: Rows, deadline: float) -> None:
        self.clock.forward(self.base_s + self.row_s * len(rows))
        self.traffic.bytes += self.bytes_each and self.bytes_each * len(rows) + 500
        self._answer()
        self.mood(rows)
        if self.refuses & set(rows.n.tolist()):
            raise Refused("field type conflict")
        self.requests.append(len(rows))
        self.order += rows.n.tolist()
        now_s = self.now_s
        before: dict[tuple[int, int], int | None] = {}
        for n, which, at in zip(rows.n.tolist(), rows.which.tolist(), rows.at.tolist(), strict=True):
            if self.unsure_s:
                before.setdefault((which, at), self.points.get((which, at)))
            self.points[which, at] = n
            self.accepted.setdefault(n, now_s)
        if self.unsure_s:
            self._fresh.append((now_s, before))

    def check(self, deadline: float) -> str:
        self.clock.forward(self.base_s)
        self._answer()
        return "takes writes"

    def crash(self, loses_s: float) -> None:
        """SIGKILL: what it accepted in its last seconds was not on disk. It is started anew at once."""
        self._connected = False
        for at_s, before in reversed(self._fresh):
            if at_s >= self.now_s - loses_s:
                for key, n in before.items():
                    if n is None:
                        self.points.pop(key, None)
                    else:
                        self.points[key] = n
        self._fresh.clear()

    def close(self) -> None:
        pass


class Delivery:
    """Journal, courier and store; nothing happens but by a call."""

    def __init__(self, folder: Path, store: Store | None = None, **choice: object) -> None:
        self.folder = folder
        self.clock = store.clock if store else TurnedClock(NOON)
        self.store = store or Store(self.clock)
        self.site = site(SinkTable.model_validate(choice))
        self.writer = Writer(folder, synchronous="OFF")
        with self.writer.transaction():
            self.writer.ids(SERIES)
            sign_on(self.writer, ("store",))
        self.begin()

    def begin(self) -> None:
        """A new life of the courier: what was not committed is gone."""
        self.intake = Intake()
        self.courier = Courier("store", self.store, self.site.sinks["store"].common, self.site, self.folder, self.intake, Bell(), clock=self.clock)
        self.live, self.past = Reader(self.folder), Reader(self.folder)
        self.courier.begin(self.live, self.past)

    def kill(self) -> None:
        """The gateway dies."""
        self.live.close()
        self.past.close()
        self.writer.abandon()

    def again(self) -> None:
        self.kill()
        self.begin()

    def journal(self, which: np.ndarray, at: np.ndarray, revision: int = 0, origin: int = 0) -> None:
        """An event with these rows, committed."""
        n = len(which)
        zeros = np.zeros(n, np.int64)
        columns = Columns(which.astype(np.int32), at, zeros, np.full(n, 7.0), np.full(n, 7.0), np.ones(n, np.uint8), np.full(n, ord("N"), np.uint8),
                          zeros.astype(np.uint32), np.full(n, revision, np.int32), np.full(n, origin, np.uint8), np.full(n, np.nan))
        with self.writer.transaction():
            self.writer.event(READINGS, self.clock.utc_ns, True, self.clock.mono_ns, 1, columns, NOTHING)

    def poll(self, times: int = 1, every_s: float = 10.0, turns_clock: bool = False, commit_s: float = 0.0) -> None:
        """All series, so many times, in one event; the newest reading is `commit_s` old by then."""
        if turns_clock:
            self.clock.forward(times * every_s)
        ends = self.clock.utc_ns - round(commit_s * S) - np.arange(times - 1, -1, -1) * round(every_s * S)
        self.journal(np.tile(np.arange(len(SERIES)), times), np.repeat(ends, len(SERIES)))

    def commit(self) -> list[object]:
        """What the courier has told goes into the journal, as the core does it."""
        notes = self.intake.take(0, 1)[1]
        with self.writer.transaction():
            for note in notes:
                note.write(self.writer)
        return list(notes)

    def turn(self) -> float:
        """One turn of the courier and a commit of what it told."""
        wait_s = self.courier.turn(self.live)
        self.commit()
        return wait_s

    def run(self, seconds: float) -> None:
        """Turn for so long."""
        until = self.clock.mono_ns + round(seconds * S)
        while self.clock.mono_ns < until:
            wait_s = self.turn()
            if wait_s > 0:
                self.clock.forward(max(1e-6, min(wait_s, (until - self.clock.mono_ns) / S)))

    def sums(self) -> dict[str, int]:
        """The sum of the sink; the tables agree with it, as `journal verify` sees them."""
        found = self.sum()
        [finding] = [finding for finding in verify(self.folder) if finding.name == "sink store"]
        assert finding.good, finding.words
        return found

    def sum(self) -> dict[str, int]:
        """The sum of the sink alone."""
        record, last = self.live.sinks()["store"], self.live.last_n()
        found = {"sent": record.sent, "refused": record.refused, "skipped": record.skipped, "thinned": record.thinned, "owed": record.owed,
                 "waiting": last - record.n}
        assert sum(found.values()) == last
        return found

    def alerts(self) -> list[str]:
        """The alerts that the courier has told of, of what is not yet committed."""
        return [note.alert for note in self.intake._notes if hasattr(note, "alert")]

    def __enter__(self) -> "Delivery":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
