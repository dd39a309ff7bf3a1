"""How large units are, exactly: to say what a limit in the wrong unit would be in the right one."""

from decimal import Decimal
from fractions import Fraction

from config.units import Limit

_SIZES: dict[str, dict[str, Fraction]] = {
    "concentration": {"g/L": Fraction(1), "kg/m³": Fraction(1), "mg/L": Fraction(1, 10**3), "g/m³": Fraction(1, 10**3),
                      "mg/m³": Fraction(1, 10**6), "µg/L": Fraction(1, 10**6), "µg/m³": Fraction(1, 10**9), "ng/L": Fraction(1, 10**9),
                      "ng/m³": Fraction(1, 10**12)},
    "conductivity": {"S/m": Fraction(1), "dS/m": Fraction(1, 10), "mS/cm": Fraction(1, 10), "µS/cm": Fraction(1, 10**4)},
    "length": {"km": Fraction(1000), "m": Fraction(1), "cm": Fraction(1, 100), "mm": Fraction(1, 1000)},
    "flow": {"m³/s": Fraction(1), "L/s": Fraction(1, 1000), "m³/h": Fraction(1, 3600), "m³/d": Fraction(1, 86400)},
    "speed": {"m/s": Fraction(1), "cm/s": Fraction(1, 100), "km/h": Fraction(5, 18)},
    "pressure": {"MPa": Fraction(10**6), "bar": Fraction(10**5), "kPa": Fraction(1000), "hPa": Fraction(100), "mbar": Fraction(100),
                 "Pa": Fraction(1)},
    "share": {"1": Fraction(1), "m³/m³": Fraction(1), "%": Fraction(1, 100), "‰": Fraction(1, 1000), "ppm": Fraction(1, 10**6),
              "ppb": Fraction(1, 10**9)},
    "mass share": {"g/kg": Fraction(1), "mg/kg": Fraction(1, 1000), "µg/kg": Fraction(1, 10**6)},
    "voltage": {"kV": Fraction(1000), "V": Fraction(1), "mV": Fraction(1, 1000)},
    "current": {"kA": Fraction(1000), "A": Fraction(1), "mA": Fraction(1, 1000)},
    "power": {"MW": Fraction(10**6), "kW": Fraction(1000), "W": Fraction(1)},
    "energy": {"MWh": Fraction(10**6), "kWh": Fraction(1000), "Wh": Fraction(1)},
}


def factor(unit: str, into: str) -> Fraction | None:
    """By what a figure in one unit is multiplied to be in another of the same kind; None if there is no plain factor.

    >>> factor("hPa", "kPa"), factor("hPa", "m")
    (Fraction(1, 10), None)
    """
    return next((sizes[unit] / sizes[into] for sizes in _SIZES.values() if unit in sizes and into in sizes), None)


def converted(limit: Limit, unit: str) -> Limit | None:
    """The limit in another unit of the same kind; None if there is no plain factor, or it has no short decimal.

    >>> str(converted(Limit(Decimal("1.0"), "µg/L"), "mg/L"))
    '0.001 mg/L'
    """
    size = factor(limit.unit, unit)
    if size is None:
        return None
    exact = Fraction(limit.figure) * size
    figure = Decimal(exact.numerator) / Decimal(exact.denominator)
    if Fraction(figure) != exact or abs(figure.normalize().adjusted()) > 12:
        return None
    return Limit(Decimal(f"{figure.normalize():f}"), unit)
