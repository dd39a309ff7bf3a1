"""Kills and power cuts at random moments while days are sealed: every acknowledged row is there once, wherever it lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutting import Disk, loop_ext4
from proof.campaigns import Step, Tally
from sealing_lives import life

PROMISE = "Sealing a day loses and doubles nothing, whenever the process is killed or the power goes."
PROVES = ("gateway/core.py", "gateway/journal/*.py", "gateway/journal/schema.sql", "tests/sealing_lives.py", "tests/cutting.py", "tests/house.py",
          "tests/proof/campaign_sealing.py")
STEPS = 40
LIVES, CUTS = 5, 2
FIGURES = {"kills": 0, "power_cuts": 0, "acknowledged": 0, "days_sealed": 0}
SMOKE = False  # tests/crash/test_sealing_kills.py is the short form


@contextmanager
def around(folder: Path) -> Iterator[Disk]:
    with loop_ext4(folder) as disk:
        yield disk


def step(at: Step, tally: Tally) -> None:
    disk = at.around
    assert isinstance(disk, Disk)
    lives = ((LIVES, "kills", at.folder / "journal", None), (CUTS, "power_cuts", disk.place / f"journal{at.number}", disk))
    for count, name, journal, where in lives:
        left = None
        for _ in range(count):
            left = life(journal, at.random, where)
            left.check()
            tally.count(name)
        assert left is not None
        tally.count("acknowledged", left.acknowledged + 1)
        tally.count("days_sealed", left.days)
    if at.number == STEPS - 1:
        assert tally.figures["days_sealed"] >= STEPS, "hardly anything was sealed: the harness is blind"  # type: ignore[operator]
