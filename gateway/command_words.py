"""What all words of the command have in common: a parser that names the nearest right word, and options that many have."""

import argparse
import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from gateway.exit_codes import Exit

SITE = "/etc/ecosentry/site.toml"


class Parser(argparse.ArgumentParser):
    """argparse that names the nearest right word or option."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on one line, and end."""
        words = [w for a in self._subparsers._group_actions for w in a.choices or ()] if self._subparsers else []  # noqa: SLF001
        wrong = message.partition("invalid choice: '")[2].partition("'")[0]
        self._give_up(message.partition(" (choose from")[0], wrong, words)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]  # noqa: ANN401
        """As argparse, but what is left over is refused by the word that was given it: it knows its options."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            option = next((text for text in rest if text.startswith("-")), "")
            self._give_up(f"does not take {' '.join(rest)}", option.partition("=")[0], list(self._option_string_actions))
        return found, rest

    def _give_up(self, message: str, wrong: str, right: list[str]) -> NoReturn:
        near = difflib.get_close_matches(wrong, right, 1) if wrong else []
        self.exit(Exit.USAGE, f"{self.prog}: {message}; {f'did you mean {near[0]}?' if near else f'{self.prog} --help shows how'}\n")


def json_option(parser: argparse.ArgumentParser) -> None:
    """`--json`, the same for every word that has it."""
    parser.add_argument("--json", action="store_true", help='one JSON object with stable keys and "format": 1; nothing else on stdout')


def site_option(parser: argparse.ArgumentParser) -> None:
    """`--site` behind a word; before it, it means the same."""
    parser.add_argument("--site", dest="site_option", metavar="FILE", default=argparse.SUPPRESS, help=f"the site file (else $ECOSENTRY_SITE, {SITE})")


def between(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """A type for argparse: a number in a range."""

    def number(text: str) -> float:
        try:
            found = kind(text)
        except ValueError:
            found = math.nan
        if not low <= found <= high:
            raise argparse.ArgumentTypeError(f"{text} is not a number between {low} and {high}")
        return found

    return number
