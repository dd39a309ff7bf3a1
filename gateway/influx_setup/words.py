"""The words and options of `ecosentry influx`; nothing heavy is loaded for them."""

import argparse

from gateway.command_words import json_option, site_option


def add_influx_words(influx: argparse.ArgumentParser) -> None:
    """Hang `setup` under `ecosentry influx`."""
    words = influx.add_subparsers(dest="influx_word", metavar="WORD", required=True)
    line = "Make database or bucket, retention and the copying of means; run again it does only what is missing"
    setup = words.add_parser("setup", help=line, description=line, epilog="for example:  ecosentry influx setup --dry-run",
                             formatter_class=argparse.RawDescriptionHelpFormatter)
    setup.add_argument("sink", nargs="?", default="", metavar="SINK", help="only this sink; left out = every one of kind influxdb")
    setup.add_argument("--dry-run", action="store_true", help="only say what would be done")
    setup.add_argument("--yes", action="store_true", help="do not ask first; needed without a terminal")
    setup.add_argument("--copy", action="store_true", help="copy all means that are there once more, also those that came late")
    setup.add_argument("--secret", default="", metavar="NAME", help="name of the secret with the password or token of a login that may set up")
    setup.add_argument("--user", default="", metavar="NAME", help="1.x: that login's name")
    json_option(setup)
    site_option(setup)
