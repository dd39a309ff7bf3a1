"""The journal against a plain model, under any order of writing, sealing, expiring, copying, crashing, torn tails and full disks.

`JournalMachine` is made to be extended: a courier adds rules of its own and asks `self.rows` what there is to deliver.
"""

import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
from house import AMMONIA, LAEQ, NOON, House, TurnedClock, site
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sealed import DAY, PH, seal

from gateway.journal import keeping, sealing
from gateway.journal.copying import copy_journal
from gateway.journal.verifying import verify

SERIES = (AMMONIA, LAEQ, PH)
VALUES = st.floats(-50, 50, allow_nan=False).map(lambda v: round(v, 2) + 0.0) | st.just(float("nan"))
READINGS = st.lists(st.tuples(st.sampled_from(SERIES), VALUES), min_size=1, max_size=6)
Row = tuple[str, int, float]


class JournalMachine(RuleBasedStateMachine):
    """A house whose measured rows are known twice: in the journal, and in the list `self.rows`."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="machine-"))
        self.lives = 0
        self.rows: list[tuple[int, Row]] = []
        """(arrival time, (series, at, raw)) of every measured row that was acknowledged and is not too old."""
        self.expired = 0
        self.unsynced = 0
        """So many of the newest rows lie in the WAL only: a torn tail may take them."""

    @initialize()
    def begin(self) -> None:
        self.block, sealing.BLOCK = sealing.BLOCK, 16
        self.house = House(self.place / "0", site(), TurnedClock(NOON))
        self.model_from_start()

    def model_from_start(self) -> None:
        """MISSING rows and means come from the step; the model watches what was said."""
        self.house.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.unsynced = 0

    def teardown(self) -> None:
        sealing.BLOCK = self.block
        self.house.kill()
        shutil.rmtree(self.place)

    def said(self) -> list[Row]:
        """The measured rows with a time of their own, in arrival order, as the journal has them."""
        with self.house.reader() as reader:
            rows = reader.rows_after(0, 10**6)
            measured = np.array([not s.statistic for s in reader.series()], np.bool_)
        rows = rows.pick(measured[rows.which] & (rows.at % 1_000_000 == 777))  # what the step adds for silent devices has whole milliseconds
        return [(str(rows.series[w]), at, raw) for w, at, raw in zip(rows.which.tolist(), rows.at.tolist(), rows.raw.tolist(), strict=True)]

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────
    @rule(readings=READINGS, seconds=st.sampled_from((1, 60, 4000, 40_000)))
    def say(self, readings, seconds):
        self.house.clock.forward(seconds)
        at = self.house.clock.utc_ns // 1_000_000 * 1_000_000 - 1_000_000 + 777
        unlike = dict(readings)  # one value of a series at an instant
        self.house.say(*unlike.items(), at=at)
        self.house.turn()
        self.rows += [(self.house.clock.utc_ns, (str(series), at, value)) for series, value in unlike.items()]
        self.unsynced += len(unlike)

    @rule(readings=READINGS)
    def say_into_a_full_disk(self, readings):
        """The commit fails once; nothing is acknowledged until it holds, and then everything is there once."""
        original, tried = self.house.writer.count, []

        def failing(counts):
            if not tried:
                tried.append(1)
                raise sqlite3.OperationalError("database or disk is full")
            original(counts)

        self.house.writer.count, self.house.core.give_up.wait = failing, lambda _: False
        try:
            self.say(readings, 1)
        finally:
            del self.house.writer.count
        assert tried

    # ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────
    @rule(clear=st.booleans())
    def seal_what_is_due(self, clear):
        seal(self.house)
        if clear:
            with self.house.writer.transaction():
                keeping.clear(self.house.writer)

    @rule(days=st.integers(1, 4))
    def expire(self, days):
        with self.house.reader() as reader:
            before = reader.sealed()
        with self.house.writer.transaction():
            gone = keeping.expire(self.house.writer, self.house.clock.utc_ns - days * DAY)
        if before and gone:
            self.rows = [(came, row) for came, row in self.rows if came > before[0].now_to]
        elif gone:
            left = len(self.said())
            self.rows = self.rows[len(self.rows) - left :]

    # ── the end of a life ────────────────────────────────────────────────────────────────────────────────────────────
    def copy(self) -> Path:
        """What a power cut at this moment leaves."""
        self.lives += 1
        folder = self.place / str(self.lives)
        folder.mkdir()
        for name in ("live.db", "live.db-wal"):
            if (self.house.folder / name).exists():
                shutil.copy(self.house.folder / name, folder / name)
        if (self.house.folder / "archive").exists():
            shutil.copytree(self.house.folder / "archive", folder / "archive")
        return folder

    def live_on(self, folder: Path) -> None:
        old = self.house
        old.kill()
        self.house = House(folder, old.site, old.clock)
        shutil.rmtree(old.folder)

    @rule()
    def crash(self):
        self.live_on(self.copy())

    @rule(share=st.floats(0, 1))
    def crash_with_a_torn_tail(self, share):
        """Torn is what was never acknowledged, or was written without FULL: the model forgets what the tail held, from its end on."""
        folder = self.copy()
        wal = folder / "live.db-wal"
        if wal.exists():
            data = wal.read_bytes()
            wal.write_bytes(data[: round(len(data) * share)])
        self.live_on(folder)
        left = len(self.said())
        assert len(self.rows) - left <= self.unsynced, "more is gone than the torn tail held"
        self.rows = self.rows[:left]
        self.model_from_start()

    @rule(after=st.integers(0, 2), torn=st.booleans())
    def crash_while_sealing(self, after, torn):
        """Killed between packing, naming and entering a file; what was half written may lie there."""

        class Killed(BaseException):
            pass

        name = ("sync", "digest_of", "FileSealed")[after]
        original = getattr(sealing, name)

        def dying(*_):
            raise Killed

        setattr(sealing, name, dying)
        try:
            seal(self.house)
        except Killed:
            pass
        finally:
            setattr(sealing, name, original)
        folder = self.copy()
        if torn and (folder / "archive").exists():
            (folder / "archive" / "2026-11-21.9.db.part").write_bytes(b"half a file")
        self.live_on(folder)
        assert not list(folder.rglob("*.part"))

    @rule()
    def stop_and_start(self):
        self.house.core.stop()
        self.house.writer.close()
        self.house.start()
        self.unsynced = 0

    @precondition(lambda self: self.lives < 6)
    @rule()
    def restore_from_a_backup(self):
        stick = self.place / "stick"
        stick.mkdir(exist_ok=True)
        self.lives += 1
        copied = copy_journal(self.house.folder, stick / f"{self.lives}.db")
        assert all(finding.good for finding in copied.found), copied.found
        folder = self.place / str(self.lives)
        folder.mkdir()
        shutil.copy(stick / f"{self.lives}.db", folder / "live.db")
        if copied.all:
            shutil.copytree(copied.archives, folder / "archive")
        self.live_on(folder)
        self.unsynced = 0

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────────────
    @invariant()
    def every_acknowledged_row_is_there_once_and_in_order(self):
        if hasattr(self, "house"):
            assert repr(self.said()) == repr([row for _, row in self.rows])

    @invariant()
    def a_chart_shows_the_same(self):
        if hasattr(self, "house"):
            with self.house.reader() as reader:
                table = reader.series()
                for i, series in enumerate(table):
                    if series in SERIES:
                        found = reader.rows_of_series(i, 0, 2**62, 10**6)
                        mine = [raw for at, raw in zip(found.at.tolist(), found.raw.tolist(), strict=True) if at % 1_000_000 == 777]
                        assert repr(mine) == repr([raw for _, (name, _, raw) in self.rows if name == str(series)])

    @invariant()
    def it_is_whole(self):
        if hasattr(self, "house"):
            assert [finding for finding in verify(self.house.folder) if not finding.good] == []


def test_any_order_of_writing_sealing_keeping_and_crashing_leaves_what_the_model_says():
    run_state_machine_as_test(JournalMachine, settings=settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)))
