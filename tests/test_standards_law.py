"""The product and a second reading of the texts agree; the law's own symmetries hold."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
import second_standards as second
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.indices import (
    air_ca,
    air_cn,
    air_eu,
    air_limits,
    air_means,
    air_uk,
    air_units,
    air_us,
    hours,
    noise_cn,
    pm_correction,
    soil,
    water_surface,
)
from analytics.indices._exact import category_words, exact, maybe, rounded, scale_of, subindex, whole
from analytics.indices._nowcast import nowcast_fraction
from config.reading_standards import day_start_ns, standards

usual = settings(deadline=None, derandomize=True)

LAWS = standards()
HJ = {year: LAWS.named(f"HJ633-{year}") for year in (2012, 2026)}
US, UK, EU, WATER = (LAWS.named(name) for name in ("US-EPA-AQI-2024", "UK-DAQI", "EU-EAQI-2024", "GB3838"))
CN_COLUMNS = [line.split()[0] for line in second.CN_TABLE.strip().splitlines()]
US_COLUMNS = [line.split()[0] for line in second.US_TABLE.strip().splitlines()]
LAWFUL = {"SO2": "700", "NO2": "700", "CO": "70", "PM10": "700", "O3": "700", "PM2.5": "700"}


def written(most: int, places: int) -> st.SearchStrategy[str]:
    """Concentrations as they are written, with up to so many decimals: whole steps, ties and all between."""
    def text(steps: int, used: int) -> str:
        return str(Decimal(steps % (most * 10**used + 1)).scaleb(-used))
    return st.builds(text, st.integers(0, most * 10**places), st.integers(0, places))


def index(law, column: str, value: str) -> int | None:
    pollutant, averaging = column.split("_")
    return subindex(scale_of(law, pollutant, averaging), law.rounding, maybe(value)).index


@usual
@given(year=st.sampled_from((2012, 2026)), column=st.sampled_from(CN_COLUMNS), value=written(6000, 4))
def test_iaqi_of_china_agrees_with_the_second_reading(year: int, column: str, value: str):
    found = index(HJ[year], column, value)
    assert found == second.cn_iaqi(year, column, value)
    assert category_words(HJ[year], subindex(scale_of(HJ[year], *column.split("_")), HJ[year].rounding, exact(value))) == second.cn_level(found)


@usual
@given(column=st.sampled_from(US_COLUMNS), value=st.one_of(written(3000, 2), written(1, 5)))
def test_us_index_agrees_with_the_second_reading(column: str, value: str):
    assert index(US, column, value) == second.us_index(column, value)


@usual
@given(column=st.sampled_from(list(second.UK)), value=written(1300, 2))
def test_uk_index_agrees_with_the_second_reading(column: str, value: str):
    assert index(UK, column, value) == second.uk_index(column, value)


@usual
@given(pollutant=st.sampled_from(list(second.EU)), value=written(400, 2))
def test_european_index_agrees_with_the_second_reading(pollutant: str, value: str):
    assert index(EU, f"{pollutant}_1h", value) == second.eu_band(pollutant, value)


@usual
@given(item=st.sampled_from(second.WATER_ITEMS), value=written(50, 5), lake=st.booleans())
def test_water_class_agrees_with_the_second_reading(item: str, value: str, lake: bool):
    assert water_surface.gb3838_class(item, value, "lake" if lake else "river", law=WATER) == second.water_class(item, value, lake=lake)


@usual
@given(column=st.sampled_from([row.split()[0] for row in second.IN_TABLE.strip().splitlines()]), steps=st.integers(0, 1900))
def test_indian_index_agrees_with_the_second_reading(column: str, steps: int):
    places = 1 if column.startswith("CO") else 0
    assert index(LAWS.named("IN-NAQI"), column, str(Decimal(steps).scaleb(-places))) == second.india_index(column, steps)


@usual
@given(hours=st.lists(st.one_of(st.none(), written(600, 1)), min_size=1, max_size=12))
def test_nowcast_agrees_with_the_second_reading(hours: list[str | None]):
    with localcontext() as context:
        context.prec = 200
        found, expected = nowcast_fraction(hours), second.nowcast(hours)
        assert (found is None) == (expected is None)
        if found is not None:
            assert abs(Decimal(found[1].numerator) / found[1].denominator - expected[0] / expected[1]) < Decimal("1e-40")


@usual
@given(hours=st.lists(written(600, 1), min_size=3, max_size=12))
def test_nowcast_lies_between_the_least_and_the_largest_hour(hours: list[str]):
    weight, value = nowcast_fraction(hours)
    assert min(map(Decimal, hours)) <= value <= max(map(Decimal, hours))
    assert Fraction(1, 2) <= weight <= 1


@usual
@given(metal=st.sampled_from(("cd", "hg", "as", "pb", "cr")), land=st.sampled_from(("paddy", "other")), value=written(1500, 2), ph=written(14, 2))
def test_farmland_agrees_with_the_second_reading(metal: str, land: str, value: str, ph: str):
    assert soil.gb15618_assess(metal, value, ph, land, law=LAWS.named("GB15618"))["result"] == second.farmland(metal, land, value, ph)


@usual
@given(values=st.dictionaries(st.sampled_from(list(LAWFUL)), written(70, 1), min_size=1), extra=st.sampled_from(list(LAWFUL)), value=written(70, 1))
def test_another_pollutant_never_lowers_the_aqi(values: dict[str, str], extra: str, value: str):
    before = air_cn.aqi_cn("daily", {name: v for name, v in values.items() if name != extra}, list(LAWFUL), law=HJ[2026])["aqi_computed"] or 0
    assert air_cn.aqi_cn("daily", {**values, extra: value}, list(LAWFUL), law=HJ[2026])["aqi_computed"] >= before


@usual
@given(hours=st.lists(st.one_of(st.none(), written(300, 1)), min_size=24, max_size=24))
def test_a_day_of_ozone_counts_only_with_enough_hours(hours: list[str | None]):
    found = air_means.o3_max_8h_cn(hours, law=LAWS.named("HJ663-2026"))
    windows = [hours[end - 8:end] for end in range(8, 25)]
    full = [window for window in windows if sum(hour is not None for hour in window) >= 6]
    assert found["valid_means"] == len(full)
    largest = max((Fraction(sum(Decimal(hour) for hour in window if hour is not None)) / sum(hour is not None for hour in window) for window in full),
                  default=None)
    assert found["max_8h"] is None if largest is None else abs(Fraction(found["max_8h"]) - largest) < Fraction(1, 10**20)
    assert found["valid"] == (len(full) >= 14 or (largest is not None and largest > 160))


def test_means_of_the_day_are_exact_and_judged_where_a_float_mean_is_wrong():
    tenths = ["35.1"] * 12 + ["35.9"] * 12
    mean = air_means.mean_of_hours(tenths, 20)
    assert mean == Decimal("35.5")
    assert index(HJ[2026], "PM2.5_24h", str(mean)) == 52
    assert sum(map(float, tenths)) / 24 != 35.5, "the binary mean misses the tie"


@usual
@given(column=st.sampled_from(CN_COLUMNS), year=st.sampled_from((2012, 2026)), one=written(3000, 3), other=written(3000, 3))
def test_more_of_a_pollutant_never_lowers_its_index(column: str, year: int, one: str, other: str):
    low, high = sorted((one, other), key=Decimal)
    lower, higher = index(HJ[year], column, low), index(HJ[year], column, high)
    assert higher is None or lower <= higher


@usual
@given(value=st.decimals(0, 1000, places=3), column=st.sampled_from(CN_COLUMNS))
def test_a_float_and_its_decimal_text_score_the_same(value: Decimal, column: str):
    assert index(HJ[2026], column, str(value)) == subindex(scale_of(HJ[2026], *column.split("_")), HJ[2026].rounding, maybe(float(value))).index


@usual
@given(numerator=st.integers(-10**6, 10**6), denominator=st.integers(1, 10**4))
def test_whole_numbers_of_fractions_follow_their_named_rule(numerator: int, denominator: int):
    value = Fraction(numerator, denominator)
    assert whole(value, "half-even") == round(value)
    assert whole(value, "up") == -((-value) // 1)
    assert whole(value, "half-up") == (value + Fraction(1, 2)) // 1
    assert abs(whole(value, "down")) == abs(value) // 1


def test_co_does_not_suffer_from_binary_floats():
    assert [index(HJ[2026], "CO_24h", value) for value in ("2.2", "4.0", "0.1")] == [55, 100, 3]
    assert index(HJ[2026], "CO_1h", "145.8") == 486
    for tenths in range(601):
        assert index(HJ[2026], "CO_24h", str(Decimal(tenths) / 10)) == second.cn_iaqi(2026, "CO_24h", str(Decimal(tenths) / 10))


@usual
@given(values=st.fixed_dictionaries({name: st.one_of(st.none(), written(int(most), 1)) for name, most in LAWFUL.items()}), seed=st.randoms())
def test_the_order_of_pollutants_changes_nothing(values: dict[str, str | None], seed):
    shuffled = list(values.items())
    seed.shuffle(shuffled)
    assert air_cn.aqi_cn("daily", values, law=HJ[2026]) == air_cn.aqi_cn("daily", dict(shuffled), law=HJ[2026])


@usual
@given(values=st.fixed_dictionaries({name: written(int(most), 1) for name, most in LAWFUL.items()}))
def test_aqi_is_its_largest_subindex_and_primary_is_who_has_it(values: dict[str, str]):
    for year in (2012, 2026):
        found = air_cn.aqi_cn("daily", values, law=HJ[year])
        scored = {name: index for name, index in found["iaqi"].items() if name in LAWFUL and index is not None}
        assert found["aqi"] == max(*scored.values(), 1 if year == 2026 else 0)
        assert found["primary"] == (sorted(name for name in scored if scored[name] == found["aqi"]) if found["aqi"] > 50 else [])


@usual
@given(values=st.fixed_dictionaries({name: written(int(most), 1) for name, most in LAWFUL.items()}), gone=st.sampled_from(list(LAWFUL)))
def test_a_missing_pollutant_leaves_the_aqi_unpublished_unless_the_rest_exceeds_100(values: dict[str, str], gone: str):
    found = air_cn.aqi_cn("daily", {**values, gone: None}, law=HJ[2026])
    assert (found["published"] == "AQI") == (found["aqi_computed"] > 100)
    assert (found["aqi"] is None, found["primary"] == []) == ((True, True) if found["published"] == "NA" else (False, False))
    assert air_cn.aqi_cn("daily", {**values, gone: None}, [gone], law=HJ[2026])["published"] == "AQI"
    assert air_cn.aqi_cn("daily", {**values, gone: None}, law=HJ[2012])["published"] == "AQI"


def test_clean_air_is_aqi_1_in_2026_and_0_in_2012():
    assert [air_cn.aqi_cn("daily", dict.fromkeys(LAWFUL, "0"), law=HJ[year])["aqi"] for year in (2026, 2012)] == [1, 0]


@pytest.mark.parametrize("law", [HJ[2012], HJ[2026], US, UK, EU, LAWS.named("IN-NAQI")], ids=lambda law: law.name)
def test_a_negative_or_missing_concentration_has_no_index(law):
    for scale in law.pollutants:
        for value in (None, Decimal(-1000), Decimal(-1)):
            assert subindex(scale, law.rounding, value).index is None
    assert index(HJ[2026], "PM2.5_24h", "-0.4") == 0, "after rounding it is 0"
    assert index(HJ[2012], "PM2.5_24h", "-0.4") is None
    assert index(US, "PM2.5_24h", "-0.04") == 0, "after truncation it is 0"


def test_below_detection_counts_half_the_limit_and_beyond_the_drift_not_at_all():
    assert [air_cn.below_detection(value, 2, 5) for value in ("1.9", "2", "-5", "-5.1")] == [1, 2, 1, None]
    assert water_surface.gb3838_class("hg", "<0.0001", law=WATER) == 1
    with pytest.raises(ValueError, match="negative"):
        water_surface.gb3838_class("hg", "-0.0001", law=WATER)


@usual
@given(values=st.dictionaries(st.sampled_from(second.WATER_ITEMS), written(10, 4), min_size=1), item=st.sampled_from(second.WATER_ITEMS),
       value=written(10, 4))
def test_adding_an_item_never_improves_a_class_and_one_that_does_not_limit_never_changes_it(values, item: str, value: str):
    before = water_surface.gb3838_assess(values, law=WATER)
    after = water_surface.gb3838_assess({**{k: v for k, v in values.items() if k != item}, item: value} if item not in values else values, law=WATER)
    assert after["class"] >= before["class"]
    if item not in values and after["item_class"][item] <= before["class"]:
        assert after["class"] == before["class"]
    for silent in ("tn", "fc", "water_temp"):
        assert water_surface.surface_water_assess({**values, silent: "99999"}, law=WATER) == water_surface.surface_water_assess(values, law=WATER)


@usual
@given(gas=st.sampled_from(list(air_units.MOLAR_MASS)), ppb=written(500, 3), kelvin=st.sampled_from(("273.15", "293.15", "298.15")))
def test_a_change_of_unit_and_back_changes_nothing(gas: str, ppb: str, kelvin: str):
    there = air_units.ppb_to_ugm3(gas, ppb, kelvin)
    assert abs(air_units.ugm3_to_ppb(gas, there, kelvin) - Decimal(ppb)) < Decimal("1e-20")


def test_unit_conversion_is_that_of_the_reference_table():
    table = {("SO2", "298.15", 101325): "2.618547", ("NO2", "293.15", 101325): "1.912504", ("O3", "273.15", 101325): "2.141441",
             ("CO", "283.15", 85000): "1.011307", ("NO", "298.15", 101325): "1.226471", ("NH3", "293.15", 101325): "0.707978"}
    for (gas, kelvin, pascal), factor in table.items():
        assert round(air_units.ppb_to_ugm3(gas, 1, kelvin, pascal), 6) == Decimal(factor)


@pytest.mark.parametrize(("model", "raw", "rh", "expected"), [
    (pm_correction.pm_epa_2021, "29.9", "20", "19.693600"), (pm_correction.pm_epa_2021, "49.9", "85", "37.579031"),
    (pm_correction.pm_epa_2021, "209.9", "50", "166.421400"), (pm_correction.pm_epa_2021, "235", "85", "198.533950"),
    (pm_correction.pm_epa_2021, "259.9", "20", "241.94203675832"), (pm_correction.pm_epa_2021, "400", "85", "420.406"),
    (pm_correction.pm_barkjohn_2021, "569", "50", "299.5960"), (pm_correction.pm_barkjohn_2022, "569", "50", "299.5960")])
def test_particle_corrections_are_those_of_the_reference_table(model, raw: str, rh: str, expected: str):
    assert model(raw, rh) == Decimal(expected)


def test_kappa_correction_caps_humidity():
    assert pm_correction.pm_kappa("50", "99", "0.4") == pm_correction.pm_kappa("50", "95", "0.4")
    assert round(pm_correction.pm_kappa("120", "85", "0.62"), 9) == Decimal("38.347320852")


@usual
@given(o3=written(200, 1), no2=written(200, 1), pm=written(300, 1), more=st.integers(1, 50))
def test_aqhi_rises_with_every_pollutant_and_is_at_least_1(o3: str, no2: str, pm: str, more: int):
    law = LAWS.named("CA-AQHI")
    base = air_ca.aqhi(o3, no2, pm, law=law)["index"]
    assert base >= 1
    for place in range(3):
        inputs = [o3, no2, pm]
        inputs[place] = str(Decimal(inputs[place]) + more)
        assert air_ca.aqhi(*inputs, law=law)["index"] >= base


# --- editions and time ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "zone", "first_day"), [
    ("HJ633", "Asia/Shanghai", (2026, 3, 1)), ("GB3095", "Asia/Shanghai", (2026, 3, 1)), ("HJ633", "Asia/Urumqi", (2026, 3, 1)),
    ("US-EPA-AQI", "America/Denver", (2024, 5, 6)), ("EU-AAQD", "Europe/Berlin", (2030, 1, 1))])
def test_the_edition_switches_at_the_local_midnight_to_the_nanosecond(name: str, zone: str, first_day: tuple[int, int, int]):
    switch = int(datetime(*first_day, tzinfo=ZoneInfo(zone)).timestamp()) * 10**9
    before, after = LAWS.at(name, switch - 1, zone), LAWS.at(name, switch, zone)
    assert after.edition > before.edition
    assert (before.in_force_until + timedelta(days=1), after.in_force) == (after.in_force, datetime(*first_day, tzinfo=UTC).date())


def test_the_same_concentration_is_judged_by_the_edition_of_its_own_time():
    switch = day_start_ns(datetime(2026, 3, 1, tzinfo=UTC).date(), "Asia/Shanghai")
    judged = [air_cn.aqi_cn("daily", {**dict.fromkeys(LAWFUL, "10"), "PM2.5": "75", "CO": "1"}, law=LAWS.at("HJ633", at, "Asia/Shanghai"))["aqi"]
              for at in (switch - 1, switch)]
    assert judged == [100, 114]


def test_limits_of_gb3095_take_their_step_in_2031_while_the_index_does_not():
    law = LAWS.named("GB3095-2026")
    at = [air_limits.gb3095_check("pm2_5", "24 h", "55", on=datetime(year, month, day, tzinfo=UTC).date(), law=law)["limit"]
          for year, month, day in ((2030, 12, 31), (2031, 1, 1))]
    assert at == [60, 50]
    assert LAWS.at("HJ633", day_start_ns(datetime(2031, 1, 1, tzinfo=UTC).date(), "Asia/Shanghai"), "Asia/Shanghai").edition == 2026


def test_before_the_first_edition_there_is_none():
    with pytest.raises(ValueError, match="no edition of HJ633 is in force on 2010"):
        LAWS.at("HJ633", day_start_ns(datetime(2010, 1, 1, tzinfo=UTC).date(), "Asia/Shanghai"), "Asia/Shanghai")


def test_hours_are_labelled_by_their_beginning_or_their_end():
    at = int(datetime(2026, 3, 1, 9, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 10**9
    assert hours.hour_label(at, "Asia/Shanghai", "begin") == "2026-03-01 08:00+0800"
    assert hours.hour_label(at, "Asia/Shanghai", "end") == "2026-03-01 09:00+0800"
    autumn = [int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp() + 3600 * n) * 10**9 for n in range(2)]
    assert len({hours.hour_label(at, "Europe/Berlin", "begin") for at in autumn}) == 2, "the two hours of one name differ in offset"


@usual
@given(day=st.dates(datetime(2020, 1, 1, tzinfo=UTC).date(), datetime(2035, 1, 1, tzinfo=UTC).date()),
       zone=st.sampled_from(("Asia/Shanghai", "Europe/Berlin", "America/Denver", "Asia/Kolkata")))
def test_every_hour_belongs_to_one_natural_day_and_every_night_to_the_day_it_begins(day, zone: str):
    begin, count = day_start_ns(day, zone), hours.hours_of_day(day, zone)
    ends = [begin + number * 3600 * 10**9 for number in range(1, count + 1)]
    assert {hours.natural_day(end, zone) for end in ends} == {day}
    assert hours.natural_day(ends[-1] + 1, zone) == day + timedelta(days=1)
    assert hours.night_of(ends[-1], zone) == day
    assert hours.night_of(ends[0], zone) == day - timedelta(days=1)


# --- edges, one by one ---------------------------------------------------------------------------------------------

def test_warning_days_that_are_missing_end_a_run():
    law = LAWS.named("CN-HEAVY-POLLUTION-2024")
    expected = {(201, None, 201): "yellow", (201, 201): "orange", (200, 200, 200): "orange", (150, 150, 150): None}
    assert {days: air_cn.warning_cn(days, law=law) for days in expected} == expected
    old = LAWS.named("CN-HEAVY-POLLUTION-2018")
    expected = {(500,): "red", (201, 201, 201, 201): "yellow", (201, 301, 302, 201): "red", (201,): "blue"}
    assert {days: air_cn.warning_cn(days, law=old) for days in expected} == expected


def test_so2_and_ozone_above_800_differ_between_the_editions():
    assert [index(HJ[year], "SO2_1h", "801") for year in (2012, 2026)] == [None, 200]
    assert [index(HJ[year], "O3_8h", "801") for year in (2012, 2026)] == [None, 300]


def test_us_so2_is_200_between_its_two_tables_and_unknown_without_the_second():
    assert air_us.aqi_us({"SO2_1h": "304.9", "SO2_24h": "400"}, law=US)["aqi"] == 200
    assert air_us.aqi_us({"SO2_1h": "305", "SO2_24h": "304.9"}, law=US)["aqi"] == 200
    assert air_us.aqi_us({"SO2_1h": "305", "SO2_24h": None}, law=US)["aqi"] is None


def test_indices_of_bands_name_their_worst():
    assert air_eu.eaqi({"PM2.5": "141", "NO2": None}, law=EU)["category"] == "Extremely poor"
    assert air_eu.eaqi({"NO2": None}, law=EU)["index"] is None
    assert air_uk.daqi({"SO2": "88.5"}, law=UK)["index"] == 2


@usual
@given(period=st.sampled_from(("day", "night")), zone=st.sampled_from(("0", "1", "2", "3", "4a", "4b")), level=written(120, 1))
def test_noise_limits_are_inclusive_and_night_is_never_laxer(period: str, zone: str, level: str):
    law = LAWS.named("GB3096")
    found = noise_cn.gb3096_check(zone, period, level, law=law)
    assert found["leq_pass"] == (Decimal(level) <= found["limit"])
    assert noise_cn.gb3096_check(zone, "night", level, law=law)["limit"] <= noise_cn.gb3096_check(zone, "day", level, law=law)["limit"]


@pytest.mark.parametrize(("difference", "correction"), [("2.9", None), ("3", -3), ("3.4", -3), ("3.6", -2), ("5.4", -2), ("5.6", -1),
                                                        ("10", -1), ("10.1", 0)])
def test_background_is_taken_off_by_the_table(difference: str, correction: int | None):
    found = noise_cn.background_correct(Decimal(50) + Decimal(difference), 50, law=LAWS.named("GB12348"))
    assert found["correction"] == correction
    assert found["valid"] == (correction is not None)


@usual
@given(value=written(500, 2), ph=written(14, 2), metal=st.sampled_from(("cd", "hg", "as", "pb", "cr", "cu", "ni", "zn")),
       land=st.sampled_from(("paddy", "other", "orchard")))
def test_soil_risk_rises_with_the_metal(value: str, ph: str, metal: str, land: str):
    law, order = LAWS.named("GB15618"), ("low", "risk_possible", "strict_control")
    found = soil.gb15618_assess(metal, value, ph, land, law=law)
    more = soil.gb15618_assess(metal, Decimal(value) * 2, ph, land, law=law)
    assert order.index(more["result"]) >= order.index(found["result"])
    assert (found["result"] == "low") == (Decimal(value) <= found["screening"])


@usual
@given(value=st.decimals(-1000, 1000, places=4), places=st.integers(0, 3))
def test_gb_t_8170_rounding_is_never_further_than_half_a_step_and_ties_go_to_even(value: Decimal, places: int):
    found, step = rounded(value, "half-even", places), Decimal(1).scaleb(-places)
    assert abs(found - value) * 2 <= step
    if abs(found - value) * 2 == step:
        assert (found / step) % 2 == 0
