"""A TOML file that people wrote, while it is being checked: its text, its places, and every problem found so far."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from config.encoding import decoded
from config.errors import ConfigError, Problem
from config.table import Table
from config.toml_notes import Path, Place
from config.toml_places import scan
from config.wording import Fault, dotted, fault

T = TypeVar("T", bound=Table)
_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_SECRET = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*(?:\"|$)|'[^']*(?:'|$)")
_MOST = 200
_TOML_WORDS = (
    ("Unescaped '\\'", 'in "…" a backslash begins a special character', "write \\\\ for each \\, or put the text into 'single quotes'"),
    ("Invalid hex", 'in "…" \\u and \\U begin a character code', "write \\\\ for each \\, or put the text into 'single quotes'"),
    ("Escaped character", "this character code is not a character", ""),
    ("Cannot mutate immutable", "this table was already written as { … } and is closed", "put the entry into the braces"),
    ("Cannot redefine namespace", "this table was already declared", "put the entries of both under one header"),
    ("Cannot declare", "this table was already declared", "put the entries of both under one header"),
    ("Cannot overwrite", "this name already has a value", "take one of the two away"),
    ("Invalid date", "this is not a date that exists", ""),
)


class Document:
    """One file. Reading goes on after a problem; `finish` raises if there was any."""

    def __init__(self, file: str, body: bytes) -> None:
        """Reads the TOML. Raises ConfigError if it is none (with every reason why)."""
        self.file = file
        text, strange = decoded(file, body)
        self.problems = list(strange)
        seen = scan(text)
        self.places: dict[Path, Place] = seen.places
        self.lines = [line.rstrip("\r") for line in text.split("\n")]
        self.allowed: dict[Path, frozenset[str]] = {}
        """The keys that a table may have, by its path; for the search of keys under the wrong header."""
        for slip in seen.wide:
            self._add(slip.what, slip.repair, slip.line, slip.column, slip.length)
        self.data: dict[str, object] = {}
        try:
            self.data = tomllib.loads(seen.mended)
        except RecursionError:
            self._add("lists and tables are nested too deeply", "take brackets away", 0)
        except ValueError as error:
            for slip in seen.slips:
                self._add(slip.what, slip.repair, slip.line, slip.column, slip.length)
            if not seen.slips and not any(problem.line for problem in strange):
                self._toml_says(str(error))
        else:
            return
        raise ConfigError(self.problems[:_MOST])

    def finish(self) -> None:
        """Raises ConfigError with all problems, in the order of the file, if there are any."""
        if self.problems:
            raise ConfigError(sorted(dict.fromkeys(self.problems), key=lambda p: (p.file != self.file, p.file, p.line, p.column))[:_MOST])

    # ── places ──
    def complain(self, path: Path, what: str, repair: str = "", *, on: str = "key") -> None:
        """Note a problem at a path. `on`: "key" or "value" get a caret there, "line" gets none."""
        place = self.place(path)
        if place is None or on == "line":
            self._add(what, repair, place.line if place else 0)
        elif on == "value" and place.value_length and path in self.places:
            self._add(what, repair, place.value_line, place.value_column, place.value_length)
        else:
            self._add(what, repair, place.line, place.column, place.length)

    def place(self, path: Path) -> Place | None:
        """Where a path stands; of the nearest table above it if it is not written."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path)

    def written(self, path: Path) -> str:
        """A value as it stands in the file, if it stands on one line; else ""."""
        place = self.places.get(path)
        if place is None or not place.value_length:
            return ""
        start = place.value_column - 1
        return veiled(self.lines[place.value_line - 1])[start : start + place.value_length]

    # ── tables ──
    def table(self, path: Path) -> dict[str, object]:
        """The table at a path; empty if there is none. Something else there is a problem."""
        found: object = self.data
        for key in path:
            found = found.get(str(key), {}) if isinstance(found, dict) else {}
        if isinstance(found, dict):
            return found
        name = dotted(path)
        if isinstance(found, list) and found and isinstance(found[0], dict):
            self.complain(path, f"[[{name}]] would be a list of tables", f"write [{name}]")
        else:
            above = f"[{path[0]}.NAME] with the entries below it" if len(path) == 2 else f"[{name}] or {path[-1]} = {{ … }}"
            self.complain(path, f"{name} must be a table", f"write {above}")
        return {}

    def read(self, model: type[T], path: Path, raw: Mapping[str, object], keys: Iterable[str] = ()) -> T | None:
        """The table as a model; None if something in it is wrong. `keys`: others that may stand in it, for suggestions."""
        known = self.allowed.setdefault(path, frozenset(keys) | key_names(model))
        try:
            return model.model_validate(dict(raw))
        except ValidationError as error:
            told: set[Path] = set()
            for detail in error.errors(include_url=False):
                found = fault(detail, raw, path, known)
                if found.path in told and found.path != path:
                    continue  # of the ways in which a value may be written, the first is told
                told.add(found.path)
                if not found.unknown or not self.misplaced(found.path):
                    self._fault(found)
            return None

    def misplaced(self, path: Path) -> bool:
        """Says so if a key that its table does not have belongs to a table above: it stands under the wrong header."""
        table, key = path[:-1], str(path[-1])
        owner = next((table[:n] for n in range(len(table) - 1, 1, -1) if key in self.allowed.get(table[:n], ())), None)
        place = self.places.get(table)
        if owner is None or place is None:
            return False
        has_header = place.value_length == 0 and place.header == place.line
        here, there = ("[{}]" if has_header else "{}").format(dotted(table)), f"[{dotted(owner)}]"
        repair = f"move it above line {place.line}" if has_header else f"take it out of {table[-1]} = {{ … }}"
        self.complain(path, f"{key} stands under {here}, which has no such key. It is a key of {there}", repair, on="line")
        return True

    def _fault(self, found: Fault) -> None:
        self.complain(found.path, found.what, found.repair, on="key" if found.on_key else "value")

    def _add(self, what: str, repair: str, line: int, column: int = 0, length: int = 1) -> None:
        source = self.lines[line - 1] if 0 < line <= len(self.lines) and column else ""
        self.problems.append(Problem(self.file, what, repair, line, column, length, veiled(source)))

    def _toml_says(self, message: str) -> None:
        match = _AT.search(message)
        line, column = (int(match[1]), int(match[2])) if match and match[1] else (len(self.lines), 0)
        words = _AT.sub("", message)
        for start, what, repair in _TOML_WORDS:
            if words.startswith(start):
                self._add(what, repair, line, column)
                return
        self._add(f"this is not TOML: {words[:1].lower()}{words[1:]}", "", line, column)


def key_names(model: type[Table]) -> frozenset[str]:
    """The keys of a table as people write them."""
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def veiled(source: str) -> str:
    """A line of the file with the texts that could be secrets replaced by asterisks of the same length."""
    if not _SECRET.search(source.partition("#")[0]):
        return source
    return _TEXT.sub(lambda match: match[0][0] + "*" * (len(match[0]) - 2) + match[0][1:][-1:], source)
