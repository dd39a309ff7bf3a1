"""`ecosentry scan`: which ports there are and what speaks on them; who answers on one of them; a first site file."""

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from config.errors import ConfigError, LineError
from config.reading_site import read_site_text
from drivers.ports import ports
from gateway.checking.check import print_problems
from gateway.exit_codes import Exit
from gateway.plugins import KINDS
from gateway.scanning.listening import EACH_S, Listened, listen_to_all
from gateway.scanning.progress import ProgressLine
from gateway.scanning.scan_line import Report, scan_line
from gateway.scanning.scan_table import print_ports, print_report
from gateway.scanning.site_text import LineFound, Place, box_zone, line_name, site_text
from gateway.scanning.target import Target, daemon_ports, find_target, site_or_none
from gateway.scanning.through_daemon import NoVisitError
from gateway.scanning.why_not import NOT_DONE, say_why
from gateway.scanning.wish import Wish, refuse_without_name
from gateway.scanning.written import look_at, write_new

_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Ways:
    """How a scan is told."""

    as_json: bool = False
    write: str = ""
    """Write a first site file there."""
    quiet: bool = False
    listen_s: float = EACH_S
    root: Path = _ROOT
    """Where /dev and /sys are."""


def run_scan(name: str, site: Path, wish: Wish, ways: Ways, out: TextIO, err: TextIO) -> int:
    """The word `scan`; gives the exit code: 0 something was found, 1 nothing, 69 the port cannot be opened, 77 no permission.

    Raises KeyboardInterrupt after telling what was found so far.
    """
    stop = threading.Event()
    try:
        look_at(ways.write)
        if name:
            return _scan_one(name, site, wish, ways, out, err, stop)
        refuse_without_name([*wish.of_the_port(), *wish.of_the_questions()])
        return _scan_ports(site, ways, out, err, stop)
    except NOT_DONE as error:
        return say_why(error, err)
    finally:
        stop.set()


# ── all ports ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _scan_ports(site: Path, ways: Ways, out: TextIO, err: TextIO, stop: threading.Event) -> int:
    try:
        lines = daemon_ports(site_or_none(site))
    except ConfigError:
        lines = {}  # the ports are worth a look whatever the site file says
    found = ports(ways.root)
    if found and not ways.quiet:
        print(f"Listening {ways.listen_s:g} s on each port, sending nothing", file=err)
    heard = listen_to_all(found, lines, ways.listen_s, stop)
    if ways.as_json:
        print(json.dumps({"format": 1, "ports": [one.plain() for one in heard]}, ensure_ascii=False), file=out)
    else:
        print_ports(heard, ways.write, out)
    if ways.write:
        _write(ways.write, _lines_heard(heard), out)
    if any(one.state == "denied" for one in heard) and not any(one.state in ("quiet", "stream", "master", "unknown") for one in heard):
        return Exit.DENIED
    return 0 if heard else Exit.AMISS


def _lines_heard(heard: Sequence[Listened]) -> list[LineFound]:
    lines: list[LineFound] = []
    for one in heard:
        if one.stream is not None:
            remark = f"{one.port.adapter}, named by its socket" if one.port.shares_id else one.port.adapter
            entry = {"protocol": "stream", "address": "", "profiles": list(one.stream.profiles), "setting": one.setting}
            lines.append(LineFound(line_name(one.port.name, [line.name for line in lines]), one.port.name, one.setting, remark, [entry]))
    return lines


# ── one line ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _scan_one(name: str, site: Path, wish: Wish, ways: Ways, out: TextIO, err: TextIO, stop: threading.Event) -> int:
    target, report = find_target(name, site), Report()
    shown = ProgressLine(err, quiet=ways.quiet)
    try:
        scan_line(target, wish, report, shown, stop)
    except (KeyboardInterrupt, LineError, NoVisitError) as cut:
        shown.end()
        report.whole = False
        if report.found or isinstance(cut, KeyboardInterrupt):
            _tell(target, report, ways, out)
        raise
    shown.end()
    _tell(target, report, ways, out)
    if ways.write and (report.found or report.stream):
        _write(ways.write, [_line_found(target.port or name, report)], out)
    return 0 if report.found or report.stream else Exit.AMISS


def _tell(target: Target, report: Report, ways: Ways, out: TextIO) -> None:
    if ways.as_json:
        print(json.dumps({"format": 1, "target": target.name, "line": target.line, **asdict(report)}, ensure_ascii=False, allow_nan=False), file=out)
        return
    print_report(target.name, report, out)
    if ways.write and not report.whole:
        print(f"{ways.write} was not written.", file=out)


def _line_found(port: str, report: Report) -> LineFound:
    entries = [report.stream] if report.stream is not None else report.found
    settings = [str(entry["setting"]) for entry in entries]
    setting = max(settings, key=lambda one: (settings.count(one), -settings.index(one)))
    return LineFound(line_name(port, ()), port, setting, "", [{"address": "", **entry} for entry in entries])


# ── the site file ────────────────────────────────────────────────────────────────────────────────────────────────────
def _write(path: str, lines: list[LineFound], out: TextIO) -> None:
    text = _right(_place(), lines, out)
    write_new(path, text)
    rows = sum(1 for row in text.splitlines() if row and not row.startswith("#"))
    print(f"Wrote {path}, {rows} lines. Next:  ecosentry check --live {path}", file=out)


def _right(place: Place, lines: list[LineFound], out: TextIO) -> str:
    """The text of a site file that passes the check: what a person typed wrongly is said and left out."""
    text = site_text(place, lines)
    try:
        read_site_text(text, KINDS, "what you typed")
    except ConfigError as error:
        print_problems(error, out)
        return site_text(Place(time_zone=box_zone()), lines)
    return text


def _place() -> Place:
    """Asked for on a terminal; else what can be known."""
    zone = box_zone()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return Place(time_zone=zone)
    name = _asked("Station id (a-z 0-9 _ -)", "home")
    where = _asked("Latitude, longitude (copy from a map)", "")
    zone = _asked("Time zone", zone)
    try:
        latitude, longitude = (float(part) for part in where.split(",")) if where else (None, None)
    except ValueError:
        latitude = longitude = None
    return Place(name, latitude, longitude, zone)


def _asked(question: str, otherwise: str) -> str:
    print(f"{question} [{otherwise}]: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or otherwise
