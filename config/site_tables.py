"""The tables of a site file one by one: named, of a kind, checked by their models, each mistake said at its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from config import later
from config.document import Document, key_names
from config.errors import ConfigError
from config.kinds import Kinds, Section
from config.site import Site
from config.table import Table
from config.toml_notes import Path
from config.wording import did_you_mean, dotted

T = TypeVar("T", bound=Table)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SECTIONS = frozenset(Site.model_fields) - {"file"}


@dataclass(slots=True)
class Tables:
    """Reads tables of one document. What is wrong is said there; the rest is given."""

    document: Document
    plugins: Kinds
    spoilt: dict[str, set[str]] = field(default_factory=dict)
    """Names by section whose table is wrong: they exist, but nothing more is said about them."""

    def spoil(self, section: str, name: str) -> None:
        """Remember a name whose table is wrong."""
        self.spoilt.setdefault(section, set()).add(name)

    def check_sections(self) -> None:
        """Every table of the file is one that a site file has."""
        for name in self.document.data:
            if name in later.TABLES:
                self.document.complain((name,), f"[{name}] {later.SAY}", later.REPAIR)
            elif name not in _SECTIONS:
                near = did_you_mean(name, _SECTIONS, f"the tables of a site file are {', '.join(sorted(_SECTIONS))}")
                self.document.complain((name,), f"{name} is not a table of the site file", near)

    def single(self, section: str, model: type[T]) -> T:
        """A table that there is once; left out or wrong = its defaults."""
        raw = self.without_later((section,), self.document.table((section,)), section)
        found = self.document.read(model, (section,), raw) if raw else None
        return found if found is not None else model()

    def named(self, section: str) -> dict[str, dict[str, object]]:
        """The tables of a section by name; those that are none or whose name is impossible are said and left out."""
        found = {}
        for name, raw in self.document.table((section,)).items():
            path = (section, name)
            if not isinstance(raw, dict):
                self._no_table(path, raw)
            elif not _SLUG.fullmatch(name):
                slug = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-")[:64]
                repair = f"did you mean {slug}?" if _SLUG.fullmatch(slug) else 'what people see is  name = "…"'
                self.document.complain(path, f"{dotted(path)}: a name is written in a-z 0-9 _ -", repair)
            else:
                found[name] = raw
                continue
            self.spoil(section, name)
        return found

    def _no_table(self, path: Path, raw: object) -> None:
        if isinstance(raw, list):
            self.document.table(path)
            return
        kind = str(path[0]).removesuffix("s")
        self.document.complain(path, f"{dotted(path)} must be a table: [{path[0]}.NAME] and then its keys", f"give the {kind} a name")

    def each(self, section: str, model: type[T]) -> dict[str, T]:
        """The tables of a section that are right, by name."""
        found = {}
        for name, raw in self.named(section).items():
            wanted = self.without_later((section, name), raw, section)
            table = self.document.read(model, (section, name), wanted)
            if table is None or (section == "rules" and len(wanted) < len(raw)):
                self.spoil(section, name)
            else:
                found[name] = table
        return found

    def without_later(self, path: Path, raw: Mapping[str, object], kind: str) -> dict[str, object]:
        """The table without the keys of later versions, which are said."""
        left = dict(raw)
        for key in sorted(later.KEYS.get(kind, frozenset()) & left.keys()):
            del left[key]
            self.document.complain((*path, key), f"{dotted((*path, key))} {later.SAY}", later.REPAIR)
        return left

    def of_kind(self, section: Section, model: type[T]) -> dict[str, tuple[str, T, Table]]:
        """The tables of a section with kinds that are right, by name: kind, what all have, what the kind has."""
        found = {}
        for name, raw in self.named(section).items():
            path = (section, name)
            kind = self._kind(section, path, raw)
            options_model = self.options(section, kind, path) if kind else None
            both = self.split(path, {k: v for k, v in raw.items() if k != "kind"}, model, options_model, ("kind",)) if options_model else None
            if kind and both:
                found[name] = (kind, *both)
            else:
                self.spoil(section, name)
        return found

    def _kind(self, section: Section, path: Path, raw: Mapping[str, object]) -> str:
        kind, names = raw.get("kind"), self.plugins.names(section)
        if isinstance(kind, str) and kind in names:
            return kind
        if kind is None:
            near = next((key for key in raw if did_you_mean(key, ["kind"])), "")
            if near:
                self.document.complain((*path, near), f"{dotted((*path, near))} is not a key here", "did you mean kind?")
            else:
                self.document.complain(path, f"{dotted(path)} has no kind", f"add  kind = …  ({', '.join(names)})")
        elif isinstance(kind, str) and kind in later.KINDS[section]:
            self.document.complain((*path, "kind"), f'{dotted(path)}: kind "{kind}" {later.SAY}', f"it has {', '.join(names)}", on="value")
        else:
            self.document.complain((*path, "kind"), f'{dotted(path)}: there is no kind "{str(kind)[:40]}" of {section.removesuffix("s")}',
                                   did_you_mean(str(kind), names, f"there is {', '.join(names)}"), on="value")
        return ""

    def options(self, section: Section, kind: str, path: Path) -> type[Table] | None:
        """The keys of a kind; None if its plug-in cannot be loaded here."""
        try:
            return self.plugins.options(section, kind)
        except ConfigError as error:
            for problem in error.problems:
                self.document.complain((*path, "kind"), f"{dotted(path)}: {problem.what}", problem.repair, on="value")
            return None

    def split(
        self, path: Path, raw: Mapping[str, object], model: type[T], options: type[Table], more: tuple[str, ...] = (),
    ) -> tuple[T, Table] | None:
        """The keys that all have, and those of the kind. A key that neither has is said once."""
        common = key_names(model)
        self.document.allowed[path] = common | key_names(options) | frozenset(more)
        first = self.document.read(model, path, {k: v for k, v in raw.items() if k in common})
        second = self.document.read(options, path, {k: v for k, v in raw.items() if k not in common})
        return (first, second) if first is not None and second is not None else None
