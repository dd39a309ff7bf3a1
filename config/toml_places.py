"""Where everything in a TOML file stands, and what is wrong with one that is not TOML, for people.

`tomllib` says what a file means but not where a key stands, and stops at the first mistake with words for programmers.
This scanner walks the same text once: it notes the place of every key and value, and where the text is not TOML it
notes a `Slip` and goes on, so that all mistakes are told at once. What a file means is still decided by `tomllib`:
a property test holds that the paths of both are the same for every valid file.
"""

import re
from dataclasses import dataclass
from string import ascii_letters, digits

from config.toml_notes import Notes, Path, Place, Slip
from config.toml_text import Characters, NotTomlError

_BARE = ascii_letters + digits + "_-"
_VALUE = re.compile(
    r"true|false|[+-]?(?:inf|nan)|[+-]?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d[\d_]*)?|0x[\da-fA-F_]+|0o[0-7_]+|0b[01_]+"
    r"|\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?)?|\d\d:\d\d(?::\d\d(?:\.\d+)?)?")
_ENTRY = re.compile(r"[A-Za-z0-9_-]+[ \t]*=|\[\[?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\]")
_FORGOTTEN_COMMA = re.compile(r"\S+[ \t]+([A-Za-z0-9_-]+)[ \t]*=")
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Scan:
    """What the scanner saw."""

    places: dict[Path, Place]
    slips: tuple[Slip, ...]
    """Without full-width characters."""
    wide: tuple[Slip, ...]
    """One for each line with full-width characters where TOML has plain ones."""
    mended: str
    """The text with those replaced one for one, so that all places stay true."""


def scan(text: str) -> Scan:
    """Walk through a TOML text. Never raises."""
    source = Characters(text)
    scanner = _Scanner(source, Notes(source))
    scanner.run()
    wide = scanner.source.wide
    mended = "".join(wide.get(i, character) for i, character in enumerate(text)) if wide else text
    return Scan(scanner.notes.places, tuple(scanner.notes.slips), tuple(_wide_slips(scanner.source)), mended)


def _wide_slips(source: Characters) -> list[Slip]:
    lines: dict[int, list[int]] = {}
    for at in sorted(source.wide):
        lines.setdefault(source.where(at)[0], []).append(at)
    found = []
    for line, places in lines.items():
        written = " ".join(dict.fromkeys(_visible(source.text[at]) for at in places))
        meant = " ".join(dict.fromkeys("blank" if source.wide[at] == " " else source.wide[at] for at in places))
        found.append(Slip(f"full-width character {written} (Chinese input method)", f"write the plain {meant}", line, source.where(places[0])[1]))
    return found


def _visible(character: str) -> str:
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"


@dataclass(slots=True)
class _Scanner:
    source: Characters
    notes: Notes
    table: Path = ()
    depth: int = 0

    # ── statements ──
    def run(self) -> None:
        source = self.source
        while True:
            source.skip(lines=True)
            if source.at >= len(source.text):
                return
            begun = source.at
            try:
                if source.peek() == "[":
                    self.read_header()
                else:
                    self.read_pair(self.table)
                self.read_end()
            except NotTomlError as slip:
                self.depth = 0
                self.notes.slip(slip.what, slip.repair, slip.at, slip.length)
                resume = source.end_of_line(max(slip.at, source.at)) if slip.resume is None else slip.resume
                source.at = max(begun + 1, resume)

    def read_end(self) -> None:
        source = self.source
        source.skip(lines=False)
        if not source.is_end_of_line():
            rest = source.text[source.at : source.end_of_line(source.at)].rstrip()
            repair = "write the decimal point as a point" if re.match(r",\d", rest) else "begin a new line here"
            raise NotTomlError(f"there is more on this line than one entry: {rest[:40]}", repair, source.at, len(rest))
        if source.peek() == "#":
            source.at = source.end_of_line(source.at)

    def read_header(self) -> None:
        source = self.source
        begun = source.at
        source.at += 1
        double = source.peek() == "["
        source.at += double
        parts = self.read_key()
        for _ in range(1 + double):
            if source.peek() != "]":
                raise NotTomlError("this header is not closed", "end it with ]" + "]" * double, begun, source.end_of_line(begun) - begun)
            source.at += 1
        self.notes.header = source.where(begun)[0]
        path: Path = ()
        for name, at, length in parts[:-1]:
            path = self.notes.pass_through((*path, name), at, length, "above")
        name, at, length = parts[-1]
        self.table = self.notes.open_table((*path, name), at, length, double)

    def read_pair(self, table: Path) -> None:
        source = self.source
        parts = self.read_key()
        name, at, length = parts[-1]
        if source.peek() != "=":
            what = f"{name} has no value" if source.is_end_of_line() else f"after {name} there must be a ="
            raise NotTomlError(what, f"write {name} = …", parts[0][1], at + length - parts[0][1])
        source.at += 1
        source.skip(lines=False)
        path = table
        for part, part_at, part_length in parts[:-1]:
            path = (*path, part)
            self.notes.pass_through(path, part_at, part_length, "dotted")
        path = self.notes.declare_value((*path, name), at, name)
        begun, key = source.at, self.notes.place(at, length)
        self.read_value(path)
        self.notes.places[path] = self.notes.value(begun, key)

    # ── keys and values ──
    def read_key(self) -> list[tuple[str, int, int]]:
        """The parts of a dotted key: name, position, length; stands on what follows."""
        source, parts = self.source, []
        while True:
            source.skip(lines=False)
            begun, mark = source.at, source.peek()
            name = _unquoted(source.line_string(mark), mark) if mark in ('"', "'") else self.read_bare_key()
            parts.append((name, begun, source.at - begun))
            source.skip(lines=False)
            if source.peek() != ".":
                return parts
            source.at += 1

    def read_bare_key(self) -> str:
        source, begun = self.source, self.source.at
        name = source.run(_BARE)
        following = source.peek()
        if name and (not following or following in ' \t=.]}\r\n,#"['):
            return name
        if name and following == ":":
            raise NotTomlError(f"after {name} there must be a =", "write = instead of :", source.at)
        word = source.text[begun : source.at] + re.split(r'[\s=.\]},#"]', source.text[source.at : source.end_of_line(source.at)], maxsplit=1)[0]
        if not word:
            raise NotTomlError("a name is missing here", "an entry is  name = value,  a table begins with [kind.NAME]", begun)
        raise NotTomlError(f"{word} cannot be a name", 'a name is written in a-z 0-9 _ -; what people see is  name = "…"', begun, len(word))

    def read_value(self, path: Path) -> None:
        source, mark = self.source, self.source.peek()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NotTomlError("lists and tables are nested too deeply here", "take brackets away", source.at)
        if mark in ('"', "'"):
            if source.text.startswith(mark * 3, source.at):
                source.long_string(mark)
            else:
                source.line_string(mark)
        elif mark == "[":
            self.read_list(path)
        elif mark == "{":
            self.read_inline(path)
        else:
            self.read_bare_value(path)
        self.depth -= 1

    def read_bare_value(self, path: Path) -> None:
        source, begun = self.source, self.source.at
        word = source.until(",]}#\r\n").rstrip()
        source.at = begun + len(word)
        name = path[-1]
        if not word:
            raise NotTomlError(f"{name} has no value" if isinstance(name, str) else "a value is missing here", "write one behind the =", begun)
        if _VALUE.fullmatch(word):
            return
        if forgotten := _FORGOTTEN_COMMA.match(word):
            raise NotTomlError(f"a comma is missing before {forgotten[1]}", "the parts of { … } are separated by commas", begun + forgotten.start(1))
        if word.lower() in ("true", "false"):
            raise NotTomlError(f"{word} is not a value", word.lower(), begun, len(word))
        if '"' in word or "'" in word:
            raise NotTomlError(f"{word} is not a value", "text stands in quotes, numbers without", begun, len(word))
        raise NotTomlError(f"{word} must stand in quotes", f'"{word}"', begun, len(word))

    def read_list(self, path: Path) -> None:
        source, begun, number = self.source, self.source.at, 0
        source.at += 1
        while True:
            source.skip(lines=True)
            if source.peek() == "]":
                break
            if not source.peek() or self.is_entry():
                self.not_closed(begun, "]", "list")
            start = source.at
            self.read_value((*path, number))
            self.notes.places[*path, number] = self.notes.value(start, None)
            number += 1
            source.skip(lines=True)
            if source.peek() == ",":
                source.at += 1
            elif source.peek() != "]":
                self.not_closed(begun, "]", "list")
        source.at += 1

    def is_entry(self) -> bool:
        """Does a new entry or header begin here, on a line of its own? Then the list above was not closed."""
        source = self.source
        match = _ENTRY.match(source.text, source.at)
        alone = not source.text[source.start_of_line(source.at) : source.at].strip()
        return match is not None and alone and not (match[1] and _VALUE.fullmatch(match[1]))

    def read_inline(self, path: Path) -> None:
        source, begun = self.source, self.source.at
        source.at += 1
        source.skip(lines=False)
        while source.peek() != "}":
            if source.is_end_of_line():
                self.not_closed(begun, "}", "{ … }")
            self.read_pair(path)
            source.skip(lines=False)
            if source.peek() == ",":
                source.at += 1
                source.skip(lines=False)
                if source.peek() == "}":
                    raise NotTomlError("there is a comma before the }", "take it away", source.at)
            elif source.peek() != "}":
                self.not_closed(begun, "}", "{ … }")
        source.at += 1

    def not_closed(self, begun: int, mark: str, kind: str) -> None:
        source = self.source
        if source.where(source.at)[0] == source.where(begun)[0] and not source.is_end_of_line():
            word = source.text[source.at : source.at + 1]
            raise NotTomlError(f"a comma is missing before {word}", "the parts of a list or of { … } are separated by commas", source.at)
        resume = source.at if source.is_end_of_line() else source.start_of_line(source.at)
        raise NotTomlError(f"this {kind} is not closed", f"end it with {mark}", begun, 1, resume)


def _unquoted(text: str, mark: str) -> str:
    """A quoted key's name; its escapes as tomllib reads them."""
    if mark == "'" or "\\" not in text:
        return text
    try:
        return re.sub(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", _escape, text)
    except (ValueError, OverflowError):
        return text


def _escape(match: re.Match[str]) -> str:
    if code := match[1] or match[2]:
        return chr(int(code, 16))
    return {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}.get(match[3], match[3])
