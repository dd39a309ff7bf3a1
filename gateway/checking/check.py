"""`ecosentry check`: is the site file right, does it fit the lines, what will happen."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TextIO

from config.errors import ConfigError, Halted
from config.reading_site import SiteFile, read_site_file
from config.site_rules import measured
from config.telling import told
from config.units import duration_text
from drivers.driver import Asked, Told
from gateway.building import Builder, check_codes, check_one_way
from gateway.checking.forecast import loads, notes, rule_text, warnings
from gateway.command_words import SITE
from gateway.exit_codes import Exit
from gateway.plugins import KINDS
from gateway.window_orders import check_orders


def run_check(site: str | None, *, live: bool, schema: bool, all_: bool, as_json: bool, out: TextIO, strict: bool = False) -> int:
    """`ecosentry check`; gives the exit code: 0 right, 78 wrong, 1 right but `live` found a fault.

    `strict`: a timetable that does not fit its line is wrong too, and is not tried.
    """
    if schema:
        from gateway.checking.schema import site_schema

        print(json.dumps(site_schema(KINDS), ensure_ascii=False, indent=1), file=out)
        return 0
    path = site or SITE
    try:
        file = read_site_file(path, KINDS)
        drivers = prove(file)
    except ConfigError as error:
        if as_json:
            print(json.dumps({"format": 1, "file": path, "ok": False, "problems": [asdict(p) for p in error.problems]}, ensure_ascii=False), file=out)
        else:
            print_problems(error, out)
        return Exit.CONFIG
    if all_:
        from gateway.checking.filled import filled

        out.write(filled(file.site))
        return 0
    fits = not strict or all(load.fits for load in loads(file.site, drivers))
    if live and fits:
        from gateway.checking.live_check import check_live

        return check_live(file, drivers, as_json=as_json, out=out)
    _print_json(file, drivers, out, fits=fits) if as_json else _print(file, drivers, out, fits=fits)
    return 0 if fits else Exit.CONFIG


def print_problems(error: ConfigError, out: TextIO) -> None:
    """Every problem with its place, a caret and the repair."""
    out.write(told(error.problems))


def prove(file: SiteFile) -> dict[str, Asked | Told]:
    """Makes every part of a site once, so that what a plug-in refuses is known before the start; gives the drivers.

    Nothing is opened or connected. Raises ConfigError with every refusal, at its place in the file.
    """
    builder, drivers = Builder(file), {}
    for name in file.site.devices:
        with _Placed(file, ("devices", name), f"device {name}: "):
            drivers[name] = builder.driver(name)
    for switch in builder.switches:
        with _Placed(file, ("devices", switch.device), f"device {switch.device}: "):
            switch.check(drivers)
    for name, planned in file.site.maintenance.items():
        with _Placed(file, ("maintenance", name, "orders"), ""):
            check_orders(planned, drivers)
    for name in file.site.lines:
        with _Placed(file, ("lines", name), f"line {name}: "):
            builder.line(name)
            mine = {device: driver for device, driver in drivers.items() if file.site.devices[device].common.line == name}
            check_one_way(name, mine)
            check_codes(name, file.site.lines[name].options, mine)
    for name in file.site.sinks:
        with _Placed(file, ("sinks", name), f"sink {name}: "):
            builder.sink(name).close()
    for name, subscription in file.site.subscriptions.items():
        for index, recipient in enumerate(subscription.to):
            path = ("subscriptions", name, "to")
            with _Placed(file, (*path, index) if (*path, index) in file.document.places else path, ""):
                builder.channel(recipient).close()
    file.document.finish()
    return drivers


class _Placed:
    """Turns what a plug-in refuses into a problem of the file. A missing secret is none: that is of this box, not of the file."""

    def __init__(self, file: SiteFile, path: tuple[str | int, ...], prefix: str) -> None:
        self._file, self._path, self._prefix = file, path, prefix

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ConfigError):
            self._complain(*((problem.what, problem.repair) for problem in error.problems))
        elif isinstance(error, ValueError):
            what, _, repair = str(error).partition("; ")
            self._complain((what, repair))
        return error is None or isinstance(error, ConfigError | ValueError | Halted)

    def _complain(self, *said: tuple[str, str]) -> None:
        where = ".".join(str(part) for part in self._path if isinstance(part, str))
        for what, repair in said:
            self._file.document.complain(self._path, f"{where}: {what.removeprefix(self._prefix)}", repair, on="value")


def _counts(file: SiteFile) -> dict[str, int]:
    site = file.site
    series = sum(1 for one in measured(site, file.profiles) if one.quantity != "*")
    return {"stations": len(site.stations), "lines": len(site.lines), "devices": len(site.devices), "series": series,
            "rules": len(site.rules), "subscriptions": len(site.subscriptions), "sinks": len(site.sinks)}


def _print(file: SiteFile, drivers: Mapping[str, Asked | Told], out: TextIO, *, fits: bool) -> None:
    site = file.site
    counted = [f"{count} {word if count != 1 else _single(word)}" for word, count in _counts(file).items() if count or word in ("devices", "series")]
    print(f"{site.file}   {', '.join(counted)}", file=out)
    for load in loads(site, drivers):
        print(load.text(), file=out)
    for index, (name, rule) in enumerate(site.rules.items()):
        print(f"{'rules' if index == 0 else '':<9} {rule_text(site, file.profiles, name, rule)}", file=out)
    for index, text in enumerate(_planned(file)):
        print(f"{'' if index else 'planned':<9} {text}", file=out)
    for note in notes(file):
        print(f"note      {note}", file=out)
    found = warnings(file)
    for warning in found:
        print(f"warning   {warning}", file=out)
    if not fits:
        names = [load.line for load in loads(site, drivers) if not load.fits]
        print(f"Too much for {', '.join(names)}: polls would be left out. Refused because of --strict.", file=out)
        return
    many = f", {len(found)} warning{'s' if len(found) != 1 else ''}" if found else ""
    print(f"OK{many}.  Not yet tried on the wire:  ecosentry check --live {site.file}", file=out)


def _planned(file: SiteFile) -> list[str]:
    """Planned work: of what, when, how long."""
    found = []
    for name, planned in file.site.maintenance.items():
        about = [f"{', '.join(getattr(planned, key))}" for key in ("station", "device", "quantity", "medium", "area") if getattr(planned, key)]
        settle = f" and {duration_text(planned.settle)} to settle" if planned.settle else ""
        found.append(f"{name}: {planned.kind} of {' / '.join(about)}, {'; '.join(planned.at)} for {duration_text(planned.lasts)}{settle}")
    return found


def _single(word: str) -> str:
    return word if word == "series" else word.removesuffix("s")


def _print_json(file: SiteFile, drivers: Mapping[str, Asked | Told], out: TextIO, *, fits: bool) -> None:
    found: dict[str, object] = {
        "format": 1, "file": file.site.file, "ok": fits, "problems": [], "warnings": warnings(file), "notes": notes(file), "counts": _counts(file),
        "lines": [{**asdict(load), "fits": load.fits} for load in loads(file.site, drivers)],
        "rules": [rule_text(file.site, file.profiles, name, rule) for name, rule in file.site.rules.items()],
        "planned": _planned(file)}
    print(json.dumps(found, ensure_ascii=False), file=out)
