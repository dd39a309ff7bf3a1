"""Input modules: currents, pulses and contacts mean what the site file says, across turns of a counter, restarts and kills."""

import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import naive
import numpy as np
import pytest
from house import House, S, TurnedClock
from hypothesis import given, settings
from hypothesis import strategies as st
from modbus_devices import from_file

from analytics import signals
from analytics.state import Layout, State
from config.errors import ConfigError
from config.find import Found
from config.input_table import Input
from config.inputs import wired
from config.reading_profile import read_profile
from config.reading_site import read_site_text
from config.series import Flag, Reason, Series
from config.site import Console, DeviceTable, Site, SiteDevice, Station
from config.table import Table
from gateway.building import Builder, load_site
from gateway.plugins import Plugins
from gateway.wiring import Expected, restore
from gateway.wiring_signals import wire_signals

LEVEL, RAIN, FLOW = Series("river", "box", "water_level"), Series("river", "box", "rain"), Series("river", "box", "flow")
DOOR = Series("river", "box", "door_open")
INPUTS = {
    "ai1": Input(quantity="water_level", range="0..5 m"), "ci1": Input(quantity="rain", each="0.2 mm", rolls_over=65536),
    "ci2": Input(quantity="flow", each="10 L", rolls_over=2**32), "di1": Input(quantity="door_open", inverted=True)}
SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "/dev/ttyUSB0"
[devices.box]
address = 2
profile = "waveshare_analog_8ch"
inputs.ai1 = { quantity = "water_level", range = "0..5 m" }
inputs.ai3 = { quantity = "water_level", range = "0..10 m", channel = "weir" }
[devices.tips]
address = 3
profile = "aspar_mini_4di"
inputs.ci1 = { quantity = "rain", each = "0.2 mm" }
inputs.ci3 = { quantity = "flow", each = "10 L" }
inputs.di4 = { quantity = "door_open", inverted = true }
"""


def site(inputs=INPUTS):
    box = SiteDevice(common=DeviceTable(profile="x", line="l", station="river", inputs=inputs), options=Table())
    return Site(stations={"river": Station(name="River")}, devices={"box": box}, console=Console(enabled=False))


@dataclass
class Yard:
    """A house whose box has counters."""

    house: House

    def read(self, **raw):
        self.house.clock.forward(10)
        names = {"level": LEVEL, "rain": RAIN, "flow": FLOW, "door": DOOR}
        self.house.say(*((names[name], value) for name, value in raw.items()))
        self.house.turn()

    def rows(self, series):
        with self.house.reader() as reader:
            rows = reader.rows_after(0, 10_000)
        mine = [i for i in range(len(rows)) if rows.series[rows.which[i]] == series]
        return [SimpleNamespace(**{name: getattr(rows, name)[i].item() for name in ("raw", "value", "flag", "reason", "span")}) for i in mine]


@pytest.fixture
def yard(tmp_path):
    house = House(tmp_path, site(), TurnedClock(), [Expected(s, 10.0, False) for s in (LEVEL, RAIN, FLOW, DOOR)])
    yield Yard(house)
    house.kill()


def test_a_current_stays_the_raw_reading_and_its_meaning_becomes_the_value(yard):
    for current in (4.0, 12.0, 4.8, 20.0, math.nan):
        yard.read(level=current)
    got = [(row.raw, row.value, row.flag) for row in yard.rows(LEVEL)]
    assert got[:4] == [(4.0, 0.0, 1), (12.0, 2.5, 1), (4.8, 0.25, 1), (20.0, 5.0, 1)], "decimal-true"
    assert math.isnan(got[4][0])
    assert got[4][2] == Flag.MISSING


@pytest.mark.parametrize(("current", "flag", "reason"), [
    (3.6, Flag.FAIL, "D"), (3.61, Flag.SUSPECT, "T"), (3.8, Flag.GOOD, "N"), (20.5, Flag.GOOD, "N"), (20.51, Flag.SUSPECT, "T"),
    (20.99, Flag.SUSPECT, "T"), (21.0, Flag.FAIL, "D"), (0.0, Flag.FAIL, "D")])
def test_the_limits_of_a_live_zero_are_those_of_namur_ne_43(yard, current, flag, reason):
    yard.read(level=current)
    (row,) = yard.rows(LEVEL)
    assert (row.flag, chr(row.reason), row.raw) == (flag, reason, current)


def test_tips_become_rain_since_the_last_reading_and_a_turn_of_the_counter_costs_nothing(yard):
    for count in (65530, 65534, 65534, math.nan, 3):
        yard.read(rain=count)
    rows = yard.rows(RAIN)
    assert math.isnan(rows[0].value)
    assert (rows[0].raw, rows[0].flag, rows[0].reason) == (65530, Flag.MISSING, Reason.BEGUN)
    assert [(row.value, row.span // S, row.flag) for row in rows[1:3]] == [(0.8, 10, 1), (0.0, 10, 1)]
    assert (rows[4].value, rows[4].span // S) == (1.0, 20), "five tips over the turn, since the last count that was read"


def test_a_counter_that_began_anew_gives_no_value_once_and_then_goes_on(yard):
    for count in (40000, 40010, 2, 4):
        yard.read(rain=count)
    assert str([row.value for row in yard.rows(RAIN)]) == "[nan, 2.0, nan, 0.4]", "25538 tips in 10 s would be 5 m of rain"


def test_pulses_of_a_volume_become_a_flow_over_the_time_between(yard):
    yard.read(flow=2**32 - 4)
    yard.read(flow=1)
    assert [(row.value, row.span // S) for row in yard.rows(FLOW)][1] == (0.005, 10), "5 pulses of 10 L in 10 s"


def test_a_contact_can_be_inverted(yard):
    yard.read(door=0.0)
    yard.read(door=1.0)
    assert [row.value for row in yard.rows(DOOR)] == [1.0, 0.0]


@pytest.mark.parametrize("unclean_twice", [False, True])
def test_counters_go_on_exactly_after_a_kill_while_the_box_was_away(yard, unclean_twice):
    yard.read(rain=10, flow=10)
    yard.read(rain=20, flow=20)
    yard.house.again()
    if unclean_twice:
        yard.house.again()
    yard.house.clock.forward(3590)
    yard.read(rain=70, flow=380)
    rain, flow = yard.rows(RAIN)[-1], yard.rows(FLOW)[-1]
    assert (rain.value, rain.span // S) == (10.0, 3600), "it rained while nobody listened"
    assert (flow.value, flow.flag) == (0.001, 1)
    assert yard.rows(LEVEL) == []


def test_the_hour_adds_the_rain_up(yard):
    for tips in range(362):
        yard.read(rain=tips)
    yard.house.clock.forward(20)
    yard.house.turn()
    (hour,) = yard.rows(RAIN._replace(statistic="sum", period_s=3600))[:1]
    assert hour.value == pytest.approx(359 * 0.2), "the first reading has nothing to subtract from"


def test_the_plan_keeps_how_signals_are_read(yard):
    plan = yard.house.core._plan
    with yard.house.reader() as reader:
        again = restore(reader.plan(yard.house.core._version))
    assert again.fingerprint == plan.fingerprint
    assert again.signals.kind.tolist() == plan.signals.kind.tolist()


TABLES = {0: {"kind": 1, "low": 4.0, "high": 20.0, "zero": -10.0, "full": 50.0}, 1: {"kind": 2, "full": 0.2, "size": 100.0, "most": 15.0},
          2: {"kind": 3, "full": 0.5, "size": 0.0, "most": 1e9}, 3: {"kind": 4}, 4: {"kind": 0}}
row = st.tuples(st.integers(0, 4), st.integers(0, 30), st.one_of(st.just(math.nan), st.integers(0, 99).map(float), st.sampled_from([3.6, 3.8, 20.5])),
                st.sampled_from(b"NNNMD"))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(row, max_size=40), st.integers(0, 40), st.booleans())
def test_signals_agree_with_their_plain_twin_wherever_they_are_cut(rows, cut, compiled):
    names = ("low", "high", "zero", "full", "grid", "size", "most")
    table = signals.Signals(np.array([t["kind"] for t in TABLES.values()], np.uint8),
                            *(np.array([{"grid": 1e6, **t}.get(name, 0.0) for t in TABLES.values()]) for name in names))
    state = State(Layout(signals.COLUMNS, {"series": tuple("abcde")}))
    convert, got = signals.convert, []
    signals.convert = convert if compiled else getattr(convert, "py_func", convert)
    try:
        for part in (rows[:cut], rows[cut:]):
            which, at, raw, reason = zip(*part, strict=True) if part else ((),) * 4
            found = signals.values(table, state, np.array(which, np.int32), np.array(at, np.int64) * S, np.zeros(len(part), np.int64),
                                   np.array(raw, np.float64), np.array(reason, np.uint8))
            got += list(zip(found.value.tolist(), found.span.tolist(), found.reason.tolist(), strict=True))
    finally:
        signals.convert = convert
    want = naive.signals([(s, at * S, raw, reason) for s, at, raw, reason in rows], TABLES)
    for one, other in zip(got, want, strict=True):
        assert one[0] == pytest.approx(other[0], abs=2e-6, nan_ok=True)
        assert one[1:] == other[1:]


def test_the_site_file_says_what_is_wired_and_only_that_is_read():
    file = read_site_text(SITE, Plugins())
    assert file.devices["tips"].common.inputs["ci1"].rolls_over == 2**32, "as its register has it"
    profile = wired(shipped("waveshare_analog_8ch"), file.devices["box"].common.inputs)
    assert list(profile.rows) == ["water_level", "water_level:weir"]
    assert wire_signals(file, [Series("river", "probe", "ph")], []) is None


def shipped(name):
    return from_file(files("config").joinpath(f"devices/{name}.toml"))


def test_a_driver_reads_only_the_terminals_that_are_wired(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    drivers = Builder(load_site(path)).drivers("cabinet")
    series = {name: [f"{s.quantity}:{s.channel}" for s in driver.groups()[0].series] for name, driver in drivers.items()}
    assert series == {"box": ["water_level:", "water_level:weir"], "tips": ["door_open:", "rain:", "flow:"]}


@pytest.mark.parametrize(("written", "said"), [
    ('inputs.ai9 = { quantity = "water_level", range = "0..5 m" }', "waveshare_analog_8ch has no terminal ai9: its terminals are ai1, ai2"),
    ('inputs.ai1 = { quantity = "water_level" }', "loop_current takes range and nothing else"),
    ('inputs.ai1 = { quantity = "water_level", range = "0..500 cm" }', "water_level is measured in m, not in cm"),
    ('inputs.ai1 = { quantity = "water_levle", range = "0..5 m" }', "there is no quantity water_levle"),
    ('inputs.ai1 = { quantity = "ph", range = "0..14", signal = "0..10 V" }', 'signal is a current: as in "4..20 mA"'),
    ('inputs.ai1 = { quantity = "ph", each = "1" }', "loop_current takes range and nothing else"),
    ('inputs.ai1 = { quantity = "ph", range = "0..14" }\ninputs.ai2 = { quantity = "ph", range = "0..14" }', "ai1 is ph already"),
    ('inputs.ai1 = { quantity = "ph", ranges = "0..14" }', "did you mean range?"),
    ("inputs = 3", "inputs = 3 must be a table"),
])
def test_a_wrong_input_is_said_at_its_place(written, said):
    text = SITE.partition("inputs.ai1")[0] + written + "\n"
    with pytest.raises(ConfigError) as error:
        read_site_text(text, Plugins())
    assert said in str(error.value).replace("\n", ": ").replace("  ", " ") or said in "; ".join(
        f"{problem.what}: {problem.repair}" for problem in error.value.problems), str(error.value)


GAUGE = SITE.partition("[devices.box]")[0] + """[devices.gauge]
address = 2
profile = "qingyi_cg62"
"""
WEIR = GAUGE.replace("qingyi_cg62", "geolux_lx80") + 'inputs.surface = { quantity = "water_level", height = "4.20 m" }\n'


def test_a_rain_gauge_that_counts_by_itself_needs_nothing_in_the_site_file(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(GAUGE)
    loaded = load_site(path)
    driver = Builder(loaded).drivers("cabinet")["gauge"]
    assert [s.quantity for s in driver.groups()[0].series] == ["rain", "rain_rate"]
    rain = driver.groups()[0].series[0]
    signal = wire_signals(loaded.site, [rain], [0])
    assert (signal.full.tolist(), signal.size.tolist()) == ([0.01], [0.0]), "a drop to 0 is a loss of power, no turn"


def test_a_counter_that_never_turns_over_gives_no_rain_when_it_is_reset(tmp_path):
    house = House(tmp_path, site({"rain": Input(quantity="rain", each="0.01 mm", rolls_over="never")}), TurnedClock(), [Expected(RAIN, 10.0, False)])
    yard = Yard(house)
    for count in (40000, 40010, 2, 4):
        yard.read(rain=count)
    rows = yard.rows(RAIN)
    house.kill()
    assert str([row.value for row in rows]) == "[nan, 0.1, nan, 0.02]", "a turn of 16 bits would be a believable 255 mm"


def test_the_site_files_word_about_a_count_goes_before_the_profiles():
    file = read_site_text(GAUGE + 'inputs.rain = { quantity = "rain", each = "0.02 mm", rolls_over = 65536, channel = "roof" }\n', Plugins())
    one = file.devices["gauge"].common.inputs["rain"]
    assert (str(one.each), one.size, one.channel) == ("0.02 mm", 65536, "roof")


def test_a_distance_to_the_water_becomes_a_level_above_the_zero_of_the_gauge(tmp_path):
    hung = Input(quantity="water_level", height="4.20 m")
    house = House(tmp_path, site({"surface": hung}), TurnedClock(), [Expected(LEVEL, 10.0, False)])
    yard = Yard(house)
    for distance in (2.345, 0.0, 4.2, 5.0):
        yard.read(level=distance)
    rows = yard.rows(LEVEL)
    house.kill()
    assert [(row.raw, row.value, row.flag) for row in rows] == [(2.345, 1.855, 1), (0.0, 4.2, 1), (4.2, 0.0, 1), (5.0, -0.8, 1)], "decimal-true"


WELL = GAUGE.replace("qingyi_cg62", "keller_series30") + 'inputs.probe = { quantity = "water_level", height = "-18.35 m" }\n'


@pytest.mark.parametrize(("more", "deep", "level"), [("", 10.1972, -8.1528), (', density = "1025 kg/m3"', 9.9485, -8.4015)])
def test_the_pressure_over_a_probe_becomes_a_level_by_its_depth(tmp_path, more, deep, level):
    """1 bar is 10.1972 m of fresh water and 9.9485 m of the sea (1025 kg/m³), at 9.80665 m/s²."""
    probe = read_site_text(WELL.replace(' m" }', f' m"{more} }}'), Plugins()).devices["gauge"].common.inputs["probe"]
    assert probe.meaning(100.0) == pytest.approx(-18.35 + deep, abs=5e-5)
    house = House(tmp_path, site({"probe": probe}), TurnedClock(), [Expected(LEVEL, 10.0, False)])
    yard = Yard(house)
    for pressure in (100.0, 0.0):
        yard.read(level=pressure)
    rows = yard.rows(LEVEL)
    house.kill()
    assert [row.value for row in rows] == [pytest.approx(level, abs=5e-5), -18.35]
    assert [row.raw for row in rows] == [100.0, 0.0]


@pytest.mark.parametrize(("text", "said"), [
    (WELL.replace(' m" }', ' m", density = "1.025 kg/m3" }'), "1.025 kg/m³ is no density of water"),
    (WELL.replace(' m" }', ' m", density = "1025 g/L" }'), "1025 g/L is no density of water"),
    (WEIR.replace(' m" }', ' m", density = "1025 kg/m3" }'), "distance takes no density")])
def test_a_wrong_density_is_said(text, said):
    with pytest.raises(ConfigError) as error:
        read_site_text(text, Plugins())
    assert said in "; ".join(f"{problem.what}: {problem.repair}" for problem in error.value.problems)


@pytest.mark.parametrize(("written", "said"), [
    ('{ quantity = "water_level" }', "distance takes height and nothing else"),
    ('{ quantity = "water_level", height = "420 cm" }', "height is in m, not in cm"),
    ('{ quantity = "ph", height = "4.20 m" }', "ph is measured in 1: a distance or a depth gives what is measured in m"),
    ('{ quantity = "water_level", range = "0..5 m" }', "distance takes height and nothing else")])
def test_a_wrong_height_is_said(written, said):
    with pytest.raises(ConfigError) as error:
        read_site_text(WEIR.partition("inputs")[0] + f"inputs.surface = {written}\n", Plugins())
    assert said in "; ".join(f"{problem.what}: {problem.repair}" for problem in error.value.problems)


def test_what_a_profile_says_of_its_counts_is_checked_like_a_site_file():
    text = files("config").joinpath("devices/qingyi_cg62.toml").read_text("utf-8")
    for good, bad, said in (('each = "0.01 mm"', 'each = "1 kWh"', "pulses of kWh give no rain in mm"),
                            ("rain = { q", "snow = { q", "has no terminal snow"),
                            ('quantity = "rain"', 'quantity = "rain_rate"', "gives rain_rate by itself")):
        assert good in text
        with pytest.raises(ConfigError, match=said):
            read_profile(Found("gauge", "gauge.toml", False, text.replace(good, bad).encode()), Plugins())


def test_pulses_of_a_wrong_unit_are_refused():
    with pytest.raises(ConfigError, match="pulses of kWh give no flow in m³/s"):
        read_site_text(SITE.replace('each = "10 L"', 'each = "10 kWh"'), Plugins())


def test_the_page_on_inputs_shows_tables_that_are_right():
    page = Path(__file__).parent.parent.joinpath("docs/inputs.md").read_text("utf-8")
    shown = page.split("```toml\n")[1].partition("```")[0]
    site_file = read_site_text(SITE.partition("[devices.box]")[0] + shown, Plugins())
    terminals = {name: sorted(device.common.inputs) for name, device in site_file.devices.items()}
    assert terminals == {"cabinet_inputs": ["ai1"], "tips": ["ci1", "ci3", "di4"]}
    shown = page.split("```toml\n")[2].partition("```")[0]
    line = SITE.partition("[devices.box]")[0].replace('"/dev/ttyUSB0"', '"/dev/ttyUSB0"\nformat = "8N1"')
    site_file = read_site_text(line + shown, Plugins())
    terminals = {name: sorted(device.common.inputs) for name, device in site_file.devices.items()}
    assert terminals == {"weir": ["surface"], "well": ["probe"], "gauge": ["rain"]}
    assert all(f"| `{key}` |" in page for key in Input.model_fields)
