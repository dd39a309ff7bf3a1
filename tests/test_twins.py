"""The broken twins do not rot: each still changes what it changed, into source that can run, and its tests are there."""

import ast
import re

import pytest
from proof.record import HOUSE
from proof.twin_suite import patched
from proof.twins import TWINS


def test_there_are_twins_enough_and_each_has_a_name_of_its_own():
    assert len(TWINS) >= 20
    assert len({twin.name for twin in TWINS}) == len(TWINS)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name.replace(" ", "-"))
def test_a_twin_still_fits_the_source_and_its_tests_exist(twin):
    source = patched(twin)
    assert source != (HOUSE / twin.file).read_text("utf-8")
    ast.parse(source)
    assert twin.tests
    for test in twin.tests:
        file, name = test.split("::")
        assert re.search(rf"^def {name}\(", (HOUSE / "tests" / file).read_text("utf-8"), re.MULTILINE), test
