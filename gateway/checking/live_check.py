"""`ecosentry check --live`: opens each line, reads every device once, logs in everywhere; stores nothing, sends nothing."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event, Lock, Thread
from typing import TextIO, cast

from config.errors import ConfigError, DeviceError, Gone, Halted, LineError, Refused, Unavailable
from config.input_table import Input
from config.inputs import PULSES
from config.reading_site import SiteFile
from drivers.driver import Asked, AskedLine, Told, ToldLine, Trouble, Wire, finish
from drivers.likely import behind
from drivers.reading import Batch, Delivery
from drivers.resting import RestingTold, Rests
from gateway.building import Builder
from gateway.checking.live_table import Result, print_json, print_table
from gateway.clock import SystemClock
from gateway.contracts import Channel, Sink

LISTEN_S = 60.0
"""So long a device that speaks by itself is waited for, unless it says less often than that that it speaks."""
_LOGIN_S = 20.0
_SUPPLY = "its supply may be off: check --live switches nothing; the daemon does"
_TRIES = 3
_REFUSALS = 2


def check_live(
    file: SiteFile, drivers: Mapping[str, Asked | Told], *, as_json: bool, out: TextIO, listen_s: float = LISTEN_S, stop: Event | None = None,
) -> int:
    """Prints a table with a cause for each failure; exit code 0, or 1 if anything failed. Lines are tried side by side."""
    stop = stop or Event()
    site, builder = file.site, Builder(file)
    work: list[Callable[[], list[Result]]] = []
    for name in site.lines:
        mine = {device: driver for device, driver in drivers.items() if site.devices[device].common.line == name}
        work.append(partial(_line, builder, name, mine, listen_s, stop))
    work += [partial(login, "sink", name, partial(builder.sink, name)) for name in site.sinks]
    recipients = dict.fromkeys(to for subscription in site.subscriptions.values() for to in subscription.to)
    work += [partial(login, "recipient", to, partial(builder.channel, to)) for to in recipients]
    with ThreadPoolExecutor(max(1, len(work))) as pool:
        try:
            found = [result for future in [pool.submit(job) for job in work] for result in future.result()]
        finally:
            stop.set()
    for result in found:
        if result.kind == "device":
            result.values = _meant(result.values, site.devices[result.name].common.inputs)
    print_json(site, found, out) if as_json else print_table(site, found, out)
    return 0 if all(result.good for result in found) else 1


# ── lines ──
def _line(builder: Builder, name: str, drivers: Mapping[str, Asked | Told], listen_s: float, stop: Event) -> list[Result]:
    if not drivers:
        return []
    try:
        line = builder.line(name)
    except (ConfigError, ValueError, Halted) as error:
        return [Result("device", device, name, words=str(error)) for device in drivers]
    told = {device: driver for device, driver in drivers.items() if isinstance(driver, Told)}
    if told:
        return _listen(name, cast("ToldLine", line), told, listen_s, stop, waits=builder.is_called(name))
    return _ask(name, builder.asked_line(name), {device: driver for device, driver in drivers.items() if isinstance(driver, Asked)}, stop,
                listen_s if builder.is_called(name) else 0.0)


def _opened(line: AskedLine, stop: Event, clock: SystemClock, call_s: float) -> Wire:
    """The line, open; for one whose far side connects to us it is waited so long."""
    until = time.monotonic() + call_s
    while True:
        try:
            return line.open(stop, clock)
        except LineError:
            if time.monotonic() >= until or stop.wait(0.2):
                raise


def _ask(name: str, line: AskedLine, drivers: Mapping[str, Asked], stop: Event, call_s: float = 0.0) -> list[Result]:
    found: list[Result] = []
    clock = SystemClock()
    try:
        wire = _opened(line, stop, clock, call_s)
        for device, resting in drivers.items():
            driver, may_be_off = resting.unrested() if isinstance(resting, Rests) else (resting, False)
            result = Result("device", device, name)
            found.append(result)
            for group in driver.groups():
                for tried in range(1, _TRIES + 1):
                    began = time.monotonic()
                    try:
                        _take(result, [finish(driver.poll(group, wire), wire)], time.monotonic() - began)
                        break
                    except DeviceError as error:
                        result.good, result.words = False, f"{error}, {tried} tr{'ies' if tried > 1 else 'y'}"
                        result.repair = _SUPPLY if may_be_off and error.cause == "silent" else behind(error)
                    if stop.is_set():
                        return found
    except LineError as error:
        found = [r for r in found if r.words or r.values]
        found += [Result("device", d, name, words=str(error), repair=_line_repair(str(error))) for d in drivers if d not in {r.name for r in found}]
    finally:
        line.close()
    return found


def _line_repair(words: str) -> str:
    lower = words.lower()
    if "busy" in lower or "in use" in lower or "lock" in lower:
        return "is the daemon running? ecosentry status shows its values"
    if "permission" in lower:
        return "sudo usermod -aG dialout $USER, then log in again"
    if "has not connected" in lower:
        return "is it on, with signal? its server address, port and registration packet?"
    if "refused" in lower:
        return "nothing listens there: is it on? are host and port right?"
    return ""


class Ears:
    """Takes what a told line delivers, and what it reports; thread-safe."""

    def __init__(self, name: str, drivers: Mapping[str, Told]) -> None:
        self.results = {device: Result("device", device, name) for device in drivers}
        self.others = 0
        self.trouble = ""
        self.is_open = False
        self.refusals = 0
        """So often it could not even be opened."""
        self.all_heard = Event()
        self._began = time.monotonic()
        self._lock = Lock()

    def deliver(self, delivery: Delivery, wait_s: float) -> bool:
        """Keeps the values for the table; the session is a visitor's, so acknowledging takes nothing from the daemon's."""
        with self._lock:
            for batch in delivery.batches:
                for device in {series.device for series in batch.series}:
                    _take(self.results[device], [batch], time.monotonic() - self._began)
            if delivery.receipt is not None:
                delivery.receipt.release()
            if all(result.good for result in self.results.values()):
                self.all_heard.set()
        return True

    def opened(self, words: str = "") -> None:
        """See Report."""
        self.is_open, self.trouble = True, words

    def lost(self, words: str) -> None:
        """See Report."""
        self.trouble = words
        self.refusals += not self.is_open

    def answered(self, device: str, mono_ns: int, words: str = "") -> None:
        """See Report."""

    def failed(self, device: str, cause: str, words: str) -> None:
        """See Report."""
        with self._lock:
            result = self.results.get(device)
            if result is not None and not result.good:
                result.words = words

    def count(self, cause: str, times: int = 1) -> None:
        """See Report."""
        self.others += times if cause == "unwanted" else 0

    def withheld(self, device: str, trouble: Trouble | None) -> None:
        """See Report."""

    def noted(self, words: str) -> None:
        """See Report."""
        self.trouble = words

    def alive(self, mono_ns: int) -> None:
        """See Report."""


def _listen(name: str, line: ToldLine, drivers: Mapping[str, Told], listen_s: float, stop: Event, *, waits: bool) -> list[Result]:
    """`waits`: the far side comes to us. Any other line that cannot be opened twice in a row is not waited for."""
    ears, over = Ears(name, drivers), Event()
    unrested = {device: driver.unrested() if isinstance(driver, RestingTold) else (driver, False) for device, driver in drivers.items()}
    heard = {device: driver for device, (driver, _) in unrested.items()}
    worker = Thread(target=lambda: line.visitor().run(heard, ears.deliver, over, SystemClock(), ears), name=f"listen {name}", daemon=True)
    worker.start()
    until = time.monotonic() + listen_s
    while time.monotonic() < until and not stop.is_set() and not ears.all_heard.wait(0.1) and worker.is_alive():
        if ears.refusals >= _REFUSALS and not waits:
            break
    over.set()
    worker.join(10.0)
    for device, result in ears.results.items():
        if not result.good and not result.words:
            result.words = ears.trouble or _nothing(drivers[device], listen_s, ears.others)
            question = "is it on? does it publish to this topic?" if drivers[device].topics else "is it on? its TX at our RX? baudrate, format?"
            result.repair = _line_repair(ears.trouble) if ears.trouble else _SUPPLY if unrested[device][1] else question
    return list(ears.results.values())


def _nothing(driver: Told, listen_s: float, others: int) -> str:
    """What to say of a device that was not heard."""
    if not driver.topics:
        return f"nothing in {listen_s:.0f} s"
    seen = f"; {others} other messages seen" if others else ""
    return f"nothing in {listen_s:.0f} s (its topic {', '.join(driver.topics)} is subscribed{seen})"


def _take(result: Result, batches: Sequence[Batch], seconds: float) -> None:
    for batch in batches:
        for which, value in zip(batch.which, batch.raw, strict=True):
            series = batch.series[which]
            if series.device == result.name:
                result.values[":".join(filter(None, (series.quantity, series.channel)))] = None if math.isnan(value) else float(value)
    result.good = any(value is not None for value in result.values.values())
    result.words, result.repair = ("", "") if result.good else ("answers, but without a value", "its own display: does it show a fault?")
    result.seconds = seconds if result.seconds is None else result.seconds + seconds


def _meant(values: Mapping[str, float | None], inputs: Mapping[str, Input]) -> dict[str, float | None]:
    """What the numbers of inputs mean; a count is shown as such, by its terminal."""
    terminals = {one.row: (terminal, one) for terminal, one in inputs.items()}
    found: dict[str, float | None] = {}
    for name, raw in values.items():
        terminal, one = terminals.get(name, ("", None))
        if one is not None and one.each is not None:
            found[f"{PULSES}:{terminal}"] = raw
        else:
            found[name] = raw if one is None or raw is None else one.meaning(raw)
    return found


# ── sinks and recipients ──
def login(kind: str, name: str, make: Callable[[], Sink | Channel]) -> list[Result]:
    """Log in where a sink or recipient goes, and send nothing."""
    result = Result(kind, name)
    try:
        part = make()
    except (ConfigError, ValueError, Halted) as error:
        result.words = str(error)
        return [result]
    try:
        result.words = part.check(time.monotonic() + _LOGIN_S)
        result.good = True
    except (Unavailable, Refused, Gone, Halted) as error:
        result.words = str(error)
    finally:
        part.close()
    return [result]
