"""The words `scan` and `probe` of the command line: their options, and what runs them."""

import argparse
import re
import sys
from pathlib import Path

from gateway.command_words import json_option, site_option

_BAUDRATES = (300, 4_000_000)
_LONGEST_ANSWER_S = 10.0


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Options of `ecosentry scan`."""
    parser.add_argument("target", nargs="?", default="", metavar="LINE|PORT", help="a line of the site file, or a port; left out = all ports")
    parser.add_argument("--write", default="", metavar="FILE", help="write a commented first site file of what was found")
    parser.add_argument("--all", action="store_true", help="every baud rate and format, every address: takes long")
    parser.add_argument("--baudrate", type=_baudrate, metavar="N", help="only this baud rate, with every protocol")
    parser.add_argument("--format", type=_format, metavar="8N1", help="only this format")
    parser.add_argument("--addresses", default="", metavar="1-247", help="only these Modbus addresses, as in 1-32,40")
    parser.add_argument("--first", action="store_true", help="stop at the first that answers")
    parser.add_argument("--answer", type=_answer, default=0.0, metavar="DURATION", help='wait so long for each answer, as in "500 ms"')
    parser.add_argument("--anyway", action="store_true", help="ask although bytes are heard that cannot be understood")
    json_option(parser)
    site_option(parser)


def add_probe(parser: argparse.ArgumentParser) -> None:
    """Options of `ecosentry probe`."""
    parser.add_argument("target", metavar="LINE|PORT", help="a line of the site file, or a port")
    parser.add_argument("address", metavar="ADDRESS", help="the Modbus address of the device")
    parser.add_argument("--registers", default="", metavar="0-99", help="only these, every one of them; left out = looked for")
    parser.add_argument("--shows", action="append", default=[], metavar="QUANTITY=VALUE", help="what its display shows, as in ph=7.24; several times")
    parser.add_argument("--write", default="", metavar="FILE", help="write a profile of it; never over one that is there")
    parser.add_argument("--baudrate", type=_baudrate, metavar="N", help="instead of the line's own; of a port that no line names 9600")
    parser.add_argument("--format", type=_format, metavar="8N1", help="instead of the line's own; of a port that no line names 8N1")
    parser.add_argument("--answer", type=_answer, default=0.0, metavar="DURATION", help='wait so long for each answer, as in "2 s" (500 ms)')
    json_option(parser)
    site_option(parser)


def _answer(text: str) -> float:
    from config.units import seconds

    try:
        found = seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 < found <= _LONGEST_ANSWER_S:
        raise argparse.ArgumentTypeError(f"{text} is no time to wait for an answer; write 500 ms, at most {_LONGEST_ANSWER_S:g} s")
    return found


def _baudrate(text: str) -> int:
    low, high = _BAUDRATES
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text} is no baud rate; write a whole number from {low} to {high}, as in 9600")
    return int(text)


def _format(text: str) -> str:
    if not re.fullmatch(r"[5678][NEO][12]", text.upper()):
        raise argparse.ArgumentTypeError(f"{text} is no format; write data bits, parity (N, E, O) and stop bits, as in 8N1 or 8E1")
    return text.upper()


def scan(args: argparse.Namespace, site: str) -> int:
    """`ecosentry scan`."""
    from gateway.scanning.scan_command import Ways, run_scan
    from gateway.scanning.wish import Wish

    wish = Wish(args.all, args.baudrate, args.format or "", args.addresses, args.first, args.anyway, args.answer)
    return run_scan(args.target, Path(site), wish, Ways(args.json, args.write, args.quiet), sys.stdout, sys.stderr)


def probe(args: argparse.Namespace, site: str) -> int:
    """`ecosentry probe`."""
    from gateway.scanning.probe_command import ProbeWish, run_probe

    wish = ProbeWish(args.address, args.registers, tuple(args.shows), args.write, args.baudrate, args.format or "", args.json, args.quiet,
                     answer_s=args.answer)
    return run_probe(args.target, Path(site), wish, sys.stdout, sys.stderr)
