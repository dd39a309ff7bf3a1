"""Stack emissions: conversion to the standard state, valid hours and days (HJ 75), rates, boiler and power plant limits."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from analytics.indices._exact import Figure, Result, exact
from config.standard import Standard

_STANDARD_PA, _ZERO = 101325, Decimal(273)
"""The standard state of the texts: 273 K, 101325 Pa, dry."""
_MASS = {"so2": Decimal("64.06"), "no": Decimal("30.006"), "no2": Decimal("46.005"), "nox": Decimal("46.005"), "co": Decimal("28.010")}
_LITRES = Decimal("22.4")


def o2_correct(c: Figure, o2: Figure, o2_ref: Figure) -> Decimal | None:
    """Concentration at the reference oxygen: c (21 - O2_ref) / (21 - O2), % dry; None from 21 % (air: the plant stands or starts).

    Source: GB 13271-2014 formula (1), HJ 75 A9.

    >>> o2_correct(150, 12, 9), o2_correct(30, 21, 6)
    (Decimal('200'), None)
    """
    oxygen = exact(o2)
    return exact(c) * (21 - exact(o2_ref)) / (21 - oxygen) if oxygen < 21 else None


def excess_air(o2: Figure) -> Decimal | None:
    """Excess air coefficient: 21 / (21 - O2); None from 21 %.

    >>> excess_air(0)
    Decimal('1')
    """
    oxygen = exact(o2)
    return 21 / (21 - oxygen) if oxygen < 21 else None


def _dry_share(moisture_pct: Figure) -> Decimal:
    moisture = exact(moisture_pct)
    if not 0 <= moisture < 100:
        raise ValueError(f"moisture_pct {moisture_pct} % is not a moisture from 0 to below 100 %")
    return 1 - moisture / 100


def wet_to_dry(c_wet: Figure, moisture_pct: Figure) -> Decimal:
    """Dry concentration: c / (1 - X_w). Source: HJ 75 A2.

    >>> wet_to_dry("22.5", 10)
    Decimal('25')
    """
    return exact(c_wet) / _dry_share(moisture_pct)


def to_standard(c_actual: Figure, t_c: Figure, p_abs_pa: Figure) -> Decimal:
    """Concentration at 273 K and 101325 Pa: c 101325 / P (273 + t) / 273, P absolute. Source: HJ 75 A1.

    >>> to_standard(100, 273, 101325)
    Decimal('200')
    """
    pressure = exact(p_abs_pa)
    if pressure <= 0:
        raise ValueError(f"p_abs_pa {p_abs_pa} is not an absolute pressure above 0")
    return exact(c_actual) * _STANDARD_PA * (_ZERO + exact(t_c)) / (pressure * _ZERO)


def ppm_to_mg(ppm: Figure, gas: Literal["so2", "no", "no2", "nox", "co"]) -> Decimal:
    """mg/m³ at 0 °C from ppm: ppm M / 22.4 (not 24.45, which is 25 °C); `nox` is NO + NO2 counted as NO2.

    >>> ppm_to_mg(224, "no2"), ppm_to_mg(224, "co")
    (Decimal('460.05'), Decimal('280.10'))
    """
    return exact(ppm) * _MASS[gas] / _LITRES


def nox_as_no2_mg(no_mg: Figure, no2_mg: Figure) -> Decimal:
    """Nitrogen oxides as NO2, mg/m³: NO 46.005 / 30.006 + NO2. Source: HJ 75 A4.

    >>> nox_as_no2_mg("30.006", 4)
    Decimal('50.005')
    """
    return exact(no_mg) * _MASS["no2"] / _MASS["no"] + exact(no2_mg)


def stack_flow_std_dry(v_m_s: Figure, area_m2: Figure, t_c: Figure, p_abs_pa: Figure, moisture_pct: Figure) -> Decimal:
    """Flow of a stack, dry m³/h at the standard state: 3600 v A 273 / (273 + t) P / 101325 (1 - X_w).

    >>> stack_flow_std_dry(1, 1, 0, 101325, 0)
    Decimal('3600')
    """
    kelvin = _ZERO + exact(t_c)
    if kelvin <= 0:
        raise ValueError(f"t_c {t_c} °C is below absolute zero")
    return 3600 * exact(v_m_s) * exact(area_m2) * _ZERO * exact(p_abs_pa) * _dry_share(moisture_pct) / (kelvin * _STANDARD_PA)


def emission_rate(c_std_dry_mg_m3: Figure, q_std_dry_m3_h: Figure) -> Decimal:
    """Emission, kg/h: c Q 10⁻⁶, with the measured dry standard concentration, NOT the one corrected for oxygen.

    >>> emission_rate(100, 50000)
    Decimal('5.000000')
    """
    return exact(c_std_dry_mg_m3) * exact(q_std_dry_m3_h) * Decimal("1E-6")


def stack_emission(concentrations: Mapping[str, Figure | None], v_m_s: Figure, area_m2: Figure, t_c: Figure, p_gauge_kpa: Figure,
                   moisture_pct: Figure, air_hpa: Figure = "1013.25") -> Result:
    """A stack's flow, dry m³/h at the standard state, and what leaves it in an hour by pollutant, kg; None where there is no concentration.

    concentrations : mg/m³, dry, standard state, NOT corrected for oxygen; a negative one has no rate. The pressure is that above the air's.

    >>> found = stack_emission({"so2": 100, "nox": None}, 1, 10, 0, 0, 0)
    >>> float(found["flow"]), float(found["rates"]["so2"])
    (36000.0, 3.6)
    """
    absolute = exact(air_hpa) * 100 + exact(p_gauge_kpa) * 1000
    flow = stack_flow_std_dry(v_m_s, area_m2, t_c, absolute, moisture_pct)
    rates = {name: None if value is None or exact(value) < 0 else emission_rate(value, flow) for name, value in concentrations.items()}
    return {"flow": flow, "rates": rates}


def emission_total(rates_kg_h: Sequence[Figure | None]) -> Decimal:
    """Emission, kg, of hourly rates; an hour without a rate adds nothing and is the caller's gap to report.

    >>> emission_total(["1.5", None, "2.5"])
    Decimal('4.0')
    """
    return sum((exact(rate) for rate in rates_kg_h if rate is not None), Decimal(0))


def hourly_mean(values: Sequence[Figure | None], valid_flags: Sequence[bool], *, law: Standard) -> Result:
    """Mean of an hour of minute values, over the valid ones; valid with at least 45 of them. Source: HJ 75-2017, second hand.

    >>> from config.reading_standards import standards
    >>> hourly_mean([1] * 60, [True] * 44 + [False] * 16, law=standards().named("HJ75"))
    {'n_valid': 44, 'valid': False, 'mean': None}
    """
    good = [exact(value) for value, valid in zip(values, valid_flags, strict=True) if valid and value is not None]
    if len(good) < law.constant("minutes_least"):
        return {"n_valid": len(good), "valid": False, "mean": None}
    mean = Fraction(sum(good)) / len(good)
    return {"n_valid": len(good), "valid": True, "mean": Decimal(mean.numerator) / Decimal(mean.denominator)}


def day_valid(valid_hours: int, *, law: Standard) -> bool:
    """Whether a day of so many valid hours counts: 18. Source: HJ 75-2017, second hand.

    >>> from config.reading_standards import standards
    >>> day_valid(17, law=standards().named("HJ75"))
    False
    """
    return valid_hours >= law.constant("hours_least")


def quarter_captured(valid_hours: int, running_hours: int, *, law: Standard) -> bool:
    """Whether a quarter's valid hours are enough of those the plant ran; the least share is not verified (M).

    >>> from config.reading_standards import standards
    >>> quarter_captured(1500, 2000, law=standards().named("HJ75"))
    True
    """
    return running_hours > 0 and 100 * valid_hours >= law.constant("quarter_capture") * running_hours


def gb13271_check(pollutant: Literal["pm", "so2", "nox", "hg"], c_meas: Figure, o2: Figure, fuel: Literal["coal", "oil", "gas"],
                  kind: Literal["existing", "new", "special"], *, law: Standard) -> Result:
    """A boiler's concentration at its reference oxygen (coal 9 %, oil and gas 3.5 %), its limit and whether it is met.

    mg/m³, dry, standard state; all None from 21 % oxygen. Source: GB 13271-2014 tables 1-3 and 6, formula (1).

    >>> from config.reading_standards import standards
    >>> gb13271_check("pm", 31, 9, "coal", "special", law=standards().named("GB13271"))
    {'corrected': Decimal('31'), 'limit': Decimal('30'), 'pass': False}
    """
    limit = law.table(kind).cell(pollutant, fuel)
    corrected = o2_correct(c_meas, o2, law.table("reference_oxygen").number("o2", fuel))
    met = corrected <= limit if corrected is not None and isinstance(limit, Decimal) else None
    return {"corrected": corrected, "limit": limit, "pass": met}


def gb13223_check(pollutant: str, c_meas: Figure, o2: Figure, kind: str = "new",
                  plant: Literal["coal", "oil_gas_boiler", "gas_turbine"] = "coal", *, law: Standard) -> Result:
    """A power plant's concentration at its reference oxygen (coal 6 %), its limit, whether it is met, and how far the limit was verified.

    kind : new, existing, special (coal); natural_gas, other (gas). Source: GB 13223-2011, second hand; several figures from memory (M).

    >>> from config.reading_standards import standards
    >>> gb13223_check("so2", 100, 6, law=standards().named("GB13223"))["pass"]
    True
    """
    table = law.table("coal" if plant == "coal" else "gas")
    limit = table.cell(pollutant, kind)
    corrected = o2_correct(c_meas, o2, law.table("reference_oxygen").number("o2", plant))
    met = corrected <= limit if corrected is not None and isinstance(limit, Decimal) else None
    return {"corrected": corrected, "limit": limit, "pass": met, "verified": table.mark(pollutant, kind, law.verified)}


def ultra_low_limit(pollutant: Literal["pm", "so2", "nox"], c_meas: Figure, o2: Figure, *, law: Standard) -> Result:
    """One pollutant of a coal plant at 6 % oxygen, its limit of ultra-low emission and whether it is met; None from 21 % oxygen.

    >>> from config.reading_standards import standards
    >>> ultra_low_limit("so2", 35, 6, law=standards().named("ULTRA-LOW"))
    {'corrected': Decimal('35'), 'limit': Decimal('35'), 'pass': True}
    """
    limit, corrected = law.table("coal").number(pollutant, "limit"), o2_correct(c_meas, o2, law.constant("o2_reference"))
    return {"corrected": corrected, "limit": limit, "pass": None if corrected is None else corrected <= limit}


def ultra_low_check(pm: Figure, so2: Figure, nox: Figure, o2: Figure, *, law: Standard) -> Result:
    """Whether dust, SO2 and NOx of a coal plant meet ultra-low emission (10, 35, 50 mg/m³ at 6 % oxygen); None from 21 % oxygen.

    >>> from config.reading_standards import standards
    >>> ultra_low_check(8, 30, 40, "7.5", law=standards().named("ULTRA-LOW"))
    {'pm': True, 'so2': True, 'nox': True}
    """
    return {"pm": ultra_low_limit("pm", pm, o2, law=law)["pass"], "so2": ultra_low_limit("so2", so2, o2, law=law)["pass"],
            "nox": ultra_low_limit("nox", nox, o2, law=law)["pass"]}
