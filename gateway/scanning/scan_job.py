"""The visit `scan`: who answers on a line at its present setting. Reads only, listens first, an exchange at a time.

It is the same job whether the daemon runs it between its polls or the command has the port to itself.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from config.device import Profile
from config.errors import DeviceError
from drivers.blocks import LineSpeed
from drivers.codecs import sdi12
from drivers.codecs.masters import Masters
from drivers.driver import Asked
from drivers.job import Gap, Plain, Progress, Work
from gateway.scanning.asks import ANY_SENSOR, Ask, circuit, co2, meter, modbus, particles, sensors
from gateway.scanning.exchanges import Registers, answer
from gateway.scanning.fitting import fitting, modbus_profiles

LISTEN_S = 5.0
LONGEST_ANSWER_S = 10.0
PATIENCE_S = 0.5
"""So long is waited for an answer of a unit that is known to be there."""
_SLICE_S = 0.25
_MOST_FITS = 3
_PATIENT = 32
"""Addresses up to this are given more time, and are asked for input registers too: there devices usually are."""
MOST_ASKS = 2000


def asks(kinds: Iterable[str], addresses: Sequence[int], framing: str, skip: Iterable[object] = (), answer_s: float = 0.0) -> list[Ask]:
    """The questions of a scan, the likeliest first. `kinds` are of KINDS; `skip` are known already."""
    known = {str(address) for address in skip}
    free = [unit for unit in addresses if str(unit) not in known]
    likely = [unit for unit in free if unit <= _PATIENT]
    made: dict[str, Callable[[], list[Ask]]] = {
        "modbus": lambda: [*modbus(likely, framing, 3, answer_s or 0.3), *modbus([u for u in free if u > _PATIENT], framing, 3, answer_s or 0.15)],
        "dlt645": lambda: [meter(answer_s or 0.6)], "ezo": lambda: [circuit(answer_s or 0.6)], "mhz19": lambda: [co2(answer_s or 0.4)],
        "shdlc": lambda: [particles(answer_s or 0.25)], "sdi12": lambda: sensors(["?"], answer_s or 1.0),
        "sdi12_all": lambda: sensors(["?", *(a for a in sdi12.ADDRESSES if a not in known)], answer_s or 1.0),
        "inputs": lambda: modbus(likely, framing, 4, answer_s or 0.3)}
    return [ask for kind in kinds for ask in made[kind]()][:MOST_ASKS]


@dataclass(slots=True)
class Scan:
    """See drivers.job.Job."""

    line: str
    speed: LineSpeed
    asks: Sequence[Ask]
    setting: str = ""
    """As people write it: 9600 8N1."""
    listen_s: float = LISTEN_S
    stop_at_first: bool = False
    answer_s: float = 0.0
    """So long is waited for an answer also while units are compared; 0 = as long as is usual."""
    profiles: Sequence[Profile] | None = None
    """To hold Modbus units against; None = those of this box, () = none."""
    spoilt: int = 0
    """Bytes came in answer to so many questions, and nothing could be made of them."""
    _found: dict[tuple[object, object], dict[str, object]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See Job."""
        return f"scan of {self.line}" + (f" at {self.setting}" if self.setting else "")

    def work(self) -> Work:
        """See Job. Gives {"master", "spoilt", "found"}; `found` is told while it goes on, too."""
        master = yield from self._listen()
        if master:
            return {"master": master, "spoilt": 0, "found": []}
        yield from self._ask_all()
        yield from self._compare()
        return self.so_far()

    def so_far(self) -> Plain:
        """What `work` would give if it ended here."""
        return {"master": "", "spoilt": self.spoilt, "found": list(self._found.values())}

    def _listen(self) -> Generator[Progress, Gap, str]:
        """Who else asks here, in the pauses of the line; nothing is sent meanwhile."""
        heard, slices = Masters(), round(self.listen_s / _SLICE_S)
        for _ in range(slices):
            gap = yield Progress(0, len(self.asks), "listening for another master")
            piece = gap.wire.receive(lambda so_far: 1, max(0.0, min(_SLICE_S, gap.free_s)))
            now_ns = gap.wire.clock.now().mono_ns
            heard.feed(piece, now_ns)
            if not piece:
                heard.fall_silent(now_ns)
            if heard.requests:
                break
        return heard.words()

    def _ask_all(self) -> Generator[Progress, Gap, None]:
        new: tuple[Plain, ...] = ()
        waiting, done = deque(self.asks), 0
        while waiting:
            ask = waiting.popleft()
            if ask.protocol == "modbus" and ("modbus", self._unit(ask)) in self._found:
                continue
            gap = yield Progress(done, done + 1 + len(waiting), f"{ask.words}, {self.setting}".strip(", "), new)
            new, more = self._once(ask, gap)
            waiting.extend(more)
            done += 1
            if new and self.stop_at_first:
                break
        yield Progress(done, done, "comparing with the profiles", new)

    def _once(self, ask: Ask, gap: Gap) -> tuple[tuple[Plain, ...], list[Ask]]:
        """What is new, and what is to be asked because of it."""
        try:
            said = ask.read(answer(gap.wire, ask, self.speed))
        except DeviceError as fault:
            several = ask.words == ANY_SENSOR and fault.cause != "silent" and not self.spoilt
            self.spoilt += fault.cause in ("noise", "short") and not several
            return (), sensors(sdi12.ADDRESSES, ask.answer_s) if several else []
        more = sensors([str(said["address"])], ask.answer_s) if ask.words == ANY_SENSOR else []
        key = (said["protocol"], said["address"])
        if key in self._found:
            self._found[key] |= said
            return (), more
        self._found[key] = {**said, "setting": self.setting}
        return (self._found[key],), more

    @staticmethod
    def _unit(ask: Ask) -> int:
        """The unit of a Modbus question."""
        return int(ask.words.rpartition(" ")[2])

    def _compare(self) -> Generator[Progress, Gap, None]:
        """What the Modbus units look like."""
        units = [(key, entry) for key, entry in self._found.items() if key[0] == "modbus"]
        profiles = modbus_profiles() if self.profiles is None and units else self.profiles or ()
        for (_, unit), entry in units:
            if isinstance(unit, int) and profiles:
                progress = Progress(len(self.asks), len(self.asks), f"comparing address {unit} with the profiles")
                fits = yield from fitting(Registers(unit, self.speed, max(self.answer_s, PATIENCE_S)), profiles, progress)
                entry["looks_like"] = [fit.plain() for fit in fits[:_MOST_FITS]]


def addresses(text: str) -> list[int]:
    """"1-32,40" as numbers, in that order. Raises ValueError.

    >>> addresses("5,1-3")
    [5, 1, 2, 3]
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or len(low + high) > 8:
            raise ValueError(f'"{text}" is no list of addresses; write 1-247, or 1-32,40')
        if int(high or low) < int(low):
            raise ValueError(f"addresses {part.strip()} run backwards: write {high}-{low}")
        for unit in range(int(low), int(high or low) + 1):
            if not 0 <= unit <= 255:
                raise ValueError(f"address {unit} is not within 1 to 247")
            found[unit] = None
    return list(found)


def scanning(line: str, options: object, drivers: Mapping[str, Asked], asked: Mapping[str, object]) -> Scan:
    """The job for what was asked of the daemon, on a line with these options and drivers. Raises ValueError.

    {"addresses": "1-247", "skip": [addresses that are known], "kinds": [of KINDS], "first": stop at the first, "answer_s", "listen_s"}
    """
    if not isinstance(options, LineSpeed):
        raise ValueError(f"line {line} carries no protocol that can be scanned")
    skip, kinds = asked.get("skip", []), asked.get("kinds") or _kinds(drivers.values())
    if not isinstance(skip, list) or not isinstance(kinds, list) or not set(kinds) <= KINDS:
        raise ValueError(f"skip and kinds are lists; kinds are of {', '.join(sorted(KINDS))}")
    answer_s = answer_asked(asked)
    listen_s = asked.get("listen_s", LISTEN_S)
    if not isinstance(listen_s, int | float) or not 0 <= listen_s <= 600:
        raise ValueError("listen_s is a number of seconds up to 600")
    questions = asks(kinds, addresses(str(asked.get("addresses", "1-247"))), options.framing, skip, answer_s)
    return Scan(line, options, questions, setting_text(options), float(listen_s), stop_at_first=bool(asked.get("first", False)), answer_s=answer_s)


def answer_asked(asked: Mapping[str, object]) -> float:
    """How long to wait for an answer, as the daemon was asked; 0 = as usual. Raises ValueError."""
    answer_s = asked.get("answer_s", 0.0)
    if not isinstance(answer_s, int | float) or isinstance(answer_s, bool) or not 0 <= answer_s <= LONGEST_ANSWER_S:
        raise ValueError(f"answer_s is a number of seconds up to {LONGEST_ANSWER_S:g}")
    return float(answer_s)


def setting_text(options: object) -> str:
    """The setting of a line as people write it; empty if it has none.

    >>> from drivers.lines.serial import Options
    >>> setting_text(Options(port="x", baudrate=4800))
    '4800 8N1'
    """
    baudrate = getattr(options, "baudrate", None) or (9600 if hasattr(options, "baudrate") else None)
    return f"{baudrate} {getattr(options, 'format', None) or '8N1'}" if baudrate else ""


KINDS = frozenset({"modbus", "inputs", "dlt645", "sdi12", "sdi12_all", "ezo", "mhz19", "shdlc"})
"""modbus asks for holding, inputs for input registers; sdi12 asks whoever is alone, and all if several answer; sdi12_all each address."""


def _kinds(drivers: Iterable[Asked]) -> list[str]:
    """What may be asked on a line where these are asked already."""
    spoken = {type(driver).__module__.rpartition(".")[2] for driver in drivers}
    if "modbus" in spoken or "dlt645" in spoken:
        return ["modbus", "inputs", "dlt645"]
    return ["sdi12_all"] if "sdi12" in spoken else sorted(spoken & KINDS)
