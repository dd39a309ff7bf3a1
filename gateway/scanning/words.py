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


def add_probe(parser: argparse.ArgumentParser) -> None:
    """Options of `ecosentry probe`."""
    parser.add_argument("target", metavar="LINE|PORT", help="a line of the site file, or a port")
    parser.add_argument("address", metavar="ADDRESS", help="the Modbus address of the device")
    parser.add_argument("--registers", default="", metavar="0-99", help="only these, every one of them; left out = looked for")
    parser.add_argument("--shows", action="append", default=[], metavar="QUANTITY=VALUE", help="what its display shows, as in ph=7.24; several times")
    parser.add_argument("--write", default="", metavar="FILE", help="write a profile of it; never over one that is there")
    parser.add_argument("--baudrate", type=int, metavar="N", help="of a port that no line names (9600)")
    parser.add_argument("--format", default="", metavar="8N1", help="of a port that no line names (8N1)")
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


def probe(args: argparse.Namespace, site: str) -> int:
    """`ecosentry probe`."""
    from gateway.scanning.probe_command import ProbeWish, run_probe

    wish = ProbeWish(args.address, args.registers, tuple(args.shows), args.write, args.baudrate, args.format, args.json, args.quiet)
    return run_probe(args.target, Path(site), wish, sys.stdout, sys.stderr)
