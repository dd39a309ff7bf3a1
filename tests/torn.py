"""Journals with torn, truncated, garbled and flipped files, and what must hold when one of them is opened again."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from house import AMMONIA, LAEQ, NOON, House, TurnedClock, site
from sealed import DAY, seal

from gateway.journal import keeping
from gateway.journal.verifying import verify
from gateway.journal.writer import STARTS

DAYS, PER_DAY = 2, 30
TARGETS = ("wal", "live", "archive")


class Whole(NamedTuple):
    """A journal as kill -9 leaves it, and the value of every row in it by arrival number."""

    folder: Path
    values: dict[int, float]
    sealed_to: int


class Left(NamedTuple):
    """What was left of a damaged journal."""

    what: str
    rows: int
    lost: int
    """Rows that are gone."""
    wrong: int
    """Rows with another value than was written."""


def make(folder: Path, place: Path) -> Whole:
    """Two sealed days, a live one of which half is in the WAL; kept in `place`."""
    house = House(folder, site(), TurnedClock(NOON - DAY // 2))
    k = 0

    def turn(seconds: float) -> None:
        nonlocal k
        house.clock.forward(seconds)
        house.say((AMMONIA, 2.0 * k), (LAEQ, 2.0 * k + 1))
        house.turn()
        k += 1

    for _ in range(DAYS):
        for _ in range(PER_DAY):
            turn(DAY / PER_DAY / 1e9)
    for _ in range(PER_DAY):
        turn(1)
    assert len(seal(house)) == DAYS
    with house.writer.transaction():
        keeping.clear(house.writer)
    house.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(PER_DAY):
        turn(1)
    with house.reader() as reader:
        rows = reader.rows_after(0, 10**6)
        values = dict(zip(rows.n.tolist(), rows.value.tolist(), strict=True))
        sealed_to = reader.sealed()[-1].n_to
    for name in ("live.db", "live.db-wal"):
        shutil.copy(folder / name, place / name)
    shutil.copytree(folder / "archive", place / "archive")
    house.kill()
    return Whole(place, values, sealed_to)


def damage(folder: Path, chance: random.Random, target: str) -> str:
    """Tear, overwrite, zero or flip a file anywhere. Gives what was done."""
    path = {"wal": folder / "live.db-wal", "live": folder / "live.db"}.get(target) or chance.choice(sorted((folder / "archive").iterdir()))
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    how = chance.choice(["tear", "garble", "flip", "zero"])
    if how == "tear":
        del data[place:]
    elif how == "garble":
        data[place : place + 512] = chance.randbytes(min(512, len(data) - place))
    elif how == "zero":
        data[place : place + 4096] = bytes(min(4096, len(data) - place))
    else:
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{path.name}: {how} at {place} of {len(data)}"


def open_again(whole: Whole, folder: Path, chance: random.Random, target: str, harm: Callable[[Path, random.Random, str], str] = damage) -> Left:
    """Damage a copy, start, and see that it works and that what is there is what was written, without a hole but for a sealed day."""
    shutil.copytree(whole.folder, folder, dirs_exist_ok=True)
    what = harm(folder, chance, target)
    house = House(folder, site(), TurnedClock(NOON + (DAYS + 1) * DAY))
    try:
        with house.reader() as reader:
            rows = reader.rows_after(0, 10**6)
            start = [event for event in reader.events_after(reader.end_of_sealed()) if event.kind in STARTS][-1]  # a lost day is told after it
            found = {n: v for n, v in zip(rows.n.tolist(), rows.value.tolist(), strict=True) if n < start.n_from}
            live = sorted(n for n in found if n >= whole.sealed_to)
            assert live == list(range(whole.sealed_to, whole.sealed_to + len(live))), f"{what}: a hole in what is live"
            sealed = sorted(n for n in found if n < whole.sealed_to)
            events = [event.id for event in reader.events_after(reader.end_of_sealed())]
            assert events == list(range(events[0], events[0] + len(events))), what
        if target == "archive":
            assert len(live) == len([n for n in whole.values if n >= whole.sealed_to]), f"{what}: damage of a day reached another"
            assert len(sealed) >= (whole.sealed_to - 1) // DAYS - 90, f"{what}: more than a day is gone"
        else:
            assert len(sealed) == whole.sealed_to - 1, f"{what}: sealed days are gone"
        lost = len(whole.values) - len(found)
        wrong = sum(1 for n, value in found.items() if repr(value) != repr(whole.values[n]))
        assert wrong == 0 or target == "live", f"{what}: {wrong} values are others"
        house.say((AMMONIA, 0.5))
        house.turn()
        with house.reader() as reader:
            news = reader.rows_after(start.n_from - 1, 1000)
            assert 0.5 in news.value.tolist(), what
        said = [finding for finding in verify(folder) if not finding.good]
        shown = {"wal": set(), "live": {"alert log"}, "archive": {"archive"}}[target]  # alerts that cannot be read any more are gone, and that shows
        assert {finding.name for finding in said} <= shown, f"{what}: {said}"
        if target == "archive" and lost:
            shown = [finding.words for finding in verify(folder) if finding.name == "archive"]
            assert any(".db" in words or "lost" in words for words in shown), f"{what}: lost, and nobody says so"
        return Left(what, len(found), lost, wrong)
    except sqlite3.Error as error:
        raise AssertionError(f"{what}: {error}") from error
    finally:
        house.kill()
