"""The core's cycle: take what is there, step it, commit it, release the receipts, wake those who wait for rows.

One thread, one write connection, one order of events. What a line handed over is on disk before anyone hears of it.
"""

import logging
import math
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Event as Flagged

import numpy as np

from analytics.kernels._kernel import ENGINE
from analytics.state import State, carry
from config.series import GAP, Series
from config.site import Site
from drivers.reading import Clock, Delivery, Stamp
from gateway.alerts import Alerts
from gateway.contracts import Notice
from gateway.gap_ledger import Gap
from gateway.intake import Awaited, Intake, Note
from gateway.journal import keeping, losing, maintenance, progress
from gateway.journal.columns import Columns, together
from gateway.journal.orders import end_left_over
from gateway.journal.reader import Reader
from gateway.journal.writer import (
    BOOTED,
    READINGS,
    START,
    STARTS,
    TICK,
    UNDONE,
    JournalError,
    JournalMoved,
    Writer,
    may_mend,
    no_room,
)
from gateway.relayed import MARK
from gateway.restoring import restore_state
from gateway.sorting import Sorter, Taken
from gateway.step import NOTHING, Effects, Event, PartFailed, step, unevaluated
from gateway.view import LEFT_OUT, TOO_OLD
from gateway.wiring import Expected, Wiring

log = logging.getLogger("ecosentry.core")
_S = 1_000_000_000
_MOST_ROWS = 2000
_SLACK_S = 0.5
"""A commit is this much earlier than promised: it takes time itself."""
_CHECKPOINT_EVERY_S = 300.0
_LOUD_AFTER_S = 10.0
"""So long not even an alert could be journalled: people are told without."""
_KEEPING_EVERY_S = 5.0
_TRIES = 2
"""An event that was under way at so many unclean starts and the crash before them is never stepped again."""


@dataclass(slots=True)
class _Gathered:
    """What was taken and is not yet committed."""

    deliveries: list[Delivery] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    rows: int = 0
    is_urgent: bool = False
    """Someone waits for a note to be on disk."""


class Core:
    """Owns the journal's writer, the plan and the state; everything here runs in one thread."""

    def __init__(self, writer: Writer, site: Site, expected: Iterable[Expected], clock: Clock, intake: Intake,
                 grown: Callable[[], None], software: str, words_of: Callable[[str], str] = lambda device: "",
                 aloud: Callable[[list[tuple[str, Notice]]], None] = lambda notices: None) -> None:
        """`words_of` tells why a device gives nothing, for its alert; `aloud` tells people what cannot even be journalled."""
        self._writer = writer
        self._site = site
        self._wiring = Wiring(site, expected)
        self._clock = clock
        self._intake = intake
        self._grown = grown
        self._software = software
        self._words_of = words_of
        self._aloud = aloud
        self._off: frozenset[str] = frozenset()
        self._gathered = _Gathered()
        promised = site.journal.durable_within
        self._spacing_s = max(promised / 2, promised - _SLACK_S)
        self._last_commit = -math.inf
        self._last_checkpoint = -math.inf
        self._last_keeping = time.monotonic()
        self._event = 0
        self.trouble = ""
        """Why the journal cannot be written right now; empty = it can."""
        self._careful = False
        """After an unclean start, until the next checkpoint: readings are committed before they are stepped."""
        self._is_outdated = False
        """There are windows that the plan does not know."""
        self._skipped: list[int] = []
        self._lost: list[losing.Spell] = []
        """Goes into the ledger of gaps with the event that is written now."""
        self._unfinished: tuple[int, int, Event] | None = None
        self._reserve = writer.reserve
        self._under_way: list[Note] = []
        """Notes of the commit that is tried now."""
        self._stuck: list[Note] = []
        """Notes that came before those of the intake, while the journal cannot be written."""
        self._left_out: list[Note] = []
        """Of the commit that is tried now: could not be written."""
        self._said = False
        """An alert says that the journal cannot be written."""
        self._unwritable: tuple[float, int] | None = None
        """Since when not even that can be journalled, monotonic s and UTC ns."""
        self._is_loud = False
        """People were told so all the same."""
        self._stamped = clock.now()
        self._held_at: Stamp | None = None
        """When the daemon began to stop."""
        self.tried = time.monotonic()
        """When the journal was tried last: a core that waits for it is not stuck."""
        self.give_up = Flagged()
        """Set when the daemon stops: a journal that cannot be written then raises instead of being tried again."""

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────────────────
    def start(self) -> None:
        """Bring the state to where the journal ends, then say in the journal that we are here. Raises JournalError."""
        stamp = self._clock.now()
        if not self._reserve.take():
            self._reserve.given |= Alerts.tell_of_full(self._writer)  # people were told: what is left of it is still not for readings
        self._with_room(lambda: self._sign_on(stamp))
        with Reader(self._writer.path.parent) as reader:
            self._alerts = Alerts(self._site, str(reader.meta("journal_id")), self._words_of)
            last = reader.last_event()
            self._now = last.now if last else 0
            self._steady = last.steady if last else 0
            self._careful = last is not None and reader.meta("clean_stop") != last.id
            booted = reader.meta("boot") not in (None, stamp.boot)
            self._state = carry(self._redo(reader), self._plan.layout)
        self._sorter = Sorter(self._writer, self._register)  # after the redo: rows of an event under way are not shown before it is done
        self._with_room(lambda: self._commit_event(BOOTED if booted else START, Taken([], []), stamp))
        if self._reserve.given:
            self.trouble, self._said = no_room(self._writer.path.parent), True
            self._intake.ring(True)
            log.critical("journal: %s", self.trouble)
        else:
            self._with_room(self._tell_losses)

    def _sign_on(self, stamp: Stamp) -> None:
        with self._writer.transaction():
            self._offset = self._writer.boot(stamp.boot, stamp.mono_ns, stamp.utc_ns)
            progress.sign_on(self._writer, tuple(self._site.sinks))
            end_left_over(self._writer, stamp.utc_ns)
            self._make_plan()

    def _with_room(self, work: Callable[[], None]) -> None:
        """Something of a start: on a disk that is full already, with the room that was kept back. Raises JournalError."""
        try:
            work()
        except JournalError:
            if not self._reserve.give():
                raise
            work()

    def _make_plan(self) -> None:
        self._wiring.by_hand = maintenance.known(self._writer)
        self._plan, self._watches = self._wiring.wire(self._writer.series, self._writer.ids, self._off)
        site = self._site.model_dump_json(exclude_defaults=True)
        self._version = self._writer.plan(self._plan.fingerprint, self._software, ENGINE, site, zlib.compress(self._plan.dump(), 6))

    def _redo(self, reader: Reader) -> State:
        """The state after the newest event; an event that was under way when the process died gets two more tries."""
        last = restore_state(reader, self._plan)
        self._event = last.event
        if last.unfinished is None:
            return last.state
        record, event = last.unfinished
        if not self._may_try(reader, record.id):
            return last.state
        self._state = carry(last.state, self._plan.layout)
        self._with_room(lambda: self._finish(record.id, record.n_from, event))
        return self._state

    def _may_try(self, reader: Reader, number: int) -> bool:
        event, tried = (str(reader.meta("trying")) + ":0").split(":")[:2]
        tries = int(tried) if event == str(number) else 0
        self._with_room(lambda: self._note_try(number, tries))
        if tries >= _TRIES:
            self._skipped.append(number)
        return tries < _TRIES

    def _note_try(self, number: int, tries: int) -> None:
        with self._writer.transaction():
            if tries >= _TRIES:
                self._writer.skip(number)
            else:
                self._writer.meta("trying", f"{number}:{tries + 1}")

    def stop(self) -> None:
        """A clean end: what waits is committed, the state is kept. Raises JournalError."""
        while self._intake.rows:
            self.cycle(0.0)
        self.cycle(0.0)
        with self._writer.transaction():
            self._checkpoint()
            self._writer.meta("clean_stop", self._event)

    # ── the cycle ────────────────────────────────────────────────────────────────────────────────────────────────────
    def cycle(self, wait_s: float) -> bool:
        """One turn; True if something was committed. Waits at most `wait_s` for something to do."""
        if not self._gather(wait_s):
            self._keep_house()
            return False
        (deliveries, notes), self._gathered = (self._gathered.deliveries, self._gathered.notes), _Gathered()
        self._under_way, stamp = notes, self._stamp()
        taken = self._sorter.sort(deliveries, notes, stamp)
        if lost := self._intake.overwritten():
            log.error("journal: %d readings were overwritten while it could not be written", lost)
            taken.count("received", lost)
            taken.count("overwritten", lost)
        if not (deliveries or notes or taken.rows or lost) and self._until_due_s() > 0:
            self._keep_house()
            return False
        kind = READINGS if taken.rows else TICK if self._until_due_s() <= 0 else 0
        self._persist(kind, taken, stamp)
        return True

    def _gather(self, wait_s: float) -> bool:
        """Take what comes; True when it is time to commit: at once after a pause, under load together with what follows.

        So one fsync serves many, and nothing waits longer for it than the site file promises.
        """
        ends, gathered = time.monotonic() + wait_s, self._gathered
        while True:
            left = min(ends - time.monotonic(), self._until_due_s(), self._until_time_s())
            room = max(1, _MOST_ROWS - gathered.rows)
            more, others = self._intake.take(max(0.0, left), room, room if gathered.deliveries else 1)
            gathered.deliveries += more
            gathered.notes += others
            gathered.is_urgent |= any(isinstance(note, Awaited) for note in others)
            gathered.rows += sum(delivery.rows for delivery in more)
            if wait_s <= 0 or not (gathered.deliveries or gathered.notes) or min(self._until_due_s(), self._until_time_s()) <= 0:
                return True
            if time.monotonic() >= ends:
                return False

    def _until_time_s(self) -> float:
        """How long what is gathered may wait for more."""
        gathered = self._gathered
        if not (gathered.deliveries or gathered.notes):
            return math.inf
        return 0.0 if gathered.is_urgent or gathered.rows >= _MOST_ROWS else self._last_commit + self._spacing_s - time.monotonic()

    def _until_due_s(self) -> float:
        """How long nothing will happen by time alone."""
        stamp = self._stamp()
        if not stamp.sure:
            return math.inf
        by_utc = min(int(self._state[name][0]) for name in ("hour_first_due", "day_first_due")) - self._utc(stamp)
        by_steady = int(self._state["silence_first_due"][0]) - (stamp.mono_ns + self._offset)
        return max(0.0, min(by_utc, by_steady) / _S)

    def hold_time(self) -> None:
        """The daemon begins to stop: for what is still to be stepped no time passes, so that nobody who was told to be quiet is missed."""
        self._held_at = self._clock.now()

    def _stamp(self) -> Stamp:
        """Now, as events have it; never before an event that was stamped already."""
        if self._held_at is None:
            self._stamped = self._clock.now()
        elif self._held_at.mono_ns > self._stamped.mono_ns:
            self._stamped = self._held_at
        return self._stamped

    def _utc(self, stamp: Stamp) -> int:
        """What we take for UTC: our clock, or while it is unsure the newest known instant and what has passed since."""
        return stamp.utc_ns if stamp.sure else self._now + max(0, stamp.mono_ns + self._offset - self._steady)

    # ── step and commit ──────────────────────────────────────────────────────────────────────────────────────────────
    def _register(self, new: list[Series]) -> None:
        def work() -> None:
            with self._writer.transaction():
                self._writer.ids(new)

        self._patiently(work)

    def _persist(self, kind: int, taken: Taken, stamp: Stamp) -> None:
        self._patiently(lambda: self._commit_event(kind, taken, stamp))
        self._under_way = []
        for delivery in taken.deliveries:
            if delivery.receipt:
                delivery.receipt.release()
        self._keep(taken.notes)
        if self._unfinished:
            unfinished, self._unfinished = self._unfinished, None
            self._patiently(lambda: self._finish(*unfinished))
        self._last_commit = time.monotonic()
        self._grown()
        self._keep_house()

    def _patiently(self, work: Callable[[], None]) -> None:
        """Try until the journal takes it: until then nothing is acknowledged, and of what was polled the newest waits in memory."""
        while True:
            self.tried = time.monotonic()
            try:
                if self.trouble or self._reserve.given:
                    self._look_for_room()
                work()
            except JournalMoved:
                raise
            except JournalError as error:
                self._in_trouble(str(error))
                if self.give_up.wait(1.0):
                    raise
                continue
            if self.trouble:
                log.warning("journal: can be written again")
                self.trouble = ""
                self._intake.ring(False)
                if self._said:
                    self._intake.tell(progress.JournalSays(progress.FULL, ""))
                self._said = False
                self._be_quiet()
            return

    def _look_for_room(self) -> None:
        """What was kept back is for alerts: readings wait until it can be kept back again."""
        if self._reserve.given and not self._reserve.take():
            raise JournalError(self.trouble or no_room(self._writer.path.parent))
        if self._stuck:
            self._tell_meanwhile("")

    def _in_trouble(self, words: str) -> None:
        """Say it loudly; if it lasts, in the journal too where a small commit is possible, with the room kept back if the disk is full."""
        lasts = bool(self.trouble)
        if words != self.trouble:
            log.critical("journal: %s", words)
        self._intake.ring(True)
        self.trouble = words
        if not lasts:
            return
        self._reserve.give()
        for notes in (self._under_way, self._gathered.notes):
            self._stuck += notes
            notes.clear()
        try:
            self._tell_meanwhile(words)
        except JournalError as error:
            log.debug("journal: not even an alert can be written: %s", error)
            self._be_loud(words)

    def _be_loud(self, words: str) -> None:
        """Not even an alert can be journalled, and that lasts: tell people from memory."""
        now = self._utc(self._clock.now())
        self._unwritable = self._unwritable or (time.monotonic(), now)
        since_s, since_ns = self._unwritable
        if not (self._is_loud or self._said) and time.monotonic() - since_s >= _LOUD_AFTER_S:
            self._aloud(self._alerts.unwritten(since_ns, now, words))
            self._is_loud = True

    def cry(self, words: str) -> None:
        """Tell people from memory that the journal is lost to us, and not even an alert of it can be kept."""
        now = self._utc(self._clock.now())
        self._aloud(self._alerts.unwritten(now, now, words))

    def _be_quiet(self) -> None:
        if self._is_loud and self._unwritable:
            self._aloud(self._alerts.unwritten(self._unwritable[1], self._utc(self._clock.now()), ""))
        self._is_loud, self._unwritable = False, None

    def _tell_meanwhile(self, words: str) -> None:
        """Commit what is no reading: the alert of the journal itself, what became of messages, how far the sinks are."""
        self._stuck += self._intake.notes()
        said = [progress.JournalSays(progress.FULL, words)] if words else []
        with self._writer.transaction():
            lines = self._write_notes([*self._stuck, *said])
        done, self._stuck, self._said = self._stuck, [], self._said or bool(words)
        _say(lines)
        self._keep(done)
        self._grown()

    def _tell_losses(self) -> None:
        """What is missing with sealed days that are lost goes into the ledger of gaps, once."""
        self._lost = losing.waiting_spells(self._writer.db, self._utc(self._clock.now()))
        if self._lost:
            ledgers = [self._writer.series[spell.series]._replace(statistic=GAP) for spell in self._lost]
            self._commit_event(TICK, Taken([], [], ledgers), self._stamp())
            self._grown()
        self._lost = []

    def _commit_event(self, kind: int, taken: Taken, stamp: Stamp) -> None:
        ids = self._writer.known
        work = [note for note in taken.notes if isinstance(note, maintenance.WorkBegins | maintenance.WorkEnds)]
        if work or self._is_outdated or any(s not in ids for s in taken.series) or len(self._writer.series) != len(self._plan.hourly):
            self._is_outdated = True  # until a plan is on disk
            with self._writer.transaction():
                self._write_notes(work)  # these rows are judged with it already
                self._writer.ids(taken.series)
                self._make_plan()
            self._is_outdated = False
            self._state = carry(self._state, self._plan.layout)
        event = self._event_of(kind, taken, stamp)
        unjudged = self._careful and kind == READINGS
        state, effects = (self._state, None) if not kind or unjudged else self._step_guarded(event)
        n_from = self._writer.next_n
        with self._writer.transaction():
            lines = self._write(event, effects, taken, state)
        self._state = state
        if unjudged:
            self._unfinished = (self._writer.next_event - 1, n_from, event)
        if kind:
            self._now, self._steady, self._event = event.now, event.steady, self._writer.next_event - 1
        self._sorter.held = (0 if taken.unheld else self._sorter.held) + len(taken.held)
        _say(lines)
        if kind in STARTS:
            with self._writer.transaction():
                self._checkpoint()

    def _finish(self, number: int, n_from: int, event: Event) -> None:
        """Step an event whose readings are committed already, and commit what it led to."""
        state, effects = self._step_guarded(event)
        with self._writer.transaction():
            self._writer.finish(number, n_from, self._version, effects.rows, effects.derived)
            self._count_too_old(state)
            lines = self._alerts.write(self._writer, number, self._plan, self._watches, effects.transitions, state)
        self._state = state
        _say(lines)

    def _event_of(self, kind: int, taken: Taken, stamp: Stamp) -> Event:
        columns = list(zip(*taken.rows, strict=True)) if taken.rows else [()] * 6
        ids = np.array([self._writer.known[s] for s in taken.series], np.int32)
        which = ids[np.array(columns[0], np.intp)] if taken.rows else np.empty(0, np.int32)
        return Event(kind, self._utc(stamp), stamp.sure, stamp.mono_ns + self._offset, which, np.array(columns[1], np.int64),
                     np.array(columns[2], np.int64), np.array(columns[3], np.float64), np.array(columns[4], np.uint8), np.array(columns[5], np.uint8))

    def _step_guarded(self, event: Event) -> tuple[State, Effects]:
        """Step; a part that fails is switched off for good (until the next start) and the event is stepped without it."""
        while True:
            try:
                state, effects = step(self._plan, self._state, [event])
            except PartFailed as failed:
                log.critical("%s; switched off until the next start, readings go on without it", failed)
                self._off |= {failed.part}
                self._plan = replace(self._plan, off=self._off)
                with self._writer.transaction():
                    self._writer.count({f"switched_off.{failed.part}": 1})
                    self._make_plan()
                continue
            return state, effects[0]

    def _write(self, event: Event, effects: Effects | None, taken: Taken, state: State) -> list[str]:
        writer = self._writer
        lines: list[str] = []
        if event.kind == READINGS and effects is None:
            writer.event(event.kind, event.now, event.sure, event.steady, self._version, unevaluated(self._plan, event), NOTHING, UNDONE)
        if effects is not None:
            number = writer.event(event.kind, event.now, event.sure, event.steady, self._version, effects.rows, self._with_losses(effects.derived))
            if event.kind in STARTS:
                writer.meta("boot", self._clock.now().boot)
                lines += self._alerts.orphans(writer, number, state, event.now)
                full = no_room(writer.path.parent) if self._reserve.given else ""
                lines += self._alerts.of_journal(writer, number, event.now, progress.JournalSays(progress.FULL, full))
                if moved := progress.how_moved(writer):
                    lines += [line for words in (moved, "") for line in self._alerts.of_journal(
                        writer, number, event.now, progress.JournalSays(progress.MOVED, words))]
                lines += [self._alerts.skipped(writer, number, event.now, skipped) for skipped in self._skipped]
            lines += self._alerts.write(writer, number, self._plan, self._watches, effects.transitions, state)
        for line, aside in taken.asides:
            writer.set_aside(event.now, line, aside)
        if taken.unheld:
            writer.release_held()
        writer.hold([(h[0], h[1], h[2], writer.ids([taken.series[h[3]]])[0], *h[4:]) for h in taken.held])
        writer.receipts(taken.receipts)
        for journal, n in taken.marks.items():
            writer.meta(f"{MARK}{journal}", n)
        writer.count(taken.counts)
        self._count_too_old(state)
        return lines + self._write_notes(taken.notes)

    def _count_too_old(self, state: State) -> None:
        """What came too late for its hour or index, for people; the state that is committed with it counts on."""
        self._writer.count({name: int(state[name][0] - self._state[name][0]) for name in TOO_OLD})

    def _with_losses(self, derived: Columns) -> Columns:
        """With the rows of the ledger that tell of lost days. A replay throws them away like everything derived: they are here."""
        if not self._lost:
            return derived
        losing.settle(self._writer.db)
        ledgers = self._writer.ids(self._writer.series[spell.series]._replace(statistic=GAP) for spell in self._lost)
        return together([derived, losing.as_rows(self._lost, ledgers)])

    def _write_notes(self, notes: Iterable[Note]) -> list[str]:
        """Each for itself: one that cannot be written whatever happens is left out, and costs no reading."""
        lines: list[str] = []
        for note in notes:
            try:
                with self._writer.part():
                    lines += self._write_note(note)
            except Exception as error:  # the core's guard: what a stranger said must not end the measuring
                if may_mend(error):
                    raise
                self._leave_out(note, error)
        return lines

    def _write_note(self, note: Note) -> list[str]:
        note.write(self._writer)
        if isinstance(note, maintenance.WorkBegins | maintenance.WorkEnds):
            self._is_outdated |= maintenance.known(self._writer) != self._wiring.by_hand
        elif isinstance(note, progress.SinkSays):
            return self._alerts.of_sink(self._writer, self._writer.next_event - 1, self._utc(self._clock.now()), note)
        elif isinstance(note, progress.SinkMoved | progress.BacklogMoved | progress.Settled | progress.Requeue):
            refused = 0 if isinstance(note, progress.Requeue) else len(note.refused)
            return self._alerts.of_refusals(self._writer, self._writer.next_event - 1, self._utc(self._clock.now()), note.sink, refused)
        elif isinstance(note, progress.JournalSays):
            return self._alerts.of_journal(self._writer, self._writer.next_event - 1, self._utc(self._clock.now()), note)
        return []

    def _leave_out(self, note: Note, error: Exception) -> None:
        log.critical("journal: a note cannot be written and is left out: %r", note, exc_info=error)
        self._writer.count({LEFT_OUT: 1})
        self._left_out.append(note)

    def _keep(self, notes: Iterable[Note]) -> None:
        """Who waits for a note to be on disk is told so, unless it is not."""
        for note in notes:
            if isinstance(note, Awaited) and not any(note is one for one in self._left_out):
                note.kept()
        self._left_out.clear()

    def _keep_house(self) -> None:
        """Every few minutes a checkpoint; every few seconds a portion of what has had its time or its room."""
        if time.monotonic() - self._last_checkpoint > _CHECKPOINT_EVERY_S:
            self._patiently(self._keep_state)
        if time.monotonic() - self._last_keeping > _KEEPING_EVERY_S:
            self._patiently(self._keep_limits)
            self._patiently(self._tell_losses)
            self._reserve.take()
            self._last_keeping = time.monotonic()

    def _keep_state(self) -> None:
        with self._writer.transaction():
            self._checkpoint()

    def _keep_limits(self) -> None:
        limits = self._site.journal
        with self._writer.transaction():
            keeping.clear(self._writer)
            gone = keeping.expire(self._writer, self._now - round(limits.keep * _S))
            if limits.on_full == "thin":
                gone += keeping.thin(self._writer, limits.max_size)
            elif keeping.in_use(self._writer) > limits.max_size:
                raise JournalError(f'{self._writer.path.parent} has reached max_size and on_full is "stop": nothing is taken until it is raised')
        if gone:
            log.warning("journal: %d old rows made room (keep %g d, max_size %g GB)", gone, limits.keep / 86400, limits.max_size / 1e9)

    def _checkpoint(self) -> None:
        self._writer.checkpoint(self._event, self._version, self._state.dump())
        self._careful &= self._last_checkpoint == -math.inf  # the one at the start proves nothing yet
        self._last_checkpoint = time.monotonic()

    # ── for those who look on ────────────────────────────────────────────────────────────────────────────────────────
    @property
    def state(self) -> State:
        """The state after the newest committed event; never changed in place."""
        return self._state

    def open_gaps(self) -> list[Gap]:
        """What is missing now; for other threads."""
        state, table = self._state, self._writer.series
        since, reason = state["gap_open_since"], state["gap_open_reason"]
        return [Gap(table[i], int(since[i]), None, int(reason[i]), 0.0) for i in since.nonzero()[0].tolist()]


def _say(lines: list[str]) -> None:
    for line in lines:
        log.warning("%s", line)
