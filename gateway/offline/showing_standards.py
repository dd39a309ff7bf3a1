"""`ecosentry standards`: the standards with source and verification mark, and what each sets, as aligned text or JSON."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TextIO, cast

from analytics.indices._exact import exact, scale_of, subindex
from config.errors import ConfigError
from config.reading_standards import Standards, read
from config.reading_standards import standards as known_standards
from config.standard import Standard
from config.standard_tables import MARKS, Constant, Example, Limits, Pollutant
from gateway.exit_codes import Exit
from gateway.offline.computing import call, plain

Row = dict[str, object]


def standards(words: Sequence[str], *, show: bool, as_json: bool, out: TextIO) -> int:
    """List the standards with source and mark, or show some whole: words are ids, ids with edition, files, or (listing) any part of a row.

    The word "show" itself may stand first, as it does on the command line.

    Returns 0; 1 if an example of a shown standard does not come out; 2 if a word names nothing; 78 if a file is wrong.
    """
    words = words[1:] if show and words[:1] == ["show"] else words
    try:
        known = known_standards()
        chosen = [law for word in words for law in _chosen(known, word)] if show else _listed(known, words)
    except ConfigError as error:
        for problem in error.problems:
            repair = f" → {problem.repair}" if problem.repair else ""
            out.write(f"{problem.file}:{problem.line}   {problem.what}{repair}\n")
        return Exit.CONFIG
    except ValueError as error:
        out.write(f"{error}\n")
        return Exit.USAGE
    if not chosen:
        out.write(f"No standard matches {' '.join(words)}.  All:  ecosentry standards\n" if words else "Which one?  ecosentry standards show HJ633\n")
        return Exit.USAGE
    if as_json:
        described = [_described(known, law, whole=show) for law in chosen]
        out.write(json.dumps({"format": 1, "standards": described}, ensure_ascii=False, default=plain) + "\n")
        return 0
    if not show:
        _list(chosen, out)
        return 0
    return max(_show(law, out) for law in chosen)


def _chosen(known: Standards, word: str) -> list[Standard]:
    if word.endswith(".toml"):
        return [read(Path(word))]
    editions = [law for law in known.all if law.id == word.upper()]
    return editions or [known.named(word.upper())]


def _listed(known: Standards, words: Sequence[str]) -> list[Standard]:
    def text(law: Standard) -> str:
        return f"{law.name} {law.number} {law.title.en} {law.title.zh} {law.jurisdiction} {law.medium}".lower()
    return [law for law in known.all if all(word.lower() in text(law) for word in words)]


def _force(law: Standard) -> str:
    if law.in_force_until:
        return f"until {law.in_force_until}"
    return f"since {law.in_force}" + (" (M)" if law.in_force_verified == "M" else "") if law.in_force else ""


def _list(chosen: list[Standard], out: TextIO) -> None:
    wide = max(len(law.id) for law in chosen)
    title = max(len(law.title.en) for law in chosen)
    for law in chosen:
        about = f"{_force(law):20}  {law.jurisdiction:5}  {law.medium:10}"
        out.write(f"{law.id:{wide}}  {law.edition}  {about}  {law.title.en:{title}}  {law.marks():7}  {law.source}\n")
    out.write("\n" + "   ".join(f"{mark} {words}" for mark, words in MARKS.items()) + "\nNext:  ecosentry standards show " + chosen[0].id + "\n")


def _described(known: Standards, law: Standard, *, whole: bool) -> Row:
    if whole:
        return cast("Row", law.model_dump(mode="json", by_alias=True)) | {"name": law.name, "file": known.paths.get(law.name, "")}
    return {"id": law.id, "edition": law.edition, "number": law.number, "title": law.title.en, "jurisdiction": law.jurisdiction, "medium": law.medium,
            "in_force": law.in_force, "in_force_until": law.in_force_until, "source": law.source, "verified": law.verified, "marks": law.marks(),
            "file": known.paths.get(law.name, "")}


def _show(law: Standard, out: TextIO) -> int:
    doubt = " (this day from memory, not verified)" if law.in_force_verified == "M" else ""
    since = f"in force since {law.in_force}{doubt}" if law.in_force else "date in force not recorded"
    until = f" until {law.in_force_until}" if law.in_force_until else ""
    lines = [f"{law.number}, {since}{until}, verified {law.verified} ({MARKS[law.verified]}).   {law.title.zh or law.title.en}",
             f"source   {law.source}"]
    lines += [f"note     {law.note}"] if law.note else []
    lines += [f"NOT VERIFIED   {words}" for words in law.not_verified]
    if law.rounding:
        for what, rule in (("concentration", law.rounding.concentration), ("sub-index", law.rounding.subindex)):
            lines.append(f"rounding of the {what}: {rule.rule}, {rule.decimals} decimals ({rule.clause}){_mark_text(rule.verified or law.verified)}")
    lines += [_scale_text(law, scale) for scale in law.pollutants]
    for table in law.limits:
        lines += _table_lines(law, table)
    lines += [_constant_text(law, name, constant) for name, constant in law.constants.items()]
    for row in law.categories:
        end = "…" if row.range[1] is None else row.range[1]
        lines.append(f"{row.level}   {row.range[0]}–{end}   {row.name.zh or row.name.en}   {row.colour}{_mark_text(row.verified or law.verified)}")
    passed = sum(example_holds(law, example) for example in law.examples)
    out.writelines(f"{line.rstrip()}\n" for line in (*lines, f"examples {passed} of {len(law.examples)}", ""))
    return 0 if passed == len(law.examples) else 1


def _constant_text(law: Standard, name: str, constant: Constant) -> str:
    mark = _mark_text(constant.verified or law.verified)
    return f"{name} = {_cell_text(constant.value)} {constant.unit} ({constant.clause}){mark}   {constant.what}"


def _scale_text(law: Standard, scale: Pollutant) -> str:
    means = " / ".join(f"{report} {mean}" for report, mean in scale.means.items())
    if scale.breakpoints:
        ends = f"{' '.join(str(row[0]) for row in scale.breakpoints)}  →  {' '.join(str(row[1]) for row in scale.breakpoints)}"
    elif scale.segments:
        ends = "  ".join(f"{row[0]}–{row[1]} → {row[2]}–{row[3]}" for row in scale.segments)
    else:
        ends = "up to " + " ".join(str(upper) for upper in scale.bands)
    mark = _mark_text(scale.verified or law.verified)
    return f"{scale.shown} {means}, {scale.unit} ({scale.clause})   {ends}   above: {scale.above_top}{mark}"


def _cell_text(cell: object) -> str:
    if isinstance(cell, tuple):
        return f"{cell[0]}–{cell[1]}"
    return "–" if cell is None else format(cell, "f") if isinstance(cell, Decimal) else str(cell)


def _mark_text(mark: str) -> str:
    return f"   M: {MARKS['M']}, configurable" if mark == "M" else ""


def _table_lines(law: Standard, table: Limits) -> list[str]:
    valid = f", from {table.valid_from}" if table.valid_from else ""
    valid += f" until {table.valid_until}" if table.valid_until else ""
    lines = [f"{table.name} ({table.clause}), {table.unit}{valid}, {table.compare}: {' | '.join(table.columns)}"]
    for row, cells in table.rows.items():
        marks = [table.mark(row, column, law.verified) for column in table.columns]
        mixed = len(set(marks)) > 1
        shown = "  ".join(_cell_text(cell) + ("?" if mark == "M" and mixed else "") for cell, mark in zip(cells, marks, strict=True))
        note = _mark_text(max(marks)) or (f"   {max(marks)}" if max(marks) != law.verified else "")
        lines.append(f"   {row} {table.names.get(row, '')}   {shown} {table.row_units.get(row, '')}{note}")
    return lines


def example_holds(law: Standard, example: Example) -> bool:
    """Whether a standard's own example comes out of our arithmetic."""
    if example.function:
        return _same(call(example.function, dict(example.args), law=law), example.result, example.tolerance)
    if law.rounding is None:
        return False
    found = subindex(scale_of(law, example.quantity, example.mean), law.rounding, exact(example.value))
    return found.index == example.subindex


def _same(found: object, printed: object, tolerance: Decimal) -> bool:
    if isinstance(printed, dict):
        return isinstance(found, dict) and all(key in found and _same(found[key], value, tolerance) for key, value in printed.items())
    if isinstance(printed, list):
        paired = isinstance(found, list | tuple) and len(found) == len(printed)
        return paired and all(_same(one, two, tolerance) for one, two in zip(cast("Sequence[object]", found), printed, strict=True))
    if isinstance(printed, str) and isinstance(found, int | float | Decimal) and not isinstance(found, bool):
        return abs(exact(found) - exact(printed)) <= tolerance
    if isinstance(printed, int) and not isinstance(printed, bool) and isinstance(found, int | float | Decimal):
        return abs(exact(found) - printed) <= tolerance
    return found == printed or (printed == "none" and found is None)
