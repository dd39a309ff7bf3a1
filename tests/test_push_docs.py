"""The page on devices that connect to us names every key that can be written, and its example sites are right."""

import re
from pathlib import Path

import pytest

from config.reading_site import read_site_text
from drivers.lines import http, tcp_server
from gateway.plugins import KINDS

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "push.md").read_text("utf-8")
SITE_FILE = (DOCS / "site_file.md").read_text("utf-8")


@pytest.mark.parametrize("table", [http.Options, tcp_server.Options], ids=lambda table: table.__module__)
def test_every_key_is_named(table) -> None:
    keys = list(table.model_fields)
    assert [key for key in keys if f"`{key}`" not in SITE_FILE] == []


def test_the_example_sites_are_right() -> None:
    examples = re.findall(r"```toml\n(# site\.toml\n.*?)```", PAGE, re.DOTALL)
    assert examples
    for text in examples:
        assert read_site_text(text, KINDS).lines
