"""What a site file will do, told before it runs: how full the lines get, what rules watch and who hears of it, what is risky."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.device import Profile
from config.quantity import vocabulary
from config.reading_profile import ANY
from config.reading_site import SiteFile
from config.reading_standards import standards
from config.series import Series
from config.site import Rule, Secret, Severity, Site, severity
from config.site_rules import judged, measured, watched
from config.table import Table
from config.units import duration_text
from drivers.driver import Asked, Told
from gateway.secrets import Secrets

_ROUND_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)
_COMFORTABLE = 0.8
_NEVER_UTC = {"CN", "IN", "US", "CA"}
"""Where no station's zone is UTC."""
_MOST_SERIES = 3
_SAFE_BYTES = 4
"""A code of a modem that is so long stands by chance in one of four thousand million places."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much of a line its timetable needs."""

    line: str
    speed: str
    share: float
    """Of the line's time; above 1 it does not fit."""
    fastest_s: float
    slowest: str
    """The device whose reading takes longest."""
    slowest_s: float
    at_one_second: float
    """The share if every device was read every second."""
    relief: str
    """What would make it fit; empty if it does."""

    @property
    def fits(self) -> bool:
        """The line has the time for its timetable."""
        return self.share <= 1

    def text(self) -> str:
        """One line for people."""
        if not self.fits:
            return f"{self.line:<9} needs {self.share * 100:.0f} % of {self.speed}. → {self.relief}"
        percent = f"{self.share * 100:.0f}" if self.share >= 0.01 else "under 1"
        return (f"{self.line:<9} {percent} % of the line ({duration_text(self.fastest_s)}); slowest: {self.slowest} "
                f"{duration_text(round(self.slowest_s, 3))}.  At 1 s for all it would be {self.at_one_second * 100:.0f} %")


def loads(site: Site, drivers: Mapping[str, Asked | Told]) -> list[Load]:
    """The load of every line that is polled."""
    found = []
    for name, line in site.lines.items():
        groups = [(device, group) for device, driver in drivers.items() if site.devices[device].common.line == name and isinstance(driver, Asked)
                  for group in driver.groups()]
        if not groups:
            continue
        baudrate = getattr(line.options, "baudrate", None)
        share = sum(group.line_time_s / group.interval_s for _, group in groups)
        slowest, slowest_s = max(((device, sum(g.line_time_s for d, g in groups if d == device)) for device, _ in groups), key=lambda x: x[1])
        relief = _relief([(device, g.line_time_s, g.interval_s) for device, g in groups], share) if share > 1 else ""
        found.append(Load(name, f"{baudrate} baud" if baudrate else "its time", share, min(g.interval_s for _, g in groups), slowest, slowest_s,
                          sum(g.line_time_s for _, g in groups), relief))
    return found


def _relief(polls: list[tuple[str, float, float]], share: float) -> str:
    """The change of one interval that makes a timetable fit, else of all."""
    for device, time_s, interval_s in sorted(polls, key=lambda poll: poll[1] / poll[2], reverse=True):
        for longer_s in _ROUND_S:
            rest = share - time_s / interval_s + time_s / longer_s
            if longer_s > interval_s and rest <= _COMFORTABLE:
                return f"interval of {device} from {duration_text(interval_s)} to {duration_text(float(longer_s))} gives {rest * 100:.0f} %"
    return f"longer intervals for all of them: {share / _COMFORTABLE:.1f} times"


def rule_text(site: Site, profiles: dict[str, Profile], name: str, rule: Rule) -> str:
    """One rule for people: what it watches, when it fires, who hears of it."""
    series, certain = watched(site, profiles, rule), {*measured(site, profiles), *judged(site, profiles)}
    series = [one for one in series if one in certain] or series  # where messages name quantities, a device might give any
    names = [str(one) for one in series[:_MOST_SERIES]]
    more = f" and {len(series) - _MOST_SERIES} more" if len(series) > _MOST_SERIES else ""
    unit = next((vocabulary()[one.quantity].unit for one in series if one.quantity in vocabulary()), "1")
    what = f"{', '.join(names)}{more}{f' ({unit})' if unit != '1' else ''}, {f'mean {duration_text(rule.mean)} ' if rule.mean else ''}"
    limits = []
    for sign, ladder in ((">", rule.above), ("<", rule.below)):
        if ladder:
            steps = sorted(ladder.items(), key=lambda step: severity(step[0]))
            limits.append(f"{sign} {' / '.join(str(limit.figure) for _, limit in steps)}")
    if rule.law:
        limits.append(f"> the limit of {rule.law}")
    if rule.worse_than:
        limits.append(f"worse than {rule.worse_than}")
    hold = f" for {duration_text(rule.hold)}" if rule.hold else ""
    return f"{name}: {what}{' or '.join(limits)}{hold} → {_audience(site, rule, [s for s in series if s.quantity != ANY])}"


def _audience(site: Site, rule: Rule, series: list[Series]) -> str:
    colours = [severity(colour) for colour in (*rule.above, *rule.below)] or [severity(rule.severity)]
    told = []
    for name, subscription in site.subscriptions.items():
        concerned = any(subscription.takes(s, vocabulary()[s.quantity].medium, site.stations[s.station].area) for s in series)
        first = severity(subscription.severity)
        if subscription.about != "technical" and concerned and first <= max(colours, default=Severity.BLUE):
            told.append(f"{name} (from {first.colour})" if first > min(colours) else name)
    return ", ".join(told) or "nobody (console only)"


def warnings(file: SiteFile) -> list[str]:
    """What is allowed and yet likely to go wrong."""
    return [*_factory_settings(file), *_ports(file.site), *_secrets(file.site), *_open_console(file.site), *_open_lines(file.site),
            *_short_codes(file.site), *_late_supplies(file.site), *_days_of_utc(file.site)]


def notes(file: SiteFile) -> list[str]:
    """Which profiles are this box's own."""
    used = {name: device.common.profile for name, device in file.site.devices.items()}
    return [f"devices.{name}: {profile} from {file.profiles[profile].path} (not packaged)" for name, profile in used.items()
            if not file.profiles[profile].packaged]


def _factory_settings(file: SiteFile) -> Iterator[str]:
    for name, device in file.site.devices.items():
        options, default = file.site.lines[device.common.line].options, file.profiles[device.common.profile].file.default
        for key in ("baudrate", "format"):
            here, there = getattr(options, key, None), default.get(key)
            if here is not None and there is not None and here != there:
                yield (f"devices.{name}: {device.common.profile} leaves the factory at {there}, line {device.common.line} runs at {here} "
                       f"→ set the device to {here} before wiring")


def _days_of_utc(site: Site) -> Iterator[str]:
    """Nobody wrote a zone, and UTC is not that of the standard's country: its days would be cut at 08:00 in China."""
    for name, station in site.stations.items():
        elsewhere = [standard for standard in station.standards if {law.jurisdiction for law in standards().all if law.id == standard} & _NEVER_UTC]
        if elsewhere and "time_zone" not in station.model_fields_set:
            yield (f"stations.{name}: no time_zone, so {', '.join(elsewhere)} would judge days and nights of UTC "
                   f'→ add  time_zone = …  ("Asia/Shanghai"; "UTC" if that is meant)')


def _ports(site: Site) -> Iterator[str]:
    for name, line in site.lines.items():
        port = getattr(line.options, "port", None)
        if isinstance(port, str) and port.startswith(("/dev/ttyUSB", "/dev/ttyACM")):
            yield f"lines.{name}: {port} can be another adapter after the next start → its lasting name: ls -l /dev/serial/by-id /dev/serial/by-path"


def _secrets(site: Site) -> Iterator[str]:
    secrets = Secrets(site.file)
    tables = [line.options for line in site.lines.values()] + [channel.options for channel in site.channels.values()]
    tables += [sink.options for sink in site.sinks.values()]
    for name in dict.fromkeys(name for table in tables for name in secret_names(table)):
        if not secrets.has(name):
            yield f"secret {name} is missing → put it into /etc/ecosentry/secrets/{name}, mode 0600"


def secret_names(value: object) -> Iterator[str]:
    """The names of all secrets in a table of options."""
    if isinstance(value, Secret):
        yield value.secret
    elif isinstance(value, Table):
        for field in type(value).model_fields:
            yield from secret_names(getattr(value, field))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from secret_names(part)


def _open_console(site: Site) -> Iterator[str]:
    host = site.console.listen.rpartition(":")[0].strip("[]")
    if site.console.enabled and host not in ("127.0.0.1", "::1", "localhost"):
        yield f"console.listen = {site.console.listen}: whoever reaches this box can read the console → 127.0.0.1 and ssh -L, or a proxy with a login"


def _short_codes(site: Site) -> Iterator[str]:
    """Modems whose registration or heartbeat is in many an answer."""
    for name, line in site.lines.items():
        shortest = min(getattr(line.options, "codes", ()), key=len, default=b"")
        if 0 < len(shortest) < _SAFE_BYTES:
            size = f"{len(shortest)} byte" + ("s" if len(shortest) > 1 else "")
            yield (f"lines.{name}: a registration or heartbeat of {size} stands in many an answer by chance, and readings are lost → set the modem "
                   f"to one of {_SAFE_BYTES} bytes or more")


def _open_lines(site: Site) -> Iterator[str]:
    """Lines that take connections from beyond this box."""
    for name, line in site.lines.items():
        place = getattr(line.options, "place", None)
        if place is None or place.is_loopback:
            continue
        if line.kind == "http":
            yield f"lines.{name}: token and readings come to {place} without TLS → only from a network of your own, or through a proxy with TLS"
        elif not getattr(line.options, "networks", ()):
            yield f'lines.{name}: {place} takes modems from anywhere, and a registration is no secret → networks = ["…"]'


def _late_supplies(site: Site) -> Iterator[str]:
    """Duty cycles that begin together, and supplies that come on one after another for longer than the last of them is awake."""
    all_ = {name: device.common for name, device in site.devices.items() if device.common.duty and device.common.supply}
    for name, device in all_.items():
        assert device.duty is not None
        after = [other.supply.after for other in all_.values() if other.supply and other.duty and other.duty.every == device.duty.every]
        wait_s, awake_s = sum(after) - min(after), (device.ready or 0.0) + device.duty.on
        if wait_s >= awake_s:
            yield (f"devices.{name}: {len(after)} supplies come on one after another, the last after {duration_text(wait_s)}, and it is awake for "
                   f"{duration_text(awake_s)} → a shorter after, or a longer on")
