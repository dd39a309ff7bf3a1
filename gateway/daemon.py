"""Builds the parts of a site, hands them to the supervisor and waits for the end; the only file that knows all parts.

Measuring starts without network, broker, database or true time: nothing here waits for any of them before READY=1.
"""

import gc
import logging
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import cast

from config.errors import ConfigError, Halted
from config.reading_site import SiteFile
from config.site import SinkTable
from drivers.driver import Asked, Remembers, Told, ToldLine
from gateway.alerts import iso
from gateway.alone import AlreadyRunning, Held, alone
from gateway.aloud import Aloud
from gateway.bell import Bell
from gateway.building import VERSION, Builder, journal_folder, load_site
from gateway.clock import SystemClock
from gateway.contracts import Sink
from gateway.control import ControlServer, socket_path
from gateway.core import Core
from gateway.courier import Courier
from gateway.exit_codes import Exit
from gateway.gap_ledger import plain
from gateway.health import LineHealth
from gateway.intake import Intake
from gateway.journal.archiving import FileHarmed
from gateway.journal.progress import Requeue
from gateway.journal.reader import Reader
from gateway.journal.records import Sealed
from gateway.journal.rescuing import bring_back
from gateway.journal.sealing import Sealer
from gateway.journal.verifying import verify
from gateway.journal.writer import JournalDamaged, JournalError, JournalMoved, Writer
from gateway.maintaining import Maintaining
from gateway.notify import listened, notify, watchdog_s
from gateway.ordering import Ordering
from gateway.orders import Orders
from gateway.outbox import Messenger
from gateway.overview import Overview
from gateway.power import STOPPED, PowerWatch, Stopped, await_supply
from gateway.recalling import Recalling
from gateway.step import warm_up
from gateway.supervisor import Supervisor
from gateway.timetable import Nightly, Timetable
from gateway.visiting import Place, Visited, Visiting
from gateway.visits import Visits
from gateway.window_orders import WindowOrders
from gateway.wiring import Expected

log = logging.getLogger("ecosentry")
_LINES, _CAN_WAIT, _ONWARD, _CORE = 0, 1, 2, 3
"""In this order they stop; what can wait also when the supply is low."""
_STOP_S = 5.0
_BEFORE_AGAIN_S = 35.0
"""As a service it ends so late with a journal that cannot be opened: starts that follow each other faster are forbidden after twenty of them."""
_STUCK_S = 20.0
"""A core that has not turned for so long is stuck: the watchdog is no longer fed."""


class Daemon:
    """The running house of one site."""

    def __init__(self, file: SiteFile, journal: Held) -> None:
        self.site = site = file.site
        self._build = Builder(file)
        self._folder = folder = journal.folder
        self._began = time.time_ns()
        self._turned = time.monotonic()
        self.bell = Bell()
        self.intake = Intake()
        self.writer = Writer(folder)
        with Reader(folder) as reader:
            last = reader.last_event()
        self.clock = SystemClock(site.clock.trust, last.now if last and last.sure else 0)
        self.supervisor = Supervisor()
        self.health: list[LineHealth] = []
        self._expected: list[Expected] = []
        self._visited: dict[str, Visited] = {}
        self._told: dict[str, str] = {}
        self._obeying: dict[str, Orders] = {}
        self._remembering: dict[str, tuple[str, Remembers, Visits]] = {}
        self._first: dict[str, Sink] = {}
        self._for_power = False
        self._code = Exit.BROKEN
        """How it ends when the core has failed."""
        self._brings_back = False
        self.failed = Event()
        self._power = PowerWatch(site, folder, self.bell, self._shed, self.supervisor.start, self._halt) if site.power.device else None
        self._notes = [site.console.note] if site.console.note else []
        self._aloud = Aloud(self._build.channel)
        self._status = ""
        self._lines()
        self.core = Core(self.writer, site, self._expected, self.clock, self.intake, self.bell.ring, VERSION, self._words_of, self._aloud.say)

    # ── building ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _lines(self) -> None:
        from gateway.listener import Listener
        from gateway.poller import Poller

        for name, table in self.site.lines.items():
            mine = self._build.drivers(name)
            stations = {device: self.site.devices[device].common.station for device in mine}
            health = LineHealth(name, table.kind, stations, table.common.where)
            self.health.append(health)
            asked = {device: driver for device, driver in mine.items() if isinstance(driver, Asked)}
            told = {device: driver for device, driver in mine.items() if isinstance(driver, Told)}
            self._expected += [Expected(s, g.expected_s or g.interval_s, False) for d in asked.values() for g in d.groups() for s in g.series]
            self._expected += [Expected(s, period, True) for d in told.values() for s, period in d.expected()]
            if told:
                intervals_s = {device: self._build.expected_s(device) for device in told}
                self._told[name] = table.kind
                listener = Listener(name, cast("ToldLine", self._build.line(name)), told, self.clock, self.intake.deliver, health, intervals_s)
                self.supervisor.add(f"line {name}", listener.run, _LINES)
            elif asked:
                poller = Poller(name, self._build.asked_line(name), asked, self.clock, self.intake.deliver, health, tell=self.intake.tell)
                self._remembering |= {device: (name, driver, poller.visits) for device, driver in asked.items()
                                      if isinstance(driver, Remembers) and driver.remembered}
                self._obeying |= dict.fromkeys(poller.obeying, poller.orders)
                self._visited[name] = Visited(Place(name, table.kind, table.options, asked), poller.visits)
                self.supervisor.add(f"line {name}", poller.run, _LINES)

        for switch in self._build.switches:
            switch.bind(self._obeying)

    def _onward(self) -> None:
        with Reader(self._folder) as reader:
            journal = str(reader.meta("journal_id"))
        for name, table in self.site.sinks.items():
            self._first[name] = self._build.sink(name, journal)  # what is wrong with it is said now
            self.supervisor.add(f"sink {name}", partial(self._carry, name, table.common, journal), _CAN_WAIT)
        for recipient in sorted({to for s in self.site.subscriptions.values() for to in s.to}):
            messenger = Messenger(recipient, self._build.channel(recipient), self._folder, self.intake, self.bell, self.clock)
            self.supervisor.add(f"to {recipient}", messenger.run, _ONWARD)
        if self.site.subscriptions:
            self.supervisor.add("aloud", self._aloud.run, _ONWARD)

    def _carry(self, name: str, choice: SinkTable, journal: str, stop: Event) -> None:
        """The worker of one sink; each run has a sink of its own, for a run closes it."""
        sink = self._first.pop(name, None) or self._build.sink(name, journal)
        Courier(name, sink, choice, self.site, self._folder, self.intake, self.bell, clock=self.clock).run(stop)

    def _faces(self) -> Overview:
        overview = Overview(self._folder, self.site, VERSION, self.clock, self.health, self._facts)
        control = ControlServer(socket_path(self._folder), {
            "status": lambda _: overview.status(), "alerts": lambda _: overview.alerts(50), "requeue": self._requeue,
            **Visiting(self._visited, self._told).words(), **self._ordering().words(),
            **Maintaining(self._folder, self.site, self.clock, self.intake.tell).words()})
        self.supervisor.add("control", control.run, _ONWARD)
        zone = next(iter(self.site.stations.values())).time_zone
        self._check = Nightly("check of the journal", 3, 30, self._verify)
        if self._remembering:
            self.supervisor.add("recalling", Recalling(self._folder, self.intake.deliver, self._remembering).run, _ONWARD)
        telling = WindowOrders(self.site, self._folder, self.clock, self._obeying, self.intake.tell)
        if telling.is_needed:
            telling.step()  # before the first reading: one may be on its gas still
            self.supervisor.add("maintenance", telling.run, _ONWARD)
        self.supervisor.add("sealing", Sealer(self._folder, self.site.journal, self.intake.tell).run, _CAN_WAIT)
        self.supervisor.add("timetable", Timetable(zone, [self._check]).run, _ONWARD)
        if self.site.console.enabled:
            from gateway.console.server import ConsoleServer

            self.supervisor.add("console", lambda stop: ConsoleServer(overview, self.site.console.listen, VERSION).run(stop), _CAN_WAIT)
        return overview

    def _words_of(self, device: str) -> str:
        """What its line says of a device just now."""
        return next(filter(None, (line.why(device) for line in self.health)), "")

    def _ordering(self) -> Ordering:
        """Who may be told something, and why the others may not."""
        forbidden = "nothing is written to it unless the site file allows it: orders = true"
        return Ordering(self._folder, self._obeying, {
            name: "is only listened to: nothing is sent on its line" if device.common.line in self._told else forbidden
            for name, device in self.site.devices.items() if name not in self._obeying})

    def _requeue(self, asked: Mapping[str, object]) -> bool:
        """What a sink refused is to be sent again; True = it will be, with the next commit."""
        name = str(asked.get("sink"))
        if name in self.site.sinks:
            self.intake.tell(Requeue(name))
        return name in self.site.sinks

    def _verify(self) -> tuple[bool, str]:
        """Is the journal whole? A card that rots is found the night after, not when the figures are needed."""
        harmed: list[tuple[Sealed, str]] = []
        try:
            bad = [f"{finding.name}: {finding.words}" for finding in verify(self._folder, lambda *found: harmed.append(found)) if not finding.good]
            for entry, why in harmed:
                self.intake.tell(FileHarmed.found(self._folder, entry, why))
        except JournalError as error:
            bad = [str(error)]
        return not bad, "; ".join(bad) or f"whole at {iso(time.time_ns())}"

    def _facts(self) -> dict[str, object]:
        workers = [{"name": w.name, "restarts": w.restarts, "words": w.words} for w in self.supervisor.workers if w.restarts]
        return {"since": iso(self._began), "trouble": self.core.trouble, "queue": self.intake.rows, "workers": workers, "unwell": self._unwell(),
                "notes": self._notes + ([self._power.words] if self._power and self._power.words else []),
                "gaps": [plain(gap) for gap in self.core.open_gaps()], "checked": self._check.words}

    def _unwell(self) -> list[str]:
        """Why a monitor is to be alarmed; a device or a server that is away is no reason."""
        found = [f"journal: {self.core.trouble}"] if self.core.trouble else []
        if self.failed.is_set() or self._still_s() > _STUCK_S:
            found.append("the core stands still")
        return found + [f"worker {name} is down" for name in self.supervisor.down()]

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def run(self, stop: Event) -> int:
        """Run until `stop`; gives the exit code: 0 a clean end, 75 the supply is low, 70 the core failed, 74 the journal cannot be written."""
        self._stop_wanted = stop
        self._await_supply(stop)
        began = time.monotonic()
        warm_up()
        self.core.start()
        log.info("journal %s: %d events, state restored in %.1f s", self._folder, self.writer.next_event - 1, time.monotonic() - began)
        self._onward()
        overview = self._faces()
        gc.collect()
        gc.freeze()  # else the collector walks through all modules whenever many rows are read, and a commit waits for it
        self.supervisor.add("core", self._core, _CORE)
        self._start()
        self._say_status("READY=1")
        log.info("ready: %d devices on %d lines, %d rules", len(self.site.devices), len(self.site.lines), len(self.site.rules))
        self._wait(stop)
        code = self._stop()
        overview.close()
        return code

    def _await_supply(self, stop: Event) -> None:
        """After a stop for the supply: nothing starts before it is back."""
        with Reader(self._folder) as reader:
            waits = self.site.power.device and reader.meta(STOPPED)
        if waits:
            notify("READY=1", "STATUS=waiting for the supply")
            await_supply(self.site, self._build, self.clock, stop, lambda: notify("WATCHDOG=1"))
            self.intake.tell(Stopped(stop.is_set()))

    def _start(self) -> None:
        if self._power is not None:
            self.supervisor.add("supply", self._power.run, _ONWARD)
        self.supervisor.start()

    def _shed(self) -> None:
        """The supply is low: what can wait stops."""
        self.supervisor.rest(_CAN_WAIT, time.monotonic() + _STOP_S)

    def _halt(self) -> None:
        """The supply is as good as gone: all that is known is committed, and the daemon stops until it is back."""
        self.intake.tell(Stopped(True))
        self._for_power = True
        self._stop_wanted.set()

    def _still_s(self) -> float:
        """How long the core has neither turned nor tried to write the journal."""
        return time.monotonic() - max(self._turned, self.core.tried)

    def _fed(self) -> None:
        """Feed the watchdog while the core turns, or waits for a journal that cannot be written: a new start would not help, and lose what waits."""
        if watchdog_s() and (self._brings_back or self._still_s() < _STUCK_S):
            notify("WATCHDOG=1")

    def _say_status(self, *more: str) -> None:
        """What `systemctl status` shows, if it has changed."""
        trouble = self.core.trouble
        words = f"journal: {trouble}" if trouble else f"{len(self.site.devices)} devices on {len(self.site.lines)} lines"
        if words != self._status:
            self._status = words
            notify(*more, f"STATUS={words}")

    def _core(self, stop: Event) -> None:
        try:
            while not stop.is_set():
                self.core.cycle(1.0)
                self._turned = time.monotonic()
        except JournalMoved as error:
            self._bring_back(error)
        except JournalError:
            if not self.core.give_up.is_set():
                raise
        except Exception:
            log.exception("the core failed; the daemon ends so that it can start from what is committed")
            self.failed.set()

    def _bring_back(self, error: JournalMoved) -> None:
        """Nothing more is acknowledged; what was goes where the next start finds it, and tells of it. Where that fails people hear it now."""
        log.critical("journal: %s", error)
        self._brings_back, self._code = True, Exit.DISK
        if isinstance(error, JournalDamaged):
            log.critical("journal: the daemon ends; its next start salvages what can be read")
            self.failed.set()
            return
        try:
            log.critical("journal: %s; the daemon ends, and goes on at its next start", bring_back(self.writer, str(error)))
        except JournalError as worse:
            log.critical("journal: it cannot be brought back: %s", worse)
            self.core.cry(f"{error}; it cannot be brought back: {worse}")
        self.failed.set()

    def _wait(self, stop: Event) -> None:
        every = watchdog_s()
        while not stop.wait(min(1.0, every / 3 if every else 1.0)) and not self.failed.is_set():
            self._fed()
            self._say_status()

    def _stop(self) -> int:
        """Lines first, then those who send, then the core commits what is left and keeps its state."""
        notify("STOPPING=1")
        self.core.hold_time()
        deadline = time.monotonic() + _STOP_S
        self.supervisor.stop(_LINES, deadline - 3.0)
        self.supervisor.stop(_CAN_WAIT, deadline - 2.0)
        self.supervisor.stop(_ONWARD, deadline - 1.5)
        self.core.give_up.set()
        stuck = self.supervisor.stop(_CORE, deadline - 1.0)
        if stuck or self.failed.is_set():
            return self._code
        try:
            self.core.stop()
            self.writer.close()
        except JournalMoved as error:
            self._bring_back(error)
            return self._code
        except JournalError as error:
            log.critical("journal: %s", error)
            return Exit.DISK
        log.info("stopped")
        return Exit.POWER if self._for_power else 0


def run(path: str) -> int:
    """`ecosentry run SITE`: read the file, run, give the exit code."""
    from gateway.checking.check import print_problems, prove

    try:
        file = load_site(Path(path))
        prove(file)
    except ConfigError as error:
        print_problems(error, sys.stderr)
        return Exit.CONFIG
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with alone(journal_folder(file.site)) as journal:
            return Daemon(file, journal).run(stop)
    except Halted as error:  # a line cannot even be tried without its secret
        print(f"{path}: {error}", file=sys.stderr)
        return Exit.CONFIG
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return Exit.UNAVAILABLE
    except JournalError as error:
        print(error, file=sys.stderr)
        if listened():
            notify(f"STATUS={error}")
            stop.wait(_BEFORE_AGAIN_S)
        return Exit.DISK
