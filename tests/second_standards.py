"""A second reading of the texts, for tests only: own tables typed as running text, own structure, Decimal and integers.

Nothing here is imported from the product, and nothing is shaped like it: the index is found by counting up, not by interpolating.
"""

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

CN_INDEX = (0, 50, 100, 150, 200, 300, 400, 500)
CN_TABLE = """
SO2_24h 0 50 150 475 800 1600 2100 2620
SO2_1h 0 150 500 650 800
NO2_24h 0 40 80 180 280 565 750 940
NO2_1h 0 100 200 700 1200 2340 3090 3840
CO_24h 0 2 4 14 24 36 48 60
CO_1h 0 5 10 35 60 90 120 150
O3_1h 0 160 200 300 400 800 1000 1200
O3_8h 0 100 160 215 265 800
PM10_24h 0 50 120 250 350 420 500 600
PM2.5_24h 0 35 60 115 150 250 350 500
"""
CN_2012 = {"PM10_24h": {120: 150}, "PM2.5_24h": {60: 75}}
"""What the table of 2012 had in place of the figure of 2026."""
NAMES = ["优", "良", "轻度污染", "中度污染", "重度污染", "严重污染"]


def cn_ends(year: int, column: str) -> list[Decimal]:
    row = next(line.split()[1:] for line in CN_TABLE.strip().splitlines() if line.split()[0] == column)
    return [Decimal(CN_2012.get(column, {}).get(int(end), int(end))) if year == 2012 else Decimal(end) for end in row]


def cn_iaqi(year: int, column: str, written: str) -> int | None:
    """IAQI by trial: the smallest integer that is not below the point on the line, tested by cross multiplication."""
    value = Decimal(written)
    if year == 2026:
        value = value.quantize(Decimal("0.1") if column.startswith("CO") else Decimal(1), rounding=ROUND_HALF_EVEN)
        column = column.replace("_1h", "_24h") if column.startswith("PM") else column
    if value < 0:
        return None
    ends = cn_ends(year, column)
    if value > ends[-1]:
        special = {"SO2_1h": 200, "O3_8h": 300}
        if column in special:
            return special[column] if year == 2026 else None
        return 500
    part = next(place for place in range(len(ends) - 1) if value <= ends[place + 1])
    low, high, from_, to = ends[part], ends[part + 1], CN_INDEX[part], CN_INDEX[part + 1]
    candidate = from_
    while (candidate - from_) * (high - low) < (to - from_) * (value - low):
        candidate += 1
    return candidate


def cn_level(index: int | None) -> tuple[int | None, str | None]:
    if index is None:
        return None, None
    level = 1 + sum(index > end for end in (50, 100, 150, 200, 300))
    return level, NAMES[level - 1]


US_TABLE = """
O3_8h 3 | 0 54 55 70 71 85 86 105 106 200 | 0 50 51 100 101 150 151 200 201 300 | blank
O3_1h 3 | 125 164 165 204 205 404 405 604 | 101 150 151 200 201 300 301 500 | on
PM2.5_24h 1 | 0 90 91 354 355 554 555 1254 1255 2254 2255 3254 | 0 50 51 100 101 150 151 200 201 300 301 500 | on
PM10_24h 0 | 0 54 55 154 155 254 255 354 355 424 425 604 | 0 50 51 100 101 150 151 200 201 300 301 500 | on
CO_8h 1 | 0 44 45 94 95 124 125 154 155 304 305 504 | 0 50 51 100 101 150 151 200 201 300 301 500 | on
SO2_1h 0 | 0 35 36 75 76 185 186 304 | 0 50 51 100 101 150 151 200 | blank
SO2_24h 0 | 305 604 605 1004 | 201 300 301 500 | on
NO2_1h 0 | 0 53 54 100 101 360 361 649 650 1249 1250 2049 | 0 50 51 100 101 150 151 200 201 300 301 500 | on
"""


def us_index(column: str, written: str) -> int | None:
    """The US sub-index in whole steps of the printed concentration: truncate, then nearest with halves up, in integers only."""
    row = next(row for row in US_TABLE.strip().splitlines() if row.startswith(column + " "))
    head, ends, indices, above = (part.split() for part in row.split("|"))
    steps = int(Decimal(written) * 10 ** int(head[1]))  # int() cuts off
    pairs = list(zip(map(int, ends[::2]), map(int, ends[1::2]), map(int, indices[::2]), map(int, indices[1::2]), strict=True))
    if steps < pairs[0][0] or (steps > pairs[-1][1] and above == ["blank"]):
        return None
    low, high, from_, to = next((pair for pair in pairs if steps <= pair[1]), pairs[-1])
    twice = 2 * (to - from_) * (steps - low) + (2 * from_ + 1) * (high - low)
    return twice // (2 * (high - low))


UK = {"PM2.5_24h": "11 23 35 41 47 53 58 64 70", "PM10_24h": "16 33 50 58 66 75 83 91 100", "O3_8h": "33 66 100 120 140 160 187 213 240",
      "NO2_1h": "67 134 200 267 334 400 467 534 600", "SO2_15min": "88 177 266 354 443 532 710 887 1064"}
EU = {"PM2.5": "5 15 50 90 140", "PM10": "15 45 120 195 270", "NO2": "10 25 60 100 150", "O3": "60 100 120 160 180", "SO2": "20 40 125 190 275"}


def uk_index(column: str, written: str) -> int:
    whole = (Decimal(written) + Decimal("0.5")).to_integral_value(rounding=ROUND_FLOOR)
    return 1 + sum(whole > int(end) for end in UK[column].split())


def eu_band(pollutant: str, written: str) -> int:
    return 1 + sum(Decimal(written) > int(end) for end in EU[pollutant].split())


GB3838 = """
do      >7.5 >6 >5 >3 >2
codmn   2 4 6 10 15
cod     15 15 20 30 40
bod5    3 3 4 6 10
nh3n    0.15 0.5 1.0 1.5 2.0
tp      0.02 0.1 0.2 0.3 0.4
cu      0.01 1.0 1.0 1.0 1.0
zn      0.05 1.0 1.0 2.0 2.0
f       1.0 1.0 1.0 1.5 1.5
se      0.01 0.01 0.01 0.02 0.02
as      0.05 0.05 0.05 0.1 0.1
hg      0.00005 0.00005 0.0001 0.001 0.001
cd      0.001 0.005 0.005 0.005 0.01
cr6     0.01 0.05 0.05 0.05 0.1
pb      0.01 0.01 0.05 0.05 0.1
cn      0.005 0.05 0.2 0.2 0.2
phenol  0.002 0.002 0.005 0.01 0.1
oil     0.05 0.05 0.05 0.5 1.0
las     0.2 0.2 0.2 0.3 0.3
s2      0.05 0.1 0.2 0.5 1.0
"""
WATER_ITEMS = tuple(line.split()[0] for line in GB3838.strip().splitlines())


def water_class(item: str, written: str, *, lake: bool) -> int:
    """The number of classes whose limit is not met, and one more: limits never get stricter from I to V."""
    if item == "tp" and lake:
        limits = ["0.01", "0.025", "0.05", "0.1", "0.2"]
    else:
        limits = next(line.split()[1:] for line in GB3838.strip().splitlines() if line.split()[0] == item)
    value = Decimal(written)
    return 1 + sum(value < Decimal(end[1:]) if end.startswith(">") else value > Decimal(end) for end in limits)


IN_TABLE = """
PM10_24h 0 | 0 50 51 100 101 250 251 350 351 430
PM2.5_24h 0 | 0 30 31 60 61 90 91 120 121 250
NO2_24h 0 | 0 40 41 80 81 180 181 280 281 400
CO_8h 1 | 0 10 11 20 21 100 101 170 171 340
SO2_24h 0 | 0 40 41 80 81 380 381 800 801 1600
NH3_24h 0 | 0 200 201 400 401 800 801 1200 1201 1800
"""
IN_INDEX = ((0, 50), (51, 100), (101, 200), (201, 300), (301, 400))


def india_index(column: str, steps: int) -> int | None:
    """India's sub-index of whole printed steps: nearest, by comparing twice the distance, in integers only."""
    ends = [int(word) for word in next(row for row in IN_TABLE.strip().splitlines() if row.startswith(column + " ")).split("|")[1].split()]
    for place, (from_, to) in enumerate(IN_INDEX):
        low, high = ends[2 * place], ends[2 * place + 1]
        if steps <= high:
            rise, run = (to - from_) * (steps - low), high - low
            return from_ + rise // run + (1 if 2 * (rise % run) >= run else 0)
    return None


def nowcast(hours: list[str | None]) -> tuple[Decimal, Decimal] | None:
    """The NowCast by Horner's scheme from the oldest hour, numerator and denominator with a common integer weight."""
    known = [Decimal(hour) for hour in hours if hour is not None]
    if sum(hour is not None for hour in hours[:3]) < 2:
        return None
    least, most = min(known), max(known)
    part, whole = (least, most) if most and 2 * least > most else (Decimal(1), Decimal(2)) if most else (Decimal(1), Decimal(1))
    above = below = Decimal(0)
    scale = Decimal(1)
    for hour in reversed(hours[:12]):
        above, below = above * part, below * part
        if hour is not None:
            above, below = above + Decimal(hour) * scale, below + scale
        scale *= whole  # so a term of age a ends as part to the a, times whole to the rest: integers throughout
    return above, below


FARMLAND = """
cd paddy 0.3 0.4 0.6 0.8 | 1.5 2.0 3.0 4.0
cd other 0.3 0.3 0.3 0.6 | 1.5 2.0 3.0 4.0
hg paddy 0.5 0.5 0.6 1.0 | 2.0 2.5 4.0 6.0
hg other 1.3 1.8 2.4 3.4 | 2.0 2.5 4.0 6.0
as paddy 30 30 25 20 | 200 150 120 100
as other 40 40 30 25 | 200 150 120 100
pb paddy 80 100 140 240 | 400 500 700 1000
pb other 70 90 120 170 | 400 500 700 1000
cr paddy 250 250 300 350 | 800 850 1000 1300
cr other 150 150 200 250 | 800 850 1000 1300
"""


def farmland(metal: str, land: str, value: str, ph: str) -> str:
    row = next(line for line in FARMLAND.strip().splitlines() if line.startswith(f"{metal} {land} "))
    screening, intervention = (part.split()[-4:] for part in row.split("|"))
    band = sum(Decimal(ph) > Decimal(edge) for edge in ("5.5", "6.5", "7.5"))
    worse = (Decimal(value) > Decimal(screening[band])) + (Decimal(value) > Decimal(intervention[band]))
    return ("low", "risk_possible", "strict_control")[worse]
