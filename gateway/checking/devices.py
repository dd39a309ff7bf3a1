"""`ecosentry devices`: the device profiles of this box."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from config.device import Profile
from config.errors import ConfigError
from config.find import found
from config.inputs import DISTANCE, PRESSURE
from config.quantity import vocabulary
from config.reading_profile import ANY, read_profile
from config.units import duration_text
from config.wording import did_you_mean
from gateway.checking.proving import run_test
from gateway.plugins import KINDS

EVIDENCE = {"example": "bytes and values that were printed or captured decode as they should", "layout": "the map alone: compare with the display"}
MARKS = {"A": "maker", "B": "two sources", "C": "one source", "M": "memory", "S": "our simulation"}


def run_devices(words: list[str], *, test: str | None, as_json: bool, out: TextIO) -> int:
    """`ecosentry devices`; gives the exit code: 1 = a test failed or no profile has these words."""
    if test is not None:
        return run_test(test, as_json=as_json, out=out)
    profiles, broken = _all()
    if not as_json and broken:
        out.write("".join(f"{problem.file}: {problem.what}\n" for error in broken for problem in error.problems))
    if len(words) == 1 and words[0] in profiles:
        return _show(profiles[words[0]], as_json=as_json, out=out)
    chosen = [profile for profile in profiles.values() if all(word.lower() in _text(profile) for word in words)]
    if as_json:
        print(json.dumps({"format": 1, "profiles": [_plain(profile) for profile in chosen]}, ensure_ascii=False), file=out)
    elif chosen:
        _list(chosen, out)
    else:
        near = did_you_mean(" ".join(words), profiles, "ecosentry devices lists all")
        print(f"No profile has all of: {' '.join(words)}. → {near}", file=out)
    return 0 if chosen else 1


def _all() -> tuple[dict[str, Profile], list[ConfigError]]:
    profiles, broken = {}, []
    for name, file in found("devices").items():
        try:
            profiles[name] = read_profile(file, KINDS)
        except ConfigError as error:
            broken.append(error)
    return profiles, broken


def _text(profile: Profile) -> str:
    head = profile.file
    means = (one.quantity for one in head.inputs.values())
    return " ".join([profile.name, head.maker, head.model, head.medium, head.protocol, *profile.rows, *means]).lower()


def _origin(profile: Profile) -> str:
    return "packaged" if profile.packaged else str(Path(profile.path).parent)


def _size(profile: Profile) -> str:
    if ANY in profile.rows:
        return "any quantity"
    return f"{len(profile.rows)} quantit{'ies' if len(profile.rows) != 1 else 'y'}"


def _list(profiles: Sequence[Profile], out: TextIO) -> None:
    rows = [(p.name, f"{p.file.maker} {p.file.model}" if p.file.maker != "any" else p.file.model, p.file.protocol, _size(p),
             f"{p.file.verified} {MARKS[p.file.verified]}", _origin(p)) for p in profiles]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip(), file=out)


def _plain(profile: Profile) -> dict[str, object]:
    head = profile.file
    return {"name": profile.name, "maker": head.maker, "model": head.model, "medium": head.medium, "protocol": head.protocol,
            "quantities": list(profile.rows), "source": head.source, "verified": head.verified, "evidence": head.evidence,
            "interval_s": head.interval, "path": profile.path,
            "packaged": profile.packaged}


def _meaning(profile: Profile, name: str) -> list[str]:
    """What a count, a distance or a pressure of the water is good for."""
    quantity, _, terminal = name.partition(":")
    if one := profile.file.inputs.get(terminal):
        return [f"= {one.row}, each {one.each}"]
    if quantity in (DISTANCE, PRESSURE):
        return [f'→ inputs.{terminal} = {{ quantity = "water_level", height = "… m" }}']
    return []


def _show(profile: Profile, *, as_json: bool, out: TextIO) -> int:
    if as_json:
        print(json.dumps({"format": 1, **_plain(profile)}, ensure_ascii=False), file=out)
        return 0
    head = profile.file
    print(f"{profile.name}   {head.maker} {head.model}   {head.medium}, {head.protocol}, every {duration_text(head.interval)}", file=out)
    print(f"source    {head.source}  ({head.verified}: {MARKS[head.verified]})", file=out)
    print(f"evidence  {head.evidence}: {EVIDENCE[head.evidence]}", file=out)
    print(f"file      {profile.path}", file=out)
    if head.default:
        print(f"factory   {'  '.join(f'{key} {value}' for key, value in head.default.items())}", file=out)
    for name, row in profile.rows.items():
        known = vocabulary().get(name.partition(":")[0])
        keys = row.model_dump(mode="json", exclude_defaults=True, by_alias=True, exclude={"unit"})
        unit = "" if known is None or known.unit == "1" else known.unit
        written = [f"{key} {value}" for key, value in keys.items()] + _meaning(profile, name)
        print(f"  {name:<20} {unit:<10} {'  '.join(written)}".rstrip(), file=out)
    print(f'Use it:  NAME = {{ line = "…", profile = "{profile.name}" }}  under [devices]', file=out)
    return 0
