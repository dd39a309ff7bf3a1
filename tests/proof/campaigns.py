"""Long campaigns in small steps: a run stops within its budget, the next one goes on, the last one writes the record.

A campaign is a file `campaign_NAME.py` here (`make proof-NAME`, underscores become hyphens) with

    PROMISE = "one sentence: what holds"
    PROVES = ("gateway/journal/*.py",)           # files that the proof is about; when one changes, the campaign begins afresh
    STEPS = 200                                   # so many steps make it whole
    FIGURES = {"kills": 0, "readings lost": 0}    # what the record shows; a step counts them up
    def step(at: Step, tally: Tally) -> None      # raises AssertionError where the promise does not hold

and, where wanted, `LONGEST_S = 60` (a step that may take longer than the 30 s that one has), `SMOKE = False` (the first step is too long
for the ordinary suite) and a context manager `around(folder)` whose value is `at.around`: a server that all the steps of a run share.
A step depends only on its number and the campaign's seed, so a campaign in ten runs is the same campaign as in one.
"""

import contextlib
import importlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from proof.record import FOLDER, HOUSE, Record, commit, hashes, versions

STATES = HOUSE / ".proof"
BUDGET_S = 510.0
Figure = int | float | str


class Step(NamedTuple):
    """Where a step stands: its number from 0, chance of its own, an empty folder, and what `around` gives."""

    number: int
    random: Random
    folder: Path
    around: object


class Tally:
    """The figures of a campaign while it runs; kept between runs."""

    def __init__(self, figures: dict[str, Figure], versions: dict[str, str]) -> None:
        self.figures, self.versions = figures, versions

    def count(self, name: str, more: float = 1) -> None:
        """Add to a figure that FIGURES declares."""
        self.figures[name] += more  # type: ignore[operator]

    def most(self, name: str, value: float) -> None:
        """Keep the largest."""
        self.figures[name] = max(self.figures[name], value)  # type: ignore[type-var]

    def least(self, name: str, value: float) -> None:
        """Keep the smallest; FIGURES begins it with float("inf")."""
        self.figures[name] = min(self.figures[name], value)  # type: ignore[type-var]

    def say(self, name: str, words: str) -> None:
        """Keep a text."""
        self.figures[name] = words

    def ran_with(self, name: str, version: str) -> None:
        """A program whose version belongs into the record."""
        self.versions[name] = version


@dataclass(frozen=True)
class Campaign:
    """A campaign as its file declares it."""

    name: str
    promise: str
    proves: tuple[str, ...]
    steps: int
    figures: Mapping[str, Figure]
    step: Callable[[Step, Tally], None]
    around: Callable[[Path], contextlib.AbstractContextManager[object]] = lambda folder: contextlib.nullcontext()
    longest_s: float = 30.0
    smoke: bool = True


def names() -> list[str]:
    """Every campaign there is, as `make proof-NAME` spells it."""
    return sorted(p.stem.removeprefix("campaign_").replace("_", "-") for p in Path(__file__).parent.glob("campaign_*.py"))


def load(name: str) -> Campaign:
    """The campaign of that name. Raises KeyError for one that is not there."""
    if name not in names():
        raise KeyError(name)
    m = importlib.import_module("proof.campaign_" + name.replace("-", "_"))
    optional = {key.lower(): getattr(m, key) for key in ("around", "LONGEST_S", "SMOKE") if hasattr(m, key)}
    return Campaign(name, m.PROMISE, tuple(m.PROVES), m.STEPS, m.FIGURES, m.step, **optional)


@dataclass
class State:
    """How far a campaign is."""

    seed: int
    files: dict[str, str]
    figures: dict[str, Figure]
    versions: dict[str, str]
    done: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path, campaign: Campaign, seed: int | None, files: dict[str, str]) -> "State":
        """Where the last run stopped; a new beginning if the proved files, the figures or the seed are others."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            kept = cls(**json.loads(path.read_text("utf-8")))
            if kept.files == files and kept.figures.keys() == campaign.figures.keys() and seed in (None, kept.seed) and kept.done < campaign.steps:
                return kept
        return cls(1 if seed is None else seed, files, dict(campaign.figures), {})

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        (scratch := path.with_suffix(".new")).write_text(json.dumps(self.__dict__, ensure_ascii=False), "utf-8")
        scratch.replace(path)  # a run that is killed while it writes leaves the state of the step before


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the record if the campaign is whole."""

    done: int
    record: Record | None


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="proof-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def go(
    campaign: Campaign, *, seed: int | None = None, budget_s: float = BUDGET_S, steps: int | None = None,
    states: Path = STATES, records: Path = FOLDER, house: Path = HOUSE, tell: Callable[[str], None] = print,
) -> Outcome:
    """Go on with a campaign until it is whole, the budget is used up or `steps` more steps are done.

    A step that fails raises, with its number and the seed said before; nothing is recorded then, and the same step is the next one again.
    """
    path = states / f"{campaign.name}.json"
    state = State.read(path, campaign, seed, hashes(campaign.proves, house))
    began, at_start, longest_s = time.monotonic(), state.done, 0.0
    before_s = state.seconds
    with _folder() as shared, campaign.around(shared) as around:
        while state.done < campaign.steps and (steps is None or state.done - at_start < steps):
            used_s = time.monotonic() - began
            if used_s + max(longest_s, campaign.longest_s) > budget_s:
                break
            with _folder() as folder:
                tally = Tally(dict(state.figures), dict(state.versions))
                try:
                    campaign.step(Step(state.done, Random(f"{state.seed} {state.done}"), folder, around), tally)
                except BaseException:
                    tell(f"proof-{campaign.name}: step {state.done} of seed {state.seed} did not hold; the same command tries it again")
                    raise
            longest_s = max(longest_s, time.monotonic() - began - used_s)
            state.figures, state.versions, state.done = tally.figures, tally.versions, state.done + 1
            state.seconds = round(before_s + time.monotonic() - began, 1)
            state.write(path)
    if state.done < campaign.steps:
        return Outcome(state.done, None)
    record = Record(
        campaign.name, campaign.promise, state.figures, campaign.steps, state.seed, time.strftime("%Y-%m-%d", time.gmtime()), commit(),
        state.seconds, versions(state.versions), state.files,
    )
    record.write(records)
    path.unlink(missing_ok=True)
    return Outcome(state.done, record)
