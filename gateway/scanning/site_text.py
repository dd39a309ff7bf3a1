"""A first site file out of what a scan found: commented, and right as it stands."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drivers.job import Plain
from gateway.scanning.fitting import values_text

_EZO = {"ph": "atlas_ezo_ph", "ec": "atlas_ezo_ec"}
_BY_PROTOCOL = {"dlt645": "dlt645_2007", "mhz19": "winsen_mhz19", "shdlc": "sensirion_sps30"}


@dataclass(slots=True)
class LineFound:
    """One port with what speaks or answers on it."""

    name: str
    port: str
    setting: str
    """9600 8N1."""
    remark: str = ""
    devices: list[Plain] = field(default_factory=list)
    """Entries of a scan; a stream is {"protocol": "stream", "profiles": […]}."""


@dataclass(frozen=True, slots=True)
class Place:
    """The station that it is for."""

    name: str = "home"
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str = "UTC"


def profile_of(entry: Plain) -> str:
    """The profile that an entry of a scan is to be read with; empty = not known."""
    fits = entry.get("looks_like")
    if isinstance(fits, list) and fits and fits[0]["fits"] == fits[0]["of"]:
        return str(fits[0]["profile"])
    profiles = entry.get("profiles")
    if isinstance(profiles, list | tuple) and profiles:
        return str(profiles[0])
    if entry.get("protocol") == "ezo":
        return _EZO.get(str(entry.get("who", "")).rpartition(" ")[2].lower(), "")
    return _BY_PROTOCOL.get(str(entry.get("protocol")), "")


def site_text(place: Place, lines: Iterable[LineFound]) -> str:
    """The whole file."""
    lines, names = list(lines), set[str]()
    parts = ["# The first site file of this box, written by `ecosentry scan --write`. Every key: docs/site_file.md",
             "# Then: ecosentry check --live FILE   and   ecosentry run FILE", "", *_station(place)]
    for line in lines:
        parts += ["", *_line(line)]
    rows = [row for line in lines for row in _devices(line, names)]
    if rows:
        parts += ["", "# What was found. `interval` says how often each is read; left out, its profile decides.", "[devices]", *rows]
    parts += ["", "# Whom to tell when something is wrong, and where readings go: docs/alerts.md, docs/sinks.md",
              "# [rules.dust]", '# quantity = "pm2_5"', '# mean     = "1 h"', '# above    = "35 µg/m³"']
    return "\n".join(parts) + "\n"


def _station(place: Place) -> list[str]:
    rows = [f"[stations.{place.name}]", f'time_zone = "{place.time_zone}"          # hours and days are cut in it']
    if place.latitude is not None and place.longitude is not None:
        return [*rows, f"latitude  = {place.latitude}", f"longitude = {place.longitude}"]
    return [*rows, "# latitude  = 52.52               # copy both from a map", "# longitude = 13.40"]


def _line(line: LineFound) -> list[str]:
    baudrate, _, format_ = line.setting.partition(" ")
    remark = f"          # {line.remark}" if line.remark else ""
    rows = [f"[lines.{line.name}]", 'kind     = "serial"', f'port     = "{line.port}"{remark}', f"baudrate = {baudrate}", f'format   = "{format_}"']
    return [*rows, 'framing  = "ascii"'] if any(entry.get("framing") == "ascii" for entry in line.devices) else rows


def _devices(line: LineFound, names: set[str]) -> Iterable[str]:
    for entry in line.devices:
        profile, keys = profile_of(entry), [f'line = "{line.name}"']
        address = entry.get("address")
        if entry["protocol"] == "modbus":
            keys.append(f"address = {address}")
        elif entry["protocol"] in ("dlt645", "sdi12"):
            keys.append(f'address = "{address}"')
        name = _name(profile or f"unknown_{address or entry['protocol']}", names)
        row = f'{name} = {{ {", ".join(keys)}, profile = "{profile or "NAME"}" }}'
        if not profile:
            yield f"# {row}          # no profile fits: ecosentry probe {line.name} {address}"
            continue
        others = " or ".join(_others(entry, profile))
        remark = " ".join(filter(None, (str(entry.get("who", "")), f"may also be {others}" if others else "")))
        reasons = _reasons(entry, line.setting)
        yield from (f"# {name}: {reason}, then take the # away" for reason in reasons)
        yield ("# " if reasons else "") + row + (f"          # {remark}" if remark else "")


def _reasons(entry: Plain, setting: str) -> list[str]:
    """Why a device is not to be read before a person has looked at it."""
    reasons, fits = [], entry.get("looks_like")
    if entry.get("setting", setting) != setting:
        reasons.append(f"answers at {entry['setting']}, this line runs at {setting}: set the device to it")
    if isinstance(fits, list) and fits and not fits[0].get("sure"):
        values = values_text({name: value for name, value in fits[0].get("values", {}).items() if value is not None})
        reasons.append(f"only a guess: {fits[0]['fits']} of {fits[0]['of']} values could be its own ({values}): compare with its display")
    return reasons


def _others(entry: Plain, profile: str) -> list[str]:
    fits, profiles = entry.get("looks_like"), entry.get("profiles")
    named = [fit["profile"] for fit in fits if fit["fits"] == fit["of"]] if isinstance(fits, list) else list(profiles or ())  # type: ignore[call-overload]
    return [name for name in named if name != profile][:3]


def _name(wish: str, names: set[str]) -> str:
    base = re.sub(r"[^a-z0-9_]", "_", wish.lower())[:40]
    name = next(name for number in range(1, 1000) if (name := base if number == 1 else f"{base}_{number}") not in names)
    names.add(name)
    return name


def line_name(port: str, taken: Iterable[str]) -> str:
    """A short name for a port: usb1, usb2 …, or the device's own."""
    stem = "usb" if "usb" in port.lower() or "/serial/" in port else re.sub(r"[^a-z0-9]", "", Path(port).name.lower()) or "line"
    used = set(taken)
    return stem if stem not in used and stem != "usb" else next(f"{stem}{n}" for n in range(1, 1000) if f"{stem}{n}" not in used)


def box_zone(environment: Mapping[str, str] = os.environ) -> str:
    """The time zone of this box, as IANA names it."""
    if environment.get("TZ"):
        return environment["TZ"].removeprefix(":")
    link = Path("/etc/localtime")
    name = str(link.resolve()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    return name if re.fullmatch(r"[A-Za-z_+-]+(/[A-Za-z0-9_+-]+)*", name) else "UTC"
