"""`ecosentry compute`: decimals as written, one line out for each in, and errors that say what to do."""

import io
import json
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.reading_standards import load
from gateway.offline import computing
from gateway.offline.computing import compute, functions

usual = settings(deadline=None, derandomize=True)


def lines(*written: str) -> tuple[int, list[dict[str, object]]]:
    out = io.StringIO()
    code = compute(written, out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


PM = '{"standard":"HJ633-2026","report":"daily","pollutant":"PM2.5","averaging":"24h","concentration":%s,"unit":"ug/m3"}'

AQHI = '{"standard":"CA-AQHI","report":"hourly","pollutant":"O3|NO2|PM2.5","averaging":"3h","concentration":%s,"unit":"%s"}'


def test_parts_of_a_combined_index_have_their_own_units_and_none_may_be_missing():
    ppb, ppm = "ppb|ppb|ug/m3", "ppm|ppm|mg/m3"
    rows = (('"90|80|150"', ppb), ('"0.09|0.08|0.15"', ppm), ('"90|null|150"', ppb), ('"90||150"', ppb), ("null", ppb))
    found = lines(*(AQHI % row for row in rows))
    empty = {"subindex": None, "level": None, "category": None}
    assert found == (0, [{"result": item} for item in [{"subindex": 19, "level": 4, "category": "Very High Risk"}] * 2 + [empty] * 3])


def test_a_pollutant_named_with_the_mean_that_is_judged_counts_as_itself():
    row = '{"standard":"HJ633-2012","report":"realtime","inputs":{"SO2%s":"8","PM10%s":"88","PM2.5%s":"52","CO":"1","NO2":"9","O3":"9"}}'
    plain, named = lines(row % ("", "", ""), row % ("_1h", "_24h", "_24h"))[1]
    assert plain == named
    assert plain["result"]["iaqi"]["PM10"] == 69


def test_a_concentration_may_be_text_or_number_and_is_taken_as_written():
    assert lines(PM % '"35.5"', PM % "35.5", PM % '"36"', PM % "null") == (0, [
        {"result": {"subindex": 52, "level": 2, "category": "良"}}, {"result": {"subindex": 52, "level": 2, "category": "良"}},
        {"result": {"subindex": 52, "level": 2, "category": "良"}}, {"result": {"subindex": None, "level": None, "category": None}}])


def test_a_unit_that_differs_by_a_power_of_ten_changes_nothing():
    in_mg, in_ng = PM.replace("ug/m3", "mg/m3"), PM.replace("ug/m3", "ng/m³")
    found = lines(PM % '"35.5"', in_mg % '"0.0355"', in_ng % '"35500"', in_mg % "null")[1]
    assert found[0] == found[1] == found[2]
    assert found[3]["result"]["subindex"] is None
    co = PM.replace("PM2.5", "CO")
    assert lines(co % '"2200"')[1][0]["result"]["subindex"] == 55
    us = '{"standard":"US-EPA-AQI-2024","pollutant":"O3","averaging":"8h","concentration":%s,"unit":"%s"}'
    assert lines(us % ('"0.0785"', "ppm"))[1] == lines(us % ('"78.5"', "ppb"))[1]


def test_an_id_without_edition_is_judged_by_the_day_of_the_data():
    row = PM.replace("HJ633-2026", "HJ633").replace("{", '{"at": "%s",', 1)
    code, found = lines(*(row.replace("%s", day, 1) % '"75"' for day in ("2026-02-28T23:59:59+08:00", "2026-03-01T00:00:00+08:00", "2026-02-28")))
    assert (code, [item["result"]["subindex"] for item in found]) == (0, [100, 114, 100])
    zones = [("2026-02-28T15:59:59Z", "Asia/Shanghai"), ("2026-02-28T16:00:00Z", "Asia/Shanghai"), ("2026-03-01T00:00:00+08:00", "America/Denver")]
    found = lines(*(row.replace("%s", day, 1).replace("{", f'{{"zone": "{zone}",', 1) % '"75"' for day, zone in zones))[1]
    assert [item["result"]["subindex"] for item in found] == [100, 114, 100]


@pytest.mark.parametrize(("line", "words"), [
    ("{", "not JSON"), ("[1]", "not an object"), ("{}", 'none of "standard", "nowcast" and "function"'),
    ('{"standard": "HJ633-1999", "concentration": "1"}', 'there is no standard "HJ633-1999"'),
    (PM.replace("PM2.5", "PM25") % '"1"', "it has: SO2, NO2, PM10, CO, O3, PM2.5"),
    (PM.replace("24h", "8h") % '"1"', "it has: 24 h (daily); 1 h (realtime)"),
    (PM.replace("daily", "realtime") % '"1"', "no PM2.5 24h in the report realtime"),
    (PM.replace("ug/m3", "ppb") % '"1"', "in µg/m³; convert it first"),
    (PM % '"12,5"', "is not a number"), (PM % "true", "True is not a number"), (PM % "NaN", "write null for a missing value"),
    (PM % "[1]", "is not a number"), (PM % '"1e99999999"', "beyond what is measured"),
    ('{"standard":"HJ633-2026","report":"daily","inputs":{"H2S":"1"}}', '"H2S" is not a pollutant of HJ633-2026'),
    ('{"standard":"HJ633-2026","report":"weekly","inputs":{}}', "report"),
    ('{"standard":"HJ633-2012","report":"realtime","inputs":{"SO2":"8","SO2_24h":"35"}}', '"SO2_24h" is not a pollutant of HJ633-2012 (realtime)'),
    ('{"standard":"HJ633-2026","report":"daily","inputs":{"SO2":"8"},"not_monitored":["PM25"]}', 'not_monitored: "PM25" is not a pollutant'),
    ('{"standard":"US-EPA-AQI-2024","inputs":{"PM2.5":"5"}}', "PM2.5: US-EPA-AQI-2024 needs its averaging time, one of: 24 h (daily)"),
    (AQHI % ('"90|80|150"', "ug/m3|ppb|ug/m3"), "judges O3 in ppb; convert it first"), (AQHI % ('"90|80|150"', "ppb"), "with three values"),
    ('{"function":"gb3838_clas","args":{}}', 'there is no function "gb3838_clas"'),
    ('{"function":"gb3838_class","args":{"param":"nh3n"}}', "value: is missing"),
    ('{"function":"gb3838_class","args":{"param":"nh3n","value":1,"lake":1}}', "lake: is not an argument"),
    ('{"function":"gb3838_class","args":{"param":"nh3n","value":true}}', "value: true is not a number"),
    ('{"function":"gb3838_class","args":{"param":"tn","value":1}}', "lakes and reservoirs only"),
    ('{"function":"gb3838_class","args":{"param":"nh3n","value":1,"law":"x"}}', "law"),
    ('{"function":"gb3096_check","args":{"zone":"7","period":"day","leq_db":50}}', "it has: 0, 1, 2, 3, 4a, 4b"),
    ('{"function":"topp","args":{"ka":"wet"}}', "ka"),
    ('{"function":"_sun","args":{}}', "there is no function"), ('{"function":"exact","args":{"value":1}}', "there is no function"),
    ('{"function":"gb3838_class","args":{"param":"cod","value":null}}', "line 1: value: null is no value here"),
    ('{"function":"gb3838_assess","args":{"values":{"do":8,"cod":null}}}', "values.cod: null is no value here; leave a missing item out"),
    ('{"function":"nernst_slope_mv","args":{"temp_c":-300}}', "not above absolute zero"),
    ('{"function":"lai_beer","args":{"i_below":0,"i_above":1,"k":1}}', "above 0"),
    ('{"function":"level_sum","args":{"levels":[]}}', "levels is empty"),
    (PM.replace('"unit"', '"units"') % '"0.0754"', '"units" is not a key here; did you mean unit?'),
    ('{"standard":"HJ633-2026","report":"daily","inputs":{"PM2.5":"58"},"notmonitored":["SO2"]}', "did you mean not_monitored?"),
    (PM.replace("{", '{"At":"2026-02-28",', 1) % '"75"', "did you mean at?"),
    (PM.replace("concentration", "concentratio") % '"75"', '"concentratio" is not a key here'),
    ('{"nowcast":"PM2.5","hours_most_recent_first":["9"],"unit":"mg/m3"}', '"unit" is not a key here'),
    ('{"function":"gb3838_class","args":{"param":"nh3n","value":1},"standard":"GB3838"}', '"standard" is not a key here; keys here: args,'),
    (PM.replace("}", ',"concentration":"7"}') % '"75"', '"concentration" is written twice'),
    ('{"standard":"HJ633-2026","report":"daily","inputs":{"PM2.5":"58","PM2.5":"7"}}', '"PM2.5" is written twice'),
    ('{"standard":"HJ633-2026","report":"daily","inputs":{"PM2.5":"58","PM2.5_24h":"500"}}', '"PM2.5" and "PM2.5_24h" are the same'),
    ('{"standard":"HJ633-2012","report":"daily","inputs":{"O3":"58","O3_8h":"500"}}', '"O3" and "O3_8h" are the same'),
    (PM.replace("{", '{"at":"2026-02-28","zone":"Asia/Peking",', 1) % '"75"', "is not a time zone"),
    ('{"nowcast":"PM2.5"}', "hours_most_recent_first"), ('{"nowcast":"NO2","hours_most_recent_first":[]}', "there is one for PM2.5, PM10 and O3"),
])
def test_bad_input_is_an_error_that_says_where_and_what(line: str, words: str):
    code, found = lines(line, PM % '"36"')
    assert code == 1
    assert found[0]["error"].startswith("line 1: ")
    assert words in found[0]["error"]
    assert found[1]["result"]["subindex"] == 52, "the next line is not affected"


def test_a_broken_local_standard_is_an_error_that_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own.toml").write_text('id = "OWN"\n', "utf-8")
    monkeypatch.setattr(computing, "known_standards", lambda: load([tmp_path]))
    code, found = lines(PM % '"36"')
    assert code == 1
    assert "own.toml" in found[0]["error"]


def test_blank_lines_have_no_answer_and_errors_count_them():
    code, found = lines("", "\n", "{")
    assert (code, len(found)) == (1, 1)
    assert found[0]["error"].startswith("line 3: ")


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6)


def test_bytes_that_are_no_text_spoil_only_their_own_line():
    written = b"\xef\xbb\xbf" + (PM % '"36"').encode() + b'\n\xff\xfe{"a\n' + rb'{"function": "\ud800", "args": {}}' + b"\n" + (PM % '"36"').encode()
    done = subprocess.run([sys.executable, "-m", "gateway.cli", "compute"], input=written, capture_output=True, check=False,
                          cwd=Path(__file__).parent.parent, env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    found = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [list(item) for item in found] == [["result"], ["error"], ["error"], ["result"]]
    assert found[0]["result"]["category"] == "良"
    assert done.returncode == 1


FUNCTIONS = sorted(functions())
ARGUMENTS = sorted({key for function in functions().values() for key in signature(function).parameters})
KEYS = ["standard", "zone", "report", "inputs", "concentration", "pollutant", "averaging", "nowcast", "function", "args", "at", "forecast_daily_aqi",
        "not_monitored", "hours_most_recent_first", "unit"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_can_be_asked_for_in_json(name: str):
    arguments = [key for key in signature(functions()[name]).parameters if key != "law"]
    for value in (1, "1", [1], [[1]], {}, {"PM2.5": "1"}, None, "day"):
        code, found = lines(json.dumps({"function": name, "args": dict.fromkeys(arguments, value)}))
        assert (code, len(found)) == (int("error" in found[0]), 1)
    assert "error" in lines(json.dumps({"function": name, "args": {"no such": 1}}))[1][0]


@usual
@given(name=st.sampled_from(FUNCTIONS), args=st.dictionaries(st.sampled_from(ARGUMENTS), json_values))
def test_no_arguments_whatever_end_the_filter(name: str, args: dict[str, object]):
    code, found = lines(json.dumps({"function": name, "args": args}))
    assert len(found) == 1
    assert code == int("error" in found[0])


@usual
@given(row=st.dictionaries(st.sampled_from(KEYS), json_values | st.sampled_from(("HJ633-2026", "daily", "PM2.5", "24h", "CN-HEAVY-POLLUTION",
                                                                                  "IN-NAQI"))))
def test_no_row_whatever_ends_the_filter(row: dict[str, object]):
    code, found = lines(json.dumps(row))
    assert len(found) == 1
    assert code == int("error" in found[0])
