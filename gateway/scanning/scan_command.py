"""`ecosentry scan`: which ports there are and what speaks on them; who answers on one of them; a first site file."""

import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO, cast

from config.errors import ConfigError
from config.quantity import vocabulary
from config.reading_site import read_site_text
from drivers.ports import Port, ports
from gateway.checking.check import print_problems
from gateway.exit_codes import Exit
from gateway.plugins import KINDS
from gateway.scanning.listening import EACH_S, Listened, listen_to_all
from gateway.scanning.progress import ProgressLine
from gateway.scanning.scan_line import Report, Wish, scan_line
from gateway.scanning.site_text import LineFound, Place, box_zone, line_name, profile_of, site_text
from gateway.scanning.target import daemon_ports, find_target, site_or_none
from gateway.scanning.why_not import NOT_DONE, refuse_to_overwrite, say_why

_MOST_VALUES = 4
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
    """The word `scan`; gives the exit code: 0 something was found, 1 nothing, 69 the port cannot be opened, 77 no permission."""
    stop = threading.Event()
    try:
        refuse_to_overwrite(ways.write)
        return _scan_one(name, site, wish, ways, out, err, stop) if name else _scan_ports(site, ways, out, err, stop)
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
        _print_ports(heard, ways, out)
    if ways.write:
        _write(ways.write, _lines_heard(heard), out)
    if any(one.state == "denied" for one in heard) and not any(one.state in ("quiet", "stream", "master", "unknown") for one in heard):
        return Exit.DENIED
    return 0 if heard else Exit.AMISS


def _print_ports(heard: Sequence[Listened], ways: Ways, out: TextIO) -> None:
    if not heard:
        print("No serial port found. → is the adapter plugged in? another cable: many have no data wires; then  dmesg -w  while plugging", file=out)
        return
    width = max(len(one.port.name) for one in heard)
    for one in heard:
        words = one.words or ("quiet" if one.state == "quiet" else "")
        if one.stream is not None:
            words = f"{one.setting}, {one.stream.times} readings   → {' or '.join(one.stream.profiles)}"
        print(f"{one.port.name:<{width}}  {one.port.adapter:<8}  {words}".rstrip(), file=out)
        if one.stream is not None:
            print(f"    {values_text(one.stream.values)}", file=out)
    shared = [one.port for one in heard if one.port.shares_id]
    if shared:
        print(_shared_words(shared), file=out)
    quiet = next((one.port.name for one in heard if one.state == "quiet"), "")
    follow = ["ecosentry scan --write site.toml"] if any(one.stream for one in heard) and not ways.write else []
    follow += [f"ecosentry scan {quiet}"] if quiet else []
    if follow:
        print(f"Next:  {'    or  '.join(follow)}", file=out)


def _shared_words(shared: Sequence[Port]) -> str:
    kind = shared[0].adapter if len({port.adapter for port in shared}) == 1 else "USB"
    many = f"{len(shared)} {kind} adapters have" if len(shared) > 1 else f"One {kind} adapter has"
    told = "they are told apart" if len(shared) > 1 else "it is named"
    return f"{many} no serial number of their own, so {told} by socket (by-path). Label the sockets now."


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
    target = find_target(name, site)
    shown = ProgressLine(err, quiet=ways.quiet)
    try:
        report = scan_line(target, wish, shown, stop)
    finally:
        shown.end()
    if ways.as_json:
        print(json.dumps({"format": 1, "target": name, "line": target.line, **asdict(report)}, ensure_ascii=False, allow_nan=False), file=out)
    else:
        print_report(name, report, out)
    if ways.write and (report.found or report.stream):
        _write(ways.write, [_line_found(target.port or name, report)], out)
    return 0 if report.found or report.stream else Exit.AMISS


def _line_found(port: str, report: Report) -> LineFound:
    entries = [report.stream] if report.stream is not None else report.found
    settings = [str(entry["setting"]) for entry in entries]
    setting = max(settings, key=lambda one: (settings.count(one), -settings.index(one)))
    return LineFound(line_name(port, ()), port, setting, "", [{"address": "", **entry} for entry in entries])


def print_report(name: str, report: Report, out: TextIO) -> None:
    """Who answered, for people; the next command on the last line."""
    through = "(asked the daemon, polling goes on)" if report.through == "daemon" else ""
    if report.master:
        print(f"{report.master}. Two masters spoil each other's readings.", file=out)
    elif report.stream is not None:
        profiles = " or ".join(cast("list[str]", report.stream["profiles"]))
        print(f"a sensor speaks by itself here, at {report.stream['setting']}   → {profiles}; nothing was sent", file=out)
        print(f"    {values_text(cast('dict[str, float]', report.stream['values']))}", file=out)
    elif report.foreign:
        print(f"{report.foreign}. Nothing was sent. → another setting?  ecosentry scan {name} --anyway  asks all the same", file=out)
    elif report.found:
        _print_found(name, report, out)
    else:
        print(_nothing(name, report), file=out)
    if report.known:
        print("not asked, in the site file: " + ", ".join(f"{device} ({address})" for device, address in report.known.items()), file=out)
    if through:
        print(through, file=out)


def _print_found(name: str, report: Report, out: TextIO) -> None:
    rows = [["address", "setting", "looks like", "first values"]]
    for entry in report.found:
        fits = cast("list[dict[str, object]]", entry.get("looks_like") or [])
        address = str(entry["address"] or entry["protocol"])
        if fits:
            best = fits[0]
            looks = f"{best['profile']} ({best['fits']} of {best['of']} plausible)" + (", recognised" if best["recognised"] else "")
            values = values_text({k: v for k, v in cast("dict[str, float | None]", best["values"]).items() if v is not None})
        else:
            looks = str(entry.get("who") or profile_of(entry) or f"nothing known; {entry['answers']}")
            values = f"→ ecosentry probe {name} {address}" if entry["protocol"] == "modbus" else ""
        rows.append([address, str(entry["setting"]), looks, values])
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip(), file=out)


def _nothing(name: str, report: Report) -> str:
    asked = f"at {', '.join(one for one in report.settings if one)}" if any(report.settings) else ""
    if report.spoilt:
        return (f"Bytes came at {report.spoilt_at or 'this setting'}, none with a right checksum: another baud rate or parity, "
                f"or two devices with one address. → ecosentry scan {name} --all")
    return (f"No answer {asked}. → 1 power of the instruments  2 A and B exchanged: change them over, nothing breaks  "
            f"3 other settings: ecosentry scan {name} --all").replace("  →", " →")


def values_text(values: dict[str, float]) -> str:
    """The first few values with their units.

    >>> values_text({"ph": 7.24, "water_temperature": 18.3})
    'ph 7.24   water_temperature 18.3 °C'
    """
    said = []
    for name, value in list(values.items())[:_MOST_VALUES]:
        known = vocabulary().get(name.partition(":")[0])
        unit = "" if known is None or known.unit == "1" else f" {known.unit}"
        said.append(f"{name} {value:.{known.decimals if known else 2}f}{unit}")
    return "   ".join(said) + (" …" if len(values) > _MOST_VALUES else "")


# ── the site file ────────────────────────────────────────────────────────────────────────────────────────────────────
def _write(path: str, lines: list[LineFound], out: TextIO) -> None:
    text = _right(_place(), lines, out)
    with Path(path).open("x", encoding="utf-8") as file:
        file.write(text)
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
