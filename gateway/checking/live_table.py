"""The table of `ecosentry check --live`: what each device, sink and recipient gave, and why one gave nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

from config.quantity import vocabulary
from config.site import Site

_MOST_VALUES = 6


@dataclass(slots=True)
class Result:
    """What the try of one device, sink or recipient gave."""

    kind: str
    """device, sink or recipient"""
    name: str
    line: str = ""
    good: bool = False
    words: str = ""
    repair: str = ""
    seconds: float | None = None
    values: dict[str, float | None] = field(default_factory=dict)
    """By quantity (quantity:channel); None = asked and not given."""


def _quality(site: Site, result: Result) -> str:
    """good, or the quantities that are outside of what is possible."""
    outside, missing = [], []
    for name, value in result.values.items():
        quantity = name.partition(":")[0]
        own = site.devices[result.name].common.quality.get(quantity)
        low, high = (own.range[0].value, own.range[1].value) if own and own.range else vocabulary()[quantity].plausible
        if value is None:
            missing.append(name)
        elif not low <= value <= high:
            outside.append(f"{name} outside {low:g}..{high:g}")
    return "; ".join(outside + ([f"no {', '.join(missing)}"] if missing else [])) or "good"


def _values(result: Result) -> str:
    shown = []
    for name, value in list(result.values.items())[:_MOST_VALUES]:
        known = vocabulary()[name.partition(":")[0]]
        figure = "–" if value is None else f"{value:.{known.decimals}f}"
        shown.append(f"{name} {figure}{'' if known.unit == '1' else ' ' + known.unit}")
    more = len(result.values) - _MOST_VALUES
    return "   ".join(shown) + (f"   and {more} more" if more > 0 else "")


def print_table(site: Site, results: Sequence[Result], out: TextIO) -> None:
    """A row for each device, sink and recipient; a cause and a repair for each that failed."""
    print(f"{site.file}   {_many(len(site.lines), 'line')}, {_many(len(site.devices), 'device')}. Read once; nothing stored, nothing sent.", file=out)
    told = _together(results)
    width = max((len(r.name) for r in told if r.kind == "device"), default=0)
    wide = max((len(r.line) for r in told), default=0)
    before = None
    for result in told:
        if result.kind == "device":
            head = f"{'' if result.line == before else result.line:<{wide}}   {result.name:<{width}}   "
            before = result.line
            seconds = "" if result.seconds is None else f"{result.seconds * 1000:.0f} ms" if result.seconds < 1 else f"{result.seconds:.1f} s"
            print(head + (f"{_values(result)}   {seconds}   {_quality(site, result)}" if result.good else result.words), file=out)
        else:
            head = f"{result.name:<{wide}}   "
            print(head + ("ok: " if result.good else "FAILED: ") + result.words, file=out)
        if result.repair:
            print(f"{'':<{len(head)}}→ {result.repair}", file=out)
    silent = sum(not r.good for r in results if r.kind == "device")
    failed = sum(not r.good for r in results if r.kind != "device")
    said = [f"{_many(silent, 'device')} gave no value"] if silent else []
    said += [f"{_many(failed, 'login')} failed"] if failed else []
    print(f"{', '.join(said)}." if said else f"OK. Next:  ecosentry run {site.file}", file=out)


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"


def _together(results: Sequence[Result]) -> list[Result]:
    """Devices of a line that failed for one and the same reason are told as one."""
    found: list[Result] = []
    for result in results:
        last = found[-1] if found else None
        same = last and (last.kind, last.line, last.good, last.words) == (result.kind, result.line, False, result.words)
        if last and same and result.kind == "device":
            found[-1] = replace(last, name=f"{last.name}, {result.name}")
        else:
            found.append(result)
    return found


def print_json(site: Site, results: Sequence[Result], out: TextIO) -> None:
    """The same as one JSON object."""
    listed: dict[str, list[dict[str, object]]] = {"devices": [], "sinks": [], "recipients": []}
    for result in results:
        one: dict[str, object] = {"name": result.name, "ok": result.good, "words": result.words, "repair": result.repair}
        if result.kind == "device":
            one |= {"line": result.line, "seconds": result.seconds, "values": result.values, "quality": _quality(site, result) if result.good else ""}
        listed[f"{result.kind}s"].append(one)
    print(json.dumps({"format": 1, "file": site.file, "ok": all(r.good for r in results), **listed}, ensure_ascii=False), file=out)
