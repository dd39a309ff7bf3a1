"""`ecosentry order`: tell a device to do something, see what it can be told, and what became of earlier orders."""

import argparse
import getpass
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from config.reading_site import SiteFile
from drivers.order import Obeys, Order, Verb
from gateway.alerts import iso
from gateway.building import Builder, journal_folder, load_site
from gateway.control import ask, socket_path
from gateway.exit_codes import Exit
from gateway.journal.reading import reading
from gateway.journal_words.why_not import NO_LOOK, say_why
from gateway.ordering import MOST_SHOWN, plain
from gateway.orders import WITHIN_S
from gateway.status import aligned
from gateway.telling import told

_LOOK_S = 0.2
_PATIENCE_S = WITHIN_S + 60.0
Shown = Mapping[str, object]


def run_order(args: argparse.Namespace, path: Path) -> int:
    """`ecosentry order [DEVICE [VERB [VALUE]]]`; gives the exit code."""
    try:
        file = load_site(path)
        if args.device is None:
            return _list(file, as_json=args.json)
        verbs = _verbs(file, args.device)
        if isinstance(verbs, str):
            print(verbs, file=sys.stderr)
            return Exit.USAGE
        return _show_verbs(args.device, verbs, as_json=args.json) if args.verb is None else _tell(args, file, verbs)
    except NO_LOOK as error:
        return say_why(error)


# ── what was told ──
def _list(file: SiteFile, *, as_json: bool) -> int:
    with reading(journal_folder(file.site)) as reader:
        found = [plain(one) for one in reader.orders(MOST_SHOWN)]
    if as_json:
        print(json.dumps({"format": 1, "orders": found}, ensure_ascii=False))
    elif found:
        print("\n".join(aligned([["id", "given (UTC)", "device", "order", "by", "state", ""]] + [
            [str(one["id"]), iso(int(str(one["at"]))), str(one["device"]), _order_text(one), str(one["by"]), str(one["state"]), str(one["words"])]
            for one in found])))
    else:
        print("no orders yet.  What a device can be told:  ecosentry order DEVICE")
    return 0


def _order_text(one: Shown) -> str:
    return str(one["verb"]) + ("" if one["value"] is None else f" {one['value']:g}")


# ── what can be told ──
def _verbs(file: SiteFile, device: str) -> Mapping[str, Verb] | str:
    """What a device can be told, or why nothing."""
    if device not in file.site.devices:
        return f"no device {device} in {file.site.file}; there is {', '.join(file.site.devices)}"
    driver = Builder(file).driver(device)
    if isinstance(driver, Obeys) and driver.verbs:
        return driver.verbs
    profile = file.profiles[file.site.devices[device].common.profile]
    if not profile.commands:
        return f"{device} can be told nothing: its profile {profile.name} has no [commands]"
    return f"{device} is told nothing unless the site file allows it: add  orders = true  to [devices.{device}] and restart the daemon"


def _show_verbs(device: str, verbs: Mapping[str, Verb], *, as_json: bool) -> int:
    if as_json:
        shown = {name: asdict(verb) for name, verb in verbs.items()}
        print(json.dumps({"format": 1, "device": device, "verbs": shown}, ensure_ascii=False))
        return 0
    print("\n".join(aligned([["order", "value", "does", ""]] + [
        [name, f"{verb.low:g} to {verb.high:g} {verb.unit}".rstrip() if verb.takes_value else "-", verb.what,
         f"then left alone for {verb.settle_s:g} s" if verb.settle_s else ""] for name, verb in verbs.items()])))
    print(f"Give it:  ecosentry order {device} {next(iter(verbs))}")
    return 0


# ── telling ──
def _tell(args: argparse.Namespace, file: SiteFile, verbs: Mapping[str, Verb]) -> int:
    device, order = str(args.device), Order(args.verb, args.value)
    driver = Builder(file).driver(device)
    assert isinstance(driver, Obeys)
    try:
        if order.value is not None and not math.isfinite(order.value):
            raise ValueError("takes a number")
        driver.check(order)
    except ValueError as error:
        print(f"{device} {error}.  What it can be told:  ecosentry order {device}", file=sys.stderr)
        return Exit.USAGE
    verb = verbs[order.verb]
    print(f"{device}: {order.verb}{'' if order.value is None else f' {order.value:g} {verb.unit}'.rstrip()} ({verb.what}). "
          "It is sent once, never by itself again, and cannot be taken back.", file=sys.stderr)
    if args.dry_run:
        print("nothing was sent (--dry-run)", file=sys.stderr)
        return 0
    if sys.stdin.isatty() and not args.yes and not _confirmed():
        print("nothing was sent", file=sys.stderr)
        return Exit.AMISS
    socket = socket_path(journal_folder(file.site))

    def tell() -> Shown | None:
        given = ask(socket, "order", device=device, verb=order.verb, value=order.value, by=args.by or login())
        return None if given is None else _until_its_end(socket, given)  # type: ignore[arg-type]

    ended = told(tell, unheard="whether it took the order is not known: ecosentry order lists them",
                 absent=f"orders go through it, so that nothing else talks on the line.  Start it:  ecosentry run {file.site.file}")
    return ended if isinstance(ended, Exit) else _say(ended, as_json=args.json)


def _confirmed() -> bool:
    print("Send it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def login() -> str:
    """Who calls the command, for the journal; behind sudo the one who called that."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _until_its_end(socket: Path, given: Shown) -> Shown | None:
    until, now = time.monotonic() + _PATIENCE_S, given
    while now["state"] in ("asked", "started") and time.monotonic() < until:
        time.sleep(_LOOK_S)
        found = ask(socket, "orders", id=given["id"])
        if found is None:
            return None
        now = found  # type: ignore[assignment]
    return now


def _say(ended: Shown, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"format": 1, "order": dict(ended)}, ensure_ascii=False))
    else:
        more = "  Look at the device: it may have been carried out, and is not sent again." if ended["state"] == "unknown" else ""
        print(f"order {ended['id']}: {ended['state']}: {ended['words']}{more}")
    return 0 if ended["state"] == "done" else Exit.AMISS
