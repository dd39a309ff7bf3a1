"""Writes docs/standards.md and docs/standards/ from the standards' files and the functions' own words: python tests/standards_page.py."""

import io
from inspect import getdoc, signature
from pathlib import Path

from config.live_standards import facts_wanted
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
             ("Volatile and pesticide items of GB 36600 beyond those listed, and GB/T 32136, are not included.",
              "What a laboratory finds in soil (GB15618, GB36600, HJT166) is judged by `ecosentry compute`: no device here measures it.")),
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


PAGES = {"air": ("Air", ("air",)), "water": ("Water", ("water",)), "noise": ("Noise", ("noise",)),
         "soil_vegetation": ("Soil and vegetation", ("soil", "vegetation")), "emission_energy": ("Emission and energy", ("emission", "energy"))}
"""A page of docs/standards/ → its title and its media."""


def _family(medium: str) -> list[str]:
    title, modules, examples, left_out = FAMILIES[medium]
    laws = [law for law in standards().all if law.medium == medium]
    lines = [f"## {title}: the standards", "", _row("id", "edition", "standard", "in force", "verified", "source"), _row(*["---"] * 6)]
    lines += [_row(law.id, str(law.edition), f"{law.number} {law.title.zh or law.title.en}", _force(law), law.marks(), law.source) for law in laws]
    lines += ["", f"## {title}: worked example", "", "```"]
    for line, words in zip(examples[::2], examples[1::2], strict=True):
        lines += [f"# {words}", f"$ echo '{line}' | ecosentry compute", _answer(line)]
    lines += ["```", "", f"## {title}: implemented in `ecosentry compute`", "", _row("function", "arguments", "gives"), _row(*["---"] * 3)]
    for name, function in functions().items():
        if function.__module__.rpartition(".")[2] in modules:
            arguments = ", ".join(key for key in signature(function).parameters if key != "law")
            lines.append(_row(f"`{name}`", arguments, (getdoc(function) or "").split("\n", maxsplit=1)[0]))
    lines += ["", f"## {title}: implemented on a station", "", *_live(laws)]
    without = dict.fromkeys(law.id for law in laws if not standards().reports(law.id))
    if without:
        lines += [f"In `ecosentry compute` only, or read by the others: {', '.join(f'`{name}`' for name in without)}.", ""]
    lines += [f"## {title}: not implemented, not verified", "", *(f"- {words}" for words in left_out)]
    lines += [f"- Not verified, {law.name}: {words}." for law in laws for words in law.not_verified]
    memory = [f"{law.name} {place}" for law in laws for place, _, _, _, mark in law.figures() if mark == "M"]
    if memory:
        lines.append(f"- Figures from memory (M), which a site can set: {', '.join(dict.fromkeys(memory))}.")
    return [*lines, ""]


_LIVE = """\
## On a station

A station of the [site file](site_file.md#stations) with `standards = ["HJ633", "GB3838"]` gets numbers made from the hourly means of its
devices: of each hour, 10 s after it, and of each day, 10 s after it is over. Late readings issue them again with the next `revision`.

- The edition is that of the last moment of the hour or day, in the station's time zone. The hour that ends at midnight on 2026-03-01 in
  Shanghai is judged by HJ 633-2012 (particles by the running mean of 24 h, ozone by 1 h and 8 h), the next one by HJ 633-2026 (all by the
  hour's mean).
- A mean counts with as many of its hours as the standard asks for, and an hour with as many of its minutes; where it says nothing, with
  three quarters of them. HJ633, GB3838 take the rules of GB 3095 (45 minutes, 6 of 8 and 20 of 24 hours), which says nothing for an hour of
  particles and nothing of water: we treat them alike.
- An analyser that measures every 2 h or 4 h (GB 3838 says nothing of them, and GB 18918 asks for a sample every 2 h, as we remember it, M):
  by our decision its last valid value stands for the analyser's period, in hourly numbers only, which then have the reason `h` (held); a day
  needs the same part of its values as it would of hours (20 of 24 hours are 5 of 6 values, 10 of 12), and takes measured ones only. Hours are
  judged when one of the station's series gives one, so where all are slow, a class comes with each value. The period is that of the device.
- Where nobody knows how often a device speaks (MQTT without `quantities` and without `interval`), an hour may rest on one reading: what the
  law says of it is SUSPECT. `interval` on the device ends that.
- A day is a natural day of the zone, of 23 or 25 hours where the clock changes; of noise it begins at 06:00, so that a night is in one
  piece. Hours are cut at whole hours of UTC: in a zone that is off by a part of an hour (India, South Australia, Nepal, Lord Howe) `check`
  refuses the standards that judge days. The largest 8 h mean of ozone is in China that of the means within the day, of which 14 must be
  there unless the limit is passed anyway (HJ 663); elsewhere that of the means that end in the day.
- HJ633: a pollutant that no device of the station measures is not monitored; one that is monitored and missing leaves the index out (NA)
  unless the others already give more than 100 (HJ 633-2026, 5.3.1; the text of 2012 has no such rule). A mean that is negative after the
  law's rounding scores nothing, so it counts as missing. Concentrations are taken as the analyser gives them: it must give them at the
  standard's reference state.
- `primary_pollutant` and `limiting_item` are sets, because there may be several: the sum of 1, 2, 4 … for the quantities that `members`
  lists in `config/quantities.toml` (so2 1, no2 2, pm10 4, co 8, o3 16, pm2_5 32); 0 is none. The console shows the names.
- GB3838: the class is the worst of the items that the station measures; temperature, total nitrogen and coliforms do not count. One missing
  item leaves the overall class out, unless the others are already worse than V (6). A negative mean counts as missing. Oxygen is class I
  also by its saturation. Names and colours of classes are those of the assessment method MEE22 (M). `exceedance` is (C - S) / S over class
  III.
- Limits: `limit_multiple` is the mean, rounded as the law has it, divided by the limit, and `noise_excess` the level less the limit;
  `channel` is what is limited. Above 1 (above 0 dB) the limit is not met. A rule may name the standard instead: `above = "GB3096"`; its
  message has the value and the limit of that hour.
- Noise: the hour from 06:00 to 07:00 is the first of the day, that from 22:00 the first of the night; `facts = { day_from = 7 }` sets other
  hours where a county has, for limits and for Ld, Ln and Ldn alike. `US-LDN` and `EU-END` have days from
  07:00 (M: a site's figure may say otherwise) and their own evening and night. Each part of a day needs three
  quarters of its hours (our choice). An hour's highest level (`lamax`) may exceed the night's limit by 15 dB;
  what was sudden or occasional nobody tells an instrument, so every peak counts as such. Zone 4a and 4b are zone 4
  of GB 12348 and GB 22337 (our reading).
- `aqi` and `iaqi` are those of every index; `method` tells HJ633, US-EPA-AQI, EU-EAQI, UK-DAQI, IN-NAQI and CA-AQHI apart. Where a station
  names several of them, a rule says which: `standard = "EU-EAQI"`. US-EPA-AQI is the NowCast of particles and ozone (a new station's ozone
  is judged by the surrogate until 252 of 336 hours are there) and the newest means of the gases; sulphur dioxide of UK-DAQI needs 15 min
  means and is left out. Mass becomes ratio at the standard's own temperature: 298.15 K in the US and in Canada.
- What is made of other means is computed where it is named: oxygen saturation (`BENSON-KRAUSE`), un-ionised ammonia (`EMERSON-NH3`),
  trophic state (`TLI`, `CARLSON-TSI`), vapour pressure deficit, evapotranspiration and degree days (`FAO56`), `SPECTRAL`, relative soil
  moisture (`GBT20481`), concentrations at the reference oxygen (`GB13271`, `GB13223`, `ULTRA-LOW`), flow and emission of a stack (`HJ75`), coal
  equivalent and carbon dioxide of the mean power (`GBT2589`, `CN-GRID-CO2`). What they must know of the place is in `facts`:
  each family's page says which of them may say what; anything else is refused by `ecosentry check`. A report that fails all the same is
  switched off until the next start, is logged and counted, and is MISSING meanwhile; the others go on.
- Discharge limits (`GB18918`, `GB8978`) are those of daily means, by `facts = { discharge_grade = "1A" }`; that of ammonia depends on the
  water temperature, so without it there is none. A pH is judged by both its ends: the multiple is the worse of pH / 9 and 6 / pH.
- Means are rounded to 6 decimals before they are judged: what lies beyond is the dust of binary sums.
- A number rests on its means: it is SUSPECT where one of them is, and MISSING with the reason `i` (incomplete) where it may not be given.
- Late readings: the newest 27 hours of each series stay open, so what comes later than that renews nothing; it is journalled and
  sent, and its hour stays as it was. What a device kept while it was away and gives oldest first, before its new readings, fills every hour
  of its own, however long ago: hours and indices of the last 96 h and days of the last 8 d are then issued. Anything older or out of
  order is computed by `ecosentry compute` from the journal's readings.
- Where a station's zone or the begin of its days is changed, the running day of the new kind has the hours from before; days that were issued
  are not issued again.
- Hours more than 96 h older than the newest of a station are not judged any more, days more than 8 days.
- Figures marked M: messages and the console say `partly not verified` beside the standard.
"""


def _live(laws: list[Standard]) -> list[str]:
    """What these standards give on a station, as their files declare it."""
    lines = [_row("standard", "report", "every", "gives", "from", "needs of the station"), _row(*["---"] * 6)]
    for law in laws:
        for live in law.live:
            gives = dict.fromkeys(f"`{quantity}`" for quantity, _, _ in live.series(tuple(live.items)))
            wanted = ", ".join(f"`{key}`" + (f" ({live.facts[key].shown()})" if key in live.facts else "") for key in facts_wanted(live))
            lines.append(_row(f"`{law.id}`", live.report, live.every, ", ".join(gives), ", ".join(live.reads()), wanted))
    return [*lines, ""] if len(lines) > 2 else ["None of them.", ""]


_MARKS = "How far a figure was verified: " + ", ".join(f"**{mark}** {words}" for mark, words in MARKS.items()) + "."


def page() -> str:
    """The page that leads to the others."""
    families = [f"- [{title}](standards/{name}.md): " + ", ".join(dict.fromkeys(law.id for law in standards().all if law.medium in media))
                for name, (title, media) in PAGES.items()]
    head = ["# Standards", "",
            "What the law asks for, computed as the text says it, by the edition in force at the time of the data in the station's zone.",
            "Each standard is one file in `config/standards`; a file of the same name in `/etc/ecosentry/standards` goes before it.",
            "`ecosentry standards` lists them, `ecosentry standards show HJ633` prints one whole, `ecosentry compute` answers JSON lines.",
            "A misspelt key of a line, one written twice, or a pollutant written under two names is an error. `at` is a day, or an instant whose",
            "day is that of its own offset or, better, of `zone`; without it the newest edition answers.", "",
            "A page for each family, with what is implemented, what is not, the marks, and a worked example:", "", *families, "",
            _MARKS,
            "A figure marked M is never presented as certain: it is shown as such and can be set for a site; a verified one cannot. The file",
            "`/etc/ecosentry/standards/figures.toml` has them, by standard with its edition and by the figure's name as its family's page lists it.",
            "A share is at most 100 %, an hour a whole one of the day and in its order, no limit negative, none more than 1000 times the former:",
            "", "```toml", '["HJ906-2017"]', "least_valid_rate = 80", "", '["GB5749-2022"]', '"limits.turbidity_ntu.limit" = "0.5"', "```", "",
            "To add one: a file with its figures, clauses and an example from the text, and a function in `analytics/indices`",
            "only if the arithmetic is new (its README has the contract). What it says of a station is declared in the same file as `[[live]]`",
            "(`config/standard_live.py` explains the keys): which means go into the function, which results become series.", "",
            *_LIVE.splitlines()]
    return "\n".join(head).rstrip() + "\n"


def family_page(name: str) -> str:
    """The page of a family."""
    title, media = PAGES[name]
    head = [f"# {title}", "", f"One family of the [standards](../standards.md), whose page says how a station is judged. {_MARKS}", ""]
    return "\n".join(head + [line for medium in media for line in _family(medium)]).rstrip() + "\n"


def pages() -> dict[Path, str]:
    """Every page by its place under docs."""
    return {Path("standards.md"): page(), **{Path("standards", f"{name}.md"): family_page(name) for name in PAGES}}


if __name__ == "__main__":
    for path, text in pages().items():
        target = Path(__file__).parent.parent / "docs" / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, "utf-8")
