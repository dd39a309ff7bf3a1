"""Other indices of a station, by other countries' tables and formulas: what the daemon issues is what the standard says of the same means."""

import math
from decimal import Decimal

import pytest
import second_standards
from house import NOON, House, TurnedClock
from law_house import AIR, answered, given_by, hours, station

from analytics.indices.air_units import ugm3_to_ppb
from config.live_standards import facts_wanted, live_ids, reports
from config.quantity import vocabulary
from config.reading_standards import standards
from config.series import Flag
from config.site import Station


def lived(tmp_path, standard: str, values: list[dict[str, float]], begins: int = NOON, **facts) -> House:
    site, expected = station(*values[0], standards=(standard,), **facts)
    house = House(tmp_path, site, TurnedClock(begins), expected)
    for one in values:
        hours(house, one)
    return house


def newest(house: House, quantity: str, channel: str = "") -> float | None:
    return given_by(house, quantity, channel)[-1][1]


DIRTY = {quantity: value * 1.7 for quantity, value in AIR.items()}


@pytest.mark.parametrize("air", [AIR, DIRTY], ids=["clean", "dirty"])
def test_the_european_index_of_an_hour_is_its_worst_band(tmp_path, air):
    house = lived(tmp_path, "EU-EAQI", [air])
    bands = {q: second_standards.eu_band(name, str(round(air[q], 6))) for q, name in
             (("so2", "SO2"), ("no2", "NO2"), ("pm10", "PM10"), ("o3", "O3"), ("pm2_5", "PM2.5"))}
    assert {q: newest(house, "iaqi", q) for q in bands} == bands
    assert newest(house, "aqi") == max(bands.values())
    members = vocabulary()["primary_pollutant"].members
    assert newest(house, "primary_pollutant") == sum(1 << members.index(q) for q, band in bands.items() if band == max(bands.values()))
    house.kill()


def test_the_uk_index_waits_for_its_running_means(tmp_path):
    house = lived(tmp_path, "UK-DAQI", [AIR] * 18)
    particles = [value for _, value, *_ in given_by(house, "iaqi", "pm2_5")]
    assert particles == [None] * 17 + [second_standards.uk_index("PM2.5_24h", "52")]
    assert [value for _, value, *_ in given_by(house, "iaqi", "o3")][4:7] == [None, *[second_standards.uk_index("O3_8h", "121")] * 2]
    house.kill()


def test_the_indian_index_needs_three_pollutants_and_one_of_them_particles(tmp_path):
    air = {"pm2_5": 85.0, "pm10": 140.0, "no2": 60.0}
    for places, overall in ((("pm2_5", "pm10", "no2"), 183), (("pm2_5", "pm10"), None)):
        house = lived(tmp_path / str(len(places)), "IN-NAQI", [{q: air[q] for q in places}] * 16)
        assert newest(house, "aqi") == overall
        assert newest(house, "iaqi", "pm2_5") == 183
        house.kill()


def test_the_canadian_index_is_made_of_three_hours_in_ppb(tmp_path):
    house = lived(tmp_path, "CA-AQHI", [{"o3": 60.0, "no2": 20.0, "pm2_5": 8.0}, {"o3": 160.0, "no2": 60.0, "pm2_5": 20.0}])

    def ppb(gas: str, mass: float) -> float:
        return mass * 8.31446261815324 * 298.15 * 1000 / ({"o3": 47.9982, "no2": 46.0055}[gas] * 101325)

    exponents = math.expm1(0.000537 * ppb("o3", 110)) + math.expm1(0.000871 * ppb("no2", 40)) + math.expm1(0.000487 * 14)
    assert [value for _, value, *_ in given_by(house, "aqi")] == [None, max(1, math.floor(1000 / 10.4 * exponents + 0.5))]
    house.kill()


def test_the_nowcast_of_an_hour_is_that_of_its_twelve_hours(tmp_path):
    levels = [12.0, 30.0, math.nan, 55.0, 41.0, 38.0]
    house = lived(tmp_path, "US-EPA-AQI", [{"pm2_5": level, "no2": 90.0} for level in levels])
    found = given_by(house, "iaqi", "pm2_5")
    for hour, (_, value, *_) in enumerate(found):
        newest_first = [None if math.isnan(level) else str(level) for level in reversed(levels[:hour + 1])]
        law = answered({"nowcast": "PM2.5", "hours_most_recent_first": newest_first})
        assert value == (law["aqi"] if law["valid"] else None)
    assert sum(value is not None for _, value, *_ in found) == 5
    no2 = second_standards.us_index("NO2_1h", str(ugm3_to_ppb("NO2", 90, "298.15"))[:12])
    assert newest(house, "iaqi", "no2") == no2
    house.kill()


def test_ozone_of_a_new_station_is_judged_by_the_surrogate(tmp_path):
    house = lived(tmp_path, "US-EPA-AQI", [{"o3": 121.0}])
    ppb = ugm3_to_ppb("O3", 121, "298.15") * Decimal("0.85") + Decimal("4.5")
    assert newest(house, "iaqi", "o3") == second_standards.us_index("O3_8h", str(ppb / 1000)[:12])
    house.kill()


@pytest.mark.parametrize(("standard", "limit"), [("WHO-AQG", 15), ("EU-AAQD", None)])
def test_guideline_and_directive_judge_a_day(tmp_path, standard, limit):
    house = lived(tmp_path, standard, [{"pm2_5": 30.0, "pm10": 60.0}] * 36)
    assert newest(house, "limit_multiple", "pm2_5") == (30 / limit if limit else None), "the directive of 2008 has no daily limit for PM2.5"
    assert newest(house, "limit_multiple", "pm10") == 60 / {"WHO-AQG": 45, "EU-AAQD": 50}[standard]
    house.kill()


def test_two_indices_of_one_station_are_two_series(tmp_path):
    site, expected = station("pm2_5", standards=("HJ633", "EU-EAQI"))
    house = House(tmp_path, site, expected=expected)
    hours(house, {"pm2_5": 52.0})
    assert sorted(value for _, value, *_ in given_by(house, "aqi")) == [4, 84]
    house.kill()


# ── water, vegetation, emission, energy ──────────────────────────────────────────────────────────────────────────────────
WATER = {"dissolved_oxygen": 7.5, "water_temperature": 20.0, "ph": 8.0, "ammonia_nitrogen": 1.0}


@pytest.mark.parametrize(("standard", "values", "facts", "expected"), [
    ("BENSON-KRAUSE", WATER, {}, {"oxygen_saturation": 100 * 7.5 / 9.092}),
    ("BENSON-KRAUSE", WATER, {"elevation": 2000.0}, {"oxygen_saturation": 100 * 7.5 / 7.117}),
    ("EMERSON-NH3", WATER, {}, {"ammonia_unionised": 0.0381}),
    ("FAO56", {"air_temperature": 25.0, "relative_humidity": 50.0}, {}, {"vpd": 1.584}),
    ("SPECTRAL", {"reflectance_nir": 0.5, "reflectance_red": 0.1}, {}, {"ndvi": 2 / 3}),
    ("GBT20481", {"soil_moisture": 18.0}, {"facts": {"field_capacity": 36}}, {"relative_soil_moisture": 50.0, "soil_drought": 3.0}),
    ("GBT2589", {"active_power": 1000.0}, {}, {"coal_equivalent": 122.9}),
    ("CN-GRID-CO2", {"active_power": 1000.0}, {"facts": {"co2_factor_year": 2023}}, {"co2_of_energy": 530.6}),
    ("HJ75", {"stack_speed": 10.0, "stack_temperature": 0.0, "stack_humidity": 10.0, "stack_pressure": -1.325, "air_pressure": 1013.25,
              "stack_so2": 100.0}, {"facts": {"stack_area": 2}},
     {"stack_flow": 3600 * 20 * 0.9 * 100 / 101.325, "emission/stack_so2": 3600 * 20 * 0.9 * 100 / 101.325 * 1e-4}),
])
def test_what_follows_from_the_means_of_an_hour_is_computed_each_hour(tmp_path, standard, values, facts, expected):
    house = lived(tmp_path, standard, [values], **facts)
    for name, wanted in expected.items():
        quantity, _, channel = name.partition("/")
        assert newest(house, quantity, channel) == pytest.approx(wanted, rel=2e-3), name
    house.kill()


def test_evapotranspiration_is_that_of_the_books_hour(tmp_path):
    """FAO-56, example 19: N'Diaye in Senegal, 1 October, 14 to 15 h."""
    from datetime import UTC, datetime
    begins = int(datetime(2026, 10, 1, 14, tzinfo=UTC).timestamp()) * 10**9
    values = {"air_temperature": 38.0, "relative_humidity": 52.0, "solar_radiation": 2.45 / 0.0036, "wind_speed": 3.3}
    house = lived(tmp_path, "FAO56", [values], begins, latitude=16.2167, longitude=-16.25, elevation=8.0, time_zone="Africa/Dakar")
    assert newest(house, "et0") == pytest.approx(0.63, abs=0.02)
    house.kill()


def test_evapotranspiration_of_the_day_is_that_of_the_books_day(tmp_path):
    """FAO-56, example 18: Uccle, 6 July."""
    from datetime import UTC, datetime
    begins = int(datetime(2026, 7, 6, tzinfo=UTC).timestamp()) * 10**9
    day = [{"air_temperature": 21.5 if hour == 14 else 12.3, "relative_humidity": 63.0 if hour == 14 else 84.0,
            "solar_radiation": 22.07 / 0.0864, "wind_speed": 10 / 3.6} for hour in range(24)]
    house = lived(tmp_path, "FAO56", day, begins, latitude=50.8, longitude=4.3, elevation=100.0, time_zone="UTC",
                  facts={"wind_height": 10})
    with house.reader() as reader:
        of_days = {n for n, one in enumerate(reader.series()) if one.quantity == "et0" and one.period_s == 86400}
        rows = reader.rows_after(0, 100_000)
    assert [float(value) for which, value in zip(rows.which, rows.value, strict=True) if int(which) in of_days] == [pytest.approx(3.88, abs=0.005)]
    house.kill()


def test_a_coal_plant_is_judged_by_ultra_low_emission_beside_its_standard(tmp_path):
    values = {"stack_dust": 8.0, "stack_so2": 35.0, "stack_nox": 60.0, "stack_oxygen": 6.0}
    house = lived(tmp_path, "ULTRA-LOW", [values, {**values, "stack_oxygen": 7.5}])
    found = {name: [value for _, value, *_ in given_by(house, "emission_limit_multiple", f"stack_{name}")] for name in ("dust", "so2", "nox")}
    assert found == {"dust": [0.8, pytest.approx(8 / 0.9 / 10)], "so2": [1.0, pytest.approx(10 / 9)], "nox": [1.2, pytest.approx(12 / 9)]}
    house.kill()


def test_degree_days_rest_on_the_extremes_of_the_day(tmp_path):
    day = [{"air_temperature": 10.0 + abs(12 - hour)} for hour in range(24)]
    house = lived(tmp_path, "FAO56", day, NOON - 12 * 3600 * 10**9, time_zone="UTC", facts={"base_temperature": 10})
    assert newest(house, "growing_degree_days") == (22 + 10) / 2 - 10
    house.kill()


def test_a_stack_is_judged_at_the_reference_oxygen(tmp_path):
    values = {"stack_so2": 150.0, "stack_oxygen": 12.0}
    house = lived(tmp_path, "GB13271", [values, {**values, "stack_oxygen": 12.1}, {**values, "stack_oxygen": 21.0}],
                  facts={"fuel": "coal", "kind": "special"})
    assert [value for _, value, *_ in given_by(house, "stack_corrected", "stack_so2")][:2] == [200.0, pytest.approx(150 * 12 / 8.9)]
    multiples = [value for _, value, *_ in given_by(house, "emission_limit_multiple", "stack_so2")]
    assert (multiples[0], multiples[1] > 1, multiples[2]) == (1.0, True, None), "a plant that stands is not judged"
    house.kill()


def test_the_limit_of_ammonia_depends_on_the_water_temperature(tmp_path):
    values = [{"ammonia_nitrogen": 6.5, "ph": 9.3, "water_temperature": 12.0 if hour < 12 else 14.0} for hour in range(24)]
    house = lived(tmp_path, "GB18918", values, NOON - 12 * 3600 * 10**9, time_zone="UTC", facts={"discharge_grade": "1A"})
    assert newest(house, "water_limit_multiple", "ammonia_nitrogen") == pytest.approx(6.5 / 5)
    assert newest(house, "water_limit_multiple", "ph") == pytest.approx(9.3 / 9)
    house.kill()


def test_a_suspect_hour_makes_what_rests_on_it_suspect_and_a_silent_one_leaves_it_out(tmp_path):
    house = lived(tmp_path, "EMERSON-NH3", [WATER, {**WATER, "ph": math.nan}])
    assert [(value is None, flag) for _, value, flag, _ in given_by(house, "ammonia_unionised")] == [(False, Flag.GOOD), (True, Flag.MISSING)]
    house.kill()


def test_every_declared_report_reads_and_gives_what_the_vocabulary_has():
    known = vocabulary()
    for standard in live_ids():
        for live in reports(standard):
            assert set(live.reads()) <= set(known), live.report
            assert {quantity for quantity, *_ in live.series(tuple(live.items))} <= set(known), live.report
            assert not live.validity or any(law.id == live.validity for law in standards().all)
            series = live.series(tuple(live.items))
            assert len({one[:2] for one in series}) == len(series), "two series of one report would be one"
    keys = [(standard, live.every, *one) for standard in live_ids() for live in reports(standard) for one in live.series(tuple(live.items))]
    assert len(set(keys)) == len(keys), "two reports of a standard would write one series"


def test_every_fact_that_a_report_reads_is_declared():
    for standard in live_ids():
        for live in reports(standard):
            wanted = set(facts_wanted(live)) - set(Station.model_fields)
            assert wanted == set(live.facts), (standard, live.report)
            tables = {table.name for law in standards().all if law.id == standard for table in law.limits}
            if "sector" in live.facts:
                assert set(live.facts["sector"].words) < tables
