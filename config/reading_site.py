"""Reads a site file whole: every table by its model, every name to where it leads, all problems at once.

Three steps: the text (`config.document`), the tables one by one (here), and what they say of each other
(`config.site_links`, `config.site_rules`). A table that is wrong is left out of the later steps, so that one mistake
is told once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TypeVar

from config import later, site_links, site_rules
from config.device import Profile
from config.document import Document, key_names
from config.errors import ConfigError
from config.find import open_document
from config.kinds import Kinds, Section
from config.reading_profile import load_profile
from config.site import (
    Channel,
    ChannelTable,
    ClockTable,
    Console,
    DeviceTable,
    Journal,
    Line,
    LineTable,
    Rule,
    Sink,
    SinkTable,
    Site,
    SiteDevice,
    Station,
    Subscription,
)
from config.table import Table
from config.toml_places import Path
from config.wording import did_you_mean, dotted

T = TypeVar("T", bound=Table)
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SECTIONS = frozenset(Site.model_fields) - {"file"}


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site file that is right: what it says, the profiles of its devices, and its text for messages about places."""

    site: Site
    profiles: dict[str, Profile]
    """By name of the profile."""
    document: Document


def read_site(path: str | FilePath, kinds: Kinds) -> Site:
    """The site of a file. Raises ConfigError with every problem in it."""
    return read_site_file(path, kinds).site


def read_site_text(text: str | bytes, kinds: Kinds, file: str = "site.toml") -> Site:
    """The site of a text. Raises ConfigError with every problem in it."""
    return check_document(Document(file, text.encode() if isinstance(text, str) else text), kinds).site


def read_site_file(path: str | FilePath, kinds: Kinds) -> SiteFile:
    """The site of a file, with profiles and places. Raises ConfigError with every problem in it."""
    return check_document(open_document(str(path)), kinds)


def check_document(document: Document, kinds: Kinds) -> SiteFile:
    """The site of a document. Raises ConfigError with every problem in it."""
    reader = _Reader(document, kinds)
    site = reader.read()
    document.finish()
    return SiteFile(site, reader.profiles, document)


@dataclass(slots=True)
class _Reader:
    document: Document
    kinds: Kinds
    profiles: dict[str, Profile] = field(default_factory=dict)
    spoilt: dict[str, set[str]] = field(default_factory=dict)
    """Names by section whose table is wrong: they exist, but nothing more is said about them."""

    def read(self) -> Site:
        self._sections()
        stations = self._each("stations", Station)
        lines = {}
        for name, (kind, common, options) in self._kinds("lines", LineTable).items():
            lines[name] = Line(kind=kind, common=common, options=options)
        channels = {}
        for name, (kind, shared, options) in self._kinds("channels", ChannelTable).items():
            channels[name] = Channel(kind=kind, common=shared, options=options)
        sinks = {}
        for name, (kind, selector, options) in self._kinds("sinks", SinkTable).items():
            sinks[name] = Sink(kind=kind, common=selector, options=options)
        known = site_links.Known(self.document, stations, lines, self.spoilt)
        site_links.stations(known)
        site_links.lines(known)
        devices = self._devices(known)
        lines = site_links.filled(known, devices, self.profiles)
        rules, subscriptions = self._each("rules", Rule), self._each("subscriptions", Subscription)
        site = Site.model_construct(
            file=self.document.file, stations=stations, lines=lines, devices=devices, rules=rules, channels=channels,
            subscriptions=subscriptions, sinks=sinks, journal=self._single("journal", Journal),
            console=self._single("console", Console), clock=self._single("clock", ClockTable))
        site_links.addresses(known, site, self.profiles, self.kinds)
        site_links.references(known, site)
        site_rules.check(known, site, self.profiles)
        return site

    # ── sections ──
    def _sections(self) -> None:
        for name in self.document.data:
            if name in later.TABLES:
                self.document.complain((name,), f"[{name}] {later.SAY}", later.REPAIR)
            elif name not in _SECTIONS:
                near = did_you_mean(name, _SECTIONS, f"the tables of a site file are {', '.join(sorted(_SECTIONS))}")
                self.document.complain((name,), f"{name} is not a table of the site file", near)

    def _single(self, section: str, model: type[T]) -> T:
        raw = self._without_later((section,), self.document.table((section,)), section)
        found = self.document.read(model, (section,), raw) if raw else None
        return found if found is not None else model()

    def _named(self, section: str) -> dict[str, dict[str, object]]:
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
            self.spoilt.setdefault(section, set()).add(name)
        return found

    def _no_table(self, path: Path, raw: object) -> None:
        if isinstance(raw, list):
            self.document.table(path)
            return
        kind = str(path[0]).removesuffix("s")
        self.document.complain(path, f"{dotted(path)} must be a table: [{path[0]}.NAME] and then its keys", f"give the {kind} a name")

    def _each(self, section: str, model: type[T]) -> dict[str, T]:
        found = {}
        for name, raw in self._named(section).items():
            wanted = self._without_later((section, name), raw, section)
            table = self.document.read(model, (section, name), wanted)
            if table is None or (section == "rules" and len(wanted) < len(raw)):
                self.spoilt.setdefault(section, set()).add(name)
            else:
                found[name] = table
        return found

    def _without_later(self, path: Path, raw: Mapping[str, object], kind: str) -> dict[str, object]:
        """The table without the keys of later versions, which are said."""
        left = dict(raw)
        for key in sorted(later.KEYS.get(kind, frozenset()) & left.keys()):
            del left[key]
            self.document.complain((*path, key), f"{dotted((*path, key))} {later.SAY}", later.REPAIR)
        for key in {"above", "below"} & left.keys() if kind == "rules" else ():
            if later.is_standard(left[key]):
                self.document.complain((*path, key), f'{dotted((*path, key))} = "{left.pop(key)}": a standard as a limit {later.SAY}',
                                       "write the figure and its unit", on="value")
        return left

    # ── tables with a kind ──
    def _kinds(self, section: Section, model: type[T]) -> dict[str, tuple[str, T, Table]]:
        found = {}
        for name, raw in self._named(section).items():
            path = (section, name)
            kind = self._kind(section, path, raw)
            options_model = self._options(section, kind, path) if kind else None
            both = self._split(path, {k: v for k, v in raw.items() if k != "kind"}, model, options_model, ("kind",)) if options_model else None
            if kind and both:
                found[name] = (kind, *both)
            else:
                self.spoilt.setdefault(section, set()).add(name)
        return found

    def _kind(self, section: Section, path: Path, raw: Mapping[str, object]) -> str:
        kind, names = raw.get("kind"), self.kinds.names(section)
        if kind in names:
            return str(kind)
        if kind is None:
            near = next((key for key in raw if did_you_mean(key, ["kind"])), "")
            if near:
                self.document.complain((*path, near), f"{dotted((*path, near))} is not a key here", "did you mean kind?")
            else:
                self.document.complain(path, f"{dotted(path)} has no kind", f"add  kind = …  ({', '.join(names)})")
        elif kind in later.KINDS[section]:
            self.document.complain((*path, "kind"), f'{dotted(path)}: kind "{kind}" {later.SAY}', f"it has {', '.join(names)}", on="value")
        else:
            self.document.complain((*path, "kind"), f'{dotted(path)}: there is no kind "{str(kind)[:40]}" of {section.removesuffix("s")}',
                                   did_you_mean(str(kind), names, f"there is {', '.join(names)}"), on="value")
        return ""

    def _options(self, section: Section, kind: str, path: Path) -> type[Table] | None:
        try:
            return self.kinds.options(section, kind)
        except ConfigError as error:
            for problem in error.problems:
                self.document.complain((*path, "kind"), f"{dotted(path)}: {problem.what}", problem.repair, on="value")
            return None

    def _split(
        self, path: Path, raw: Mapping[str, object], model: type[T], options: type[Table], more: tuple[str, ...] = (),
    ) -> tuple[T, Table] | None:
        """The keys that all have, and those of the kind. A key that neither has is said once."""
        common = key_names(model)
        self.document.allowed[path] = common | key_names(options) | frozenset(more)
        first = self.document.read(model, path, {k: v for k, v in raw.items() if k in common})
        second = self.document.read(options, path, {k: v for k, v in raw.items() if k not in common})
        return (first, second) if first is not None and second is not None else None

    # ── devices ──
    def _devices(self, known: site_links.Known) -> dict[str, SiteDevice]:
        found = {}
        for name, raw in self._named("devices").items():
            path = ("devices", name)
            device = self._device(path, self._without_later(path, raw, "devices"))
            linked = site_links.device(known, name, device) if device else None
            if linked:
                found[name] = linked
            else:
                self.spoilt.setdefault("devices", set()).add(name)
        return found

    def _device(self, path: Path, raw: dict[str, object]) -> SiteDevice | None:
        profile = self._profile(path, raw)
        options = self._options("protocols", profile.file.protocol, path) if profile else None
        allowed = key_names(DeviceTable) | (key_names(options) if options else frozenset())
        self.document.allowed[path] = allowed
        quality = self._quality(path, raw.get("quality"), profile)
        rest = {k: v for k, v in raw.items() if k != "quality"} | ({"quality": quality} if quality else {})
        if options is None:
            return None
        both = self._split(path, rest, DeviceTable, options)
        return SiteDevice(common=both[0], options=both[1]) if both else None

    def _profile(self, path: Path, raw: Mapping[str, object]) -> Profile | None:
        name = raw.get("profile")
        if not isinstance(name, str):
            near = next((key for key in raw if did_you_mean(key, ["profile"])), "")
            if name is not None:
                self.document.complain((*path, "profile"), f"{dotted((*path, 'profile'))} must be text", 'as in "cwt_soil_7in1"', on="value")
            elif near:
                self.document.complain((*path, near), f"{dotted((*path, near))} is not a key here", "did you mean profile?")
            else:
                self.document.complain(path, f"{dotted(path)} has no profile", "add  profile = …  (ecosentry devices lists them)")
            return None
        if name not in self.profiles:
            try:
                self.profiles[name] = load_profile(name, self.kinds)
            except ConfigError as error:
                self._profile_problems(path, name, error)
                return None
        return self.profiles[name]

    def _profile_problems(self, path: Path, name: str, error: ConfigError) -> None:
        if any(problem.line or problem.file != f"{name}.toml" for problem in error.problems):
            self.document.complain((*path, "profile"), f"{dotted(path)}: the profile {name} cannot be used", "see below", on="value")
            self.document.problems += [p for p in error.problems if p not in self.document.problems]
        else:
            for problem in error.problems:
                self.document.complain((*path, "profile"), f"{dotted(path)}: {problem.what}", problem.repair, on="value")

    def _quality(self, path: Path, raw: object, profile: Profile | None) -> object:
        """The quality table without what does not belong there, which is said."""
        if not isinstance(raw, dict):
            return raw
        found: dict[str, object] = {}
        inside = (*path, "quality")
        for quantity, limits in raw.items():
            place = (*inside, quantity)
            if profile is not None and not site_rules.gives(profile, quantity):
                if not self.document.misplaced(place):
                    measured = sorted({row.partition(":")[0] for row in profile.rows} - {"*"})
                    near = did_you_mean(quantity, measured, f"it measures {', '.join(measured)}" if measured else "")
                    self.document.complain(place, f"{dotted(place)}: {profile.name} does not measure {quantity}", near)
            elif isinstance(limits, dict):
                self.document.allowed[place] = frozenset({"range", "suspect", "rate"})
                found[quantity] = self._without_later(place, limits, "quality")
            else:
                found[quantity] = limits
        return found
