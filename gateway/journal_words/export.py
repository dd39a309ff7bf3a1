"""`ecosentry journal show` and `journal export`: rows for people and spreadsheets, straight from the journal."""

import argparse
import difflib
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np

from config.quantity import vocabulary
from config.series import Flag, Series
from config.site import Site
from config.units import seconds
from gateway import parquet
from gateway.coarser import Coarse, coarse
from gateway.coarser import plain as coarser_plain
from gateway.contracts import Rows
from gateway.exit_codes import Exit
from gateway.journal.reader import Reader
from gateway.journal.reading import reading
from gateway.row_table import HEADER, Table, reason_letter, zones

_CHUNK = 20_000
_EARLY_NS = 86_400 * 10**9
"""A row may arrive so long before its own time says: its source's clock was ahead."""
_FINE = ("raw", "all")
_PERIODS = {"raw": 0, "1h": 3600, "24h": 86_400, "day": 86_400}


class Usage(Exception):
    """What was asked for is not there; says what is."""


def show(args: argparse.Namespace, site: Site, folder: Path) -> int:
    """Print the newest rows; gives the exit code."""
    with reading(folder) as reader:
        try:
            chosen = series_meant(reader.series(), args.series, args.what)
        except Usage as error:
            print(error, file=sys.stderr)
            return Exit.USAGE
        newest = [reader.rows_of_series(i, 0, 2**63 - 1, max(1, args.last)) for i in chosen]
        oldest = min((int(rows.at.min()) if len(rows) >= args.last else 0 for rows in newest), default=0)
        coarser = coarse(reader, oldest, 2**63 - 1) if args.what in _FINE else []
    if args.json:
        print(json.dumps({"format": 1, "rows": [row for rows in newest for row in _plain(rows, site)], "coarser": coarser_plain(coarser)},
                         ensure_ascii=False))
        return 0
    _say(coarser)
    lines = [row for rows in newest for row in _cells(rows, site)]
    if not lines:
        print("no rows yet")
        return 0
    head = ["time", "end", "series", "value", "unit", "flag", "reason", "share", "revision"]
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    for row in [head, *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def export(args: argparse.Namespace, site: Site, folder: Path) -> int:
    """Write CSV or Parquet to stdout, in the order in which the rows came; what was chosen goes to stderr. Gives the exit code."""
    if args.format == "parquet" and (why := _no_parquet(args)):
        print(why, file=sys.stderr)
        return Exit.USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    with reading(folder) as reader:
        try:
            chosen = series_meant(reader.series(), args.series, args.what)
            low, high = bounds(args, site, reader.series())
        except Usage as error:
            print(error, file=sys.stderr)
            return Exit.USAGE
        lines = _lines(reader, site, chosen, low, high)
        if args.what in _FINE:
            _say(coarse(reader, min((low[i] for i in chosen), default=0), max((high[i] for i in chosen), default=0)))
        count = parquet.write(lines, sys.stdout.buffer) if args.format == "parquet" else _write(lines, "\ufeff" if args.bom else "")
    print(f"{count} rows of {len(chosen)} series" + _echo(args, site), file=sys.stderr)
    return 0


def _say(coarser: Sequence[Coarse]) -> None:
    """Where no readings are to be expected, beside the rows."""
    for one in coarser:
        print(one.words, file=sys.stderr)


def _no_parquet(args: argparse.Namespace) -> str:
    """Why Parquet cannot be written; empty if it can."""
    if args.bom:
        return "--bom belongs to CSV"
    if not parquet.is_there():
        return parquet.LACKING
    return "Parquet is not for a terminal; write it to a file:  … --format parquet > rows.parquet" if sys.stdout.isatty() else ""


def _write(lines: Iterator[str], begin: str) -> int:
    sys.stdout.write(f"{begin}{HEADER}\n")
    count = 0
    for line in lines:
        sys.stdout.write(f"{line}\n")
        count += 1
    return count


def _lines(reader: Reader, site: Site, chosen: Sequence[int], low: list[int], high: list[int]) -> Iterator[str]:
    """The lines of the table that were chosen."""
    table, series = Table(zones(site.stations)), reader.series()
    wanted = np.isin(np.arange(len(series)), chosen)
    lowest, highest = np.array(low, np.int64), np.array(high, np.int64)
    last = reader.last_n()
    position = max(0, reader.n_at(min(low) - _EARLY_NS) - 1) if low and min(low) > _EARLY_NS else 0
    while position < last:
        rows = reader.rows_after(position, _CHUNK)
        if not len(rows):
            break
        position = int(rows.n[-1])
        rows = rows.pick((rows.n <= last) & (rows.which < len(series)))
        start = rows.at - rows.span
        rows = rows.pick(wanted[rows.which] & (start >= lowest[rows.which]) & (start < highest[rows.which]))
        yield from table.lines(rows)


# ── which series, which time ─────────────────────────────────────────────────────────────────────────────────────────────
def series_meant(table: Sequence[Series], words: Sequence[str], what: str) -> list[int]:
    """Ids of the series that the words mean. Raises Usage for a word that means none, or devices of several stations."""
    if not words:
        return [i for i, series in enumerate(table) if _is(series, what)]
    found: set[int] = set()
    for word in words:
        wanted = word.strip("/")
        mine = {i for i, series in enumerate(table) if f"{series}/".startswith(f"{wanted}/")}
        if not mine:
            mine = {i for i, series in enumerate(table) if series.device == wanted}
            if len({table[i].station for i in mine}) > 1:
                raise Usage(f"{wanted} is a device of several stations; write " + " or ".join(sorted({f"{table[i].station}/{wanted}" for i in mine})))
        if not mine:
            names = {"/".join((s.station, s.device, s.quantity)[:k]) for s in table for k in (1, 2, 3)} | {s.device for s in table}
            near = difflib.get_close_matches(wanted, sorted(names), 1)
            raise Usage(f"the journal has no series {wanted}; " + (f"did you mean {near[0]}?" if near else "ecosentry journal show lists all"))
        found |= mine
    return sorted(i for i in found if _is(table[i], what))


def _is(series: Series, what: str) -> bool:
    return what == "all" or (not series.statistic if what == "raw" else series.period_s == _PERIODS[what])


def bounds(args: argparse.Namespace, site: Site, table: Sequence[Series]) -> tuple[list[int], list[int]]:
    """The first instant, and the first no more, of every series, UTC ns: bare dates are each station's own."""
    if args.since and args.ago:
        raise Usage("write --from or --since, not both")
    zone_of = zones(site.stations)
    bounds: dict[str, tuple[int, int]] = {}
    for station in {series.station for series in table}:
        since = time.time_ns() - round(_duration(args.ago) * 1e9) if args.ago else _instant(args.since, zone_of(station), -(2**62))
        bounds[station] = since, _instant(args.until, zone_of(station), 2**62)
    return [bounds[s.station][0] for s in table], [bounds[s.station][1] for s in table]


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Usage(f"--since {text} {error}") from error


def _instant(text: str | None, zone: tzinfo, left_out: int) -> int:
    if not text:
        return left_out
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Usage(f'{text} is not a time; write "2026-10-01", "2026-10-01 06:30" or "2026-10-01T06:30+08:00"') from error
    aware = found if found.tzinfo else found.replace(tzinfo=zone)
    return int(aware.timestamp()) * 10**9 + aware.microsecond * 1000


def _echo(args: argparse.Namespace, site: Site) -> str:
    zone = ", ".join(sorted({s.time_zone for s in site.stations.values()}))
    parts = [f"from {args.since}" if args.since else f"of the last {args.ago}" if args.ago else "", f"to {args.until}" if args.until else ""]
    said = " ".join(part for part in parts if part)
    return f", {said} ({zone})" if said else f" (times in {zone})"


# ── rows for people ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _plain(rows: Rows, site: Site) -> list[dict[str, object]]:
    clock = Table(zones(site.stations)).clock
    found = []
    for n, w, at, span, value, raw, flag, reason, share, revision in zip(
            *(c.tolist() for c in (rows.n, rows.which, rows.at, rows.span, rows.value, rows.raw, rows.flag, rows.reason, rows.share, rows.revision)),
            strict=True):
        series = rows.series[w]
        known = vocabulary().get(series.quantity)
        found.append({"n": n, "series": str(series), "time": clock(series.station).text(at - span), "end": clock(series.station).text(at),
                      "value": value if np.isfinite(value) else None, "raw": raw if np.isfinite(raw) else None,
                      "unit": "" if known is None or known.unit == "1" else known.unit, "flag": flag, "reason": reason_letter(reason),
                      "share": share if np.isfinite(share) else None, "revision": revision})
    return found


def _cells(rows: Rows, site: Site) -> list[list[str]]:
    flags = {int(flag): flag.name.lower().replace("_", " ") for flag in Flag}
    found = []
    for row in _plain(rows, site):
        value = "-" if row["value"] is None else str(row["value"])
        share = "" if row["share"] is None else f"{float(str(row['share'])):.0%}"
        end = "" if row["end"] == row["time"] else str(row["end"])
        found.append([str(row["time"]), end, str(row["series"]), value, str(row["unit"]), flags.get(int(str(row["flag"])), str(row["flag"])),
                      str(row["reason"]), share, str(row["revision"] or "")])
    return found
