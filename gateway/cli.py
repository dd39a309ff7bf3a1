"""The command line: words, options, exit codes. Each word imports only what it needs."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from gateway.command_words import SITE, Parser, between, json_option, site_option
from gateway.exit_codes import Exit
from gateway.influx_setup.words import add_influx_words
from gateway.journal_words.words import add_journal_words
from gateway.scanning.words import add_probe, add_scan, probe, scan

_OURS = ("ecosentry", "gateway", "drivers", "analytics", "config")
"""The first words of the names of our own loggers."""
Run = Callable[[argparse.Namespace], int]


def _site_path(args: argparse.Namespace) -> str:
    return getattr(args, "site", None) or args.site_option or os.environ.get("ECOSENTRY_SITE") or SITE


def _site(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    parser.add_argument("site", nargs="*" if several else "?", metavar="SITE", help=f"the site file (else --site, $ECOSENTRY_SITE, {SITE})")
    site_option(parser)


def _run(args: argparse.Namespace) -> int:
    from gateway.daemon import run

    return run(_site_path(args))


def _demo(args: argparse.Namespace) -> int:
    from gateway.demo import run_demo

    return run_demo(args)


def _check(args: argparse.Namespace) -> int:
    from gateway.checking.check import run_check

    files = args.site or [args.site_option or os.environ.get("ECOSENTRY_SITE") or SITE]
    return max(run_check(file, live=args.live, schema=args.schema, all_=args.all, as_json=args.json, out=sys.stdout, strict=args.strict)
               for file in files)


def _devices(args: argparse.Namespace) -> int:
    from gateway.checking.devices import run_devices

    return run_devices(args.words, test=args.test, as_json=args.json, out=sys.stdout)


def _status(args: argparse.Namespace) -> int:
    from gateway.status import run_status

    if args.site and not args.site.endswith(".toml") and not Path(args.site).exists():
        from gateway.status_device import run_status_device

        device, args.site = args.site, None
        return run_status_device(Path(_site_path(args)), device, as_json=args.json, out=sys.stdout)
    return run_status(Path(_site_path(args)), as_json=args.json, out=sys.stdout)


def _alert(args: argparse.Namespace) -> int:
    from gateway.status import run_alerts

    return run_alerts(Path(_site_path(args)), as_json=args.json, out=sys.stdout)


def _order(args: argparse.Namespace) -> int:
    from gateway.order_word import run_order

    return run_order(args, Path(_site_path(args)))


def _maintain(args: argparse.Namespace) -> int:
    from gateway.maintain_word import run_maintain

    return run_maintain(args, Path(_site_path(args)))


def _scan(args: argparse.Namespace) -> int:
    return scan(args, _site_path(args))


def _probe(args: argparse.Namespace) -> int:
    return probe(args, _site_path(args))


def _gaps(args: argparse.Namespace) -> int:
    from gateway.showing_gaps import run_gaps

    args.site = None
    return run_gaps(args, _site_path(args))


def _influx(args: argparse.Namespace) -> int:
    from gateway.influx_setup.command import run_setup

    args.site = None
    return run_setup(args, Path(_site_path(args)))


def _doctor(args: argparse.Namespace) -> int:
    from gateway.doctor.command import run_doctor

    return run_doctor(Path(_site_path(args)), every=args.verbose or args.every, as_json=args.json, out=sys.stdout)


def _standards(args: argparse.Namespace) -> int:
    from gateway.offline.showing_standards import standards

    return standards(args.words, show=bool(args.words and args.words[0] == "show"), as_json=args.json, out=sys.stdout)


def _compute(args: argparse.Namespace) -> int:
    from gateway.offline.computing import compute

    return compute(sys.stdin, sys.stdout)


def _decode(args: argparse.Namespace) -> int:
    from gateway.offline.decoding import decode

    return decode(args.protocol, sys.stdin, sys.stdout, args.layout, args.key_file)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="ecosentry", description="Environmental sensor gateway and early-warning daemon.",
                  epilog="ecosentry WORD --help shows the options of a word. Exit codes: docs/cli.md")
    top.add_argument("--version", action="store_true", help="version, Python, kernels, journal format: the line for a bug report")
    top.add_argument("--site", dest="site_option", metavar="FILE", help="the site file")
    top.add_argument("-q", "--quiet", action="store_true", help="only problems")
    top.add_argument("-v", "--verbose", action="store_true", help="frames in hex, with times")
    words = top.add_subparsers(dest="word", metavar="WORD")

    def word(name: str, run: Run, line: str, example: str) -> argparse.ArgumentParser:
        one = words.add_parser(name, help=line, description=line, epilog=f"for example:  {example}",
                               formatter_class=argparse.RawDescriptionHelpFormatter)
        one.set_defaults(run=run)
        return one

    demo = word("demo", _demo, "A simulated site, the gateway and its console; no set-up", "ecosentry demo --for 60")
    demo.add_argument("--for", dest="seconds", type=between(float, 0, 10**9), metavar="SECONDS", help="end after so long (else Ctrl-C)")
    demo.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other values (default 1)")
    demo.add_argument("--speed", type=between(float, 0.01, 10_000), default=60.0, metavar="FACTOR",
                      help="how fast the recorded data pass (default 60)")
    demo.add_argument("--folder", default="demo-data", metavar="FOLDER", help="where journal and ledger lie (default demo-data)")
    demo.add_argument("--console", type=between(int, 1, 65535), default=8080, metavar="PORT", help="console port (default 8080; taken = the next)")
    _site(word("run", _run, "The daemon", "ecosentry run site.toml"))
    check = word("check", _check, "Is the file right, does it fit the lines, what will happen", "ecosentry check --live site.toml")
    _site(check, several=True)
    check.add_argument("--live", action="store_true", help="open each line, read each device once, log in everywhere; store and send nothing")
    check.add_argument("--strict", action="store_true", help="refuse (78) a timetable that does not fit its line")
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of the site file, for editors")
    check.add_argument("--all", action="store_true", help="print the file with every default filled in")
    json_option(check)
    doctor = word("doctor", _doctor, "Is the box right: ports, groups, clock, disk, journal, secrets, servers", "ecosentry doctor -v")
    _site(doctor)
    doctor.add_argument("-v", dest="every", action="store_true", help="list what is right, too")
    json_option(doctor)
    devices = word("devices", _devices, "The shipped and local device profiles; their test", "ecosentry devices soil")
    devices.add_argument("words", nargs="*", metavar="WORD", help="only profiles with these words; the full name shows one profile")
    devices.add_argument("--test", metavar="FILE", help="test a profile file")
    json_option(devices)
    status = word("status", _status, "What is happening now: lines, devices, sinks, alerts, conservation", "ecosentry status probe")
    status.add_argument("site", nargs="?", metavar="DEVICE|SITE", help=f"one device; or the site file (else --site, $ECOSENTRY_SITE, {SITE})")
    site_option(status)
    json_option(status)
    add_scan(word("scan", _scan, "Find ports, then devices on one of them; listens first, reads only", "ecosentry scan cabinet"))
    add_probe(word("probe", _probe, "One device in every reading of its registers; proposes a profile", "ecosentry probe cabinet 1"))
    gaps = word("gaps", _gaps, "What is missing where, why, and whether it was filled", "ecosentry gaps qinghe/ammonia --since 7d")
    gaps.add_argument("series", nargs="*", metavar="SERIES", help="station/device/quantity from the left, or a device; left out = all")
    gaps.add_argument("--from", dest="since", metavar="TIME", help="date or time at the station, or ISO with offset; gaps that ended later")
    gaps.add_argument("--to", dest="until", metavar="TIME", help="gaps that ended before")
    site_option(gaps)
    gaps.add_argument("--since", dest="ago", metavar="DURATION", help="instead of --from: the last 7d, 12h …")
    json_option(gaps)
    alert = word("alert", _alert, "The alerts that fire, and the last that ended", "ecosentry alert")
    _site(alert)
    json_option(alert)
    order = word("order", _order, "Tell a device to do something; what it can be told; what became of it", "ecosentry order probe clean")
    order.add_argument("device", nargs="?", metavar="DEVICE", help="left out = the newest orders")
    order.add_argument("verb", nargs="?", metavar="VERB", help="left out = what the device can be told")
    order.add_argument("value", nargs="?", type=float, metavar="VALUE", help="for orders that take one")
    order.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    order.add_argument("--by", metavar="NAME", help="who gives it, for the journal (default: the login name)")
    order.add_argument("--yes", action="store_true", help="do not ask first; without a terminal nothing is asked anyway")
    order.set_defaults(site=None)
    site_option(order)
    json_option(order)
    maintain = word("maintain", _maintain, "Somebody goes to an instrument: its values do not count; what is planned",
                    'ecosentry maintain cod start --for "45 min"')
    maintain.add_argument("device", nargs="?", metavar="DEVICE", help="left out = what goes on now, what is planned, what was")
    maintain.add_argument("act", nargs="?", choices=("start", "end"), help="left out = show the device")
    maintain.add_argument("--for", dest="lasts", metavar="DURATION", help='of start, needed: so long its values do not count, as in "45 min"')
    maintain.add_argument("--kind", choices=("maintenance", "zero", "span", "calibration"), default="maintenance",
                          help="of start (default maintenance)")
    maintain.add_argument("--note", default="", metavar="TEXT", help="of start: what is done, for the journal")
    maintain.add_argument("--by", metavar="NAME", help="of start: who does it, for the journal (default: the login name)")
    maintain.set_defaults(site=None)
    site_option(maintain)
    json_option(maintain)
    journal = words.add_parser("journal", help="Look into the journal: show, export, backup, refused, requeue, verify",
                               description="Look into the journal, take it along, put it right; the daemon goes on.")
    add_journal_words(journal, _site_path)
    add_influx_words(word("influx", _influx, "Make the database of the site's influxdb sinks ready", "ecosentry influx setup --dry-run"))
    standards = word("standards", _standards, "The standards, with source and verification mark", "ecosentry standards show HJ633")
    standards.add_argument("words", nargs="*", metavar="WORD", help='nothing, or "show" and an id or a file')
    json_option(standards)
    word("compute", _compute, "JSON lines in, JSON lines out: indices and formulas", "ecosentry compute < questions.jsonl")
    decode = word("decode", _decode, "Hex lines in, JSON lines out: the fields of frames", "ecosentry decode --protocol sds011 < frames.hex")
    decode.add_argument("--protocol", required=True, metavar="NAME", help="which protocol; a wrong name lists them")
    decode.add_argument("--layout", default="", metavar="FORMS", help='what the registers of Modbus answers mean: "temp=s16/10,flow=f32@CDAB"')
    decode.add_argument("--key-file", type=Path, metavar="FILE", help="the key of what is encrypted with SM4, in hex")
    return top


def _version() -> str:
    from analytics.kernels._kernel import ENGINE
    from gateway.journal.migrating import FORMAT

    return f"ecosentry {version('ecosentry')}, Python {sys.version.split()[0]}, kernels {ENGINE}, journal format {FORMAT}"


def _log(*, quiet: bool, verbose: bool) -> None:
    """To stderr, a line an event. Details are told by our own loggers only: numba alone would write 49,000 lines at the start."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING if quiet else logging.INFO,
                        format="%(levelname).1s %(name)s: %(message)s" if "JOURNAL_STREAM" in os.environ
                        else "%(asctime)s %(levelname).1s %(name)s: %(message)s")
    for name in _OURS if verbose and not quiet else ():
        logging.getLogger(name).setLevel(logging.DEBUG)


def main(argv: Sequence[str] | None = None) -> int:
    """The command `ecosentry`; gives the exit code."""
    top = parser()
    args = top.parse_args(argv)
    if args.version:
        print(_version())
        return 0
    if not args.word:
        top.print_help()
        return Exit.USAGE
    _log(quiet=args.quiet, verbose=args.verbose)
    run: Run = args.run
    try:
        return run(args)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
