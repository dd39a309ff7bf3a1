"""Ports, brokers and converters, looked at without disturbing who uses them: a running daemon is asked how its lines are."""

import grp
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import cast

from config.errors import ConfigError, Halted
from config.reading_site import SiteFile
from drivers.driver import Told, ToldLine
from gateway.building import Builder
from gateway.checking.live_check import Ears
from gateway.clock import SystemClock
from gateway.dial import Errand, dial, in_words
from gateway.doctor.finding import Finding

_PATIENCE_S = 10.0
_SERVICE_GROUP = "dialout"
"""systemd/ecosentry.service: SupplementaryGroups."""
_UNIT = Path("/usr/local/lib/systemd/system/ecosentry.service")


def lines(file: SiteFile, status: Mapping[str, object] | None) -> Iterator[Finding]:
    """Every line; `status` is the running daemon's, None if there is none."""
    told = {str(one["name"]): one for one in cast("list[Mapping[str, object]]", status["lines"])} if status else {}
    for name, line in file.site.lines.items():
        port = getattr(line.options, "port", None)
        if line.kind == "serial" and isinstance(port, str):
            yield from serial_port(f"line {name}", Path(port))
        if name in told:
            yield _as_told(name, told[name])
        elif line.kind == "mqtt":
            yield _broker(file, name)
        elif line.kind == "tcp":
            yield _converter(name, str(getattr(line.options, "host", "")), int(getattr(line.options, "port", 0)))
    if any(line.kind == "serial" for line in file.site.lines.values()):
        yield _brltty()


def _as_told(name: str, line: Mapping[str, object]) -> Finding:
    state, words = str(line["state"]), str(line["words"])
    if state == "lost":
        return Finding("red", f"line {name}", f"the daemon says: {words or state}", "ecosentry status shows its devices")
    return Finding("ok", f"line {name}", f"the daemon says: {state}")


def serial_port(name: str, port: Path, *, unit: Path = _UNIT) -> Iterator[Finding]:
    """Is it there, and may it be opened by us, and by the service?"""
    try:
        found = port.stat()
    except FileNotFoundError:
        yield Finding("red", name, f"{port} is not there: is the adapter plugged in?", "ecosentry scan lists the ports of this box")
        return
    except PermissionError:
        yield Finding("red", name, f"{port}: no permission to look", "sudo ecosentry doctor")
        return
    if not stat.S_ISCHR(found.st_mode):
        yield Finding("red", name, f"{port} is no port", "ecosentry scan lists the ports of this box")
        return
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    if not os.access(port, os.R_OK | os.W_OK):
        yield Finding("red", name, f"{port}: no permission, it belongs to group {group}", f"sudo usermod -aG {group} $USER, then log in again")
    elif unit.exists() and group != _SERVICE_GROUP:
        yield Finding("yellow", name, f"{port} belongs to group {group}, and the service is in {_SERVICE_GROUP}",
                      f"sudo systemctl edit ecosentry:  [Service] SupplementaryGroups={group}")
    else:
        yield Finding("ok", name, f"{port} can be opened")


def _brltty() -> Finding:
    if shutil.which("brltty"):
        return Finding("yellow", "brltty", "takes CH340 adapters away", "sudo apt remove brltty")
    return Finding("ok", "brltty", "is not there")


def _broker(file: SiteFile, name: str) -> Finding:
    """As a visitor: a session of its own, from which nothing is taken."""
    try:
        builder = Builder(file)
        line = cast("ToldLine", builder.line(name))
        drivers = {device: driver for device, driver in builder.drivers(name).items() if isinstance(driver, Told)}
    except (ConfigError, ValueError, Halted) as error:
        return Finding("red", f"broker {name}", str(error))
    ears, over = Ears(name, drivers), Event()
    worker = Thread(target=lambda: line.visitor().run(drivers, ears.deliver, over, SystemClock(), ears), name=f"visit {name}", daemon=True)
    worker.start()
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and not ears.is_open and not ears.trouble:
        time.sleep(0.05)
    over.set()
    worker.join(_PATIENCE_S)
    if ears.is_open:
        return Finding("ok", f"broker {name}", "lets us in")
    return Finding("red", f"broker {name}", ears.trouble or f"no answer in {_PATIENCE_S:g} s", "is the broker running? address, user, password?")


def _converter(name: str, host: str, port: int) -> Finding:
    errand = Errand()
    errand.begin(time.monotonic() + _PATIENCE_S)
    try:
        dial(host, port, errand).close()
    except OSError as error:
        return Finding("red", f"line {name}", str(in_words(error, f"{host}:{port}")), "is it on? are host and port right?")
    return Finding("ok", f"line {name}", f"{host}:{port} takes connections")
