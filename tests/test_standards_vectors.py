"""Every expected result that we hold comes out of `ecosentry compute`."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from analytics.indices import air_us
from analytics.indices._nowcast import nowcast_o3_ppb
from config.reading_standards import standards
from gateway.offline.computing import compute

CASES = Path(__file__).parent / "cases" / "standards"
SCENARIO_INPUTS = ("standard", "report", "inputs", "not_monitored", "forecast_daily_aqi")


def answers(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    out = io.StringIO()
    code = compute((json.dumps(row, ensure_ascii=False) for row in rows), out)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(found) == len(rows), "one line out for each line in"
    assert code == int(any("error" in row for row in found))
    return found


def same(found: object, expected: object, absolute: float, relative: float) -> bool:
    if isinstance(expected, dict):
        return isinstance(found, dict) and found.keys() == expected.keys() and all(same(found[k], expected[k], absolute, relative) for k in expected)
    if isinstance(expected, list):
        paired = isinstance(found, list) and len(found) == len(expected)
        return paired and all(same(a, b, absolute, relative) for a, b in zip(found, expected, strict=True))
    if expected is None or isinstance(expected, bool | str):
        return found is expected or (isinstance(expected, str) and found == expected)
    return isinstance(found, int | float) and not isinstance(found, bool) and abs(found - expected) <= absolute + relative * abs(expected)


def test_every_index_row_comes_out_of_compute():
    with (CASES / "index_vectors.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ("standard", "report", "pollutant", "averaging", "concentration", "unit")
    wrong = []
    for row, found in zip(rows, answers([{key: row[key] for key in keys} for row in rows]), strict=True):
        accepted = {row["expected_subindex"], row["alt_subindex"] or row["expected_subindex"]}
        expected = [{"subindex": int(index) if index else None, "level": int(row["expected_level"]) if row["expected_level"] else None,
                     "category": row["expected_category"] or None} for index in accepted]
        if found.get("result") not in expected:
            wrong.append((row, found))
    assert len(rows) == 2168
    assert not wrong


@pytest.mark.parametrize("group", ["cn", "us", "india", "cn_warning"])
def test_every_scenario_comes_out_of_compute(group: str):
    rows = json.loads((CASES / "scenarios.json").read_text("utf-8"))[group]
    found = answers([{key: row[key] for key in SCENARIO_INPUTS if key in row} for row in rows])
    assert [item.get("result") for item in found] == [{key: value for key, value in row.items() if key not in SCENARIO_INPUTS} for row in rows]


def test_every_nowcast_comes_out_of_compute_as_an_exact_fraction():
    cases = json.loads((CASES / "nowcast.json").read_text("utf-8"))["pm_cases"]
    found = answers([{"nowcast": case["pollutant"], "hours_most_recent_first": case["hours_most_recent_first"]} for case in cases])
    about = ("id", "pollutant", "hours_most_recent_first", "source")
    assert [item.get("result") for item in found] == [{key: value for key, value in case.items() if key not in about} for case in cases]


def test_every_formula_case_comes_out_of_compute_within_its_tolerance():
    cases = json.loads((CASES / "formula_vectors.json").read_text("utf-8"))["cases"]
    found = answers([{"function": case["function"], "args": case["args"]} for case in cases])
    wrong = [(case["id"], item) for case, item in zip(cases, found, strict=True)
             if "result" not in item or not same(item["result"], case["expected"], case["tol_abs"], case["tol_rel"])]
    assert len(cases) == 273
    assert not wrong


def test_surrogate_of_the_ozone_nowcast_comes_out_of_compute():
    cases = json.loads((CASES / "nowcast.json").read_text("utf-8"))["ozone"]["surrogate_vectors"]
    assert [item["result"] for item in answers([{"nowcast": "O3", "o3_1h_ppb": case["o3_1h_ppb"]} for case in cases])] == \
        [{"nowcast_ppb": case["nowcast_ppb"]} for case in cases]
    one_hour = answers([{"nowcast": "O3", "hours_most_recent_first": [str(case["o3_1h_ppb"])]} for case in cases])
    assert [item["result"]["nowcast_ppb"] for item in one_hour] == [case["nowcast_ppb"] for case in cases]


@pytest.fixture(scope="module")
def hours() -> tuple[float, np.ndarray]:
    head, *lines = (CASES / "ozone_hours.txt").read_text("utf-8").splitlines()
    return float(head.split(":")[1]), np.array([float(word) for line in lines for word in line.split()])


def test_ozone_nowcast_is_what_the_epa_code_gives_for_its_example(hours):
    expected, values = hours
    found, way = nowcast_o3_ppb(values)
    assert (way, abs(found - expected) < 1e-9) == ("regression", True)


def test_ozone_nowcast_goes_through_its_decision_tree(hours):
    _, values = hours
    nan = float("nan")

    def changed(**places: float) -> np.ndarray:
        copy = values.copy()
        for name, value in places.items():
            copy[-int(name[1:])] = value
        return copy

    law = standards().named("US-EPA-AQI-2024")
    assert nowcast_o3_ppb(np.full(336, nan))[1] == "none"
    assert nowcast_o3_ppb(values[-251:]) == (0.85 * 14 + 4.5, "surrogate")
    holed = values.copy()
    holed[100:108] = nan
    assert nowcast_o3_ppb(holed)[1] == "surrogate", "more than seven missing in a row"
    holed[100] = 50
    assert nowcast_o3_ppb(holed)[1] == "regression"
    assert nowcast_o3_ppb(np.zeros(336)) == (0.0, "zero")
    before, way = nowcast_o3_ppb(changed(h1=nan))
    assert way == "earlier_1h"
    assert before == nowcast_o3_ppb(values[:-1])[0]
    assert nowcast_o3_ppb(changed(h1=nan, h2=nan))[1] == "earlier_2h"
    assert nowcast_o3_ppb(changed(h1=nan, h2=nan, h3=nan))[1] == "none"
    assert air_us.nowcast_o3([None] * 336, law=law)["valid"] is False
