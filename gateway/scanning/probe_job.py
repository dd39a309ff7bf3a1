"""The visit `probe`: every register that one Modbus unit shows, read a few times, and which profiles fit. Reads only.

Where registers begin and end is found by asking: from a register that answers the request grows until it is declined, and the
last length that works is found by bisection. Starts are 0, the round addresses that makers like, and all that profiles name.
"""

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from config.device import Profile
from config.errors import DeviceError
from drivers.blocks import LineSpeed
from drivers.codecs.modbus import MOST, DeclinedError
from drivers.job import Gap, Plain, Progress, Work
from drivers.protocols.modbus import Row
from gateway.scanning.exchanges import Registers
from gateway.scanning.fitting import fitting, modbus_profiles
from gateway.scanning.scan_job import PATIENCE_S, addresses, answer_asked

_STARTS = (0, 1, 2, 3, 4, 8, 16, 32, 64, 100, 0x0100, 0x0200, 256 + 44, 500, 0x0300, 0x0400, 1000, 0x07D0, 2000, 0x0800, 0x1000, 0x2000, 3000, 4000,
           0x3000, 5000, 6000, 9000, 10000, 20000, 30000, 30001, 40000, 40001, 50000)
MOST_REGISTERS = 512
"""Of each function; some devices answer for every register that there can be."""
_READS, _REST_S = 3, 1.0
NOTHING: Plain = {"answers": False, "runs": [], "fits": [], "declined": {}, "requests": 0}
"""The result before anything was asked."""


@dataclass(slots=True)
class Probe:
    """See drivers.job.Job."""

    line: str
    unit: int
    speed: LineSpeed
    span: tuple[int, int] | None = None
    """Only these registers (first, last), every one of them."""
    functions: tuple[int, ...] = (3, 4)
    reads: int = _READS
    answer_s: float = PATIENCE_S
    """So long is waited for an answer."""
    profiles: Sequence[Profile] | None = None
    _registers: Registers = field(init=False)
    _found: list[dict[str, object]] = field(init=False, default_factory=list)
    """The runs."""
    _declined: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._registers = Registers(self.unit, self.speed, self.answer_s)

    @property
    def name(self) -> str:
        """See Job."""
        return f"probe of {self.line} {self.unit}"

    def work(self) -> Work:
        """See Job. Gives {"unit", "answers", "runs": [{"function", "first", "reads": [[…], …]}], "fits": […], …}."""
        profiles = modbus_profiles() if self.profiles is None else self.profiles
        for function in self.functions:
            yield from self._runs(function, profiles)
        for again in range(1, self.reads if self._found else 1):
            yield from self._again(self._found, again)
        fits = (yield from fitting(self._registers, profiles, Progress(0, 0, "comparing with the profiles"))) if self._found else []
        return {**self.so_far(), "fits": [fit.plain() for fit in fits]}

    def so_far(self) -> Plain:
        """What `work` would give if it ended here, without profiles."""
        return {"unit": self.unit, "answers": bool(self._found or self._declined), "runs": self._found, "fits": [],
                "declined": {str(function): code for function, code in self._declined.items()}, "requests": self._registers.requests}

    def _again(self, runs: list[dict[str, object]], again: int) -> Generator[Progress, Gap, None]:
        """Read all once more, for how they change; a run that does not come again keeps what it has."""
        self._registers.forget()
        yield Progress(again, self.reads, "waiting for the values to change", pause_s=_REST_S)
        for run in runs:
            first, reads = run["first"], run["reads"]
            assert isinstance(first, int)
            assert isinstance(reads, list)
            try:
                values = yield from self._read(int(str(run["function"])), first, len(reads[0]))
            except DeviceError:
                continue
            reads.append(list(values))

    def _runs(self, function: int, profiles: Iterable[Profile]) -> Generator[Progress, Gap, None]:
        """Every run that answers."""
        starts, done, total = deque(self._starts(function, profiles)), -1, 0
        while starts and total < MOST_REGISTERS:
            start = starts.popleft()
            if start <= done:
                continue
            try:
                run = yield from self._run(function, start)
            except DeclinedError as no:
                self._declined.setdefault(function, no.code)
                if no.code == 1:
                    break  # it does not know the function
                continue
            except DeviceError:
                if not total and not self._declined:
                    break  # nobody there, or deaf to this function
                continue
            found: dict[str, object] = {"function": function, "first": start, "reads": [list(run)]}
            self._found.append(found)
            yield Progress(0, 0, f"function {function}, registers {start} to {start + len(run) - 1} answer", ({**found, "reads": [list(run)]},))
            done, total = start + len(run) - 1, total + len(run)
            starts.appendleft(done + 1)  # the answer may end where the device gives no more at a time

    def _starts(self, function: int, profiles: Iterable[Profile]) -> list[int]:
        if self.span is not None:
            return list(range(self.span[0], self.span[1] + 1))
        named = {row.first for profile in profiles for row in profile.rows.values() if isinstance(row, Row) and row.function == function}
        return sorted({*_STARTS, *named})

    def _run(self, function: int, start: int) -> Generator[Progress, Gap, tuple[int, ...]]:
        """The longest answer from here on. Raises DeviceError if this register alone does not answer."""
        values = yield from self._read(function, start, 1)
        good, bad, most = 1, 0, min(MOST[function], 0x10000 - start, (self.span[1] - start + 1) if self.span else 0x10000)
        while good < most and (not bad or bad - good > 1):
            count = min(most, good * 2) if not bad else (good + bad) // 2
            try:
                values = yield from self._read(function, start, count)
                good = count
            except DeviceError:
                bad = count
        return values[:good]

    def _read(self, function: int, first: int, count: int) -> Generator[Progress, Gap, tuple[int, ...]]:
        return self._registers.read(function, first, count, Progress(0, 0, f"function {function}, register {first}, {count} of them"))


def probing(line: str, options: object, asked: Mapping[str, object]) -> Probe:
    """The job for what was asked of the daemon: {"address": 7, "registers": "0-99", "answer_s": 0.5}. Raises ValueError."""
    if not isinstance(options, LineSpeed):
        raise ValueError(f"line {line} carries no Modbus")
    return probe_of(line, options, str(asked.get("address")), str(asked.get("registers") or ""), answer_asked(asked))


def probe_of(line: str, speed: LineSpeed, address: str, registers: str, answer_s: float = 0.0) -> Probe:
    """The job for an address and "FIRST-LAST", empty = looked for; `answer_s` 0 = as usual. Raises ValueError."""
    units = addresses(address)
    if len(units) != 1:
        raise ValueError(f"one address at a time, not {address}")
    return Probe(line, units[0], speed, _span(registers), answer_s=answer_s or PATIENCE_S)


def _span(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    try:
        low, _, high = text.partition("-")
        first, last = int(low, 0), int(high or low, 0)
    except ValueError:
        raise ValueError(f'registers "{text}" is no range; write 0-99 or 0x0100-0x01FF') from None
    if not 0 <= first <= last <= 0xFFFF or last - first >= MOST_REGISTERS:
        raise ValueError(f"registers {text}: at most {MOST_REGISTERS} of them, within 0 to 65535")
    return first, last
