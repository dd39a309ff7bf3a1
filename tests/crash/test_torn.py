"""A torn, truncated or garbled journal never stops a start, and what it holds is a prefix without a hole."""

import random
import shutil
import sqlite3

import pytest
from house import AMMONIA, LAEQ, House, site

CASES = 60
COMMITS = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal as kill -9 leaves it, WAL and all: commit k holds the readings 2k and 2k + 1."""
    house = House(tmp_path_factory.mktemp("whole"), site())
    for k in range(COMMITS):
        house.clock.forward(1)
        house.say((AMMONIA, 2.0 * k), (LAEQ, 2.0 * k + 1))
        house.turn()
    copy = tmp_path_factory.mktemp("copy")
    for name in ("live.db", "live.db-wal"):
        shutil.copy(house.folder / name, copy / name)
    house.kill()
    return copy


def damage(folder, chance):
    """Tear, overwrite or flip the tail that was under way: the WAL. Gives what was done."""
    wal = folder / "live.db-wal"
    data = bytearray(wal.read_bytes())
    place = chance.randrange(len(data))
    how = chance.choice(["tear", "garble", "flip"])
    if how == "tear":
        del data[place:]
    elif how == "garble":
        data[place : place + 512] = chance.randbytes(min(512, len(data) - place))
    else:
        data[place] ^= 1 << chance.randrange(8)
    wal.write_bytes(data)
    return f"{how} at {place} of {len(data)}"


@pytest.mark.parametrize("seed", range(CASES))
def test_a_damaged_tail_leaves_a_prefix_without_a_hole_and_a_working_start(whole, tmp_path, seed):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    what = damage(tmp_path, random.Random(seed))
    house = House(tmp_path, site())
    with house.reader() as reader:
        values = reader.rows_after(0, 1000).value.tolist()
        events = [e.id for e in reader.events_after(0)]
        counters = reader.counters()
    assert values == [float(k) for k in range(len(values))], what
    assert len(values) % 2 == 0, what
    assert events == list(range(1, len(events) + 1)), what
    assert counters.get("journalled", 0) == len(values), what
    house.say((AMMONIA, 0.5))
    house.turn()
    with house.reader() as reader:
        assert reader.rows_after(0, 1000).value[-1] == 0.5, what
    house.kill()


def test_the_damage_in_these_cases_is_real(whole, tmp_path):
    """Some cases must lose something, or the harness is blind."""
    lost = 0
    for seed in range(12):
        folder = tmp_path / str(seed)
        shutil.copytree(whole, folder)
        damage(folder, random.Random(seed))
        db = sqlite3.connect(folder / "live.db")
        tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'hot'").fetchone()[0]
        lost += not tables or db.execute("SELECT count(*) FROM hot").fetchone()[0] < 2 * COMMITS
        db.close()
    assert lost >= 6


def test_a_journal_that_is_no_database_is_kept_for_people_and_a_new_one_begins(whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "live.db-wal").unlink()
    (tmp_path / "live.db").write_bytes(b"\0" * 20_000)
    house = House(tmp_path, site())
    house.say((AMMONIA, 0.5))
    house.turn()
    with house.reader() as reader:
        assert reader.rows_after(0, 10).value.tolist() == [0.5]
    assert [p for p in tmp_path.iterdir() if ".damaged-" in p.name]
    house.kill()
