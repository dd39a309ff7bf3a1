"""The page of standards says what the product does, and its examples are what it answers."""

from pathlib import Path

import standards_page

from gateway.offline.computing import functions

PAGE = Path(__file__).parent.parent / "docs" / "standards.md"


def test_the_page_is_the_one_that_the_product_writes():
    assert PAGE.read_text("utf-8") == standards_page.page(), "run: python tests/standards_page.py > docs/standards.md"


def test_every_function_and_every_unverified_figure_is_on_the_page():
    text = PAGE.read_text("utf-8")
    assert [name for name in functions() if f"`{name}`" not in text] == []
    assert "CN-GRID-CO2-2023 national.2021.factor" in text
