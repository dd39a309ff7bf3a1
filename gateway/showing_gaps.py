"""`ecosentry gaps`: what is missing where, why, and whether it came later; from the journal, and what goes on now from the daemon."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from config.site import Site
from gateway.building import journal_folder, load_site
from gateway.coarser import Coarse, coarse
from gateway.coarser import plain as coarser_plain
from gateway.control import NoAnswer, ask, socket_path
from gateway.exit_codes import Exit
from gateway.gap_ledger import Gap, gaps_between, plain, sink_gaps
from gateway.journal.reading import look, reading
from gateway.journal_words.export import Usage, bounds, series_meant
from gateway.journal_words.why_not import NO_LOOK, say_why
from gateway.row_table import LocalTime, zones


def run_gaps(args: argparse.Namespace, path: str) -> int:
    """Print the gaps; 0 = all were filled, 1 = some were not, 2 = no such series, 69 = no journal, 74 = it cannot be read, 78 = a wrong site file."""
    try:
        site = load_site(Path(path)).site
        folder = journal_folder(site)
        look(folder)
        found, wanted, coarser = _found(args, site, folder)
    except NO_LOOK as error:
        return say_why(error)
    except Usage as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    going_on = _going_on(folder, wanted)
    if args.json:
        print(json.dumps({"format": 1, "running": going_on is not None, "gaps": [*(going_on or []), *map(plain, found)],
                          "coarser": coarser_plain(coarser)}, ensure_ascii=False))
    else:
        print("\n".join([*_lines(found, going_on, site), *(f"({one.words})" for one in coarser)]))
    return Exit.AMISS if going_on or any(not gap.is_filled for gap in found) else 0


def _found(args: argparse.Namespace, site: Site, folder: Path) -> tuple[list[Gap], frozenset[str], list[Coarse]]:
    """What has ended; of which series is asked what goes on still; and what is coarser than it was."""
    with reading(folder) as reader:
        table = reader.series()
        wanted = [i for i in series_meant(table, args.series, "raw") if table[i].device]
        low, high = bounds(args, site, table)
        gaps = [gap for i in wanted for gap in gaps_between(reader, max(low[i], 0), min(high[i], 2**63 - 1), [i])]
        names = {table[i] for i in wanted}
        refused = [gap for gap in sink_gaps(reader, tuple(site.sinks)) if not args.series or gap.series in names]
        now = time.time_ns()
        until_now = frozenset(str(table[i]) for i in wanted if high[i] > now)
        coarser = coarse(reader, min((low[i] for i in wanted), default=0), max((high[i] for i in wanted), default=0))
    return sorted(gaps, key=lambda gap: (gap.since, gap.series)) + refused, until_now, coarser


def _going_on(folder: Path, wanted: frozenset[str]) -> list[dict[str, object]] | None:
    """What the running daemon misses now of these series; None if none runs."""
    try:
        status = ask(socket_path(folder), "status")
    except NoAnswer:
        return None
    if not isinstance(status, dict):
        return None
    return [gap for gap in status.get("gaps", []) if gap["until"] is None and gap["series"] in wanted]


def _lines(found: list[Gap], going_on: list[dict[str, object]] | None, site: Site) -> list[str]:
    zone_of = zones(site.stations)
    rows = []
    for one in going_on or []:
        station = str(one["series"]).partition("/")[0]
        since = round(datetime.fromisoformat(str(one["since"])).replace(tzinfo=UTC).timestamp() * 1e9)
        rows.append([LocalTime(zone_of(station)).text(since), "now", "", str(one["series"]), str(one["words"]), "goes on"])
    for gap in found:
        clock = LocalTime(zone_of(gap.series.station))
        assert gap.until is not None
        filled = "filled" if gap.is_filled else f"{gap.filled:.0%} filled" if gap.filled else "missing"
        state = f"{gap.rows} rows not there: ecosentry journal refused {gap.sink}" if gap.sink else filled
        rows.append([clock.text(gap.since), clock.text(gap.until), _length((gap.until - gap.since) / 1e9), str(gap.series), gap.words, state])
    last = "(no daemon runs: what is missing since it stopped is not counted)" if going_on is None else "(asked the daemon for what goes on)"
    if not rows:
        return ["nothing is missing", last]
    head = ["since", "until", "length", "series", "why", ""]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    return [*lines, last]


def _length(seconds: float) -> str:
    """A length for people.

    >>> _length(42), _length(90), _length(7500), _length(200000)
    ('42 s', '1.5 min', '2.1 h', '2.3 d')
    """
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
