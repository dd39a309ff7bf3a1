"""What a water probe's raw numbers become: oxygen saturation, ammonia, conductivity, salinity, pH; and loads over time."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import exp, log, sqrt

from analytics.indices._exact import Figure, exact
from analytics.indices.vegetation import pressure

_GAS, _FARADAY, _ZERO = 8.314462618, 96485.33212, 273.15
_KPA_ATM = 101.325
_C_35_15_0 = 42.914
"""Conductivity of standard sea water, mS/cm, at 15 °C (IPTS-68)."""


def _within(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} {value} {unit} is outside of {low} … {high} {unit}, where the formula holds")


def do_saturation(temp_c: float, salinity: float = 0.0, pressure_kpa: float = _KPA_ATM) -> float:
    """Dissolved oxygen at saturation, mg/L, from water temperature (0 … 40 °C), salinity (0 … 40) and air pressure (50 … 111.5 kPa).

    ln C* = -139.34411 + 1.575701e5/T - 6.642308e7/T² + 1.243800e10/T³ - 8.621949e11/T⁴ - S (1.7674e-2 - 1.0754e1/T + 2.1407e3/T²);
    C = C* P [(1 - Pw/P)(1 - theta P)] / [(1 - Pw)(1 - theta)]. Source: Benson and Krause 1984, APHA 4500-O.

    >>> round(do_saturation(20.0), 3), round(do_saturation(20.0, 0.0, 75.0) / do_saturation(20.0), 3)
    (9.092, 0.734)
    """
    _within("temp_c", temp_c, 0, 40, "°C")
    _within("salinity", salinity, 0, 40, "")
    _within("pressure_kpa", pressure_kpa, 50, 111.5, "kPa")
    t = temp_c + _ZERO
    at_one_atm = exp(-139.34411 + 1.575701e5 / t - 6.642308e7 / t**2 + 1.243800e10 / t**3 - 8.621949e11 / t**4
                     - salinity * (1.7674e-2 - 1.0754e1 / t + 2.1407e3 / t**2))
    atmospheres = pressure_kpa / _KPA_ATM
    vapour = exp(11.8571 - 3840.70 / t - 216961 / t**2)
    theta = 0.000975 - 1.426e-5 * temp_c + 6.436e-8 * temp_c**2
    return at_one_atm * atmospheres * ((1 - vapour / atmospheres) * (1 - theta * atmospheres)) / ((1 - vapour) * (1 - theta))


def do_percent(do_mg_l: float, temp_c: float, salinity: float = 0.0, pressure_kpa: float = _KPA_ATM) -> float:
    """Saturation of dissolved oxygen, %: 100 DO / C. Class I of GB 3838 tests it.

    >>> round(do_percent(9.092, 20.0), 1)
    100.0
    """
    return 100 * do_mg_l / do_saturation(temp_c, salinity, pressure_kpa)


def do_percent_station(do_mg_l: float, temp_c: float, salinity: float = 0.0, pressure_kpa: float | None = None,
                       elevation: float | None = None) -> float:
    """`do_percent` with what a station knows of its air: the measured pressure, else that of its elevation (m), else that of the sea level.

    >>> round(do_percent_station(9.092, 20.0)), round(do_percent_station(9.092, 20.0, elevation=1000.0))
    (100, 113)
    """
    known = pressure_kpa if pressure_kpa is not None else _KPA_ATM if elevation is None else pressure(elevation)
    return do_percent(do_mg_l, temp_c, salinity, known)


def nh3_fraction(temp_c: float, ph: float) -> float:
    """Un-ionised share of total ammonia in fresh water: 1 / (1 + 10^(pKa - pH)), pKa = 0.09018 + 2729.92 / T.

    0 … 30 °C, pH 6 … 10. Source: Emerson et al. 1975.

    >>> round(nh3_fraction(20.0, 8.0), 4)
    0.0381
    """
    return float(1 / (1 + 10 ** (0.09018 + 2729.92 / (temp_c + _ZERO) - ph)))


def nh3_unionised(tan_mg_l: float, temp_c: float, ph: float) -> float:
    """Un-ionised ammonia as N, mg/L, from total ammonia as N; times 1.2159 it is NH3.

    >>> round(nh3_unionised(1.0, 20.0, 8.0), 4)
    0.0381
    """
    return tan_mg_l * nh3_fraction(temp_c, ph)


def ec25_linear(ec: float, temp_c: float, alpha: float = 0.0191) -> float:
    """Conductivity at 25 °C in the unit of `ec`: EC / (1 + alpha (t - 25)). Never on a probe that delivers EC25 already.

    alpha 0.0191 /K is a convention; ISO 7888 for natural water is not linear. Source: a logger's manual.

    >>> ec25_linear(1000.0, 25.0)
    1000.0
    """
    divisor = 1 + alpha * (temp_c - 25)
    if divisor <= 0:
        raise ValueError(f"temp_c {temp_c} °C is too cold for the linear compensation")
    return ec / divisor


def nernst_slope_mv(temp_c: float) -> float:
    """Slope of an ideal pH electrode, mV per pH: 1000 R T ln 10 / F. Source: CODATA 2018.

    >>> round(nernst_slope_mv(25.0), 3)
    59.159
    """
    if temp_c <= -_ZERO:
        raise ValueError(f"temp_c {temp_c} °C is not above absolute zero")
    return 1000 * _GAS * (temp_c + _ZERO) * log(10) / _FARADAY


def ph_from_mv(mv: float, temp_c: float, offset_mv: float = 0.0, ph_iso: float = 7.0, slope_pct: float = 100.0) -> float:
    """PH of an electrode's voltage: pH_iso - (E - E_0) / (slope s). Compensates the electrode, never the solution's own drift.

    >>> round(ph_from_mv(0.0, 25.0), 2), round(ph_from_mv(-118.32, 25.0), 2)
    (7.0, 9.0)
    """
    if slope_pct <= 0:
        raise ValueError(f"slope_pct {slope_pct} % is not a slope; a healthy electrode has 92 … 102 %")
    return ph_iso - (mv - offset_mv) / (nernst_slope_mv(temp_c) * slope_pct / 100)


def _ratio_at_15(temp_c: float) -> float:
    return 0.6766097 + temp_c * (2.00564e-2 + temp_c * (1.104259e-4 + temp_c * (-6.9698e-7 + temp_c * 1.0031e-9)))


def _pss78_of_ratio(ratio: float, temp_c: float) -> float:
    root = sqrt(ratio)
    first = 0.0080 + root * (-0.1692 + root * (25.3851 + root * (14.0941 + root * (-7.0261 + root * 2.7081))))
    second = 0.0005 + root * (-0.0056 + root * (-0.0066 + root * (-0.0375 + root * (0.0636 + root * -0.0144))))
    return first + (temp_c - 15) / (1 + 0.0162 * (temp_c - 15)) * second


def pss78(ec_mS_cm: float, temp_c: float, p_dbar: float = 0.0) -> float | None:  # noqa: N803 - the unit is spelled like this
    """Practical salinity from conductivity (mS/cm), temperature (-2 … 35 °C, IPTS-68) and pressure (dbar); None without conductivity.

    Holds for 2 … 42; outside of it the number is an extrapolation (for fresher water see `salinity_fresh`).

    R = C / 42.914, Rp = 1 + p (e1 + e2 p + e3 p²) / (1 + d1 t + d2 t² + (d3 + d4 t) R), R_t = R / (Rp r_t). Source: UNESCO 44.

    >>> round(pss78(42.914, 15.0), 3)
    35.0
    """
    _within("temp_c", temp_c, -2, 35, "°C")
    ratio = ec_mS_cm / _C_35_15_0
    if ratio <= 0:
        return None
    by_pressure = 1 + p_dbar * (2.070e-5 + p_dbar * (-6.370e-10 + p_dbar * 3.989e-15)) / (
        1 + 3.426e-2 * temp_c + 4.464e-4 * temp_c**2 + (4.215e-1 - 3.107e-3 * temp_c) * ratio)
    return _pss78_of_ratio(ratio / (by_pressure * _ratio_at_15(temp_c)), temp_c)


def salinity_fresh(ec_mS_cm: float, temp_c: float) -> float | None:  # noqa: N803 - the unit is spelled like this
    """Salinity below 2 at the surface: PSS-78 less 0.008 / (1 + 1.5 x + x²) and 0.0005 f / (1 + y^½ + y^1.5), x = 400 R_t, y = 100 R_t.

    Source: Hill, Dauphinee and Woods 1986, from memory (M).

    >>> round(salinity_fresh(0.5, 15.0), 3)
    0.302
    """
    found = pss78(ec_mS_cm, temp_c)
    if found is None:
        return None
    ratio = ec_mS_cm / _C_35_15_0 / _ratio_at_15(temp_c)
    x, y = 400 * ratio, 100 * ratio
    change = (temp_c - 15) / (1 + 0.0162 * (temp_c - 15))
    return found - 0.0080 / (1 + 1.5 * x + x * x) - 0.0005 * change / (1 + sqrt(y) + y * sqrt(y))


def load_kg(conc_mg_l: Sequence[Figure], volume_m3: Sequence[Figure]) -> Decimal:
    """Load, kg, of intervals: sum(C_i V_i) / 1000, mg/L and m³; multiplied per interval, then added.

    >>> load_kg(["2.5", "4"], [1000, 500])
    Decimal('4.5')
    """
    return sum((exact(c) * exact(v) for c, v in zip(conc_mg_l, volume_m3, strict=True)), Decimal(0)) / 1000


def flow_weighted_mean(conc: Sequence[Figure], vol: Sequence[Figure]) -> Decimal | None:
    """Concentration of the whole volume: sum(C V) / sum V; None where nothing flowed.

    >>> flow_weighted_mean([10, 20], [3, 1])
    Decimal('12.5')
    """
    pairs = [(Fraction(exact(c)), Fraction(exact(v))) for c, v in zip(conc, vol, strict=True)]
    total = sum((v for _, v in pairs), Fraction(0))
    if total <= 0:
        return None
    mean = sum((c * v for c, v in pairs), Fraction(0)) / total
    return Decimal(mean.numerator) / Decimal(mean.denominator)
