"""Deliberate defects, one at a time, in a copy of the house: the tests that are green without each are red with it."""

import pytest
from proof.campaigns import Step, Tally
from proof.twin_suite import BROKEN, Verdict, copy, run
from proof.twins import TWINS, Twin

PROMISE = "Each of the mistakes that would cost readings, alerts or trust turns the suite red."
PROVES = tuple(sorted({twin.file for twin in TWINS} | {f"tests/{test.split('::')[0]}" for twin in TWINS for test in twin.tests}
                      | {"tests/proof/twins.py", "tests/proof/twin_suite.py", "tests/proof/campaign_twins.py"}))
STEPS = len(TWINS)
FIGURES = {"twins": 0, "turned_red": 0, "tests_that_turned_red": 0, "which": ""}


def step(at: Step, tally: Tally) -> None:
    twin = TWINS[at.number]
    place = copy(at.folder)
    sound, broken = run(twin, place, broken=False), run(twin, place, broken=True)
    if sound.skipped:
        pytest.skip(f"{twin.name}: " + "; ".join(sound.skipped.values()))
    tally.count("twins")
    for verdict in (sound, broken):
        assert verdict.signed == {str(place / twin.file)}, f"{twin.name}: not the copy ran, but {verdict.signed}\n{verdict.printed}"
        assert not verdict.errors, f"{twin.name}: {verdict.errors}\n{verdict.printed}"
    assert sound.code == 0, f"{twin.name}: red without the defect\n{sound.printed}"
    assert sound.passed == set(twin.tests), f"{twin.name}: not all of its tests ran\n{sound.printed}"
    _is_red(twin, broken)
    tally.count("turned_red")
    tally.count("tests_that_turned_red", len(broken.failed))
    tally.say("which", f"{tally.figures['which']}{'; ' if at.number else ''}{twin.name}")


def _is_red(twin: Twin, broken: Verdict) -> None:
    assert broken.code == 1, f"{twin.name}: pytest ended with {broken.code}\n{broken.printed}"
    assert broken.failed.keys() == set(twin.tests), f"{twin.name}: these did not turn red: {set(twin.tests) - broken.failed.keys()}"
    for test, words in broken.failed.items():
        assert not words.startswith(BROKEN), f"{twin.name}: {test} could not run: {words}"
