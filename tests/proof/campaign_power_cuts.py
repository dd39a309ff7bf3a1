"""Power cuts on a real ext4: with the journal's own settings nothing acknowledged is lost; with weaker ones this harness sees the loss."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cutting import Disk, cut, loop_ext4
from proof.campaigns import Step, Tally

PROMISE = "A power cut loses nothing that was acknowledged."
PROVES = ("gateway/core.py", "gateway/journal/writer.py", "gateway/journal/schema.sql", "tests/cutting.py", "tests/house.py",
          "tests/proof/campaign_power_cuts.py")
STEPS = 12
FIGURES = {"cuts": 0, "acknowledged": 0, "acknowledged_lost": 0, "holes_or_damage": 0,
           "cuts_normal": 0, "losing_cuts_normal": 0, "cuts_off": 0, "losing_cuts_off": 0}
CUTS, WEAK_CUTS = 10, 4
SMOKE = False  # tests/crash/test_power_cut.py is the short form


@contextmanager
def around(folder: Path) -> Iterator[Disk]:
    with loop_ext4(folder) as disk:
        yield disk


def step(at: Step, tally: Tally) -> None:
    disk = at.around
    assert isinstance(disk, Disk)
    for _ in range(CUTS):
        left = cut(disk, "", at.random)
        tally.count("cuts")
        tally.count("acknowledged", left.acknowledged)
        tally.count("acknowledged_lost", left.lost)
        tally.count("holes_or_damage", not left.whole)
        assert left.acknowledged >= 3
        assert left.lost == 0
        assert left.whole
    for weak in ("NORMAL", "OFF"):
        losing = [left for _ in range(WEAK_CUTS) if (left := cut(disk, weak, at.random)).lost or not left.whole]
        tally.count(f"cuts_{weak.lower()}", WEAK_CUTS)
        tally.count(f"losing_cuts_{weak.lower()}", len(losing))
    if at.number == STEPS - 1:
        assert tally.figures["losing_cuts_off"] >= STEPS, "with synchronous OFF hardly anything was lost: the harness is blind"  # type: ignore[operator]
        assert tally.figures["losing_cuts_normal"], "with synchronous NORMAL nothing was lost: the harness is blind"
