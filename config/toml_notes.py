"""What a TOML scanner remembers: where keys stand, how tables came to be, what slipped."""

from dataclasses import dataclass, field

from config.toml_text import Characters

Path = tuple[str | int, ...]
"""Keys from the top; numbers count the elements of a list."""
AGAIN = "again"
"""First part of the path of what is declared a second time: it hides nothing that was declared before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key and its value stand. Lines and columns count from 1; a length never reaches over the end of its line."""

    line: int
    column: int
    length: int
    value_line: int = 0
    value_column: int = 0
    value_length: int = 0
    """0 = a table with a header of its own."""
    header: int = 0
    """Line of the [header] above it; 0 = none."""


@dataclass(frozen=True, slots=True)
class Slip:
    """One place where the text is not TOML."""

    what: str
    repair: str
    line: int
    column: int = 0
    """0 = the line as a whole: no caret."""
    length: int = 1


@dataclass(slots=True)
class Notes:
    """Places and slips, and what is declared so far."""

    source: Characters
    places: dict[Path, Place] = field(default_factory=dict)
    slips: list[Slip] = field(default_factory=list)
    header: int = 0
    """Line of the newest [header]."""
    _declared: dict[Path, str] = field(default_factory=dict)
    """How a path came to be: header, array, value, dotted, or above (only named in a longer header)."""
    _arrays: dict[Path, int] = field(default_factory=dict)
    """Index of the newest element of each array of tables."""

    def pass_through(self, path: Path, at: int, length: int, how: str) -> Path:
        """A table that is only named on the way to another; gives its path (in an array of tables, of the newest)."""
        self._declared.setdefault(path, how)
        self.places.setdefault(path, self.place(at, length))
        return (*path, self._arrays[path]) if path in self._arrays else path

    def open_table(self, path: Path, at: int, length: int, double: bool) -> Path:
        """A [header] or [[header]]; gives the path of what follows it."""
        before = self._declared.get(path)
        if double and before in (None, "array"):
            self._declared[path] = "array"
            self._arrays[path] = self._arrays.get(path, -1) + 1
            self.places.setdefault(path, self.place(at, length))
            path = (*path, self._arrays[path])
        elif before in (None, "above") and not double:
            self._declared[path] = "header"
        else:
            self._twice(path, at, "[" + ".".join(map(str, path)) + "]")
            return (AGAIN, at)
        self.places[path] = self.place(at, length)
        return path

    def declare_value(self, path: Path, at: int, name: str) -> Path:
        """A key with a value; gives its path, which is another one if the key is there already."""
        if path in self._declared:
            self._twice(path, at, name)
            path = (AGAIN, at)
        self._declared[path] = "value"
        return path

    def place(self, at: int, length: int) -> Place:
        """A key's place."""
        line, column = self.source.where(at)
        return Place(line, column, length, header=self.header)

    def value(self, begun: int, key: Place | None) -> Place:
        """The place of a value from `begun` to here, and of its key (a list's element is its own)."""
        line, column = self.source.where(begun)
        length = min(self.source.at, self.source.end_of_line(begun)) - begun
        if key is None:
            return Place(line, column, length, line, column, length, self.header)
        return Place(key.line, key.column, key.length, line, column, length, self.header)

    def slip(self, what: str, repair: str, at: int, length: int) -> None:
        """Something that is not TOML."""
        line, column = self.source.where(at)
        rest = self.source.end_of_line(at) - at
        self.slips.append(Slip(what, repair, line, column, max(1, min(length, rest))))

    def _twice(self, path: Path, at: int, name: str) -> None:
        line = self.source.where(at)[0]
        first = self.places[path].line if path in self.places else line
        there = f"here and in line {first}." if first != line else "both times in this line."
        if len(path) == 2 and isinstance(path[0], str) and path[0].endswith("s"):
            what, repair = f"the {path[0].removesuffix('s')} name {path[1]} is used twice, {there}", "give this one another name"
        elif name.startswith("["):
            what, repair = f"{name} stands twice, {there}", "put the entries of both under one of them"
        else:
            table = ".".join(map(str, path[:-1])) if path[0] != AGAIN else ""
            what, repair = f"{name} is written twice{f' in {table}' if table else ''}, {there}", "take one of them away"
        self.slips.append(Slip(what, repair, line))
