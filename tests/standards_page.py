"""Writes docs/standards.md from the standards' files and the functions' own words: python tests/standards_page.py > docs/standards.md."""

import io
import sys
from inspect import getdoc, signature

from config.reading_standards import standards
from config.standard import Standard
from config.standard_tables import MARKS
from gateway.offline.computing import compute, functions

FAMILIES = {
    "air": ("Air", ("air_cn", "air_limits", "air_us", "air_eu", "air_uk", "air_in", "air_ca", "air_units", "air_means", "pm_correction", "hours"),
            (('{"standard": "HJ633-2026", "report": "daily", "pollutant": "PM2.5", "averaging": "24h", "concentration": "35.5", '
             '"unit": "ug/m3"}'),
             "China's index: 35.5 is rounded half to even to 36 (GB/T 8170), 1/25 into 35 … 60 → 50 … 100, so 52; sub-indices are rounded up.",
             ('{"standard": "HJ633-2026", "report": "daily", "inputs": {"SO2": "12", "NO2": "40", "CO": "1.0", "PM10": "90", "O3": null, '
             '"PM2.5": "58"}}'),
             "Ozone is missing and the rest gives 96, not more than 100: nothing is published (5.3.1).",
             ('{"standard": "HJ633", "at": "2026-02-28T23:59:59+08:00", "report": "daily", "pollutant": "PM2.5", "averaging": "24h", '
             '"concentration": "75"}'),
             "Named without edition, the data's own day chooses it; a second later the answer is 114.",
             '{"nowcast": "PM2.5", "hours_most_recent_first": ["9.0", "9.1"]}', "A NowCast is an exact fraction, truncated as the US asks."),
            ("The composite index of HJ 663-2026, forecasts, AQHI-Plus, and the gap filling of the European index from models are not included.",
             "Particles are never converted to a reference state in China; gases are, at the temperature of the edition.")),
    "water": ("Water", ("water_surface", "water_discharge", "water_index", "water_chemistry"),
              ('{"function": "gb3838_class", "args": {"param": "nh3n", "value": 1.0}}', "Limits are inclusive: 1.0 mg/L of ammonia is class III.",
               '{"function": "gb3838_assess", "args": {"values": {"cod": 31, "pb": "0.09", "ph": 7, "tn": 9}}}',
               "The class of a section with what it rests on: 18 of the 21 items were not measured, total nitrogen does not count, lead precedes."),
              ("The NSF index is not included: its curves are drawings, and the public formulas are other indices.",
               "The non-linear table of ISO 7888 is not included.",
               "Values of GB 3838 hold for a settled sample; a probe in the stream does not settle it.")),
    "noise": ("Noise", ("noise_levels", "noise_cn"),
              ('{"function": "gb3096_check", "args": {"zone": "4b", "period": "night", "leq_db": 59.0, "lmax_sudden": 75.1}}',
               "60 dB(A) at night beside a trunk railway; a sudden maximum may exceed it by 15.",
               '{"function": "background_correct", "args": {"measured": 58.5, "background": 54.8}}', "3.7 dB apart is 4, which takes off 2."),
              ("Which hours are day is the site's to set where a county says otherwise. The least valid rate of HJ 906 is not verified.",)),
    "soil": ("Soil", ("soil",),
             ('{"function": "gb15618_assess", "args": {"metal": "cd", "value": 0.35, "ph": 6.0, "land_use": "other"}}',
              "The same cadmium is low risk in a paddy (0.4) and above screening elsewhere (0.3)."),
             ("Volatile and pesticide items of GB 36600 beyond those listed, and GB/T 32136, are not included.",)),
    "vegetation": ("Vegetation", ("vegetation",),
                   (('{"function": "et0_daily", "args": {"tmax": 34.8, "tmin": 25.6, "ea": 2.85, "rs": 22.65, "u2_": 2.0, "elev": 2, '
                    '"lat_deg": 13.7333, "doy": 105, "G": 0.14}}'),
                    "Example 17 of FAO-56 (Bangkok, April): 5.72 mm a day."),
                   ("Figures of FAO-56 stand in the formulas; the day of the year is that of local time.",)),
    "emission": ("Emission", ("emission",),
                 ('{"function": "gb13271_check", "args": {"pollutant": "so2", "c_meas": 150, "o2": 12, "fuel": "coal", "kind": "special"}}',
                  "150 mg/m³ at 12 % oxygen is 200 at the reference of 9 %.",),
                 ("Filling of missing data (HJ 75) and HJ 356 are not included: their figures are not verified.",
                  "Oil-fired power plants are not included.")),
    "energy": ("Energy", ("energy",),
               ('{"function": "tce", "args": {"kind": "diesel", "amount": 1000}}', "1000 kg of diesel are 1457.1 kg of standard coal."),
               ("The primary (yearly) coal equivalent of electricity and the factors for enterprise reporting are other series and not included.",)),
}


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _force(law: Standard) -> str:
    begin = str(law.in_force or "") + (" (M)" if law.in_force_verified == "M" else "")
    return f"{begin} … {law.in_force_until}" if law.in_force_until else begin


def _answer(line: str) -> str:
    out = io.StringIO()
    compute([line], out)
    return out.getvalue().strip()


def _family(medium: str) -> list[str]:
    title, modules, examples, left_out = FAMILIES[medium]
    laws = [law for law in standards().all if law.medium == medium]
    lines = [f"## {title}", ""]
    if laws:
        lines += [_row("id", "edition", "standard", "in force", "verified", "source"), _row(*["---"] * 6)]
        for law in laws:
            lines.append(_row(law.id, str(law.edition), f"{law.number} {law.title.zh or law.title.en}", _force(law), law.marks(), law.source))
        lines.append("")
    lines += ["Worked example:", "", "```"]
    for line, words in zip(examples[::2], examples[1::2], strict=True):
        lines += [f"# {words}", f"$ echo '{line}' | ecosentry compute", _answer(line)]
    lines += ["```", "", _row("function", "arguments", "gives"), _row(*["---"] * 3)]
    for name, function in functions().items():
        if function.__module__.rpartition(".")[2] in modules:
            arguments = ", ".join(key for key in signature(function).parameters if key != "law")
            lines.append(_row(f"`{name}`", arguments, (getdoc(function) or "").split("\n", maxsplit=1)[0]))
    lines += ["", *(f"- {words}" for words in left_out)]
    lines += [f"- Not verified, {law.name}: {words}." for law in laws for words in law.not_verified]
    memory = [f"{law.name} {place}" for law in laws for place, _, _, _, mark in law.figures() if mark == "M"]
    if memory:
        lines.append(f"- Figures from memory (M), which a site can set: {', '.join(dict.fromkeys(memory))}.")
    return [*lines, ""]


_LIVE = [
    "## On a station", "",
    'A station of the [site file](site_file.md#stations) with `standards = ["HJ633", "GB3838"]` gets real-time numbers: one each hour, 10 s after',
    "the hour, from the hourly means of its devices, and again with the next `revision` when late readings change one of them. They are what",
    "an automatic station may say of an hour; the daily and monthly assessments of the law are not made from them.", "",
    "- The edition is that of the last moment of the hour, in the station's time zone. The hour that ends at midnight on 2026-03-01 in Shanghai is",
    "  judged by HJ 633-2012 (particles by the running mean of 24 h, ozone by 1 h and 8 h), the next one by HJ 633-2026 (all by the hour's mean).",
    "- HJ633: an hour counts with 45 minutes of readings; GB 3095 says so for gases and nothing for an hour of particles, which we treat alike.",
    "  Means of 8 and 24 h need 6 and 20 of their hours. A pollutant that no device of the station measures is not monitored; one that is monitored",
    "  and missing leaves the index out (NA) unless the others already give more than 100 (HJ 633-2026, 5.3.1; the text of 2012 has no such rule). A",
    "  negative mean scores nothing, so it counts as missing. Concentrations are taken as the analyser gives them: it must give them at the",
    "  standard's reference state.",
    "- The primary pollutant is the one with the largest `iaqi`, where that is above 50.",
    "- GB3838: the class is the worst of the items that the station measures; temperature, total nitrogen and coliforms do not count. One missing",
    "  item leaves the overall class out, unless the others are already worse than V (6). A negative mean counts as missing. Oxygen is class I also",
    "  by its saturation. Names and colours of classes are those of the assessment method MEE22 (M).",
    "- Means are rounded to 6 decimals before they are judged: what lies beyond is the dust of binary sums.",
    "- An index rests on its means: it is SUSPECT where one of them is, and MISSING with the reason `i` (incomplete) where it may not be given.",
    "- Hours more than 96 h older than the newest of a station are not judged any more.",
    "- Figures marked M: messages about an index say `partly not verified`.",
]


def page() -> str:
    """The whole page."""
    head = ["# Standards", "",
            "What the law asks for, computed as the text says it, by the edition in force at the time of the data in the station's zone.",
            "Each standard is one file in `config/standards`; a file of the same name in `/etc/ecosentry/standards` goes before it.",
            "`ecosentry standards` lists them, `ecosentry standards show HJ633` prints one whole, `ecosentry compute` answers JSON lines.", "",
            "How far a figure was verified: " + ", ".join(f"**{mark}** {words}" for mark, words in MARKS.items()) + ".",
            "A figure marked M is never presented as certain: it is shown as such and can be set for a site; a verified one cannot.", "",
            "To add one: a file with its figures, clauses and an example from the text, and a function in `analytics/indices`",
            "only if the arithmetic is new (its README has the contract).", "", *_LIVE, ""]
    return "\n".join(head + [line for medium in FAMILIES for line in _family(medium)]).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
