"""`make proof-NAME`: go on with a campaign. ARGS: --seed N  --budget SECONDS  --steps N.  `make proof-list`: how current each proof is.

Exit code 0: whole, the record is written; 3: not whole yet, the same command goes on; 1: the promise does not hold, or something is lacking.
"""

import argparse
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proof.campaigns import BUDGET_S, go, load, names
from proof.record import FOLDER, read_record


def show() -> int:
    """One line a campaign."""
    for name in names():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            print(f"{name:24} not run yet: make proof-{name}")
            continue
        record = read_record(path)
        changed = record.changed()
        state = f"older than the code ({', '.join(changed)})" if changed else "current"
        print(f"{name:24} {record.date}  {state}\n{'':24} {', '.join(f'{key} {value}' for key, value in record.figures.items())}")
    return 0


def main() -> int:
    """Run what the command line asks for."""
    arguments = argparse.ArgumentParser(prog="make proof-NAME", description=__doc__)
    arguments.add_argument("name")
    arguments.add_argument("--seed", type=int)
    arguments.add_argument("--budget", type=float, default=BUDGET_S, metavar="SECONDS")
    arguments.add_argument("--steps", type=int)
    chosen = arguments.parse_args()
    if chosen.name == "list":
        return show()
    try:
        campaign = load(chosen.name)
    except KeyError:
        print(f"there is no campaign {chosen.name}; there are: {', '.join(names())}", file=sys.stderr)
        return 1
    print(f"proof-{campaign.name}: {campaign.promise}", flush=True)
    try:
        outcome = go(campaign, seed=chosen.seed, budget_s=chosen.budget, steps=chosen.steps, tell=lambda words: print(words, file=sys.stderr))
    except pytest.skip.Exception as lacking:
        print(f"not run: {lacking}", file=sys.stderr)
        return 1
    if outcome.record is None:
        print(f"{outcome.done} of {campaign.steps} steps; the same command goes on")
        return 3
    print(f"whole: {', '.join(f'{key} {value}' for key, value in outcome.record.figures.items())}  → docs/proof/{campaign.name}.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
