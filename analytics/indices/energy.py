"""Energy: coal equivalent, carbon dioxide of electricity, heat, gas at reference conditions, meters that roll over."""

from decimal import Decimal

from analytics.indices._exact import Figure, exact
from config.standard import Standard


def tce(kind: str, amount: Figure, *, law: Standard) -> Decimal:
    """Standard coal, kgce, of an amount of energy by the factor of its kind. Source: GB/T 2589-2020; some factors from memory (M).

    >>> from config.reading_standards import standards
    >>> tce("diesel", 1000, law=standards().named("GBT2589"))
    Decimal('1457.1000')
    """
    return exact(amount) * law.table("factors").number(kind, "factor")


def co2_grid(kwh: Figure, year: int, *, law: Standard) -> Decimal:
    """Carbon dioxide, kg, of electricity by the national factor of its year; ValueError for a year without one.

    >>> from config.reading_standards import standards
    >>> co2_grid(1000, 2022, law=standards().named("CN-GRID-CO2"))
    Decimal('536.6000')
    """
    return exact(kwh) * law.table("national").number(str(year), "factor")


def heat_kwh(volume_m3: Figure, t_supply: Figure, t_return: Figure, density: Figure = 1000, heat_capacity: Figure = "4.186") -> Decimal:
    """Heat, kWh, carried by water: V rho c_p (t_supply - t_return) / 3600; kg/m³ and kJ/(kg K).

    >>> heat_kwh(36, 70, 60)
    Decimal('418.600')
    """
    return exact(volume_m3) * exact(density) * exact(heat_capacity) * (exact(t_supply) - exact(t_return)) / 3600


def gas_std_m3(v_m3: Figure, p_abs_kpa: Figure, t_c: Figure, t_ref_c: Figure = 20) -> Decimal:
    """Gas volume at reference conditions: V P / 101.325 (t_ref + 273.15) / (t + 273.15), P absolute, 20 °C in China.

    >>> gas_std_m3(100, "101.325", 20)
    Decimal('100')
    """
    kelvin = exact(t_c) + Decimal("273.15")
    if kelvin <= 0:
        raise ValueError(f"t_c {t_c} °C is below absolute zero")
    return exact(v_m3) * exact(p_abs_kpa) * (exact(t_ref_c) + Decimal("273.15")) / (Decimal("101.325") * kelvin)


def counter_delta(prev: Figure, cur: Figure, modulus: Figure) -> Decimal:
    """What a meter counted between two readings, across one rollover at `modulus`.

    A replaced meter looks the same: check that the step is plausible (`counter_step`). ValueError if a reading is not below the modulus.

    >>> counter_delta(99990, 15, 100000)
    Decimal('25')
    """
    before, now, top = exact(prev), exact(cur), exact(modulus)
    if not (0 <= before < top and 0 <= now < top):
        raise ValueError(f"readings {prev} and {cur} are not from 0 to below the modulus {modulus}")
    return now - before if now >= before else now + top - before


def counter_step(prev: Figure, cur: Figure, modulus: Figure, most: Figure) -> Decimal | None:
    """`counter_delta` where it is at most what the meter can count in that time; None for a meter that was replaced or reset.

    >>> counter_step(99990, 15, 100000, 1000), counter_step(50000, 15, 100000, 1000)
    (Decimal('25'), None)
    """
    found = counter_delta(prev, cur, modulus)
    return found if found <= exact(most) else None
