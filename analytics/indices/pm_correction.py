"""Corrections of low-cost particle sensors towards reference instruments: each for its own sensor, input and range."""

from decimal import Decimal

from analytics.indices._exact import Figure, exact


def _humidity(rh: Figure) -> Decimal:
    found = exact(rh)
    if not 0 <= found <= 100:
        raise ValueError(f"rh {rh} % is not a relative humidity from 0 to 100 %")
    return found


def pm_barkjohn_2021(pm_cf1: Figure, rh: Figure) -> Decimal:
    """PurpleAir PM2.5 (CF=1, mean of both channels, 1 h or 24 h, µg/m³) corrected: 0.524 PA - 0.0862 RH + 5.75. Already contains humidity.

    Source: Barkjohn et al., AMT 14, 4617 (2021).

    >>> pm_barkjohn_2021("35", "60")
    Decimal('18.9180')
    """
    return Decimal("0.524") * exact(pm_cf1) - Decimal("0.0862") * _humidity(rh) + Decimal("5.75")


def pm_barkjohn_2022(pm_cf1: Figure, rh: Figure) -> Decimal:
    """The extension to smoke: below 570 as in 2021, from 611 a quadratic, between them weighted.

    Source: Barkjohn et al., Sensors 22, 9669 (2022); the quadratic 4.21e-4 x² + 0.392 x + 3.44 is from memory (M).

    >>> pm_barkjohn_2022("611", "50").quantize(Decimal("0.1"))
    Decimal('400.1')
    """
    x = exact(pm_cf1)
    linear = pm_barkjohn_2021(x, rh)
    quadratic = Decimal("0.000421") * x * x + Decimal("0.392") * x + Decimal("3.44")
    if x < 570:
        return linear
    if x >= 611:
        return quadratic
    weight = Decimal("0.0244") * x - Decimal("13.9")
    return quadratic * weight + linear * (1 - weight)


def pm_epa_2021(pm_atm: Figure, rh: Figure) -> Decimal:
    """PurpleAir PM2.5 (ATM) as the US fire and smoke map of October 2021 corrects it, µg/m³, not below 0.

    0.524 x below 30, blended to 0.786 x at 50, with -0.0862 RH + 5.75; blended from 210 to 2.966 + 0.69 x + 8.84e-4 x² at 260.
    Source: a public implementation that cites the map's questions and answers; the input variant (ATM) is inferred.

    >>> pm_epa_2021("40", "50"), pm_epa_2021("0", "85")
    (Decimal('27.6400'), Decimal('0'))
    """
    x, humid = exact(pm_atm), Decimal("0.0862") * _humidity(rh)
    low, high = Decimal("0.524"), Decimal("0.786")
    smoke = Decimal("2.966") + Decimal("0.69") * x + Decimal("0.000884") * x * x
    if x < 30:
        found = low * x - humid + Decimal("5.75")
    elif x < 50:
        share = x / 20 - Decimal("1.5")
        found = (high * share + low * (1 - share)) * x - humid + Decimal("5.75")
    elif x < 210:
        found = high * x - humid + Decimal("5.75")
    elif x < 260:
        share = x / 50 - Decimal("4.2")
        found = (high * x - humid + Decimal("5.75")) * (1 - share) + smoke * share
    else:
        found = smoke
    return max(found, Decimal(0))


def pm_kappa(pm: Figure, rh: Figure, kappa: Figure) -> Decimal:
    """Dry PM from a humid optical reading: PM / (1 + (kappa / 1.65) / (1 / a_w - 1)), a_w = RH/100 kept within 0.01..0.95.

    kappa belongs to the site's aerosol; never on top of a correction that contains humidity. Source: Crilley et al. 2018, Di Antonio et al. 2018.

    >>> pm_kappa("50", "60", "0.4").quantize(Decimal("1e-6"))
    Decimal('36.666667')
    """
    activity = min(max(_humidity(rh) / 100, Decimal("0.01")), Decimal("0.95"))
    growth = 1 + exact(kappa) / Decimal("1.65") / (1 / activity - 1)
    return exact(pm) / growth
