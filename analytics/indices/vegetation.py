"""Vegetation: reference evapotranspiration (FAO-56), vapour pressure deficit, growing degree days, spectral indices."""

from math import acos, cos, exp, log, pi, sin, sqrt, tan
from typing import Literal

from analytics.indices._exact import Result

_SOLAR = 0.0820
"""Solar constant, MJ m⁻² min⁻¹."""


def ndvi(nir: float, red: float) -> float | None:
    """Normalised difference vegetation index: (NIR - R) / (NIR + R); None for a dark scene.

    >>> round(ndvi(0.5, 0.1), 4)
    0.6667
    """
    return (nir - red) / (nir + red) if nir + red > 0 else None


def pri(r531: float, r570: float) -> float | None:
    """Photochemical reflectance index: (R531 - R570) / (R531 + R570); None for a dark scene.

    >>> round(pri(0.06, 0.05), 4)
    0.0909
    """
    return (r531 - r570) / (r531 + r570) if r531 + r570 > 0 else None


def lai_beer(i_below: float, i_above: float, k: float) -> float:
    """Leaf area index from light below and above the canopy: -ln(I / I_0) / k.

    >>> round(lai_beer(246.8, 961.1, 0.44), 3)
    3.09
    """
    if not (i_below > 0 and i_above > 0 and k > 0):
        raise ValueError("i_below, i_above and k are above 0; at night there is no leaf area index from light")
    return -log(i_below / i_above) / k


def gdd(tmax: float, tmin: float, base: float, cap: float | None = None, method: Literal["average", "modified"] = "average") -> float:
    """Growing degree days of a day, °C d: average max(0, (Tx + Tn) / 2 - base); modified: Tx and Tn are first clipped to base … cap.

    Source: McMaster and Wilhelm 1997.

    >>> gdd(36, 18, 10, 30, "modified"), gdd(12, 2, 10)
    (14.0, 0.0)
    """
    if tmin > tmax:
        raise ValueError(f"tmin {tmin} is above tmax {tmax}")
    if method == "modified":
        highest = max(tmax, base) if cap is None else min(max(tmax, base), cap)
        lowest = max(tmin, base) if cap is None else min(max(tmin, base), cap)
        return float(max(0.0, (highest + lowest) / 2 - base))
    return float(max(0.0, (tmax + tmin) / 2 - base))


def saturation_kpa(t: float) -> float:
    """Saturation vapour pressure, kPa, at t °C: 0.6108 exp(17.27 t / (t + 237.3)). Source: FAO-56 eq. 11.

    >>> round(saturation_kpa(24.5), 3)
    3.075
    """
    return 0.6108 * exp(17.27 * t / (t + 237.3))


def _share(name: str, rh: float) -> float:
    if not 0 <= rh <= 100:
        raise ValueError(f"{name} {rh} % is not a relative humidity from 0 to 100 %")
    return rh / 100


def vpd(t: float, rh: float) -> float:
    """Vapour pressure deficit, kPa: e_s(t) (1 - RH / 100).

    >>> round(vpd(29.9, 60.5), 3)
    1.666
    """
    return saturation_kpa(t) * (1 - _share("rh", rh))


def vpd_daily(tmax: float, tmin: float, rhmax: float, rhmin: float) -> float:
    """Vapour pressure deficit of a day, kPa: e_s as mean of both ends, e_a crosswise. Source: FAO-56 examples 5 and 6.

    >>> round(vpd_daily(25.0, 18.0, 82.0, 54.0), 2)
    0.91
    """
    high, low = saturation_kpa(tmax), saturation_kpa(tmin)
    return (high + low) / 2 - (low * _share("rhmax", rhmax) + high * _share("rhmin", rhmin)) / 2


def pressure(z: float) -> float:
    """Air pressure, kPa, at z m above the sea: 101.3 ((293 - 0.0065 z) / 293)^5.26. Source: FAO-56 eq. 7.

    >>> round(pressure(1800.0), 1)
    81.8
    """
    return float(101.3 * ((293 - 0.0065 * z) / 293) ** 5.26)


def u2(uz: float, z: float) -> float:
    """Wind speed at 2 m from that at z m: u_z 4.87 / ln(67.8 z - 5.42). Source: FAO-56 eq. 47.

    >>> round(u2(3.2, 10.0), 1)
    2.4
    """
    if 67.8 * z - 5.42 <= 1:
        raise ValueError(f"z {z} m is too low for the wind profile")
    return uz * 4.87 / log(67.8 * z - 5.42)


def _sun(lat_deg: float, doy: int) -> tuple[float, float, float, float]:
    """Latitude, declination, sunset angle (rad) and relative distance of the sun."""
    if not 1 <= doy <= 366:
        raise ValueError(f"doy {doy} is not a day of the year")
    if not -90 <= lat_deg <= 90:
        raise ValueError(f"lat_deg {lat_deg} is not a latitude")
    latitude = pi / 180 * lat_deg
    distance = 1 + 0.033 * cos(2 * pi * doy / 365)
    declination = 0.409 * sin(2 * pi * doy / 365 - 1.39)
    sunset = acos(min(max(-tan(latitude) * tan(declination), -1.0), 1.0))
    return latitude, declination, sunset, distance


def ra_daily(lat_deg: float, doy: int) -> float:
    """Extraterrestrial radiation of a day, MJ m⁻² d⁻¹: (24·60 / pi) 0.0820 d_r (w_s sin φ sin δ + cos φ cos δ sin w_s).

    Polar day and night are the limits w_s = pi and 0. Source: FAO-56 eq. 21.

    >>> round(ra_daily(-20.0, 246), 1)
    32.2
    """
    latitude, declination, sunset, distance = _sun(lat_deg, doy)
    arc = sunset * sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * sin(sunset)
    return 24 * 60 / pi * _SOLAR * distance * arc


def daylight_hours(lat_deg: float, doy: int) -> float:
    """Hours of daylight: 24 w_s / pi. Source: FAO-56 eq. 34.

    >>> round(daylight_hours(-20.0, 246), 1)
    11.7
    """
    return 24 / pi * _sun(lat_deg, doy)[2]


def _cloudiness(rs: float, rso: float) -> float:
    """1.35 Rs / Rso - 0.35, Rs / Rso at most 1."""
    return 1.35 * min(rs / rso, 1.0) - 0.35


def rnl(tmax: float, tmin: float, ea: float, rs: float, rso: float) -> float:
    """Net outgoing longwave radiation of a day, MJ m⁻² d⁻¹; ea kPa, rs and rso MJ m⁻² d⁻¹. Source: FAO-56 eq. 39.

    >>> round(rnl(25.1, 19.0, 2.1, 14.5, 18.8), 1)
    3.5
    """
    if rso <= 0 or ea < 0:
        raise ValueError("rso is above 0 and ea not negative; in the polar night there is no daily balance")
    fourth = ((tmax + 273.16) ** 4 + (tmin + 273.16) ** 4) / 2
    return float(4.903e-9 * fourth * (0.34 - 0.14 * sqrt(ea)) * _cloudiness(rs, rso))


def _slope(t: float) -> float:
    """Slope of the saturation vapour pressure curve, kPa/°C."""
    return 4098 * saturation_kpa(t) / (t + 237.3) ** 2


def et0_daily(tmax: float, tmin: float, ea: float, rs: float, u2_: float, elev: float, lat_deg: float, doy: int,
              G: float = 0.0) -> float:  # noqa: N803 - the source's symbol
    """Reference evapotranspiration of a day, mm: [0.408 Δ (R_n - G) + γ 900 / (T + 273) u_2 (e_s - e_a)] / [Δ + γ (1 + 0.34 u_2)].

    tmax, tmin °C; ea kPa; rs MJ m⁻² d⁻¹; u2_ m/s at 2 m; elev m; doy in local time; G MJ m⁻² d⁻¹. Source: FAO-56 eq. 6.

    >>> round(et0_daily(34.8, 25.6, 2.85, 22.65, 2.0, 2.0, 13.7333, 105, 0.14), 2)
    5.72
    """
    mean = (tmax + tmin) / 2
    rso = (0.75 + 2e-5 * elev) * ra_daily(lat_deg, doy)
    net = 0.77 * rs - rnl(tmax, tmin, ea, rs, rso)
    gamma, slope = 0.665e-3 * pressure(elev), _slope(mean)
    deficit = (saturation_kpa(tmax) + saturation_kpa(tmin)) / 2 - ea
    return (0.408 * slope * (net - G) + gamma * 900 / (mean + 273) * u2_ * deficit) / (slope + gamma * (1 + 0.34 * u2_))


def ra_hourly(lat_deg: float, lz_w: float, lm_w: float, doy: int, t_mid: float) -> float:
    """Extraterrestrial radiation of an hour, MJ m⁻² h⁻¹, 0 at night. Longitudes in degrees WEST of Greenwich: of the time zone, of the site.

    t_mid is the middle of the hour in zone time (14.5 for 14 to 15). Source: FAO-56 eq. 28-33.

    >>> round(ra_hourly(16.2167, 15.0, 16.25, 274, 14.5), 3)
    3.543
    """
    latitude, declination, sunset, distance = _sun(lat_deg, doy)
    season = 2 * pi * (doy - 81) / 364
    correction = 0.1645 * sin(2 * season) - 0.1255 * cos(season) - 0.025 * sin(season)
    middle = pi / 12 * (t_mid + 0.06667 * (lz_w - lm_w) + correction - 12)
    middle = (middle + pi) % (2 * pi) - pi
    begin, end = max(middle - pi / 24, -sunset), min(middle + pi / 24, sunset)
    if end <= begin:
        return 0.0
    arc = (end - begin) * sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * (sin(end) - sin(begin))
    return max(0.0, 12 * 60 / pi * _SOLAR * distance * arc)


def et0_hourly(t: float, rh: float, rs: float, u2_: float, elev: float, lat_deg: float, lz_w: float, lm_w: float, doy: int, t_mid: float,
               night_cloudiness: float = 0.8) -> Result:
    """Reference evapotranspiration of an hour, mm, with its extraterrestrial and net radiation, MJ m⁻² h⁻¹.

    Like the daily form with 37 for 900, sigma 2.043e-10, G = 0.1 R_n by day and 0.5 R_n by night; longitudes in degrees WEST.
    `night_cloudiness` is Rs / Rso to use where Rso is 0: that of the hours before sunset. Source: FAO-56 eq. 53.

    >>> found = et0_hourly(38.0, 52.0, 2.45, 3.3, 8.0, 16.2167, 15.0, 16.25, 274, 14.5)
    >>> round(found["rn"], 2), round(found["et0"], 2)
    (1.75, 0.63)
    """
    ra = ra_hourly(lat_deg, lz_w, lm_w, doy, t_mid)
    saturated = saturation_kpa(t)
    ea = saturated * _share("rh", rh)
    rso = (0.75 + 2e-5 * elev) * ra
    cloudiness = _cloudiness(rs, rso) if rso > 0 else 1.35 * night_cloudiness - 0.35
    net = 0.77 * rs - 2.043e-10 * (t + 273.16) ** 4 * (0.34 - 0.14 * sqrt(ea)) * cloudiness
    ground = 0.1 * net if ra > 0 else 0.5 * net
    gamma, slope = 0.665e-3 * pressure(elev), _slope(t)
    et0 = (0.408 * slope * (net - ground) + gamma * 37 / (t + 273) * u2_ * (saturated - ea)) / (slope + gamma * (1 + 0.34 * u2_))
    return {"ra": ra, "rn": float(net), "et0": float(et0)}


def et0_station(t: float, rh: float, rs_w_m2: float, wind: float, elev: float, lat_deg: float, longitude: float, zone_west: float, doy: int,
                t_mid: float, wind_height: float = 2.0) -> float:
    """`et0_hourly` from a station's hourly means: radiation W/m² (below 0 at night counts as 0), wind m/s at `wind_height` m, longitude east.

    zone_west is the meridian of the zone in degrees WEST; t_mid in standard time. RH above 100 % counts as 100.

    >>> round(et0_station(38.0, 52.0, 2.45 / 0.0036, 3.3, 8.0, 16.2167, -16.25, 15.0, 274, 14.5), 2)
    0.63
    """
    wind_at_2_m = wind if wind_height == 2 else u2(wind, wind_height)
    found = et0_hourly(t, min(rh, 100.0), max(rs_w_m2, 0.0) * 0.0036, wind_at_2_m, elev, lat_deg, zone_west, -longitude % 360, doy, t_mid)["et0"]
    assert isinstance(found, float)
    return found


def et0_day_station(tmax: float, tmin: float, rhmax: float, rhmin: float, rs_w_m2: float, wind: float, elev: float, lat_deg: float, doy: int,
                    wind_height: float = 2.0) -> float:
    """`et0_daily` from a station's day: largest and smallest hourly temperature, °C, and humidity, %, means of radiation, W/m², and wind, m/s.

    e_a crosswise from both ends (FAO-56 eq. 17), soil heat flux 0 (eq. 42). RH above 100 % counts as 100.

    >>> round(et0_day_station(21.5, 12.3, 84.0, 63.0, 22.07 / 0.0864, 10 / 3.6, 100.0, 50.8, 187, 10.0), 1)
    3.9
    """
    ea = (saturation_kpa(tmin) * min(rhmax, 100.0) + saturation_kpa(tmax) * min(rhmin, 100.0)) / 200
    return et0_daily(tmax, tmin, ea, max(rs_w_m2, 0.0) * 0.0864, wind if wind_height == 2 else u2(wind, wind_height), elev, lat_deg, doy)


def hargreaves(tmax: float, tmin: float, lat_deg: float, doy: int) -> float:
    """Reference evapotranspiration of a day from temperature alone, mm: 0.0023 (T_mean + 17.8) sqrt(T_max - T_min) 0.408 R_a. Source: FAO-56 eq. 52.

    >>> round(hargreaves(26.6, 14.8, 45.7167, 196), 1)
    5.0
    """
    if tmin > tmax:
        raise ValueError(f"tmin {tmin} is above tmax {tmax}")
    return 0.0023 * ((tmax + tmin) / 2 + 17.8) * sqrt(tmax - tmin) * 0.408 * ra_daily(lat_deg, doy)
