"""Problems in a file, as people see them: place, the line with a caret, and what to do."""

import unicodedata
from collections.abc import Sequence

from config.errors import Problem

_WIDEST = 100
_BEFORE = 60
_INDENT = 14


def told(problems: Sequence[Problem]) -> str:
    """All problems, one after the other, and a last line that counts them."""
    count = len(problems)
    return "".join(map(one, problems)) + f"{count} error{'s' if count != 1 else ''}. Nothing was started.\n"


def one(problem: Problem) -> str:
    """One problem: on one line, or with its source line and a caret if it has a column."""
    place = f"{problem.file}:{problem.line}" if problem.line else problem.file
    width = max(len(problem.file) + 5, len(place) + 1)
    head = f"{place:<{width}}{problem.what}" if problem.file else problem.what
    if not problem.column or not problem.source:
        return head + (f" → {problem.repair}" if problem.repair else "") + "\n"
    indent = " " * min(width, max(_INDENT, 0) if width > 40 else width)
    line, start, length = _window(problem)
    blank, caret = " " * _cells(line[:start]), "^" * max(1, _cells(line[start : start + length]))
    return f"{head}\n{indent}{line}\n{indent}{blank}{caret}{' ' + problem.repair if problem.repair else ''}\n"


def _window(problem: Problem) -> tuple[str, int, int]:
    """The source line without its indentation, cut around the caret if it is long; where the caret begins, its length."""
    line = problem.source.replace("\t", " ")
    start = min(problem.column - 1, len(line))
    margin = min(len(line) - len(line.lstrip()), start)
    line, start = line[margin:].rstrip(), start - margin
    length = max(1, min(problem.length, len(line) - start))
    if start > _BEFORE:
        line, start = "…" + line[start - _BEFORE + 10 :], _BEFORE - 9
    if len(line) > _WIDEST:
        line = line[: _WIDEST - 1] + "…"
        length = max(1, min(length, len(line) - start))
    return line, start, length


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)
