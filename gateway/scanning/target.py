"""Where a scan or probe goes: a line of the site file, or a port; through the daemon, or by a port of our own."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError
from config.reading_site import SiteFile
from config.site import Line
from drivers.lines.serial import Options as SerialOptions
from gateway.building import journal_folder, load_site
from gateway.control import ask, socket_path


class NoTargetError(Exception):
    """There is no such line or port, in words."""


@dataclass(frozen=True, slots=True)
class Target:
    """A line, or a bare port."""

    name: str
    """As it was asked for."""
    file: SiteFile | None
    line: str = ""
    """The line of the site file, if it is one."""
    port: str = ""
    """The serial port, if it is one."""

    @property
    def table(self) -> Line | None:
        """The line's table."""
        return self.file.site.lines[self.line] if self.file is not None and self.line else None

    @property
    def serial(self) -> SerialOptions | None:
        """The options of a serial line of the site file, as its profiles fill them; None for a bare port and for other kinds."""
        options = self.table.options if self.table is not None else None
        return options if isinstance(options, SerialOptions) else None

    @property
    def socket(self) -> Path | None:
        """Where the daemon of the site would listen."""
        return None if self.file is None else socket_path(journal_folder(self.file.site))

    @property
    def devices(self) -> dict[str, object]:
        """Devices of the site file on the line, and their addresses."""
        if self.file is None or not self.line:
            return {}
        found: dict[str, object] = {}
        for name, device in self.file.site.devices.items():
            if device.common.line == self.line:
                address = getattr(device.options, "address", None)
                default = self.file.profiles[device.common.profile].file.default.get("address")
                found[name] = address if address is not None else default
        return found


def site_or_none(path: Path) -> SiteFile | None:
    """The site file if there is one. Raises ConfigError if it is wrong."""
    return load_site(path) if path.exists() else None


def find_target(name: str, site: Path) -> Target:
    """The line or port of that name. Raises NoTargetError, ConfigError if a line is asked for and the site file is wrong."""
    if name.startswith("/") or (name.startswith("tty") and Path("/dev", name).exists()):
        file, port = None, name if name.startswith("/") else f"/dev/{name}"
        with contextlib.suppress(ConfigError):  # a port can be looked at whatever the site file says
            file = site_or_none(site)
        return Target(name, file, _line_of(file, port), port)
    file = site_or_none(site)
    if file is None:
        raise NoTargetError(f"there is no site file {site}; name a port, as in /dev/serial/by-path/…  (ecosentry scan lists them)")
    if name not in file.site.lines:
        raise NoTargetError(f"{site} has no line {name}; it has {', '.join(file.site.lines) or 'none'}")
    return Target(name, file, name, str(getattr(file.site.lines[name].options, "port", "")) if file.site.lines[name].kind == "serial" else "")


def _line_of(file: SiteFile | None, port: str) -> str:
    """The line that has this port under whatever name."""
    real = Path(port).resolve()
    lines = file.site.lines.items() if file is not None else ()
    return next((name for name, line in lines if line.kind == "serial" and Path(str(getattr(line.options, "port", ""))).resolve() == real), "")


def daemon_ports(file: SiteFile | None) -> dict[str, str]:
    """Line by real device, of the ports that the running daemon has; empty if none runs."""
    if file is None or ask(socket_path(journal_folder(file.site)), "visits") is None:
        return {}
    return {str(Path(str(getattr(line.options, "port", ""))).resolve()): name for name, line in file.site.lines.items() if line.kind == "serial"}
