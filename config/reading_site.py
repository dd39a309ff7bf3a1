"""Reads a site file whole: every table by its model, every name to where it leads, all problems at once.

Three steps: the text (`config.document`), the tables one by one (`config.site_tables`, devices with their profiles
here), and what they say of each other (`config.site_links`, `config.site_rules`). A table that is wrong is left out of
the later steps, so that one mistake is told once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from config import site_links, site_maintenance, site_power, site_rules
from config.device import Profile
from config.document import Document, key_names
from config.errors import ConfigError
from config.find import open_site
from config.input_table import Input
from config.inputs import misfit, sized, wired
from config.kinds import Kinds
from config.maintenance import Maintenance
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
    Power,
    Rule,
    Sink,
    SinkTable,
    Site,
    SiteDevice,
    Station,
    Subscription,
)
from config.site_tables import Tables
from config.toml_notes import Path
from config.wording import did_you_mean, dotted


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site file that is right: what it says, the profiles of its devices, and its text for messages about places."""

    site: Site
    profiles: dict[str, Profile]
    """By name of the profile."""
    document: Document


def read_site_text(text: str | bytes, kinds: Kinds, file: str = "site.toml") -> Site:
    """The site of a text. Raises ConfigError with every problem in it."""
    return check_document(Document(file, text.encode() if isinstance(text, str) else text), kinds).site


def read_site_file(path: str | FilePath, kinds: Kinds) -> SiteFile:
    """The site of a file, with profiles and places. Raises ConfigError with every problem in it."""
    return check_document(open_site(str(path)), kinds)


def check_document(document: Document, kinds: Kinds) -> SiteFile:
    """The site of a document. Raises ConfigError with every problem in it."""
    reader = _Reader(Tables(document, kinds))
    site = reader.read()
    document.finish()
    return SiteFile(site, reader.profiles, document)


@dataclass(slots=True)
class _Reader:
    tables: Tables
    profiles: dict[str, Profile] = field(default_factory=dict)

    @property
    def document(self) -> Document:
        """The file."""
        return self.tables.document

    def read(self) -> Site:
        self.tables.check_sections()
        stations = self.tables.each("stations", Station)
        lines = {}
        for name, (kind, common, options) in self.tables.of_kind("lines", LineTable).items():
            lines[name] = Line(kind=kind, common=common, options=options)
        channels = {}
        for name, (kind, shared, options) in self.tables.of_kind("channels", ChannelTable).items():
            channels[name] = Channel(kind=kind, common=shared, options=options)
        sinks = {}
        for name, (kind, selector, options) in self.tables.of_kind("sinks", SinkTable).items():
            sinks[name] = Sink(kind=kind, common=selector, options=options)
        known = site_links.Known(self.document, stations, lines, self.tables.spoilt)
        site_links.stations(known)
        site_links.lines(known)
        site_links.neighbours(known, {(section, name): one.options for section, found in (("lines", lines), ("sinks", sinks), ("channels", channels))
                                      for name, one in found.items()})
        devices = self._devices(known)
        lines = site_links.filled(known, devices, self.profiles)
        rules, subscriptions = self.tables.each("rules", Rule), self.tables.each("subscriptions", Subscription)
        site = Site.model_construct(
            file=self.document.file, stations=stations, lines=lines, devices=devices, rules=rules, channels=channels,
            maintenance=self.tables.each("maintenance", Maintenance), subscriptions=subscriptions, sinks=sinks,
            journal=self.tables.single("journal", Journal),
            console=self.tables.single("console", Console), clock=self.tables.single("clock", ClockTable),
            power=self.tables.single("power", Power))
        site_links.addresses(known, site, self.profiles, self.tables.plugins)
        site_links.references(known, site)
        before = len(self.document.problems)
        site_power.check(known, site, self.profiles)
        if site.power.device and len(self.document.problems) == before:
            rules.setdefault(site_power.RULE, site_power.rule_of(site.power))
        site_rules.check(known, site, self.profiles)
        site_maintenance.check(known, site, self.profiles)
        return site

    def _devices(self, known: site_links.Known) -> dict[str, SiteDevice]:
        found = {}
        for name, raw in self.tables.named("devices").items():
            path = ("devices", name)
            device = self._device(path, self.tables.without_later(path, raw, "devices"))
            linked = site_links.device(known, name, device) if device else None
            if linked:
                found[name] = linked
            else:
                self.tables.spoil("devices", name)
        return found

    def _device(self, path: Path, raw: dict[str, object]) -> SiteDevice | None:
        profile = self._profile(path, raw)
        options = self.tables.options("protocols", profile.file.protocol, path) if profile else None
        allowed = key_names(DeviceTable) | (key_names(options) if options else frozenset())
        self.document.allowed[path] = allowed
        inputs = self._inputs(path, raw.get("inputs"), profile)
        quality = self._quality(path, raw.get("quality"), wired(profile, inputs) if profile and isinstance(inputs, dict) else profile)
        rest = {k: v for k, v in raw.items() if k not in ("quality", "inputs")}
        rest |= ({"quality": quality} if quality else {}) | ({"inputs": inputs} if inputs else {})
        if options is None:
            return None
        both = self.tables.split(path, rest, DeviceTable, options)
        return SiteDevice(common=_completed(both[0], profile), options=both[1]) if both and profile else None

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
                self.profiles[name] = load_profile(name, self.tables.plugins)
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

    def _inputs(self, path: Path, raw: object, profile: Profile | None) -> object:
        """What is wired to the terminals; what cannot be is said and left out."""
        if not isinstance(raw, dict | None) or profile is None:
            return raw
        found = {terminal: sized(profile, terminal, one) for terminal, one in profile.file.inputs.items() if terminal not in (raw or {})}
        for terminal in raw or {}:
            place = (*path, "inputs", terminal)
            one = self.document.read(Input, place, self.document.table(place))
            if one is None:
                continue
            wrong = misfit(profile, terminal, one)
            if wrong is None and (twin := next((name for name, other in found.items() if other.row == one.row), "")):
                wrong = f"{twin} is {one.row} already", 'give one of them a channel:  channel = "…"'
            if wrong:
                self.document.complain(place, f"{dotted(place)}: {wrong[0]}", wrong[1])
            else:
                found[terminal] = sized(profile, terminal, one)
        return found

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
                found[quantity] = self.tables.without_later(place, limits, "quality")
            else:
                found[quantity] = limits
        return found


def _completed(device: DeviceTable, profile: Profile) -> DeviceTable:
    """With what it leaves out and its profile says."""
    own = {key: said for key in ("ready", "duty", "before") if getattr(device, key) is None and (said := getattr(profile.file, key)) is not None}
    return device.model_copy(update=own) if own else device
