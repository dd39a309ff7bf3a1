"""`ecosentry probe LINE ADDRESS`: one Modbus device in every reading of its registers, what fits it, and a profile of it."""

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

from config.errors import LineError
from config.quantity import vocabulary
from config.wording import did_you_mean
from drivers.blocks import LineSpeed
from drivers.driver import AskedLine
from drivers.job import Plain
from gateway.building import Builder
from gateway.checking.proving import prove_profile
from gateway.control import ask as ask_daemon
from gateway.exit_codes import Exit
from gateway.scanning.fitting import modbus_profiles
from gateway.scanning.meanings import meanings, runs_of, shown
from gateway.scanning.own_port import OwnPort, Setting, own_port, run_job
from gateway.scanning.probe_job import NOTHING, probe_of
from gateway.scanning.probe_table import print_registers, print_shown
from gateway.scanning.profile_text import Head, profile_text, rows_of_profile, rows_shown
from gateway.scanning.progress import ProgressLine
from gateway.scanning.scan_job import setting_text
from gateway.scanning.scan_line import Report, is_free
from gateway.scanning.target import Target, find_target
from gateway.scanning.through_daemon import NoVisitError, visit
from gateway.scanning.why_not import NOT_DONE, say_why
from gateway.scanning.wish import Wish, refuse_at_daemon, refuse_without_port
from gateway.scanning.written import look_at, write_new

_WITHIN_S = 3600.0


@dataclass(frozen=True, slots=True)
class ProbeWish:
    """What the user wants of a probe."""

    address: str
    registers: str = ""
    shows: tuple[str, ...] = ()
    """QUANTITY=VALUE, as the display shows it."""
    write: str = ""
    baudrate: int | None = None
    format: str = ""
    as_json: bool = False
    quiet: bool = False
    listen_s: float = 3.0
    answer_s: float = 0.0
    """0 = as long as is usual."""


@dataclass(slots=True)
class _Probed:
    """What came of it."""

    result: Plain
    through: str = "port"
    setting: str = ""
    whole: bool = True
    """False: it was broken off, and this is what was found until then."""


class _BusyError(Exception):
    """Someone else speaks there; nothing was sent."""


def run_probe(name: str, site: Path, wish: ProbeWish, out: TextIO, err: TextIO) -> int:
    """The word `probe`; gives the exit code: 0 it answers, 1 it does not, 69 the line cannot be opened, 77 no permission.

    Raises KeyboardInterrupt after telling what was found so far.
    """
    try:
        look_at(wish.write)
        display = _display(wish.shows)
        target, probed = find_target(name, site), _Probed(NOTHING)
        try:
            _probe(target, wish, probed, ProgressLine(err, quiet=wish.quiet))
        except (KeyboardInterrupt, LineError, NoVisitError) as cut:
            probed.whole = False
            if probed.result["answers"] or isinstance(cut, KeyboardInterrupt):
                _tell(name, target, wish, display, probed, out)
            raise
        code = _tell(name, target, wish, display, probed, out)
        return _write(name, wish, display, probed, err if wish.as_json else out) if wish.write and probed.result["answers"] else code
    except _BusyError as error:
        print(error, file=err)
        return Exit.AMISS
    except NOT_DONE as error:
        return say_why(error, err)


def _display(shows: Sequence[str]) -> dict[str, str]:
    display = {}
    for text in shows:
        quantity, equals, value = text.partition("=")
        try:
            float(value)
        except ValueError:
            equals = ""
        if not equals or not math.isfinite(float(value)):
            raise ValueError(f'"{text}" does not say what the display shows; write QUANTITY=VALUE, as in ph=7.24')
        name = quantity.partition(":")[0]
        if name not in vocabulary():
            raise ValueError(f"{name} is no quantity; " + did_you_mean(name.lower(), vocabulary(), "their names: ecosentry devices WORD"))
        display[quantity] = value
    return display


# ── on the line ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _probe(target: Target, wish: ProbeWish, probed: _Probed, line_shown: ProgressLine) -> None:
    """What is found is noted in `probed`, also if it is broken off."""
    table, socket = target.table, target.socket
    try:
        if table is None or socket is None or ask_daemon(socket, "visits") is None:
            _own(target, wish, probed, line_shown)
            return
        probed.through, probed.setting = "daemon", setting_text(table.options)
        refuse_at_daemon(_of_the_port(wish), target.line, probed.setting)
        arguments = {"address": wish.address, "registers": wish.registers, "answer_s": wish.answer_s}
        runs: list[Plain] = []
        try:
            probed.result = visit(socket, target.line, "probe", arguments, _WITHIN_S, line_shown, runs).result
        except BaseException:
            probed.result = {**NOTHING, "answers": bool(runs), "runs": runs}
            raise
    finally:
        line_shown.end()


def _of_the_port(wish: ProbeWish) -> list[str]:
    return Wish(baudrate=wish.baudrate, format=wish.format).of_the_port()


def _own(target: Target, wish: ProbeWish, probed: _Probed, line_shown: ProgressLine) -> None:
    table, stop = target.table, threading.Event()
    if table is not None and getattr(table.options, "mode", "ask") == "listen":
        raise LineError(f'line {target.line} has mode = "listen": nothing is sent there')
    speed, opened = _line(target, wish, stop)
    job = probe_of(target.name, speed, wish.address, wish.registers, wish.answer_s)
    probed.setting = setting_text(speed)
    if target.port:
        report = Report()
        if not is_free(target, Wish(listen_s=wish.listen_s), report, stop):
            spoken = report.master or report.foreign or "a sensor speaks by itself here"
            raise _BusyError(f"{spoken}: nothing was sent. → ecosentry scan {target.name}")
    with opened as wire:
        try:
            probed.result = run_job(job, wire, line_shown, stop)
        except BaseException:
            probed.result = job.so_far()
            raise


def _line(target: Target, wish: ProbeWish, stop: threading.Event) -> tuple[LineSpeed, OwnPort]:
    """The line, to be opened, and its speed: its own setting unless another is wished for. Raises ValueError."""
    table, own = target.table, target.serial
    if target.port:
        usual = Setting.of(own) if own is not None else Setting()
        options = replace(usual, baudrate=wish.baudrate or usual.baudrate, format=wish.format or usual.format).options(target.port, own)
        return options, own_port(options, stop)
    assert table is not None
    assert target.file is not None
    refuse_without_port(_of_the_port(wish), target.line, table.kind)
    if not isinstance(table.options, LineSpeed):
        raise ValueError(f"line {target.line} is of kind {table.kind}, which carries no Modbus")
    return table.options, OwnPort(cast("AskedLine", Builder(target.file).line(target.line)), stop)


# ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _tell(name: str, target: Target, wish: ProbeWish, display: dict[str, str], probed: _Probed, out: TextIO) -> int:
    result = probed.result
    everything = meanings(runs_of(result))
    found, missing = shown(everything, display)
    if wish.as_json:
        plain = {"format": 1, "target": name, "line": target.line, "through": probed.through, "whole": probed.whole, **result,
                 "meanings": [one.plain() for one in everything],
                 "shown": [{"quantity": one.quantity, **one.meaning.plain(), "decimals": one.decimals, "others": one.others} for one in found]}
        print(json.dumps(plain, ensure_ascii=False, allow_nan=False), file=out)
    else:
        if probed.whole or result["answers"]:
            print_registers(name, wish.address, result, probed.setting, everything, out)
        print_shown(found, missing, display, out)
        if probed.through == "daemon":
            print("(asked the daemon, polling goes on)", file=out)
        if not probed.whole:
            print("This is not whole: it was broken off." + (f" {wish.write} was not written." if wish.write else ""), file=out)
    return 0 if result["answers"] and not missing else Exit.AMISS


def _write(name: str, wish: ProbeWish, display: dict[str, str], probed: _Probed, out: TextIO) -> int:
    found, missing = shown(meanings(runs_of(probed.result)), display)
    fits = cast("list[dict[str, object]]", probed.result["fits"])
    if display and not found:
        return Exit.AMISS
    if found:
        rows = rows_shown(found)
        remarks = {one.quantity: f"other readings that gave the same: {one.others}" for one in found if one.others}
    elif fits:
        profile = next(one for one in modbus_profiles() if one.name == fits[0]["profile"])
        rows, remarks = rows_of_profile(profile, cast("list[str]", fits[0]["plausible"])), {}
        sure = "" if fits[0]["sure"] else "; a guess, compare with its display"
        print(f'The rows are those of {profile.name}{sure}: if it is that device, profile = "{profile.name}" needs no file', file=out)
    else:
        print("No shipped profile fits, and registers do not say what they mean: nothing was written. → --shows QUANTITY=VALUE", file=out)
        return Exit.AMISS
    baudrate, _, format_ = probed.setting.partition(" ")
    day = datetime.now(UTC).date().isoformat()
    head = Head(f"address {wish.address} on {name}", day, int(wish.address), int(baudrate) if baudrate else None, format_)
    write_new(wish.write, profile_text(head, rows, remarks))
    verdicts = prove_profile(Path(wish.write))
    for verdict in verdicts:
        print(f"{verdict.part:<7} {verdict.words}" + (f" → {verdict.repair}" if verdict.repair else ""), file=out)
    many = f"{len(rows)} quantit{'ies' if len(rows) > 1 else 'y'}"
    print(f"Wrote {wish.write} ({many}). Next:  ecosentry devices --test {wish.write}   then into /etc/ecosentry/devices/ with it", file=out)
    return 0 if all(verdict.good for verdict in verdicts) and not missing else Exit.AMISS
