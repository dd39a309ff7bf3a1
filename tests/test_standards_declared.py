"""The standards' files: complete, dated, exact, and wrong ones refused with their place and repair."""

import io
import json
import re
from datetime import date
from decimal import Decimal
from importlib.resources import files
from inspect import signature
from pathlib import Path

import pytest
from house import House
from law_house import hours, station

from analytics.indices import water_surface
from config.errors import ConfigError
from config.reading_standards import load, parse, read, standards
from config.standard_tables import figure
from gateway.offline import computing
from gateway.offline.computing import call, functions
from gateway.offline.showing_standards import example_holds
from gateway.offline.showing_standards import standards as show_standards
from gateway.overview import Overview

PACKAGED = Path(str(files("config").joinpath("standards")))
LAWS = standards()
TEXT = (PACKAGED / "hj633_2026.toml").read_text("utf-8")
OLD = (PACKAGED / "hj633_2012.toml").read_text("utf-8")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "trial.toml")
    return [f"{problem.line}: {problem.what} → {problem.repair}" for problem in caught.value.problems]


@pytest.mark.parametrize("law", LAWS.all, ids=lambda law: law.name)
def test_every_printed_example_comes_out(law):
    assert [example for example in law.examples if not example_holds(law, example)] == []


@pytest.mark.parametrize("law", LAWS.all, ids=lambda law: law.name)
def test_every_figure_has_unit_clause_and_mark_and_every_function_exists(law):
    for place, _, unit, clause, mark in law.figures():
        assert unit, place
        assert clause, place
        assert mark in "ABCM", place
    assert set(law.functions) <= set(functions()), "a file names a function that is not there"
    called = {*law.functions[:1], *(live.function for live in law.live)}
    assert called
    assert {functions()[name].__module__ for name in called} == {f"analytics.indices.{law.function}"}
    assert law.verified != "M" or law.not_verified, "what rests on memory says so in words"


def test_every_function_that_needs_a_law_has_one():
    named = {name for law in LAWS.all for name in law.functions}
    needing = {name for name, function in functions().items() if "law" in signature(function).parameters}
    assert needing == named


def test_breakpoints_that_do_not_rise_are_refused_by_their_figures():
    found = problems(TEXT.replace("[150, 200], [250, 300], [350, 400], [500, 500]", "[110, 200], [250, 300], [350, 400], [500, 500]"))
    assert found[0].split(": ", 1)[1] == "breakpoints of pm2_5 are not rising at [115, 150], [110, 200] → "


def test_a_figure_without_clause_is_refused_by_name():
    found = problems(TEXT.replace('clause = "table 3"\n', "", 1))
    assert found[0].split(": ", 1)[1].startswith("figure without clause: pollutant, so2 → say where it is printed")


def test_a_standard_without_example_is_refused():
    assert "no example: add [[example]] from the text, so that a wrong figure cannot land" in problems(TEXT.split("[[example]]", maxsplit=1)[0])[0]


def test_a_binary_float_is_refused_with_its_line():
    line = next(number for number, row in enumerate(TEXT.splitlines(), 1) if row.startswith("breakpoints = [[0, 0], [35"))
    assert problems(TEXT.replace("[35, 50]", "[35.5, 50]")) == [f'{line}: 35.5 is a binary float; write it in quotes: "35.5" → ']
    with pytest.raises(ValueError, match="write an integer or a decimal in quotes"):
        figure(0.5)


def test_an_unknown_key_is_refused_with_its_line():
    assert "is not a key here" in problems(TEXT.replace("above_top", "above_topp", 1))[0]


@pytest.mark.parametrize(("change", "words"), [
    (('rule = "half-even"', 'rule = "bankers"'), "half-even"), (("level = 2", "level = 1"), "categories are not rising at level 1, 1"),
    (("[[0, 0], [50, 50], [150, 100], [475", "[[0, 0], [50, 50], [150, 100], [-475"), "not rising"),
    (("in_force = 2026-03-01", 'in_force = "soon"'), "in_force")])
def test_other_mistakes_are_named(change: tuple[str, str], words: str):
    assert words in problems(TEXT.replace(*change, 1))[0]


def folder_with(path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (path / f"{name}.toml").write_text(text, "utf-8")
    return path


def test_two_editions_in_force_at_once_are_refused_with_the_repair(tmp_path: Path):
    folder_with(tmp_path, hj633_2012=OLD.replace("in_force_until = 2026-02-28\n", ""), hj633_2026=TEXT)
    with pytest.raises(ConfigError) as caught:
        load([tmp_path])
    problem = caught.value.problems[0]
    assert problem.what == "two editions of HJ633 are in force on 2026-03-01 (2012 has no end)"
    assert problem.repair == "in_force_until in hj633_2012.toml"


def test_every_wrong_file_is_named_not_just_the_first(tmp_path: Path):
    folder_with(tmp_path, a="not toml [", b=TEXT.split("[[example]]", maxsplit=1)[0], c=OLD)
    with pytest.raises(ConfigError) as caught:
        load([tmp_path])
    assert {Path(problem.file).name for problem in caught.value.problems} == {"a.toml", "b.toml"}


def test_a_local_file_goes_before_the_packaged_one_and_says_so(tmp_path: Path):
    folder_with(tmp_path, hj906_2017=(PACKAGED / "hj906_2017.toml").read_text("utf-8").replace("value = 75", "value = 90"))
    both = load([tmp_path, PACKAGED])
    assert both.named("HJ906").constant("least_valid_rate") == 90
    assert both.paths["HJ906-2017"].startswith(str(tmp_path))
    assert len(both.all) == len(LAWS.all)


def test_only_figures_that_rest_on_memory_can_be_set_by_a_site():
    law = LAWS.named("HJ906")
    assert call("noise_valid_rate_enough", {"rate": 80}, law=law.with_figures({"least_valid_rate": 90})) is False
    assert call("noise_valid_rate_enough", {"rate": 80}, law=law) is True
    water = LAWS.named("GB5749").with_figures({"limits.turbidity_ntu.limit": "0.5"})
    assert call("gb5749_check", {"param": "turbidity_ntu", "value": "0.8"}, law=water)["pass"] is False
    with pytest.raises(ValueError, match=re.escape("verified (A: official text read), so a site cannot change it")):
        LAWS.named("GB3838").with_figures({"surface.nh3n.III": "2"})
    with pytest.raises(ValueError, match="has no figure"):
        law.with_figures({"nothing": 1})


def test_a_file_of_figures_sets_what_rests_on_memory_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder_with(tmp_path, figures='["HJ906-2017"]\nleast_valid_rate = 90\n["GB5749-2022"]\n"limits.turbidity_ntu.limit" = "0.5"\n')
    own = load([tmp_path, PACKAGED])
    assert len(own.all) == len(LAWS.all)
    assert "figures.toml" in own.paths["HJ906-2017"]
    monkeypatch.setattr(computing, "known_standards", lambda: own)
    assert call("noise_valid_rate_enough", {"rate": 80}) is False
    assert call("gb5749_check", {"param": "turbidity_ntu", "value": "0.8"})["limit"] == Decimal("0.5")
    folder_with(tmp_path, figures='["GB3838-2002"]\n"surface.nh3n.III" = 2\n["HJ906"]\nleast_valid_rate = 90\n["HJ75-2017"]\nnothing = 1\n')
    with pytest.raises(ConfigError) as refused:
        load([tmp_path, PACKAGED])
    told = [(problem.line, problem.what) for problem in refused.value.problems]
    assert [line for line, _ in told] == [2, 3, 6]
    assert "a site cannot change it" in told[0][1]
    assert told[1][1] == "there is no standard HJ906"
    assert "has no figure nothing" in told[2][1]


@pytest.mark.parametrize(("standard", "place", "value", "words"), [
    ("HJ906-2017", "least_valid_rate", "1e999999", "more digits than any figure"),
    ("HJ906-2017", "least_valid_rate", 8000, "is not between 0 and 100 %"),
    ("HJ906-2017", "least_valid_rate", -80, "is not between 0 and 100 %"), ("EU-END-2002", "night_from", 30, "is not between 0 and 24 h"),
    ("EU-END-2002", "day_from", "7.5", "is not a whole hour"), ("EU-END-2002", "evening_from", 6, "day_from = 7 is not before evening_from = 6"),
    ("WHO-AQG-2021", "retained.no2 1 h.AQG", "-1", "is not between 0"),
    ("WHO-AQG-2021", "retained.no2 1 h.AQG", 200001, "is not between 0 and 200000"),
    ("EU-AAQD-2024", "limits.lead annual.exceedances", 1000001, "is not between 0 and 1000000"),
])
def test_a_site_s_figure_is_one_of_its_kind(standard: str, place: str, value: str | int, words: str):
    with pytest.raises(ValueError, match=words):
        LAWS.named(standard).with_figures({place: value})


def test_the_21_items_of_the_assessment_are_those_of_the_method():
    surface = set(LAWS.named("GB3838").table("surface").rows)
    assert surface - set(water_surface.NOT_AMONG_THE_21) == set(LAWS.named("MEE22").table("items").rows)
    assert len(LAWS.named("MEE22").table("items").rows) == 21


def test_tables_never_get_stricter_from_class_i_to_v():
    for name in ("surface", "lake"):
        table = LAWS.named("GB3838").table(name)
        for row, cells in table.rows.items():
            if table.row_compare.get(row) == "range":
                continue
            ordered = sorted(cells, reverse=table.row_compare.get(row) == "min")
            assert list(cells) == ordered, row


def text_of(words: list[str], *, show: bool, as_json: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return show_standards(words, show=show, as_json=as_json, out=out), out.getvalue()


def test_the_list_shows_editions_dates_and_marks():
    code, text = text_of([], show=False)
    rows = [line.split() for line in text.splitlines()]
    assert code == 0
    assert ["HJ633", "2012", "until", "2026-02-28", "CN"] in [row[:5] for row in rows]
    assert ["HJ633", "2026", "since", "2026-03-01", "CN"] in [row[:5] for row in rows]
    for law in standards().all:
        line = next(line for line in text.splitlines() if line.split()[:2] == [law.id, str(law.edition)])
        assert law.marks() in line, "each says how far it was verified"
        assert line.endswith(law.source), "and where it comes from"
        assert ("(M)" in line) == (law.in_force_verified == "M" and law.in_force is not None and law.in_force_until is None)
    assert sum(line.startswith("GB12348 ") for line in text_of(["noise", "cn"], show=False)[1].splitlines()) == 1
    assert "HJ633" not in text_of(["noise"], show=False)[1]


def test_showing_one_prints_its_tables_and_what_is_not_verified():
    code, text = text_of(["HJ633-2026"], show=True)
    assert code == 0
    assert "HJ 633-2026, in force since 2026-03-01, verified A" in text
    assert "0 35 60 115 150 250 350 500  →  0 50 100 150 200 300 400 500" in text
    assert "examples 4 of 4" in text
    assert "configurable" in text_of(["hj906"], show=True)[1]
    assert text_of(["show", "HJ633-2026"], show=True) == (code, text), "as the words stand on the command line"
    assert "   codmn 高锰酸盐指数   2  4  6  10  15" in text_of(["GB3838"], show=True)[1]
    assert text_of(["HJ633"], show=True)[1].count("examples") == 2, "an id alone shows its editions"


def test_a_file_can_be_shown_before_it_is_installed(tmp_path: Path):
    path = folder_with(tmp_path, trial=TEXT) / "trial.toml"
    assert text_of([str(path)], show=True) == text_of(["HJ633-2026"], show=True)
    assert read(path).name == "HJ633-2026"
    path.write_text(TEXT.replace("subindex = 52", "subindex = 53"), "utf-8")
    code, text = text_of([str(path)], show=True)
    assert (code, "examples 3 of 4" in text) == (1, True)
    path.write_text("id = 3", "utf-8")
    assert text_of([str(path)], show=True)[0] == 78


def test_json_of_the_list_and_of_one():
    listed = json.loads(text_of([], show=False, as_json=True)[1])
    assert listed["format"] == 1
    assert len(listed["standards"]) == len(LAWS.all)
    whole = json.loads(text_of(["HJ633-2026"], show=True, as_json=True)[1])["standards"][0]
    assert whole["pollutant"][0]["breakpoints"][1] == ["50", "50"], "figures are text, so no reader makes floats of them"
    assert text_of(["nonsense"], show=True)[0] == 2
    assert text_of(["nonsense"], show=False)[0] == 2


NEW = """
id = "EXAMPLE-DUST"
edition = 2030
number = "EX 1-2030"
title.en = "Dust fall"
jurisdiction = "EX"
medium = "air"
source = "an invented text"
verified = "A"
function = "air_limits"
functions = ["who_check"]

[[limits]]
name = "levels"
clause = "1"
unit = "g/m²"
columns = ["IT1", "AQG"]
[limits.rows]
"dust 30 d" = [10, "2.5"]

[[example]]
function = "who_check"
args = { quantity = "dust", averaging = "30 d", value = "2.6" }
result = { limit = "2.5", pass = false, target = "IT1" }
"""
FUNCTION = '''"""An index of a contributor."""
from analytics.indices._exact import Figure, exact
from config.standard import Standard


def dust_check(grams: Figure, *, law: Standard) -> bool:
    """Whether dust fall meets the level."""
    return exact(grams) <= law.table("levels").number("dust 30 d", "AQG")
'''


def test_a_contributor_adds_a_standard_with_one_file_and_one_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import analytics.indices

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "dust_example.py").write_text(FUNCTION, "utf-8")
    own = NEW.replace('function = "air_limits"', 'function = "dust_example"').replace('["who_check"]', '["dust_check"]')
    own = own.split("[[example]]", maxsplit=1)[0] + '[[example]]\nfunction = "dust_check"\nargs = { grams = "2.5" }\nresult = true\n'
    folder_with(tmp_path, example_dust_2030=own)
    laws = load([tmp_path, PACKAGED])
    monkeypatch.setattr(analytics.indices, "__path__", [*analytics.indices.__path__, str(tmp_path / "code")])
    monkeypatch.setattr(computing, "known_standards", lambda: laws)
    computing.functions.cache_clear()
    try:
        assert example_holds(laws.named("EXAMPLE-DUST"), laws.named("EXAMPLE-DUST").examples[0])
        out = io.StringIO()
        assert computing.compute(['{"function": "dust_check", "args": {"grams": 2.51}}'], out) == 0
        assert json.loads(out.getvalue()) == {"result": False}
    finally:
        computing.functions.cache_clear()


def test_a_new_standard_of_known_arithmetic_needs_no_code(tmp_path: Path):
    law = load([folder_with(tmp_path, example_dust_2030=NEW)]).named("EXAMPLE-DUST")
    assert example_holds(law, law.examples[0])
    assert law.table("levels").number("dust 30 d", "AQG") == Decimal("2.5")
    assert load([tmp_path]).named("EXAMPLE-DUST", date(1999, 1, 1)) is not None, "a single edition without a date holds always"


LIVE = """
[[live]]
report = "hourly"
function = "soot_live"
items = { pm1 = "soot" }
argument = "inputs"
[[live.gives]]
quantity = "aqi"
result = "index"
category = true

[[category]]
level = 1
range = [0, 10]
name.en = "Clean"
colour = "#00ff00"
[[category]]
level = 2
range = [11, "none"]
name.en = "Sooty"
colour = "#222222"
"""
SOOT = '''"""An index of a contributor, live."""
from collections.abc import Mapping

from analytics.indices._exact import Figure, maybe
from config.standard import Standard


def soot_live(inputs: Mapping[str, Figure | None], *, law: Standard) -> dict[str, int | None]:
    """Soot in steps of the level."""
    soot = maybe(inputs.get("soot"))
    return {"index": None if soot is None else int(soot / law.table("levels").number("dust 30 d", "AQG"))}
'''


def test_a_contributors_file_and_function_judge_a_station_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The daemon computes it, a rule watches it, people see its category: without a line of ours."""
    import analytics.indices
    from config import reading_standards

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "soot_example.py").write_text(SOOT, "utf-8")
    own = NEW.replace("EXAMPLE-DUST", "EXAMPLE-SOOT").replace('"air_limits"', '"soot_example"').replace("who_check", "soot_live")
    example = '[[example]]\nfunction = "soot_live"\nargs = { inputs = { soot = 30 } }\nresult = { index = 12 }\n'
    own = own.split("[[example]]", maxsplit=1)[0] + LIVE + example
    monkeypatch.setattr(analytics.indices, "__path__", [*analytics.indices.__path__, str(tmp_path / "code")])
    monkeypatch.setattr(reading_standards, "LOCAL", folder_with(tmp_path, example_soot_2030=own))
    reading_standards.standards.cache_clear()
    computing.functions.cache_clear()
    try:
        law = reading_standards.standards().named("EXAMPLE-SOOT")
        assert example_holds(law, law.examples[0])
        site, expected = station("pm1", standards=("EXAMPLE-SOOT",), rules={"soot": {"quantity": "aqi", "above": {"orange": "10"}}})
        house = House(tmp_path / "journal", site, expected=expected)
        hours(house, {"pm1": 25.0})
        hours(house, {"pm1": 30.0})
        overview = Overview(tmp_path / "journal", site, "test", house.clock, [], dict)
        (shown,) = [row for row in overview.live() if row["quantity"] == "aqi"]
        overview.close()
        with house.reader() as reader:
            (alert,) = reader.alerts(10)
        house.kill()
    finally:
        reading_standards.standards.cache_clear()
        computing.functions.cache_clear()
    assert (shown["value"], shown["category"], shown["colour"]) == (12, {"en": "Sooty", "zh": ""}, "#222222")
    assert [step[3]["what"] for step in alert["log"]] == ["yard/aqi/index/3600 s/EXAMPLE-SOOT 12.0 > 10 (EX 1-2030)"]
