"""Profiles and drivers for tests, without site files."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from config.device import Profile, ProfileFile
from config.table import Table
from drivers.driver import Device
from drivers.lines import serial, tcp
from drivers.protocols import modbus


def profile(rows: Mapping[str, Mapping[str, object]], name: str = "test", **keys: object) -> Profile:
    """A profile with these rows (unit filled in); further keys go into the file."""
    table = {"maker": "test", "model": name, "medium": "water", "protocol": "modbus", "source": "test", "verified": "S", "interval": "1 s",
             "quantities": {key: {"unit": "1"} | dict(row) for key, row in rows.items()}} | keys
    return checked(name, ProfileFile.model_validate(table))


def packaged(name: str) -> Profile:
    """A shipped profile."""
    return from_file(Path(str(files("config"))) / "devices" / f"{name}.toml")


def from_file(path: Path) -> Profile:
    return checked(path.stem, ProfileFile.model_validate(tomllib.loads(path.read_text("utf-8"))))


def checked(name: str, file: ProfileFile) -> Profile:
    rows: dict[str, Table] = {key: modbus.Row.model_validate(row) for key, row in file.quantities.items()}
    return Profile(name=name, path="", packaged=True, file=file, rows=rows, timing=modbus.Timing.model_validate(file.timing),
                   commands={key: modbus.Command.model_validate(command) for key, command in file.commands.items()},
                   status={key: modbus.Status.model_validate(status) for key, status in file.status.items()},
                   history=modbus.History.model_validate(file.history) if file.history else None)


def driver(
    of: Profile, line: serial.Options | tcp.Options | None = None, name: str = "probe", interval_s: float = 1.0, may_obey: bool = False,
    **options: object,
) -> modbus.Driver:
    chosen = line or serial.Options(port="none", baudrate=9600)
    return modbus.Driver(Device("st", name, of, modbus.Options.model_validate(options), chosen, interval_s, may_obey))
