"""`ecosentry scan LINE|PORT`: who answers there. Through the daemon if it has the line, else at a port of our own, setting by setting."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from config.errors import LineError
from drivers.blocks import LineSpeed
from drivers.driver import AskedLine, Wire
from drivers.job import Plain
from drivers.lines.serial import Options as SerialOptions
from drivers.ports import Port
from gateway.building import Builder
from gateway.control import ask as ask_daemon
from gateway.scanning.listening import hear_port
from gateway.scanning.own_port import OwnPort, Setting, own_port, run_job
from gateway.scanning.progress import ProgressLine
from gateway.scanning.rounds import rounds
from gateway.scanning.scan_job import Scan, addresses, asks, setting_text
from gateway.scanning.target import Target
from gateway.scanning.through_daemon import visit
from gateway.scanning.wish import Wish, refuse_at_daemon, refuse_without_port

_WITHIN_S = 6 * 3600.0


@dataclass(slots=True)
class Report:
    """What came of a scan."""

    through: str = "port"
    """daemon, or port."""
    whole: bool = True
    """False: it was broken off, and this is what was found until then."""
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
    refused: list[str] = field(default_factory=list)
    """Settings that the port cannot have."""
    found: list[Plain] = field(default_factory=list)
    known: dict[str, object] = field(default_factory=dict)
    """Devices of the site file, which were not asked."""


def scan_line(target: Target, wish: Wish, report: Report, shown: ProgressLine, stop: threading.Event) -> None:
    """Who answers, noted in `report` as it is found. Raises NoVisitError, LineError, ValueError in words for people."""
    if wish.addresses:
        addresses(wish.addresses)
    socket, table = target.socket, target.table
    if table is not None and socket is not None and ask_daemon(socket, "visits") is not None:
        refuse_at_daemon(wish.of_the_port(), target.line, setting_text(table.options))
        _through_daemon(target, wish, report, shown)
        return
    if table is not None and getattr(table.options, "mode", "ask") == "listen":
        raise LineError(f'line {target.line} has mode = "listen": nothing is sent there. ecosentry status names who is asked on it')
    if target.port:
        _own_serial(target, wish, report, shown, stop)
    else:
        _own_other(target, wish, report, shown, stop)


def _through_daemon(target: Target, wish: Wish, report: Report, shown: ProgressLine) -> None:
    report.through, report.known = "daemon", target.devices
    arguments = {"addresses": wish.addresses or "1-247", "skip": [str(address) for address in report.known.values() if address is not None],
                 "first": wish.first, "answer_s": wish.answer_s, "listen_s": wish.listen_s}
    assert target.socket is not None
    assert target.table is not None
    setting, found = setting_text(target.table.options), list[Plain]()
    try:
        outcome = visit(target.socket, target.line, "scan", arguments, _WITHIN_S, shown, found)
    except BaseException:
        _add(report, {"master": "", "spoilt": 0, "found": found}, setting)
        raise
    _add(report, outcome.result, setting)


def _own_serial(target: Target, wish: Wish, report: Report, shown: ProgressLine, stop: threading.Event) -> None:
    own = target.serial
    shown.say(f"Listening {wish.listen_s:g} s for another master, then asking (reads only)")
    if not is_free(target, wish, report, stop):
        return
    scans = list(_scans(target, wish, own))
    shown.after = sum(len(scan.asks) for _, scan in scans)
    for options, scan in scans:
        shown.after -= len(scan.asks)
        wire = None
        try:
            with own_port(options, stop) as wire:
                _run(scan, wire, report, shown, stop)
        except LineError:
            if wire is not None or not Path(target.port).exists() or (scan is scans[-1][1] and not report.settings):
                raise
            report.refused.append(scan.setting)
        shown.before += len(scan.asks)
        if report.master or (wish.first and report.found):
            break


def _scans(target: Target, wish: Wish, own: SerialOptions | None) -> Iterator[tuple[SerialOptions, Scan]]:
    for one in rounds(wish, Setting.of(own) if own is not None else None):
        speed, units = one.setting.options(target.port, own), addresses(one.addresses) if one.addresses else []
        questions = asks(one.kinds, units, speed.framing, (), wish.answer_s)
        yield speed, Scan(target.name, speed, questions, str(one.setting), 0.0, stop_at_first=wish.first, answer_s=wish.answer_s)


def _run(scan: Scan, wire: Wire, report: Report, shown: ProgressLine, stop: threading.Event) -> None:
    """A scan at one setting; what it found is noted also if it is broken off."""
    try:
        result = run_job(scan, wire, shown, stop)
    except BaseException:
        _add(report, scan.so_far(), scan.setting)
        raise
    _add(report, result, scan.setting)


def is_free(target: Target, wish: Wish, report: Report, stop: threading.Event) -> bool:
    """Nobody speaks there by himself. What is heard is noted in `report`."""
    if wish.listen_s <= 0:
        return True
    own = target.serial
    heard = hear_port(Port(target.port, target.port, ""), wish.listen_s, stop, Setting.of(own) if own is not None else None)
    if heard.state == "master":
        report.master, report.settings = heard.words, [heard.setting]
    elif heard.state == "stream" and heard.stream is not None:
        report.stream = {"protocol": "stream", "profiles": list(heard.stream.profiles), "values": heard.stream.values, "setting": heard.setting}
    elif heard.state == "unknown" and not wish.anyway:
        report.foreign = heard.words
    return heard.state == "quiet" or (heard.state == "unknown" and wish.anyway)


def _own_other(target: Target, wish: Wish, report: Report, shown: ProgressLine, stop: threading.Event) -> None:
    """A line that has one setting: a TCP connection."""
    table = target.table
    assert target.file is not None
    assert table is not None
    if not isinstance(table.options, LineSpeed):
        raise ValueError(f"line {target.line} is of kind {table.kind}: its devices speak by themselves, and there is nothing to scan")
    refuse_without_port(wish.of_the_port(), target.line, table.kind)
    questions = asks(["modbus", "inputs"], addresses(wish.addresses or "1-247"), table.options.framing, (), wish.answer_s)
    line = cast("AskedLine", Builder(target.file).line(target.line))
    listen_s = 0.0 if table.options.framing == "tcp" else wish.listen_s
    with OwnPort(line, stop) as wire:
        _run(Scan(target.name, table.options, questions, "", listen_s, stop_at_first=wish.first, answer_s=wish.answer_s), wire, report, shown, stop)


def _add(report: Report, result: Plain, setting: str) -> None:
    report.settings.append(setting)
    report.master = report.master or str(result["master"])
    if result["spoilt"] and not report.spoilt:
        report.spoilt_at = setting
    report.spoilt += cast("int", result["spoilt"])
    have = {(one["protocol"], str(one["address"])) for one in report.found if one["address"] != ""}
    report.found += [one for one in cast("Sequence[Plain]", result["found"]) if (one["protocol"], str(one["address"])) not in have]
