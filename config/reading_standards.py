"""Finds, reads and checks the standards' files, and says which edition is in force at a moment.

Folders are searched in order, the first file of a name wins: a bureau's own figures in /etc/ecosentry/standards go
before the packaged ones, and every listing says which file it was. Figures that rest on memory can be set without copying
a file: in figures.toml beside it.
"""

import itertools
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from config.errors import ConfigError, Problem
from config.standard import Standard
from config.standard_live import Live

LOCAL = Path("/etc/ecosentry/standards")
FIGURES = "figures.toml"
"""In a folder of standards: no standard, but figures that rest on memory (M) as whoever is responsible for the site sets them."""
_NANOSECONDS = 1_000_000_000


def _no_floats(name: str) -> Callable[[str], object]:
    def refuse(literal: str) -> object:
        raise ValueError(f'{name}: {literal} is a binary float; write it in quotes: "{literal}"')
    return refuse


def _line_of(text: str, word: str) -> int:
    """The first line with this word; 0 if there is none."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if word and word in line), 0)


def _problem(path: str, text: str, place: tuple[int | str, ...], message: str) -> Problem:
    what = message.removeprefix("Value error, ")
    where = ".".join(str(part) for part in place if not str(part).startswith("function-"))
    line = 0
    if place and place[-1] == "clause" and "clause" in message + str(place):
        row = tomllib.loads(text)
        for part in place[:-1]:
            row = row[part] if isinstance(row, list) or part in row else {}
        name = str(row.get("quantity", row.get("name", place[-2]))) if isinstance(row, dict) else str(place[-2])
        return Problem(path, f"figure without clause: {place[0]}, {name}", 'say where it is printed: clause = "table 3"', _line_of(text, name))
    for word in re.findall(r"[A-Za-z][A-Za-z0-9_]+", what) + [str(part) for part in reversed(place)]:
        line = line or (_line_of(text, word) if not word.isdigit() and len(word) > 3 else 0)
    if "extra" in what.lower() and place:
        what, line = f"{where} is not a key here", _line_of(text, str(place[-1]))
    elif where and not what.startswith(("breakpoints", "segments", "bands", "no example", "categories", "two editions")):
        what = f"{where}: {what}"
    return Problem(path, what, line=line)


def parse(text: str, name: str) -> Standard:
    """A standard from the text of its file; ConfigError carries every problem with its line."""
    try:
        table = tomllib.loads(text, parse_float=_no_floats(name))
    except ValueError as error:
        literal = re.search(r": (\S+) is a binary float", str(error))
        raise ConfigError([Problem(name, str(error).removeprefix(f"{name}: "), line=_line_of(text, literal[1]) if literal else 0)]) from None
    table.setdefault("example", [])
    try:
        return Standard.model_validate(table)
    except ValidationError as error:
        raise ConfigError([_problem(name, text, found["loc"], found["msg"]) for found in error.errors()]) from None


def read(path: Path) -> Standard:
    """A standard from a file; ConfigError if it cannot be read or is wrong."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from error
    return parse(text, str(path))


def time_zone(name: str) -> ZoneInfo:
    """A time zone by name; ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'"{name}" is not a time zone; write one like Asia/Shanghai') from error


def day_start_ns(day: date, zone: str) -> int:
    """The instant, UTC ns, at which a day begins in a time zone; ValueError for an unknown zone.

    >>> day_start_ns(date(2026, 3, 1), "Asia/Shanghai")
    1772294400000000000
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=time_zone(zone))
    return int(midnight.astimezone(UTC).timestamp()) * _NANOSECONDS


def has_whole_hours(zone: str) -> bool:
    """Whether the days of a zone begin with an hour of UTC, in summer and in winter; True for an unknown zone, of which others tell.

    >>> [has_whole_hours(zone) for zone in ("Asia/Shanghai", "Asia/Kolkata", "Australia/Lord_Howe")]
    [True, False, False]
    """
    try:
        days = (day_start_ns(date(2026, month, 1), zone) for month in (1, 7))
        return not any(start % (3600 * _NANOSECONDS) for start in days)
    except ValueError:
        return True


def local_day(at_ns: int, zone: str) -> date:
    """The day of an instant in a time zone.

    >>> local_day(1772294399999999999, "Asia/Shanghai")
    datetime.date(2026, 2, 28)
    """
    return datetime.fromtimestamp(at_ns // _NANOSECONDS, time_zone(zone)).date()


def _overlaps(standards: Iterable[tuple[Standard, str]]) -> list[Problem]:
    problems = []
    by_id: dict[str, list[tuple[Standard, str]]] = {}
    for standard, path in standards:
        by_id.setdefault(standard.id, []).append((standard, path))
    for name, editions in by_id.items():
        editions.sort(key=lambda item: (item[0].in_force or date.min, item[0].edition))
        for (older, older_path), (newer, newer_path) in itertools.pairwise(editions):
            if older.edition == newer.edition:
                problems.append(Problem(newer_path, f"{newer.name} is declared twice, here and in {Path(older_path).name}"))
            elif newer.in_force is None:
                problems.append(Problem(newer_path, f"{name} has two editions, so each needs its in_force date", "in_force = YYYY-MM-DD"))
            elif older.in_force_until is None or older.in_force_until >= newer.in_force:
                why = "has no end" if older.in_force_until is None else f"ends {older.in_force_until}"
                problems.append(Problem(older_path, f"two editions of {name} are in force on {newer.in_force} ({older.edition} {why})",
                                        f"in_force_until in {Path(older_path).name}"))
    return problems


@dataclass(frozen=True, slots=True)
class Standards:
    """Every standard that was found, by id and edition, and the file each came from."""

    all: tuple[Standard, ...]
    paths: dict[str, str]
    """Name with edition → file."""

    def named(self, name: str, on: date | None = None) -> Standard:
        """HJ633-2026 by its full name, or HJ633 as in force on a day (the newest if none is given); ValueError says what there is."""
        editions = [standard for standard in self.all if standard.id == name]
        if not editions:
            whole = next((standard for standard in self.all if standard.name == name), None)
            if whole is None:
                raise ValueError(f'there is no standard "{name}"; ecosentry standards lists them')
            return whole
        if on is None:
            return max(editions, key=lambda item: (item.in_force or date.min, item.edition))
        for standard in editions:
            if (standard.in_force or date.min) <= on <= (standard.in_force_until or date.max):
                return standard
        raise ValueError(f"no edition of {name} is in force on {on}; there are: " + ", ".join(str(item.edition) for item in editions))

    def at(self, name: str, at_ns: int, zone: str) -> Standard:
        """The edition of an id in force at an instant (UTC ns) in the station's time zone: a day begins at local midnight.

        For the mean of an interval give the last instant that it contains, one nanosecond before its end.
        """
        return self.named(name, local_day(at_ns, zone))

    def reports(self, name: str) -> tuple[Live, ...]:
        """What the editions of an id declare live: of two editions that declare the same report the newer one holds for both."""
        editions = sorted((law for law in self.all if law.id == name), key=lambda law: (law.in_force or date.min, law.edition), reverse=True)
        found: dict[str, Live] = {}
        for law in editions:
            for live in law.live:
                found.setdefault(live.report, live)
        return tuple(found.values())

    def of_function(self, function: str, on: date | None = None) -> Standard:
        """The standard whose figures a function needs, in force on a day; ValueError if no file names the function."""
        ids = dict.fromkeys(standard.id for standard in self.all if function in standard.functions)
        if not ids:
            raise ValueError(f'no standard file names the function "{function}" in its functions')
        return self.named(next(iter(ids)), on)


def _with_figures(found: list[tuple[Standard, str]], path: Path) -> tuple[list[tuple[Standard, str]], list[Problem]]:
    """The standards with the figures of this file in them; one that was verified, or that there is not, is a problem."""
    try:
        text = path.read_text("utf-8")
        changes = tomllib.loads(text, parse_float=_no_floats(path.name))
    except (OSError, ValueError) as error:
        return found, [Problem(str(path), f"cannot be read: {error}")]
    problems, places = [], {law.name: number for number, (law, _) in enumerate(found)}
    for name, figures in changes.items():
        if name not in places or not isinstance(figures, dict):
            problems.append(Problem(str(path), f"there is no standard {name}", 'write its id with the edition: ["HJ906-2017"]', _line_of(text, name)))
            continue
        for place, value in figures.items():
            law, file = found[places[name]]
            try:
                found[places[name]] = law.with_figures({place: value}), f"{file}, with {path}"
            except (ValueError, TypeError) as error:
                problems.append(Problem(str(path), str(error), line=_line_of(text, place)))
    return found, problems


def load(folders: Iterable[Path]) -> Standards:
    """All standards of these folders, the first file of a name wins; ConfigError with every problem of every file."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            found.setdefault(path.name, path)
    figures = found.pop(FIGURES, None)
    problems: list[Problem] = []
    standards: list[tuple[Standard, str]] = []
    for name in sorted(found):
        try:
            standards.append((read(found[name]), str(found[name])))
        except ConfigError as error:
            problems += error.problems
    problems += _overlaps(standards)
    if figures and not problems:
        standards, problems = _with_figures(standards, figures)
    if problems:
        raise ConfigError(problems)
    standards.sort(key=lambda item: (item[0].id, item[0].in_force or date.min, item[0].edition))
    return Standards(tuple(item for item, _ in standards), {item.name: path for item, path in standards})


@cache
def standards() -> Standards:
    """The standards of this box: those of /etc/ecosentry/standards, then the packaged ones. Read once."""
    with_local = (LOCAL, Path(str(files("config").joinpath("standards"))))
    return load(with_local)
