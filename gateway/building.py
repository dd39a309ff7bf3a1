"""From tables to parts: each line, driver, sink and channel is made of its plug-in and its options."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import cast

from config.find import ETC
from config.inputs import wired
from config.reading_site import SiteFile, read_site_file
from config.regime import SupplyTable
from config.site import Site
from config.table import Table
from config.units import duration_text
from drivers.blocks import LineSpeed
from drivers.driver import Asked, AskedLine, Device, Overhears, Told, ToldLine
from drivers.duty import Cycle, Duty
from drivers.gpio import OutputPin
from drivers.order import Obeys
from drivers.reading import Clock
from drivers.resting import RestingTold
from drivers.resting_asked import RestingAsked, RestingObedient
from gateway.clock import SystemClock
from gateway.contracts import Channel, Sink, Surroundings
from gateway.listening_first import ListenFirst
from gateway.plugins import Plugins
from gateway.preparing import Prepared
from gateway.secrets import Secrets
from gateway.supplies import Supplied, Supplies

VERSION = version("ecosentry")
SERVICE_STATE = Path("/var/lib/ecosentry")
"""systemd/ecosentry.service: StateDirectory."""
_DIRECTING = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line on which a device can be told something."""


def load_site(path: Path) -> SiteFile:
    """The site of a file with its profiles, every name in it found. Raises ConfigError with all problems."""
    return read_site_file(str(path), Plugins())


def journal_folder(site: Site) -> Path:
    """Where the journal of a site lies: as the file says, else $STATE_DIRECTORY, else beside the file.

    The journal of the installed service is found by those, too, who call the command by hand and have no $STATE_DIRECTORY.
    """
    beside = Path(site.file).absolute().parent
    if site.journal.path:
        return beside / site.journal.path
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if not state and beside == ETC:
        return SERVICE_STATE / "journal"
    return (Path(state) if state else beside) / "journal"


def check_one_way(line: str, drivers: Mapping[str, Asked | Told]) -> None:
    """A line either asks or listens. Raises ValueError if its devices want both."""
    asked = [name for name, driver in drivers.items() if isinstance(driver, Asked)]
    told = [name for name, driver in drivers.items() if isinstance(driver, Told)]
    if asked and told:
        raise ValueError(f"line {line}: {asked[0]} is asked and {told[0]} speaks by itself; give each a line of its own")


def check_codes(line: str, options: Table, drivers: Mapping[str, Asked | Told]) -> None:
    """One byte of a modem's is in every stream. Raises ValueError if a device speaks by itself on a line from which one is taken out.

    Of a device that is asked the length of the answer is known: there only an answer with such a heartbeat inside is lost, and asked again.
    """
    told = [name for name, driver in drivers.items() if isinstance(driver, Told)]
    short = [one for one in getattr(options, "codes", ()) if len(one) == 1]
    if told and short:
        raise ValueError(f"line {line}: {told[0]} speaks by itself, and of what it says every byte {short[0][0]:02X} would be taken for the modem's"
                         " registration or heartbeat; set the modem to one of four bytes or more")


def _overheard(line: str, device: str, driver: Asked | Told) -> Told:
    """The driver of a device on a line where another master asks. Raises ValueError if it can only be asked."""
    if isinstance(driver, Told):
        return driver
    if isinstance(driver, Overhears):
        return driver.overheard()
    raise ValueError(f'device {device}: line {line} has mode = "listen", and what this protocol answers to others cannot be read; only Modbus can')


class Builder:
    """Makes the parts of one site. Makes none twice: a line has one owner, a driver one line."""

    def __init__(self, file: SiteFile, clock: Clock | None = None) -> None:
        """`clock` says when supplies may be switched; left out = the box's own."""
        self._clock = clock or SystemClock("plausible", 0)
        self._supplies = Supplies(self._clock)
        self.switches: list[Supplied | Prepared] = []
        """What devices need before they measure; they tell nobody anything before they are bound to the orders of a line."""
        self._file = file
        self._site = file.site
        self._plugins = Plugins()
        self._secret: Callable[[str], str] = Secrets(file.site.file)

    def line(self, name: str) -> AskedLine | ToldLine:
        """A line, not yet open."""
        line = self._site.lines[name]
        return self._plugins.line(line.kind)(name, line.options, self._secret)

    def asked_line(self, name: str) -> AskedLine:
        """A line whose devices are asked; one that carries serial frames is listened to first."""
        options = self._site.lines[name].options
        return ListenFirst(name, cast("AskedLine", self.line(name)), options.listens_s if isinstance(options, LineSpeed) else 0.0)

    def is_called(self, name: str) -> bool:
        """Does the far side of this line connect to us?"""
        return self._site.lines[name].kind == "tcp_server"

    def drivers(self, line: str) -> dict[str, Asked | Told]:
        """The drivers of the devices on a line. Raises ConfigError or ValueError where a device cannot be."""
        drivers = {name: self.driver(name) for name, device in self._site.devices.items() if device.common.line == line}
        check_one_way(line, drivers)
        check_codes(line, self._site.lines[line].options, drivers)
        return drivers

    def driver(self, name: str) -> Asked | Told:
        """The driver of a device."""
        device = self._site.devices[name]
        profile = wired(self._file.profiles[device.common.profile], device.common.inputs)
        line = self._site.lines[device.common.line]
        driver = self._plugins.driver(profile.file.protocol)(
            Device(device.common.station, name, profile, device.options, line.options, self.interval_s(name), device.common.orders))
        if device.common.orders and not (isinstance(driver, Obeys) and driver.verbs):
            raise ValueError(f"device {name}: orders = true, but the profile {profile.name} has no [commands]; leave it out")
        if getattr(line.options, "mode", "") == "listen":
            driver = _overheard(device.common.line, name, driver)
        return self._regulated(name, driver)

    def _regulated(self, name: str, driver: Asked | Told) -> Asked | Told:
        """The driver of a device that sleeps between measurements. Raises ValueError where that cannot be."""
        device = self._site.devices[name].common
        line, ready_s = self._site.lines[device.line], device.ready or 0.0
        is_heard = getattr(line.options, "mode", "") == "listen"
        if device.before and device.duty is None and not is_heard:
            raise ValueError(f"device {name}: before = {list(device.before)} is done each time before it measures; "
                             "give it a duty (or write before = [], if it measures without)")
        if device.duty is None and device.supply is None:
            return driver
        key = "duty" if device.duty is not None else "supply"
        if is_heard or line.kind not in _DIRECTING:
            raise ValueError(f"device {name}: {key} needs a line that it can be told on, and line {device.line} is none; leave it out")
        verbs = driver.verbs if isinstance(driver, Obeys) else {}
        before_s = sum(verbs[verb].settle_s for verb in device.before or () if verb in verbs)
        duty = Duty(device.duty.every, device.duty.on, ready_s, before_s) if device.duty is not None else Duty(0.0, 0.0, ready_s)
        if duty.every_s and duty.awake_s >= duty.every_s:
            also = f", and the {before_s:g} s of what is done before," if before_s else ""
            raise ValueError(f"device {name}: duty leaves no time for sleep: ready and on together{also} must be shorter than every")
        if isinstance(driver, Told) and self.interval_s(name) > duty.on_s > 0:
            raise ValueError(f"device {name}: duty gives no value: it speaks every {duration_text(self.interval_s(name))} and is on for "
                             f"{duration_text(duty.on_s)}; make on as long as its interval at least, or correct interval")
        cycle = Cycle(duty)
        switch: Supplied | Prepared | None = self._supplied(name, device.supply) if device.supply is not None else None
        if device.before:
            switch = Prepared(name, device.before, switch)
            self.switches.append(switch)
        try:
            if isinstance(driver, Told):
                return RestingTold(driver, cycle, switch)
            return RestingObedient(driver, cycle, switch) if isinstance(driver, Obeys) else RestingAsked(driver, cycle, switch)
        except ValueError as error:
            raise ValueError(f"device {name}: duty: {error}") from error

    def _supplied(self, name: str, table: SupplyTable) -> Supplied:
        if table.device and (table.device == name or table.device not in self._site.devices):
            raise ValueError(f"device {name}: supply: there is no other device {table.device}")
        if table.device and self._site.devices[table.device].common.supply is not None:
            raise ValueError(f"device {name}: supply: {table.device} has a switched supply itself")
        if table.device and self._site.devices[table.device].common.duty is not None:
            raise ValueError(f"device {name}: supply: {table.device} sleeps itself, and would hear nothing then; leave out its duty")
        if table.device and not self._site.devices[table.device].common.orders:
            raise ValueError(f"device {name}: supply: {table.device} may not be told anything; it needs orders = true")
        pin = OutputPin(table.gpio, active_low=table.active_low) if table.gpio else None
        made = self._supplies.supply(name, table, pin)
        self.switches.append(made)
        return made

    def interval_s(self, name: str) -> float:
        """How often a device is asked, or is expected to speak: the site file's word, else the profile's."""
        device = self._site.devices[name]
        return device.common.interval or self._file.profiles[device.common.profile].file.interval

    def expected_s(self, name: str) -> float:
        """How often a device gives something at least: once in its duty cycle, or as often as it is asked."""
        duty = self._site.devices[name].common.duty
        return duty.every if duty is not None else self.interval_s(name)

    def sink(self, name: str, journal: str = "") -> Sink:
        """A sink, not yet connected; `journal` is the identity of the journal that it will follow."""
        sink = self._site.sinks[name]
        return self._plugins.sink(sink.kind)(sink.options, self._around(name, journal=journal))

    def channel(self, recipient: str) -> Channel:
        """The channel to one recipient, CHANNEL:ADDRESS."""
        name, _, address = recipient.partition(":")
        channel = self._site.channels[name]
        return self._plugins.channel(channel.kind)(channel.options, self._around(name, address))

    def _around(self, name: str, address: str = "", journal: str = "") -> Surroundings:
        return Surroundings(name, self._site, self._secret, VERSION, journal, address)
