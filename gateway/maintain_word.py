"""`ecosentry maintain`: say that somebody is at an instrument, that it is over, and see what is planned."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from config.reading_site import SiteFile
from config.series import Series
from config.site_rules import taken
from config.units import duration_text, seconds
from gateway.building import journal_folder, load_site
from gateway.control import ask, socket_path
from gateway.exit_codes import Exit
from gateway.journal.maintenance import KEY, ByHand, recalled
from gateway.journal.reading import reading
from gateway.journal_words.why_not import NO_LOOK, say_why
from gateway.open_windows import OpenWindow, clock_text, open_windows
from gateway.order_word import login
from gateway.status import aligned
from gateway.telling import told


def run_maintain(args: argparse.Namespace, path: Path) -> int:
    """`ecosentry maintain [DEVICE [start|end]]`; gives the exit code."""
    try:
        file = load_site(path)
        if args.device is not None and args.device not in file.site.devices:
            print(f"no device {args.device} in {file.site.file}; there is {', '.join(file.site.devices)}", file=sys.stderr)
            return Exit.USAGE
        return _show(file, args.device, as_json=args.json) if args.act is None else _tell(args, file)
    except NO_LOOK as error:
        return say_why(error)


# ── what is planned, what goes on ──
def _show(file: SiteFile, device: str | None, *, as_json: bool) -> int:
    with reading(journal_folder(file.site)) as reader:
        by_hand, table = recalled(reader.meta(KEY)), reader.series()
    now = time.time_ns()
    work = [one for one in open_windows(file.site, table, by_hand, now) if device in (None, one.device)]
    hands = [one for one in by_hand if device in (None, one.device)]
    planned = _planned(file, device)
    if as_json:
        print(json.dumps({"format": 1, "open": [one.plain() for one in work], "by_hand": [asdict(one) for one in hands],
                          "planned": planned}, ensure_ascii=False))
    else:
        print("\n".join(_lines(file, work, hands, planned, now)))
    return 0


def _planned(file: SiteFile, device: str | None) -> list[dict[str, object]]:
    """The tables of the site file, and which devices each is about."""
    found: list[dict[str, object]] = []
    for name, planned in file.site.maintenance.items():
        mine: list[Series] = taken(file.site, file.profiles, planned)
        devices = list(dict.fromkeys(one.device for one in mine))
        if device is None or device in devices:
            found.append({"name": name, "kind": planned.kind, "devices": devices, "at": list(planned.at), "for": duration_text(planned.lasts),
                          "settle": duration_text(planned.settle)})
    return found


def _lines(file: SiteFile, work: list[OpenWindow], hands: list[ByHand], planned: list[dict[str, object]], now: int) -> list[str]:
    lines = [f"{one.device}: {one.words}" for one in work] or ["nobody is at work now"]
    if planned:
        lines += aligned([["planned", "kind", "begins", "for", "devices"]] + [
            [str(one["name"]), str(one["kind"]), _list(one["at"]), str(one["for"]), _list(one["devices"])] for one in planned])
    over = [one for one in hands if one.until <= now]
    if over:
        times = [[clock_text(at, now, _zone(file, one.device)) for at in (one.since, one.until)] for one in over]
        lines += aligned([["by hand", "kind", "since", "until", "by", ""]] + [
            [one.device, one.kind, *when, one.by, one.note] for one, when in zip(over, times, strict=True)])
    return [*lines, 'Somebody goes to an instrument:  ecosentry maintain DEVICE start --for "45 min"']


def _list(words: object) -> str:
    assert isinstance(words, list)
    return ", ".join(words)


def _zone(file: SiteFile, device: str) -> str:
    known = file.site.devices.get(device)
    return file.site.stations[known.common.station].time_zone if known else "UTC"


# ── saying it ──
def _tell(args: argparse.Namespace, file: SiteFile) -> int:
    device, site = str(args.device), file.site
    try:
        lasts_s = seconds(args.lasts) if args.lasts is not None else 0.0
    except ValueError as error:
        print(f'--for "{args.lasts}" {error}', file=sys.stderr)
        return Exit.USAGE
    if (args.act == "start") != bool(lasts_s):
        print('start needs --for "45 min": nobody remembers to end it' if args.act == "start" else "end takes no --for", file=sys.stderr)
        return Exit.USAGE
    socket = socket_path(journal_folder(site))

    def tell() -> object | None:
        if args.act == "start":
            return ask(socket, "maintain", device=device, kind=args.kind, seconds=lasts_s, by=args.by or login(), note=args.note)
        return ask(socket, "maintained", device=device)

    found = told(tell, unheard="whether it heard it is not known: ecosentry maintain shows it",
                 absent=f"it has to know from which reading on.  Start it:  ecosentry run {site.file}")
    if isinstance(found, Exit):
        return found
    assert isinstance(found, list)
    if args.json:
        print(json.dumps({"format": 1, "device": device, "open": found}, ensure_ascii=False))
        return 0
    print("\n".join(f"{device}: {one['words']}; values are kept and do not count, and nobody is alerted" for one in found)
          or f"{device}: over; values count again")
    if args.act == "start":
        print(f"Earlier:  ecosentry maintain {device} end")
    return 0
