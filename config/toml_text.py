"""The characters of a TOML file: what stands here, where that is, and full-width characters read as their plain twins."""

import unicodedata
from bisect import bisect_left
from dataclasses import dataclass, field

_TWINS = {
    twin: character for character, twins in (
        ('"', "“”„‟″〝〞"), ("'", "‘’‚‛′"), ("[", "【〔"), ("]", "】〕"), (",", "、"), (".", "。．"), ("-", "—–−"),
        (" ", "\u00a0\u2002\u2003\u200b\ufeff"))
    for twin in twins
}


def plain(character: str) -> str:
    """The plain character that was meant by a full-width or typographic one; "" if this is neither.

    >>> plain("“"), plain("＝"), plain("，"), plain("a"), plain("清")
    ('"', '=', ',', '', '')
    """
    if character in _TWINS:
        return _TWINS[character]
    if character == "\u3000" or "\uff01" <= character <= "\uff5e":
        return unicodedata.normalize("NFKC", character)
    return ""


class NotTomlError(Exception):
    """The text stops being TOML at `at`; reading goes on at `resume`, or on the next line."""

    def __init__(self, what: str, repair: str, at: int, length: int = 1, resume: int | None = None) -> None:
        self.what, self.repair, self.at, self.length, self.resume = what, repair, at, length, resume


@dataclass(slots=True)
class Characters:
    """A text that is read from the front. Full-width characters where TOML has plain ones are noted in `wide`."""

    text: str
    at: int = 0
    wide: dict[int, str] = field(default_factory=dict)
    """Position → the plain character that was meant there."""
    _breaks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._breaks = [i for i, character in enumerate(self.text) if character == "\n"]

    def peek(self) -> str:
        """The character here, a full-width one as its twin; "" at the end."""
        if self.at >= len(self.text):
            return ""
        character = self.text[self.at]
        if character > "\x7f" and (twin := plain(character)):
            self.wide[self.at] = twin
            return twin
        return character

    def is_end_of_line(self) -> bool:
        """Does only a comment or nothing follow on this line?"""
        return self.peek() in ("", "\n", "\r", "#")

    def skip(self, *, lines: bool) -> None:
        """Go over blanks, and with `lines` over line ends and comments."""
        while character := self.peek():
            if character in " \t" or (lines and character in "\r\n"):
                self.at += 1
            elif lines and character == "#":
                self.at = self.end_of_line(self.at)
            else:
                return

    def end_of_line(self, start: int) -> int:
        """Position of the line's end (of its CR if it has one) at or after `start`."""
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > start and self.text[end - 1] == "\r" else end

    def start_of_line(self, at: int) -> int:
        """Position of the first character of the line of `at`."""
        return self.text.rfind("\n", 0, at) + 1

    def where(self, at: int) -> tuple[int, int]:
        """Line and column, from 1."""
        line = bisect_left(self._breaks, at)
        return line + 1, at - (self._breaks[line - 1] + 1 if line else 0) + 1

    def line_string(self, mark: str) -> str:
        """A string in quotes that ends on its line; stands behind it.

        A full-width quote closes it if a full-width one opened it, or if no plain one closes it on this line.
        """
        begun, end, late = self.at, self.end_of_line(self.at), -1
        at, opened_wide = begun + 1, begun in self.wide
        while at < end:
            character = self.text[at]
            if character == mark or (opened_wide and plain(character) == mark):
                break
            if plain(character) == mark:
                late = at
            at += 2 if character == "\\" and mark == '"' else 1
        if at >= end:
            at = late
        if at < 0:
            raise NotTomlError(f"the quote {mark} is opened here and not closed on this line", f"end the text with {mark}", begun, end - begun)
        if self.text[at] != mark:
            self.wide[at] = mark
        self.at = at + 1
        return self.text[begun + 1 : at]

    def long_string(self, mark: str) -> None:
        """A string in three quotes; stands behind it. Up to two more quotes belong to the text itself."""
        begun, at = self.at, self.at + 3
        while at < len(self.text) and not self.text.startswith(mark * 3, at):
            at += 2 if self.text[at] == "\\" and mark == '"' else 1
        if at >= len(self.text):
            raise NotTomlError(f"the text that begins here with {mark * 3} never ends", f"end it with {mark * 3}", begun, 3, len(self.text))
        at += 3
        for _ in range(2):
            at += self.text.startswith(mark, at)
        self.at = at

    def run(self, allowed: str) -> str:
        """All characters from here on that are in `allowed`, full-width ones as their twins; stands behind them."""
        letters = []
        while (letter := self.peek()) and letter in allowed:
            letters.append(letter)
            self.at += 1
        return "".join(letters)

    def until(self, stops: str) -> str:
        """All characters from here on before one of `stops`, full-width ones as their twins; stands on it."""
        letters = []
        while (letter := self.peek()) and letter not in stops:
            letters.append(letter)
            self.at += 1
        return "".join(letters)
