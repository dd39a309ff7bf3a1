"""The pages of standards say what the product does, and their examples are what it answers."""

import io
import json
from itertools import pairwise
from pathlib import Path

import pytest
import standards_page

from config.reading_standards import standards
from gateway.offline.computing import compute, functions

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("path", sorted(standards_page.pages()), ids=str)
def test_the_page_is_the_one_that_the_product_writes(path: Path):
    assert (DOCS / path).read_text("utf-8") == standards_page.pages()[path], "run: python tests/standards_page.py"


def test_every_standard_function_report_and_unverified_figure_is_on_the_page_of_its_family():
    text = {name: (DOCS / "standards" / f"{name}.md").read_text("utf-8") for name in standards_page.PAGES}
    whole = "".join(text.values())
    assert sorted(path.stem for path in (DOCS / "standards").iterdir()) == sorted(text)
    assert [name for name in functions() if whole.count(f"\n| `{name}` |") != 1] == []
    of_medium = {medium: name for name, (_, media) in standards_page.PAGES.items() for medium in media}
    for law in standards().all:
        page = text[of_medium[law.medium]]
        assert f"| {law.id} | {law.edition} |" in page
        assert all(f"| `{law.id}` | {live.report} |" in page for live in law.live)
        assert all(f"{law.name} {place}" in page for place, _, _, _, mark in law.figures() if mark == "M")


def test_every_worked_example_is_answered_as_printed():
    asked = 0
    for name in standards_page.PAGES:
        lines = (DOCS / "standards" / f"{name}.md").read_text("utf-8").splitlines()
        for line, printed in pairwise(lines):
            if line.startswith("$ echo '"):
                out = io.StringIO()
                assert compute([line.removeprefix("$ echo '").removesuffix("' | ecosentry compute")], out) == 0
                assert json.loads(out.getvalue()) == json.loads(printed)
                asked += 1
    assert asked >= 11
