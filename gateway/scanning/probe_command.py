"""`ecosentry probe LINE ADDRESS`: one Modbus device in every reading of its registers, what fits it, and a profile of it."""

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

from config.errors import LineError
from drivers.blocks import LineSpeed
from drivers.driver import AskedLine
from drivers.job import Plain
from gateway.building import Builder
from gateway.checking.proving import prove_profile
from gateway.control import ask as ask_daemon
from gateway.exit_codes import Exit
from gateway.scanning.fitting import modbus_profiles
from gateway.scanning.meanings import Shown, meanings, runs_of, shown
from gateway.scanning.own_port import OwnPort, Setting, own_port, run_job, speed_of
from gateway.scanning.probe_job import probe_of
from gateway.scanning.probe_table import print_registers, print_shown
from gateway.scanning.profile_text import Head, profile_text, rows_of_profile, rows_shown
from gateway.scanning.progress import ProgressLine
from gateway.scanning.scan_job import setting_text
from gateway.scanning.scan_line import Report, Wish, is_free
from gateway.scanning.target import Target, find_target
from gateway.scanning.through_daemon import visit
from gateway.scanning.why_not import NOT_DONE, refuse_to_overwrite, say_why

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


@dataclass(frozen=True, slots=True)
class _Probed:
    """What came of it."""

    result: Plain
    through: str
    setting: str


class _BusyError(Exception):
    """Someone else speaks there; nothing was sent."""


def run_probe(name: str, site: Path, wish: ProbeWish, out: TextIO, err: TextIO) -> int:
    """The word `probe`; gives the exit code: 0 it answers, 1 it does not, 69 the line cannot be opened, 77 no permission."""
    try:
        refuse_to_overwrite(wish.write)
        display = _display(wish.shows)
        target = find_target(name, site)
        probed = _probe(target, wish, ProgressLine(err, quiet=wish.quiet))
        return _tell(name, target, wish, display, probed, out, err)
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
        display[quantity] = value
    return display


# ── on the line ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _probe(target: Target, wish: ProbeWish, line_shown: ProgressLine) -> _Probed:
    socket, table = target.socket, target.table
    try:
        if target.line and table is not None and socket is not None and ask_daemon(socket, "visits") is not None:
            outcome = visit(socket, target.line, "probe", {"address": wish.address, "registers": wish.registers}, _WITHIN_S, line_shown)
            if outcome is not None:
                return _Probed(outcome.result, "daemon", setting_text(table.options))
        return _own(target, wish, line_shown)
    finally:
        line_shown.end()


def _own(target: Target, wish: ProbeWish, line_shown: ProgressLine) -> _Probed:
    table, stop = target.table, threading.Event()
    if table is not None and getattr(table.options, "mode", "ask") == "listen":
        raise LineError(f'line {target.line} has mode = "listen": nothing is sent there')
    if target.port:
        report = Report("port")
        if not is_free(target.port, Wish(listen_s=wish.listen_s), report, stop):
            spoken = report.master or report.foreign or "a sensor speaks by itself here"
            raise _BusyError(f"{spoken}: nothing was sent. → ecosentry scan {target.name}")
    if table is None or wish.baudrate or wish.format:
        setting = Setting(wish.baudrate or 9600, wish.format or "8N1")
        opened, speed = own_port(target.port, setting, stop), speed_of(target.port, setting)
    else:
        assert target.file is not None
        if not isinstance(table.options, LineSpeed):
            raise ValueError(f"line {target.line} is of kind {table.kind}, which carries no Modbus")
        opened, speed = OwnPort(cast("AskedLine", Builder(target.file).line(target.line)), stop), table.options
    job = probe_of(target.name, speed, wish.address, wish.registers)
    with opened as wire:
        return _Probed(run_job(job, wire, line_shown, stop), "port", setting_text(speed))


# ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _tell(name: str, target: Target, wish: ProbeWish, display: dict[str, str], probed: _Probed, out: TextIO, err: TextIO) -> int:
    result = probed.result
    everything = meanings(runs_of(result))
    found, missing = shown(everything, display)
    if wish.as_json:
        plain = {"format": 1, "target": name, "line": target.line, "through": probed.through, **result,
                 "meanings": [one.plain() for one in everything], "missing": missing,
                 "shown": [{"quantity": one.quantity, "decimals": one.decimals, "others": one.others, **one.meaning.plain()} for one in found]}
        print(json.dumps(plain, ensure_ascii=False, allow_nan=False), file=out)
    else:
        print_registers(name, wish.address, probed.result, probed.setting, everything, out)
        print_shown(found, missing, display, out)
        if probed.through == "daemon":
            print("(asked the daemon, polling goes on)", file=out)
    if not result["answers"]:
        return Exit.AMISS
    if wish.write and (found or not display):
        return _write(name, wish, probed, found, err if wish.as_json else out)
    return 0 if not missing else Exit.AMISS


def _write(name: str, wish: ProbeWish, probed: _Probed, found: list[Shown], out: TextIO) -> int:
    fits = cast("list[dict[str, object]]", probed.result["fits"])
    if found:
        rows = rows_shown(found)
        remarks = {one.quantity: f"other readings that gave the same: {one.others}" for one in found if one.others}
    elif fits:
        profile = next(one for one in modbus_profiles() if one.name == fits[0]["profile"])
        plausible = [key for key, value in cast("dict[str, float | None]", fits[0]["values"]).items() if value is not None]
        rows, remarks = rows_of_profile(profile, plausible), {}
        print(f'The rows are those of {profile.name}: if it is that device, profile = "{profile.name}" needs no file', file=out)
    else:
        print("No shipped profile fits, and registers do not say what they mean: nothing was written. → --shows QUANTITY=VALUE", file=out)
        return Exit.AMISS
    baudrate, _, format_ = probed.setting.partition(" ")
    day = datetime.now(UTC).date().isoformat()
    head = Head(f"address {wish.address} on {name}", day, int(wish.address), int(baudrate) if baudrate else None, format_)
    text = profile_text(head, rows, remarks)
    with Path(wish.write).open("x", encoding="utf-8") as file:
        file.write(text)
    verdicts = prove_profile(Path(wish.write))
    for verdict in verdicts:
        print(f"{verdict.part:<7} {verdict.words}" + (f" → {verdict.repair}" if verdict.repair else ""), file=out)
    many = f"{len(rows)} quantit{'ies' if len(rows) > 1 else 'y'}"
    print(f"Wrote {wish.write} ({many}). Next:  ecosentry devices --test {wish.write}   then into /etc/ecosentry/devices/ with it", file=out)
    return 0 if all(verdict.good for verdict in verdicts) else Exit.AMISS
