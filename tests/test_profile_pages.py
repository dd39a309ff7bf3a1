"""The pages on level, flow, weather, rain and vegetation list what is shipped, and the site that they show is right."""

import re
from pathlib import Path

import pytest

from config.find import Found
from config.reading_profile import read_profile
from gateway.building import load_site
from gateway.checking.check import prove
from gateway.plugins import KINDS

HOUSE = Path(__file__).parent.parent
SHIPPED = [read_profile(Found(path.stem, str(path), True, path.read_bytes()), KINDS) for path in sorted((HOUSE / "config/devices").glob("*.toml"))]


def listed(page: str) -> dict[str, str]:
    """The evidence of each profile in the table of a page."""
    return dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+) \|", (HOUSE / f"docs/{page}.md").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize(("medium", "pages"), [("water", ("water", "level")), ("weather", ("weather",)), ("vegetation", ("vegetation",))])
def test_every_profile_stands_on_one_page_with_its_evidence(medium, pages):
    rows = [row for page in pages for row in listed(page).items()]
    wanted = {profile.name: "ours" if profile.file.verified == "S" else profile.file.evidence for profile in SHIPPED if profile.file.medium == medium}
    assert len(rows) == len(dict(rows)), "one page, not both"
    assert dict(rows) == wanted, f"give it a row in docs/{pages[-1]}.md"


def test_the_site_on_the_page_gives_a_level(tmp_path):
    site = re.search(r"```toml\n(# site\.toml.*?)```", (HOUSE / "docs/level.md").read_text("utf-8"), re.DOTALL)
    assert site is not None
    (tmp_path / "site.toml").write_text(site[1], "utf-8")
    loaded = load_site(tmp_path / "site.toml")
    prove(loaded)
    assert loaded.site.devices["gauge"].common.inputs["surface"].row == "water_level"
