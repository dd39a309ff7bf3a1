"""`ecosentry scan LINE|PORT`: who answers there. Through the daemon if it has the line, else at a port of our own, setting by setting."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from config.errors import LineError
from drivers.blocks import LineSpeed
from drivers.driver import AskedLine
from drivers.job import Plain
from drivers.ports import Port
from gateway.building import Builder
from gateway.control import ask as ask_daemon
from gateway.scanning.listening import hear_port
from gateway.scanning.own_port import MOST_BAUDRATES, OwnPort, Setting, own_port, run_job, speed_of
from gateway.scanning.progress import ProgressLine
from gateway.scanning.scan_job import LISTEN_S, Scan, addresses, asks, setting_text
from gateway.scanning.target import Target
from gateway.scanning.through_daemon import visit

_WITHIN_S = 6 * 3600.0
_FORMATS = ("8N1", "8E1", "8O1", "8N2")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of a scan."""

    everything: bool = False
    """All settings, all addresses."""
    baudrate: int | None = None
    format: str = ""
    addresses: str = ""
    first: bool = False
    """Stop at the first that answers."""
    anyway: bool = False
    """Ask although bytes are heard that cannot be understood."""
    answer_s: float = 0.0
    listen_s: float = LISTEN_S


@dataclass(slots=True)
class Report:
    """What came of a scan."""

    through: str
    """daemon, or port."""
    master: str = ""
    """Another master asks there: nothing was sent."""
    stream: Plain | None = None
    """A sensor speaks by itself there: nothing was sent."""
    foreign: str = ""
    """Bytes that nothing understands: nothing was sent."""
    spoilt: int = 0
    """So many questions were answered by bytes without a right checksum."""
    spoilt_at: str = ""
    settings: list[str] = field(default_factory=list)
    found: list[Plain] = field(default_factory=list)
    known: dict[str, object] = field(default_factory=dict)
    """Devices of the site file, which were not asked."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is asked at one setting."""

    setting: Setting
    kinds: tuple[str, ...]
    addresses: str


_USUAL = (
    Round(Setting(9600), ("modbus", "mhz19", "ezo", "sdi12", "inputs"), "1-247"), Round(Setting(4800), ("modbus",), "1-32"),
    Round(Setting(19200, "8E1"), ("modbus",), "1-16"), Round(Setting(2400, "8E1"), ("dlt645",), ""),
    Round(Setting(9600, "8E1"), ("dlt645", "modbus"), "1-16"), Round(Setting(115200), ("shdlc", "modbus"), "1-8"),
    Round(Setting(19200), ("modbus",), "1-16"), Round(Setting(1200, "8E1"), ("dlt645",), ""), Round(Setting(38400), ("modbus",), "1-8"),
    Round(Setting(1200, "7E1"), ("sdi12",), ""), Round(Setting(9600, "7E1", "ascii"), ("modbus",), "1-8"))
"""The likeliest first; about two minutes."""
_EVERY_KIND = ("modbus", "inputs", "dlt645", "mhz19", "ezo", "sdi12", "shdlc")


def rounds(wish: Wish) -> list[Round]:
    """The settings of a scan, in their order."""
    if wish.baudrate is None and not wish.format and not wish.everything:
        return [Round(r.setting, r.kinds, (wish.addresses or r.addresses) if r.addresses else "") for r in _USUAL]
    baudrates = [wish.baudrate] if wish.baudrate is not None else MOST_BAUDRATES if wish.everything else (9600,)
    formats = [wish.format] if wish.format else _FORMATS if wish.everything else ("8N1",)
    return [Round(Setting(baudrate, format_), _EVERY_KIND, wish.addresses or "1-247") for baudrate in baudrates for format_ in formats]


def scan_line(target: Target, wish: Wish, shown: ProgressLine, stop: threading.Event) -> Report:
    """Who answers. Raises NoVisitError, LineError, ValueError in words for people."""
    if wish.addresses:
        addresses(wish.addresses)
    socket = target.socket
    if target.line and socket is not None and ask_daemon(socket, "visits") is not None:
        return _through_daemon(target, wish, shown)
    table = target.table
    if table is not None and getattr(table.options, "mode", "ask") == "listen":
        raise LineError(f'line {target.line} has mode = "listen": nothing is sent there. ecosentry status names who is asked on it')
    if target.port:
        return _own_serial(target, wish, shown, stop)
    return _own_other(target, wish, shown, stop)


def _through_daemon(target: Target, wish: Wish, shown: ProgressLine) -> Report:
    known = target.devices
    arguments = {"addresses": wish.addresses or "1-247", "skip": [str(address) for address in known.values() if address is not None],
                 "first": wish.first, "answer_s": wish.answer_s, "listen_s": wish.listen_s}
    assert target.socket is not None
    outcome = visit(target.socket, target.line, "scan", arguments, _WITHIN_S, shown)
    report = Report("daemon", known=known)
    if outcome is not None:
        _add(report, outcome.result, setting_text(target.table.options) if target.table else "")
    return report


def _own_serial(target: Target, wish: Wish, shown: ProgressLine, stop: threading.Event) -> Report:
    report = Report("port")
    shown.say(f"Listening {wish.listen_s:g} s for another master, then asking (reads only)")
    if not is_free(target.port, wish, report, stop):
        return report
    scans = list(_scans(target, wish))
    shown.after = sum(len(scan.asks) for _, scan in scans)
    for setting, scan in scans:
        shown.after -= len(scan.asks)
        with own_port(target.port, setting, stop) as wire:
            _add(report, run_job(scan, wire, shown, stop), str(setting))
        shown.before += len(scan.asks)
        if report.master or (wish.first and report.found):
            break
    return report


def _scans(target: Target, wish: Wish) -> Iterator[tuple[Setting, Scan]]:
    for one in rounds(wish):
        speed, units = speed_of(target.port, one.setting), addresses(one.addresses) if one.addresses else []
        questions = asks(one.kinds, units, speed.framing, (), wish.answer_s)
        yield one.setting, Scan(target.name, speed, questions, str(one.setting), listen_s=0.0, stop_at_first=wish.first)


def is_free(port: str, wish: Wish, report: Report, stop: threading.Event) -> bool:
    """Nobody speaks there by himself. What is heard is noted in `report`."""
    if wish.listen_s <= 0:
        return True
    heard = hear_port(Port(port, port, ""), wish.listen_s, stop)
    if heard.state == "master":
        report.master, report.settings = heard.words, [heard.setting]
    elif heard.state == "stream" and heard.stream is not None:
        report.stream = {"protocol": "stream", "profiles": list(heard.stream.profiles), "values": heard.stream.values, "setting": heard.setting}
    elif heard.state == "unknown" and not wish.anyway:
        report.foreign = heard.words
    return heard.state == "quiet" or (heard.state == "unknown" and wish.anyway)


def _own_other(target: Target, wish: Wish, shown: ProgressLine, stop: threading.Event) -> Report:
    """A line that has one setting: a TCP connection."""
    report, table = Report("port", known=target.devices), target.table
    assert target.file is not None
    assert table is not None
    if not isinstance(table.options, LineSpeed):
        raise ValueError(f"line {target.line} is of kind {table.kind}: its devices speak by themselves, and there is nothing to scan")
    questions = asks(["modbus", "inputs"], addresses(wish.addresses or "1-247"), table.options.framing, (), wish.answer_s)
    line = cast("AskedLine", Builder(target.file).line(target.line))
    listen_s = 0.0 if table.options.framing == "tcp" else wish.listen_s
    with OwnPort(line, stop) as wire:
        _add(report, run_job(Scan(target.name, table.options, questions, "", listen_s, stop_at_first=wish.first), wire, shown, stop), "")
    return report


def _add(report: Report, result: Plain, setting: str) -> None:
    report.settings.append(setting)
    report.master = report.master or str(result["master"])
    if result["spoilt"] and not report.spoilt:
        report.spoilt_at = setting
    report.spoilt += cast("int", result["spoilt"])
    have = {(one["protocol"], str(one["address"])) for one in report.found if one["address"] != ""}
    report.found += [one for one in cast("Sequence[Plain]", result["found"]) if (one["protocol"], str(one["address"])) not in have]
