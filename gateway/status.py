"""`ecosentry status` and `ecosentry alert`: ask the running daemon, else read the journal; say which."""

import json
from pathlib import Path
from typing import Any, TextIO

from gateway.alerts import iso
from gateway.building import VERSION, journal_folder, load_site
from gateway.checking.check import print_problems
from gateway.control import NoAnswer, ask, socket_path
from gateway.exit_codes import Exit

Plain = dict[str, Any]
CALM = ("good", "waiting", "maintenance")
"""States of a device that are no trouble."""


def asked_of(site_path: Path, word: str, out: TextIO) -> tuple[object, bool] | int:
    """(the daemon's answer, else that of the journal, and whether it is the daemon's), or an exit code whose reason was printed."""
    from config.errors import ConfigError

    try:
        site = load_site(site_path).site
    except ConfigError as error:
        print_problems(error, out)
        return Exit.CONFIG
    folder = journal_folder(site)
    note = "no daemon runs: this is what the journal holds"
    try:
        found = ask(socket_path(folder), word)
    except NoAnswer as silent:
        found, note = None, f"{silent}: this is what the journal holds"
    if found is not None:
        return found, True
    if not (folder / "live.db").exists():
        print(f"no daemon runs, and there is no journal in {folder}.  Start it:  ecosentry run {site_path}", file=out)
        return Exit.UNAVAILABLE
    from gateway.clock import SystemClock
    from gateway.overview import Overview

    notes = {"notes": [note]}
    overview = Overview(folder, site, VERSION, SystemClock(site.clock.trust), [], lambda: notes)
    try:
        return (overview.status() if word == "status" else overview.alerts(50)), False
    finally:
        overview.close()


def run_status(site_path: Path, *, as_json: bool, out: TextIO) -> int:
    """Print the status; 0 = all well, 1 = something is not, 69 = nothing to ask, 78 = the site file is wrong."""
    answer = asked_of(site_path, "status", out)
    if isinstance(answer, int):
        return answer
    found, running = answer
    status: Plain = found  # type: ignore[assignment]
    well = bool(status["conservation"]["holds"]) and status["journal"]["state"] == "ok" and all(
        d["state"] in CALM for d in status["devices"]) and all(s["state"] in ("ok", "new") for s in status["sinks"])
    if as_json:
        print(json.dumps(status, ensure_ascii=False), file=out)
        return 0 if well and running else Exit.AMISS
    print("\n".join(_lines(status, running)), file=out)
    return 0 if well and running else Exit.AMISS


def aligned(rows: list[list[str]]) -> list[str]:
    """Lines of a table; all rows have the same number of cells."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _bytes(sink: Plain) -> str:
    limit = sink["bytes_per_day"]
    return f"{sink['bytes_today'] / 1e6:.2f}{f' of {limit / 1e6:g}' if limit else ''} MB"


def _lines(status: Plain, running: bool) -> list[str]:
    lines = [f"EcoSentry {status['version']}, " + (f"running since {status['since']}" if running else "not running") + f", site {status['site']}"]
    if status["lines"]:
        lines += aligned([["line", "state", "devices", "asked or heard", "late", "errors", ""]] + [
            [o["name"], o["state"], str(o["devices"]), str(o["polls"]), str(o["late"]), str(o["errors"]), o["words"]] for o in status["lines"]])
        lines += aligned([["device", "state", "age", ""]] + [
            [f"{d['station']}/{d['name']}", d["state"], "-" if d["age_s"] is None else f"{d['age_s']:.0f} s", d["words"]] for d in status["devices"]])
    if status["sinks"]:
        lines += aligned([["sink", "state", "in", "= sent", "+ refused", "+ skipped", "+ thinned", "+ owed", "+ waiting", "behind", "today", ""]] + [
            [s["name"], s["state"], *(str(s[k]) for k in ("journalled", "sent", "refused", "skipped", "thinned", "owed", "waiting")),
             f"{s['behind_s']:.0f} s", _bytes(s), s["words"]] for s in status["sinks"]])
    if status["recipients"]:
        lines += aligned([["recipient", "told", "waiting", "dead", ""]] + [
            [r["name"], str(r["sent"]), str(r["waiting"]), str(r["dead"]), r["words"]] for r in status["recipients"]])
    c, journal = status["conservation"], status["journal"]
    lines.append(f"received {c['received']} = journalled {c['journalled']} + duplicate {c['duplicate']} + undecodable {c['undecodable']} + "
                 f"quarantined {c['quarantined']} + held {c['held']} + overwritten {c['overwritten']}"
                 + ("" if c["holds"] else "   DOES NOT HOLD: please report this"))
    late = status["too_old"]
    if late["hour_too_old"] or late["index_too_old"]:
        lines.append(f"too late: {late['hour_too_old']} readings renewed no hour, {late['index_too_old']} hours renewed no index or day "
                     "(they are in the journal)")
    if late["hour_ahead"]:
        lines.append(f"clock: it was ahead and was set back; {late['hour_ahead']} hours of series begin anew when they come")
    lines.append(f"journal {journal['bytes'] / 1e6:.1f} MB of {journal['limit'] / 1e9:g} GB, {journal['rows']} rows, {journal['events']} events: "
                 f"{journal['state']}" + (f", checked: {journal['checked']}" if journal["checked"] else "")
                 + f"     clock {status['clock']['words']}")
    lines += [f"worker {w['name']} restarted {w['restarts']} times: {w['words']}" for w in status.get("workers", [])]
    return lines + [str(note) for note in status["notes"]] + (["(asked the daemon)"] if running else [])


def run_alerts(site_path: Path, *, as_json: bool, out: TextIO) -> int:
    """Print firing and recent alerts; 0 = none fires, 1 = some do, 69 = nothing to ask, 78 = the site file is wrong."""
    answer = asked_of(site_path, "alerts", out)
    if isinstance(answer, int):
        return answer
    alerts: list[Plain] = answer[0]  # type: ignore[assignment]
    if as_json:
        print(json.dumps({"format": 1, "alerts": alerts}, ensure_ascii=False), file=out)
    elif alerts:
        rows = [[a["id"], iso(a["since"]), a["colour"], a["state"], a["what"]] for a in alerts]
        print("\n".join(aligned([["id", "since (UTC)", "colour", "state", "what"], *rows])), file=out)
    else:
        print("no alerts yet", file=out)
    return Exit.AMISS if any(a["state"] == "firing" for a in alerts) else 0
