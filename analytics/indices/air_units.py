"""Mixing ratio and mass concentration of gases, at stated conditions; corrections of low-cost particle sensors."""

from decimal import Decimal

from analytics.indices._exact import Figure, exact

R = Decimal("8.31446261815324")
"""Gas constant, J/(mol K), CODATA 2018."""
MOLAR_MASS = {"SO2": Decimal("64.0638"), "NO2": Decimal("46.0055"), "O3": Decimal("47.9982"), "CO": Decimal("28.0101"),
              "NO": Decimal("30.0061"), "NH3": Decimal("17.0305")}
"""g/mol, NIST."""


def _mass(gas: str) -> Decimal:
    found = MOLAR_MASS.get(gas.upper())
    if found is None:
        raise ValueError(f'gas "{gas}" has no molar mass here; there are: {", ".join(MOLAR_MASS)}')
    return found


def ppb_to_ugm3(gas: str, ppb: Figure, temp_k: Figure = "298.15", pressure_pa: Figure = 101325) -> Decimal:
    """µg/m³ of a gas from ppb: C = ppb M p / (R T) / 1000, at the stated temperature and pressure.

    298.15 K in China since 2018-09 and in the US, 293.15 K in the EU and the UK, 273.15 K in China before.

    >>> round(ppb_to_ugm3("NO2", 100), 4)
    Decimal('188.0431')
    """
    temperature = exact(temp_k)
    if temperature <= 0:
        raise ValueError(f"temp_k {temp_k} is not above absolute zero")
    return exact(ppb) * _mass(gas) * exact(pressure_pa) / (R * temperature * 1000)


def ugm3_to_ppb(gas: str, ugm3: Figure, temp_k: Figure = "298.15", pressure_pa: Figure = 101325) -> Decimal:
    """Ppb of a gas from µg/m³, the inverse of `ppb_to_ugm3`.

    >>> round(ugm3_to_ppb("O3", "100", "293.15"), 4)
    Decimal('50.1167')
    """
    pressure = exact(pressure_pa)
    if pressure <= 0:
        raise ValueError(f"pressure_pa {pressure_pa} is not positive")
    return exact(ugm3) * R * exact(temp_k) * 1000 / (_mass(gas) * pressure)


def to_reference_state(ugm3: Figure, temp_k: Figure, pressure_pa: Figure, ref_temp_k: Figure = "298.15", ref_pressure_pa: Figure = 101325) -> Decimal:
    """Mass concentration of a gas brought from site to reference state: C_ref = C (P_ref / P) (T / T_ref). Never for particles in China.

    >>> round(to_reference_state(100, "283.15", 85000), 6)
    Decimal('113.208605')
    """
    return exact(ugm3) * exact(ref_pressure_pa) * exact(temp_k) / (exact(pressure_pa) * exact(ref_temp_k))
