"""Every name in a site file leads somewhere: lines to stations, devices to lines, recipients to channels."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from config.device import Profile
from config.document import Document
from config.kinds import FilledFromProfiles, Kinds, Neighbour
from config.live_standards import live_ids
from config.quantity import vocabulary
from config.selector import Measured, Selector
from config.site import Line, Site, SiteDevice, Station
from config.table import Table
from config.toml_notes import Path
from config.wording import did_you_mean, dotted


@dataclass(frozen=True, slots=True)
class Known:
    """What is there to be named."""

    document: Document
    stations: dict[str, Station]
    lines: dict[str, Line]
    spoilt: dict[str, set[str]]
    """Names by section whose table is wrong: naming them is right."""

    def all_of(self, section: str, right: Iterable[str]) -> set[str]:
        """Names of a section, those with mistakes in their table too."""
        return set(right) | self.spoilt.get(section, set())

    def name(self, path: Path, name: str, section: str, right: Iterable[str]) -> bool:
        """Is this name there? If not, it is said."""
        there = self.all_of(section, right)
        if name in there:
            return True
        kind = section.removesuffix("s")
        if not there:
            what, repair = f"{dotted(path)}: there is no {kind} {name}, nor any other", f"write [{section}.{name}] first"
        else:
            listed = f"there is {', '.join(sorted(there)[:8])}" + (" …" if len(there) > 8 else "")
            what, repair = f"{dotted(path)}: there is no {kind} {name}", did_you_mean(name, there, listed)
        self.document.complain(path, what, repair, on="value")
        return False

    def only(self, path: Path, section: str, right: Iterable[str]) -> str:
        """The only name of a section, for a table that names none; "" and a word about it if there is not exactly one."""
        there = sorted(self.all_of(section, right))
        kind = section.removesuffix("s")
        if len(there) == 1:
            return there[0]
        if there:
            self.document.complain(path, f"{dotted(path)} has no {kind}, and there are {len(there)}", f"add  {kind} = …  ({', '.join(there[:8])})")
        elif not any(problem.what.startswith(f"there is no {kind}") for problem in self.document.problems):
            self.document.complain((), f"there is no {kind}", f"write [{section}.NAME]")
        return ""


def stations(known: Known) -> None:
    """There is at least one; every time zone exists."""
    if not known.all_of("stations", known.stations):
        known.document.complain((), "there is no station", "write [stations.NAME]")
    for name, station in known.stations.items():
        zones = _time_zones()
        if station.time_zone not in zones:
            path = ("stations", name, "time_zone")
            lower = {zone.lower(): zone for zone in zones}
            near = lower.get(station.time_zone.lower().replace(" ", "_"), "")
            repair = f"did you mean {near}?" if near else did_you_mean(station.time_zone, zones, 'as in "Asia/Shanghai" or "UTC"')
            if not zones:
                repair = "this system has no time zones: sudo apt install tzdata"
            known.document.complain(path, f'{dotted(path)} = "{station.time_zone}" is not a time zone', repair, on="value")


@cache
def _time_zones() -> frozenset[str]:
    """All names that ZoneInfo opens."""
    zones = available_timezones()
    try:
        ZoneInfo("UTC")
    except KeyError:  # pragma: no cover - ZoneInfoNotFoundError: a system without tzdata
        return frozenset(zones)
    return frozenset(zones) | {"UTC"}


def lines(known: Known) -> None:
    """Every station that a line names is there."""
    for name, line in known.lines.items():
        if line.common.station:
            known.name(("lines", name, "station"), line.common.station, "stations", known.stations)


def neighbours(known: Known, tables: dict[Path, Table]) -> None:
    """No two lines, sinks and channels take what only one can have: an address to listen at, a port, a session at a broker."""
    earlier: dict[Path, Table] = {}
    for path, options in tables.items():
        for other, there in earlier.items():
            clash = options.clash(there) if isinstance(options, Neighbour) else None
            if clash:
                known.document.complain(path, f"{dotted(path)} and {dotted(other)}: it {clash[0]}", clash[1])
                break
        earlier[path] = options


def filled(known: Known, devices: dict[str, SiteDevice], profiles: dict[str, Profile]) -> dict[str, Line]:
    """The lines with what they take over from the profiles of their devices: baudrate, format."""
    found = dict(known.lines)
    for name, line in known.lines.items():
        mine = [profiles[device.common.profile].file.default for device in devices.values() if device.common.line == name]
        if isinstance(line.options, FilledFromProfiles):
            try:
                found[name] = line.model_copy(update={"options": line.options.filled(mine)})
            except ValueError as error:
                what, _, repair = str(error).partition(": ")
                known.document.complain(("lines", name), f"lines.{name} {what}", repair)
    return found


def device(known: Known, name: str, found: SiteDevice) -> SiteDevice | None:
    """The device with line and station filled in; None if they lead nowhere."""
    path, common = ("devices", name), found.common
    line = common.line
    if line:
        good = known.name((*path, "line"), line, "lines", known.lines)
    else:
        line = known.only(path, "lines", known.lines)
        good = bool(line)
    station = common.station
    if station:
        good = known.name((*path, "station"), station, "stations", known.stations) and good
    else:
        station = (known.lines[line].common.station if line in known.lines else "") or ("" if line in known.spoilt.get("lines", ()) else
                                                                                        known.only(path, "stations", known.stations))
        good = good and bool(station)
    if not good or station not in known.stations or line not in known.lines:
        return None
    return found.model_copy(update={"common": common.model_copy(update={"line": line, "station": station})})


def addresses(known: Known, site: Site, profiles: dict[str, Profile], kinds: Kinds) -> None:
    """Protocols fit their lines, and no two devices of a line answer to one address."""
    taken: dict[tuple[str, str, object], str] = {}
    for name, found in site.devices.items():
        profile, line = profiles[found.common.profile], found.common.line
        kind, protocol = site.lines[line].kind, profile.file.protocol
        fits = kinds.lines(protocol)
        if fits and kind not in fits:
            path: Path = ("devices", name, "line" if ("devices", name, "line") in known.document.places else "profile")
            what = f"devices.{name}: {profile.name} speaks {protocol}, and line {line} is of kind {kind}"
            known.document.complain(path, what, f"it needs a line of kind {' or '.join(sorted(fits))}", on="value")
            continue
        if kinds.is_alone(protocol) and (others := [one for one, device in site.devices.items() if device.common.line == line and one != name]):
            what = f"devices.{name}: a sensor that speaks {protocol} has no address, and {others[0]} is on {line} too"
            known.document.complain(("devices", name), what, "give it a line of its own")
            continue
        if "address" not in type(found.options).model_fields:
            continue
        own = getattr(found.options, "address", None)
        address = own if own is not None else profile.file.default.get("address")
        if address == "?" and (others := [one for one, device in site.devices.items() if device.common.line == line and one != name]):
            what = f'devices.{name}: address "?" asks whoever is on {line}, and {others[0]} is there too'
            known.document.complain(("devices", name), what, "give each its own address")
            continue
        other = taken.setdefault((line, protocol, address), name)
        if other != name:
            path = ("devices", name, "address") if own is not None else ("devices", name)
            where = known.document.place(("devices", other))
            seen = f" (line {where.line})" if where else ""
            what = f"devices.{name}: address {address} on {line} is already taken by {other}{seen}" if address is not None else (
                f"devices.{name} and {other}{seen} share {line} and have no address")
            known.document.complain(path, what, "each device of a line has an address of its own", on="value")


def references(known: Known, site: Site) -> None:
    """Selectors of sinks and subscriptions name what exists; recipients name channels; the console can listen."""
    for name, sink in site.sinks.items():
        selector(known, ("sinks", name), sink.common, site)
    for name, subscription in site.subscriptions.items():
        path = ("subscriptions", name)
        selector(known, path, subscription, site)
        channels = known.all_of("channels", site.channels)
        for index, recipient in enumerate(subscription.to):
            channel = recipient.partition(":")[0]
            if channel not in channels:
                listed = f"there is {', '.join(sorted(channels))}" if channels else f"write [channels.{channel}] first"
                place = (*path, "to", index) if (*path, "to", index) in known.document.places else (*path, "to")
                short = f"{recipient[:32]}…" if len(recipient) > 33 else recipient
                near = did_you_mean(channel, channels, listed).removeprefix("did you mean ").removesuffix("?")
                known.document.complain(place, f'{dotted((*path, "to"))} "{short}": there is no channel {channel}.', near, on="line")
    _listen(known, site)


def _listen(known: Known, site: Site) -> None:
    host, _, port = site.console.listen.rpartition(":")
    what = ""
    if int(port) > 65535:
        what = f"port {port} is more than 65535"
    elif host.startswith("[") or host.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            what = f"{host} is not an address"
    if what:
        known.document.complain(("console", "listen"), f'console.listen = "{site.console.listen}": {what}', 'as in "127.0.0.1:8080"', on="value")


def selector(known: Known, path: Path, chosen: Measured, site: Site) -> bool:
    """Does everything that a selector names exist? What does not is said."""
    media: set[str] = {quantity.medium for quantity in vocabulary().values()}
    areas = {station.area for station in site.stations.values() if station.area}
    good = True
    for key, section, there in (("station", "stations", set(site.stations)), ("device", "devices", set(site.devices))):
        for index, name in enumerate(getattr(chosen, key)):
            good &= known.name(_item(known, (*path, key), index), name, section, there)
    laws = chosen.standard if isinstance(chosen, Selector) else ()
    for key, there, word in (("quantity", set(vocabulary()), "quantity"), ("medium", media, "medium"), ("area", areas, "area"),
                             ("standard", set(live_ids()) if laws else set(), "standard that is computed live")):
        for index, name in enumerate(laws if key == "standard" else getattr(chosen, key)):
            if name not in there and not (key == "area" and known.spoilt.get("stations")):
                good = False
                listed = f"there is {', '.join(sorted(there))}" if len(there) < 12 and there else ""
                if key == "area":
                    listed = listed or "no station has an area"
                place = _item(known, (*path, key), index)
                known.document.complain(place, f"{dotted((*path, key))}: there is no {word} {name}", did_you_mean(name, there, listed), on="value")
    return good


def _item(known: Known, path: Path, index: int) -> Path:
    return (*path, index) if (*path, index) in known.document.places else path
