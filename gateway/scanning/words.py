"""The words `scan` and `probe` of the command line: their options, and what runs them."""

import argparse
import sys
from pathlib import Path

from config.units import seconds


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Options of `ecosentry scan`."""
    parser.add_argument("target", nargs="?", default="", metavar="LINE|PORT", help="a line of the site file, or a port; left out = all ports")
    parser.add_argument("--write", default="", metavar="FILE", help="write a commented first site file of what was found")
    parser.add_argument("--all", action="store_true", help="every baud rate and format, every address: takes long")
    parser.add_argument("--baudrate", type=int, metavar="N", help="only this baud rate, with every protocol")
    parser.add_argument("--format", default="", metavar="8N1", help="only this format")
    parser.add_argument("--addresses", default="", metavar="1-247", help="only these Modbus addresses, as in 1-32,40")
    parser.add_argument("--first", action="store_true", help="stop at the first that answers")
    parser.add_argument("--answer", type=_seconds, default=0.0, metavar="DURATION", help='wait so long for each answer, as in "500 ms"')
    parser.add_argument("--anyway", action="store_true", help="ask although bytes are heard that cannot be understood")
    _json(parser)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help='one JSON object with stable keys and "format": 1; nothing else on stdout')


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scan(args: argparse.Namespace, site: str) -> int:
    """`ecosentry scan`."""
    from gateway.scanning.scan_command import Ways, run_scan
    from gateway.scanning.scan_line import Wish

    wish = Wish(args.all, args.baudrate, args.format, args.addresses, args.first, args.anyway, args.answer)
    return run_scan(args.target, Path(site), wish, Ways(args.json, args.write, args.quiet), sys.stdout, sys.stderr)
