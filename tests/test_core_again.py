"""What is tried again or started again leaves what one undisturbed life leaves: nothing twice, nothing missing, no other bits."""

import sqlite3

import pytest
from house import AMMONIA, LADDER, LAEQ, NOON, House, S, TurnedClock, site

from config.series import Origin

TABLES = ("series", "event", "hot", "counter", "alert", "alert_log", "outbox")
PLACES = ("event", "receipts", "count")
"""Of the writer: at the beginning of a commit, near its end, and last."""


def everything(house: House) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(house.folder / "live.db")
    try:
        found = {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    finally:
        db.close()
    found["outbox"] = [row[1:2] + row[3:] for row in found["outbox"]]  # the message's name holds that of its journal
    return found


def day(house: House) -> None:
    for value in (0.5, 1.2, 1.2, 1.2, 1.8, 1.8, 1.8, 2.5, 2.5, 2.5, 0.2, 0.2, 0.2):
        house.clock.forward(10)
        house.say((AMMONIA, value), (LAEQ, 50.0))
        house.turn()


@pytest.mark.parametrize("place", PLACES)
def test_a_commit_that_fails_at_first_leaves_the_same_rows_alerts_counters_and_state(tmp_path, monkeypatch, place):
    plain, troubled = House(tmp_path / "plain", site(ammonia=LADDER)), House(tmp_path / "troubled", site(ammonia=LADDER))
    day(plain)
    original, tried, failures = getattr(troubled.writer, place), set(), []

    def failing(*args, **kwargs):
        if troubled.writer.next_event not in tried:
            tried.add(troubled.writer.next_event)
            failures.append(place)
            raise sqlite3.OperationalError("disk I/O error")
        return original(*args, **kwargs)

    monkeypatch.setattr(troubled.writer, place, failing)
    monkeypatch.setattr(troubled.core.give_up, "wait", lambda _: False)
    day(troubled)
    assert len(failures) >= 13
    assert everything(troubled) == everything(plain)
    assert troubled.core.state.buffer.tobytes() == plain.core.state.buffer.tobytes()
    for house in (plain, troubled):
        house.kill()


def test_an_hour_that_ends_among_events_to_be_redone_ends_where_it_did(tmp_path):
    """All events since the last checkpoint are stepped in one go at a start; each still sees its own time only."""
    house = House(tmp_path, site(), TurnedClock(NOON - 100 * S))
    for k in range(30):
        house.clock.forward(10)
        house.say((AMMONIA, k / 10), (LAEQ, 50.0))
        house.turn()
    with house.reader() as reader:
        rows = reader.rows_after(0, 1000)
    hours = [int(at) for which, at in zip(rows.which, rows.at, strict=True) if rows.series[which].statistic]
    assert hours == [NOON, NOON], "an hour of two series ended on the way"
    names = [name for name in house.core.state.layout.places if name.startswith("hour_")]
    assert len(names) > 5
    before = {name: house.core.state[name].tolist() for name in names}
    house.again()
    assert {name: house.core.state[name].tolist() for name in names} == before
    house.kill()


def test_a_restart_does_not_change_what_counts_as_late(tmp_path):
    """A source that sometimes gives its own time and sometimes not, and one that was found silent."""
    origins = []
    for dies in (False, True):
        house = House(tmp_path / str(dies), site())
        house.say((LAEQ, 50.0), at=house.clock.utc_ns)
        house.turn()
        for _ in range(3):
            house.clock.forward(20)
            house.turn()  # found silent: a MISSING row of our own
        if dies:
            house.again()
        house.say((LAEQ, 51.0), at=house.clock.utc_ns - 30 * S)
        house.say((LAEQ, 52.0))
        house.turn()
        if dies:
            house.again()
        house.say((LAEQ, 53.0), at=house.clock.utc_ns - S)
        house.turn()
        with house.reader() as reader:
            rows = reader.rows_after(0, 100)
        origins.append([(v, o) for v, o, w in zip(rows.value.tolist(), rows.origin.tolist(), rows.which.tolist(), strict=True)
                        if rows.series[w] == LAEQ and v == v])
        house.kill()
    assert origins[0] == origins[1]
    assert origins[0][-1] == (53.0, Origin.LATE)
