"""`ecosentry influx setup`: makes ready what a site's influxdb sinks write to. Says what it will do, does it, says how to undo."""

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import ConfigError, Halted, Unavailable
from config.reading_site import SiteFile
from gateway.building import VERSION, Builder, load_site
from gateway.checking.check import print_problems
from gateway.contracts import Surroundings
from gateway.exit_codes import Exit
from gateway.influx_setup import influx1, influx2, influx3
from gateway.influx_setup.plan import Kept, Plan
from gateway.influx_setup.server import Login, Server
from gateway.secrets import Secrets
from gateway.sinks.influxdb import Options

_CHECK_S = 20.0
_OWN = Login()
"""The sink's own."""


@dataclass(slots=True)
class _Outcome:
    """What became of one sink."""

    sink: str
    plan: Plan | None = None
    done: int = 0
    """So many of its steps."""
    words: str = ""
    code: int = 0
    undo: list[str] = field(default_factory=list)


def planned(file: SiteFile, sink: str, login: Login = _OWN, *, copy: bool = False) -> tuple[Plan, Server]:
    """What setting up one sink's server would take, by looking only, and the server to do it on. Raises Unavailable or Halted."""
    options = file.site.sinks[sink].options
    assert isinstance(options, Options)
    server = Server(options, Surroundings(sink, file.site, Secrets(file.site.file), VERSION), login)
    try:
        return _plan(server, options, copy=copy), server
    except BaseException:
        server.close()
        raise


def _plan(server: Server, options: Options, *, copy: bool) -> Plan:
    kept = Kept(*(round(value or 0) for value in (options.keep, options.keep_hourly, options.keep_daily)))
    version = server.version()
    if not version and server.is_victoria_metrics():
        note = "it needs no database; how long it keeps what is its own option, -retentionPeriod"
        return Plan(f"VictoriaMetrics at {options.url}", notes=[note])
    if options.database:
        return influx1.plan(server, version, kept, copy=copy)
    if version.startswith("3"):
        return influx3.plan(server, version, kept)
    return influx2.plan(server, version, kept, copy=copy)


def run_setup(args: argparse.Namespace, path: Path) -> int:
    """`ecosentry influx setup`; gives the exit code."""
    try:
        file = load_site(path)
    except ConfigError as error:
        print_problems(error, sys.stderr)
        return Exit.CONFIG
    mine = [name for name, sink in file.site.sinks.items() if sink.kind == "influxdb" and args.sink in ("", name)]
    if not mine or (args.user and not args.secret):
        lacking = f"{file.site.file} has no sink {args.sink} of kind influxdb".replace("  ", " ")
        print("--user needs --secret NAME" if mine else lacking, file=sys.stderr)
        return Exit.USAGE
    found = [_one(file, name, args) for name in mine]
    if args.json:
        print(json.dumps({"format": 1, "dry_run": bool(args.dry_run), "sinks": [_plain(one) for one in found]}, ensure_ascii=False))
    return max(one.code for one in found)


def _one(file: SiteFile, name: str, args: argparse.Namespace) -> _Outcome:
    outcome = _Outcome(name)
    try:
        plan, server = planned(file, name, Login(args.user, args.secret), copy=args.copy)
        try:
            outcome.plan = plan
            _tell(name, plan)
            if plan.steps and _may(args, outcome):
                _do(plan, outcome)
        finally:
            server.close()
        if not args.dry_run and outcome.done == len(plan.steps):
            outcome.words = _checked(file, name)
            _say(f"{name}: {outcome.words}")
    except (Unavailable, Halted) as error:
        outcome.words, outcome.code = str(error), Exit.UNAVAILABLE if isinstance(error, Unavailable) else Exit.AMISS
        _say(f"{name}: {error}")
    if outcome.undo:
        _say("To undo:\n" + "\n".join(f"  {undo}" for undo in reversed(outcome.undo)))
    return outcome


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _tell(name: str, plan: Plan) -> None:
    _say(f"{name}: {plan.server}" + ("" if plan.steps else ": nothing to do"))
    for number, step in enumerate(plan.steps, 1):
        _say(f"  {number} {step.what}")
    for note in plan.notes:
        _say(f"  note: {note}")


def _may(args: argparse.Namespace, outcome: _Outcome) -> bool:
    if args.dry_run:
        outcome.words = "nothing was changed (--dry-run)"
    elif args.yes:
        return True
    elif not sys.stdin.isatty():
        outcome.words, outcome.code = "nothing was changed: without a terminal this needs --yes", Exit.USAGE
    else:
        print("Do it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return True
        outcome.words, outcome.code = "nothing was changed", Exit.AMISS
    _say(outcome.words)
    return False


def _do(plan: Plan, outcome: _Outcome) -> None:
    for step in plan.steps:
        step.do()
        outcome.done += 1
        if not step.undo.startswith("("):
            outcome.undo.append(step.undo)


def _checked(file: SiteFile, name: str) -> str:
    """The sink's own login, tried as the daemon does it."""
    sink = Builder(file).sink(name)
    try:
        return sink.check(time.monotonic() + _CHECK_S)
    finally:
        sink.close()


def _plain(one: _Outcome) -> dict[str, object]:
    steps = [] if one.plan is None else [
        {"what": step.what, "undo": step.undo, "done": number < one.done} for number, step in enumerate(one.plan.steps)]
    return {"sink": one.sink, "server": one.plan.server if one.plan else "", "ok": one.code == 0, "words": one.words, "steps": steps,
            "notes": one.plan.notes if one.plan else []}
