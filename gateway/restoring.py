"""Brings the state of the step to where the journal ends: the newest good checkpoint, then the events after it again.

Their effects are thrown away, for they are in the journal; what remains is a state that is equal, bit for bit, to that of
a process which never stopped.
"""

import logging
from dataclasses import dataclass

from analytics.state import State, carry, load
from gateway.journal.reader import Reader
from gateway.journal.records import EventRecord
from gateway.journal.writer import SKIPPED, UNDONE
from gateway.step import Event, step
from gateway.wiring import Plan, restore

log = logging.getLogger("ecosentry.core")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Restored:
    """The state after event number `event`."""

    state: State
    event: int
    unfinished: tuple[EventRecord, Event] | None = None
    """The newest event, if it was committed but not stepped when the process ended."""


def restore_state(reader: Reader, plan: Plan) -> Restored:
    """The state at the end of the journal; `plan` gives the layout of a state that nothing is known of."""
    state, done = _checkpoint(reader, plan)
    done = max(done, reader.end_of_sealed())  # without any checkpoint the journal had to begin anew: nobody waits for years to be stepped again
    plans: dict[int, Plan] = {}
    waiting = reader.events_after(done)
    while waiting:
        version, run = waiting[0].plan, 0
        while run < min(len(waiting), _AT_ONCE) and waiting[run].plan == version:
            run += 1
        if version not in plans:
            plans[version] = restore(reader.plan(version))
        state = carry(state, plans[version].layout)
        state, _ = step(plans[version], state, [_recall(reader, r) for r in waiting[:run] if r.done not in (UNDONE, SKIPPED)])
        last, waiting = waiting[run - 1], waiting[run:]
        done = last.id
        if last.done == UNDONE:
            return Restored(state, done, (last, _recall(reader, last)))
    return Restored(state, done)


def _checkpoint(reader: Reader, plan: Plan) -> tuple[State, int]:
    for event, body in reader.checkpoints():
        try:
            return load(body, plan.layout), event
        except ValueError as error:
            log.warning("checkpoint after event %d cannot be used: %s", event, error)
    return State(plan.layout), 0


def _recall(reader: Reader, record: EventRecord) -> Event:
    rows = reader.rows_of_event(record)
    return Event(record.kind, record.now, bool(record.sure), record.steady, rows.which, rows.at, rows.span, rows.raw, rows.reason, rows.origin)
