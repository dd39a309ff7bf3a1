"""Torn, truncated, zeroed and bit-flipped files: each start works and holds a prefix without a hole; a sealed day infects no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proof.campaigns import Step, Tally
from torn import TARGETS, Whole, make, open_again

PROMISE = "A damaged journal starts by itself, and what it holds is what was written, without a hole but for what is counted as lost."
PROVES = ("gateway/core.py", "gateway/restoring.py", "gateway/journal/*.py", "gateway/journal/schema.sql", "tests/torn.py", "tests/sealed.py",
          "tests/house.py", "tests/proof/campaign_torn.py")
STEPS = 60
EACH = 4
FIGURES = {"files": 0, **{f"{target}_{what}": 0 for target in TARGETS for what in ("files", "that_lost_something")}, "rows_with_another_value": 0}


@contextmanager
def around(folder: Path) -> Iterator[Whole]:
    for name in ("made", "kept"):
        (folder / name).mkdir()
    yield make(folder / "made", folder / "kept")


def step(at: Step, tally: Tally) -> None:
    whole = at.around
    assert isinstance(whole, Whole)
    for target in TARGETS:
        for k in range(EACH):
            left = open_again(whole, at.folder / f"{target}{k}", at.random, target)
            tally.count("files")
            tally.count(f"{target}_files")
            tally.count(f"{target}_that_lost_something", left.lost > 0)
            tally.count("rows_with_another_value", left.wrong)
    if at.number == STEPS - 1:
        assert all(tally.figures[f"{target}_that_lost_something"] for target in TARGETS), "nothing was ever lost: the harness is blind"
