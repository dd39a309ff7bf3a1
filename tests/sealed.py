"""Journals of several days with something of everything in them, and a sealer that is turned by hand."""

from pathlib import Path

import numpy as np
from house import AMMONIA, LADDER, LAEQ, NOON, House, S, TurnedClock, site

from config.series import Series
from config.site import Journal, Site
from gateway.journal.sealing import Sealer

DAY = 86_400 * S
PH = Series("river", "probe", "ph")


def fill(house: House, turns: int, seconds: float = 10.0) -> None:
    """So many turns with a reading of each series, some of them missing."""
    for k in range(turns):
        house.clock.forward(seconds)
        house.say((AMMONIA, round(0.1 + k % 7 / 10, 2)), (PH, float("nan") if k % 11 == 0 else 7 + k % 13 / 8), (LAEQ, 50.0 + k))
        house.turn()


def days(folder: Path, count: int, plan: Site | None = None) -> House:
    """A journal of that many days over and a little of the next, with alerts, means, late and missing readings."""
    house = House(folder, plan or site(ammonia=LADDER), TurnedClock(NOON - DAY // 2))
    for _ in range(count):
        fill(house, 12, 300.0)
        fill(house, 1, 600.0)
        house.say((AMMONIA, 0.7), at=house.clock.utc_ns - 3000 * S)
        house.turn()
        fill(house, 1, 65.0)
        house.clock.forward(3600 - 665)
        fill(house, 22, 3600.0)
    fill(house, 10, 60.0)
    return house


def seal(house: House, limits: Journal | None = None, checkpoint: bool = True) -> list[Path]:
    """Seal what is due until nothing is, as the worker does; gives the files, in order."""
    if checkpoint:
        for _ in range(2):
            with house.writer.transaction():
                house.writer.checkpoint(house.core._event, house.core._version, house.core.state.dump())
                house.writer.db.execute("DELETE FROM checkpoint WHERE event < (SELECT max(event) FROM checkpoint)")
    found: list[Path] = []
    sealer = Sealer(house.folder, limits or Journal(), house.intake.tell)
    with house.reader() as reader:
        known = {entry.file for entry in reader.sealed()}
        for _ in range(20):
            if not sealer.turn(reader):
                break
            house.turn()
            if limits:
                sealer.turn(reader)
                break
        found = [house.folder / "archive" / str(entry.file) for entry in reader.sealed() if entry.file not in known]
    assert np.all([path.exists() for path in found])
    return found
