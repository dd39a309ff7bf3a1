"""Journal and courier against a plain model, in any order of what can go wrong: no row lost, none doubled, every sum exact, always."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import numpy as np
from delivering import SERIES, Delivery, Store
from house import NOON, S, TurnedClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from config.errors import Halted, Unavailable
from gateway.journal.progress import Requeue
from gateway.journal.writer import JournalError

STEP_S = 10.0


class DeliveryMachine(RuleBasedStateMachine):
    """What the model knows: every row that was committed, what the store refuses, and what was thinned."""

    @initialize(unsure=st.booleans(), in_order=st.booleans(), rate=st.sampled_from([None, 200]), send_every=st.sampled_from(["0 s", "30 s"]))
    def begin(self, unsure, in_order, rate, send_every):
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        store = Store(TurnedClock(NOON), 0.01, 50e-6)
        store.in_order, store.unsure_s = in_order, 30.0 if unsure else 0.0
        choice = {"send_every": send_every} | ({"backlog_rate": rate} if rate else {})
        self.delivery = Delivery(self.folder, store, **choice)
        self.store = store
        self.newest: dict[tuple[int, int], int] = {}
        """(series, at) → number of the newest row of that point."""
        self.revisions: dict[tuple[int, int], int] = {}
        self.bad: set[int] = set()
        self.thinned: set[int] = set()
        self.rows = 0
        self._outage(4, 3)  # every example begins with a backlog

    # ── rows come ────────────────────────────────────────────────────────────────────────────────────────────────────
    @rule(times=st.integers(1, 5))
    def poll(self, times):
        self._many(times)

    @rule(hours=st.integers(2, 5), turns=st.integers(0, 6))
    def an_outage_is_over(self, hours, turns):
        """Long enough for a backlog; the courier has just begun with it."""
        self._outage(hours, turns)

    def _outage(self, hours, turns):
        self.store.down = True
        for _ in range(hours):
            self._many(25)
            self.delivery.run(70)
        self.store.down = False
        self.delivery.clock.forward(70)
        for _ in range(turns):
            self.delivery.turn()

    def _many(self, times):
        self.delivery.poll(times, STEP_S, turns_clock=True)
        ends = [self.delivery.clock.utc_ns - k * round(STEP_S * S) for k in range(times - 1, -1, -1)]
        for at in ends:
            for which in range(len(SERIES)):
                self.rows += 1
                self.newest[which, at] = self.rows
                self.revisions[which, at] = 0

    @precondition(lambda self: self.newest)
    @rule(back=st.integers(1, 1500))
    def revise(self, back):
        which, at = list(self.newest)[-min(back, len(self.newest))]
        self.revisions[which, at] += 1
        self.delivery.journal(np.array([which]), np.array([at]), revision=self.revisions[which, at])
        self.rows += 1
        self.newest[which, at] = self.rows

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────
    @rule()
    def the_server_goes_down(self):
        self.store.down = True

    @rule()
    def the_server_is_back(self):
        self.store.down = False

    @rule(error=st.sampled_from([Unavailable("503", 5.0), Halted("401"), Unavailable("half an answer"), None]))
    def the_server_is_in_a_mood(self, error):
        def mood(rows):
            if error:
                raise error

        self.store.mood = mood

    @rule()
    def the_proxy_cuts_after_the_server_stored(self):
        store, send = self.store, Store.send

        def once(rows, deadline):
            del store.send
            send(store, rows, deadline)
            raise Unavailable("closed the connection without an answer")

        store.send = once

    @rule(loses_s=st.floats(0, 25))
    def the_server_is_killed(self, loses_s):
        self.store.crash(loses_s if self.store.unsure_s else 0.0)

    @precondition(lambda self: self.rows)
    @rule(place=st.integers(0, 10**6))
    def the_server_refuses_a_row_from_now_on(self, place):
        n = 1 + place % self.rows
        if n not in self.store.accepted:
            self.store.refuses.add(n)
            self.bad.add(n)

    @rule()
    def what_was_refused_is_repaired_and_requeued(self):
        self.store.refuses.clear()
        with self.delivery.writer.transaction():
            Requeue("store").write(self.delivery.writer)

    @rule()
    def the_gateway_is_killed(self):
        self.delivery.again()

    @rule()
    def the_gateway_is_killed_before_a_note_is_committed(self):
        self.delivery.courier.turn(self.delivery.live)
        self.delivery.again()

    @rule()
    def the_same_notes_are_written_twice(self):
        self.delivery.courier.turn(self.delivery.live)
        notes = self.delivery.commit()
        with self.delivery.writer.transaction():
            for note in notes:
                note.write(self.delivery.writer)

    @rule()
    def a_commit_breaks_off_in_the_middle(self):
        """Part of it is written when the power goes: nothing of it counts."""
        delivery = self.delivery
        delivery.courier.turn(delivery.live)
        with contextlib.suppress(InterruptedError), delivery.writer.transaction():
            for note in delivery.intake._notes:
                note.write(delivery.writer)
            delivery.writer.db.execute("INSERT INTO hot(n) VALUES (?)", (delivery.writer.next_n,))
            raise InterruptedError
        delivery.again()

    @rule()
    def the_disk_is_full_for_a_commit(self):
        """The courier goes on; its notes are tried again until the journal takes them, as the core does it."""
        delivery = self.delivery
        delivery.courier.turn(delivery.live)
        db = delivery.writer.db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        notes = list(delivery.intake._notes)
        with contextlib.suppress(JournalError), delivery.writer.transaction():
            for note in notes:
                note.write(delivery.writer)
            db.execute("INSERT INTO aside(payload) VALUES (zeroblob(1000000))")
        delivery.writer.abandon()
        delivery.courier.turn(delivery.live)
        delivery.commit()

    @precondition(lambda self: self.rows > 100)
    @rule(share=st.floats(0, 1))
    def the_journal_is_thinned(self, share):
        low = 1 + int(share * (self.rows - 50))
        with self.delivery.writer.transaction():
            self.delivery.writer.db.execute("DELETE FROM hot WHERE n BETWEEN ? AND ?", (low, low + 40))
        self.thinned |= set(range(low, low + 41))

    # ── time passes ──────────────────────────────────────────────────────────────────────────────────────────────────
    @rule(seconds=st.sampled_from([0.5, 40.0, 200.0]))
    def time_passes(self, seconds):
        self.delivery.run(seconds)

    @rule(turns=st.integers(1, 4))
    def the_courier_turns(self, turns):
        for _ in range(turns):
            self.delivery.turn()

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────────────
    @invariant()
    def every_row_is_accounted_for(self):
        if hasattr(self, "delivery"):
            assert self.delivery.live.last_n() == self.rows
            self.delivery.sum()

    def teardown(self):
        if not hasattr(self, "delivery"):
            return
        try:
            self._in_the_end()
        finally:
            self.delivery.kill()
            shutil.rmtree(self.folder)

    def _in_the_end(self):
        """All faults are over: what is not thinned or refused is there, and of each point the newest row."""
        self.store.down, self.store.mood = False, lambda rows: None
        self.store.__dict__.pop("send", None)
        for _ in range(60):
            self.delivery.run(150)
            sums = self.delivery.sum()
            if not sums["owed"] + sums["waiting"]:
                break
        sums = self.delivery.sums()
        assert sums["owed"] + sums["waiting"] == 0, sums
        refused = {one.n for one in self.delivery.live.refused("store", 10**6)}
        assert refused <= self.bad
        assert sums["refused"] == len(refused)
        missing = set(range(1, self.rows + 1)) - set(self.store.accepted)
        assert missing <= refused | self.thinned, "lost"
        assert sums["thinned"] <= len(self.thinned)
        for point, n in self.newest.items():
            if n not in self.thinned | self.bad:
                assert self.store.points.get(point) == n, f"row {n} is not what stands at the store"


TestDelivery = DeliveryMachine.TestCase
TestDelivery.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
