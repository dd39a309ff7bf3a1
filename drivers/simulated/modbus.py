"""Simulated Modbus devices: what they hold and how they fail. The bus or server that carries them is beside this file.

    soil = SimulatedDevice(1, ProfileSource(profile, value=lambda quantity: 21.5))
    with SerialBus([soil], link=Path("tty-soil")) as bus:        # drivers.simulated.modbus_pty
        ...                                                      # open bus.path at any baud rate
    with TcpServer([meter]) as server:                           # drivers.simulated.modbus_tcp
        ...                                                      # 127.0.0.1:server.port

They speak the real protocol through the codec's device side; a fault is a knob that may be turned while they run.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from config.device import Profile
from drivers.codecs import modbus, modbus_device
from drivers.codecs.modbus import DeclinedError, Question
from drivers.codecs.modbus_write import COIL_FUNCTIONS, WRITE_FUNCTIONS, Write, read_empty, read_write
from drivers.decode import decode, encode
from drivers.protocols.modbus import Command, Row


class RegisterSource(Protocol):
    """What a device holds. `read` is called exactly once per request that is answered with values."""

    def read(self, function: int, first: int, count: int) -> list[int]:
        """`count` registers (0..65535) or coils (0, 1) from `first`. Raises DeclinedError(2) where there are none."""
        ...


@runtime_checkable
class Writable(Protocol):
    """A source that can be written to; all others decline functions 5, 6, 15 and 16 as illegal."""

    def write(self, write: Write) -> None:
        """Carry it out. Raises DeclinedError(2) where nothing can be written."""
        ...


class TableSource:
    """Registers as they are: one table for functions 3 and 4, one for coils and contacts. May be changed while it runs."""

    def __init__(self, registers: Mapping[int, int], coils: Mapping[int, int] | None = None) -> None:
        self.registers = dict(registers)
        self.coils = dict(coils or {})

    def read(self, function: int, first: int, count: int) -> list[int]:
        """See RegisterSource."""
        table = self.coils if function in modbus.BIT_FUNCTIONS else self.registers
        try:
            return [table[place] for place in range(first, first + count)]
        except KeyError:
            raise DeclinedError(2) from None

    def write(self, write: Write) -> None:
        """See Writable: what can be read can be written."""
        if not write.values:
            raise DeclinedError(3)  # as the specification has it; only who is made so takes it for a command
        table = self.coils if write.function in COIL_FUNCTIONS else self.registers
        wanted = range(write.first, write.first + len(write.values))
        if not all(place in table for place in wanted):
            raise DeclinedError(2)
        table.update(zip(wanted, write.values, strict=True))


class ProfileSource:
    """A device of a profile: each answer asks `value` once for every quantity whose registers it touches.

    `value(quantity)` gives the present value in the profile's unit (key of the profile's `quantities`, with `:channel` if
    it has one); NaN = the device has none: its `missing` figure is sent, or 0 where the profile knows none. Registers
    between the quantities are 0, or are declined as illegal if `holes = "decline"`.
    """

    def __init__(self, profile: Profile, value: Callable[[str], float], holes: Literal["zero", "decline"] = "zero") -> None:
        rows = {name: row for name, row in profile.rows.items() if isinstance(row, Row)}
        if len(rows) != len(profile.rows):
            raise ValueError(f"{profile.name} is not a profile of protocol modbus")
        self._rows = rows
        self._commands = [command for command in profile.commands.values() if isinstance(command, Command)]
        self._value = value
        self._holes = holes
        self.last: dict[str, float] = {}
        """What the newest answer says, as a master decodes it: quantity → value rounded to what the registers can hold."""

    def read(self, function: int, first: int, count: int) -> list[int]:
        """See RegisterSource."""
        touched = {name: row for name, row in self._rows.items() if row.function == function
                   and row.first < first + count and first < row.first + row.form.registers}
        held: dict[int, int] = {}
        for name, row in touched.items():
            for place, register in enumerate(_encoded(row, self._value(name)), row.first):
                held[place] = held.get(place, 0) | register
        wanted = range(first, first + count)
        if self._holes == "decline" and not all(place in held for place in wanted):
            raise DeclinedError(2)
        self.last = self._decoded(touched, held, wanted)
        return [held.get(place, 0) for place in wanted]

    def write(self, write: Write) -> None:
        """See Writable: only what the profile has as a command."""
        if (write.function, write.first) not in {(command.function, command.first) for command in self._commands}:
            raise DeclinedError(2)

    @staticmethod
    def _decoded(touched: Mapping[str, Row], held: Mapping[int, int], wanted: range) -> dict[str, float]:
        whole = {}
        for name, row in touched.items():
            places = range(row.first, row.first + row.form.registers)
            if places.start >= wanted.start and places.stop <= wanted.stop:
                whole[name] = decode(row.form, [held[place] for place in places])
        return whole


def _encoded(row: Row, value: float) -> tuple[int, ...]:
    if math.isnan(value) and not row.form.missing and row.form.type[0] != "f":
        return (0,) * row.form.registers
    return encode(row.form, value)


@dataclass(slots=True)
class Faults:
    """What is wrong with a device just now; every knob may be turned from any thread."""

    silent: bool = False
    delay_s: float = 0.0
    """Added to the turnaround; longer than the master waits = a late answer."""
    noise: float = 0.0
    """Probability that an answer is hit by a burst of at most 16 bits."""
    truncate: int = 0
    """So many bytes at the end of the answer never arrive."""
    stray: bytes = b""
    """Bytes that the bus driver puts before the answer."""
    wrong_address: int | None = None
    """Answers as this unit."""
    exception: int = 0
    """Answers with this exception code instead of values."""
    disconnect: bool = False
    """TCP: the connection is closed instead of an answer."""


@dataclass(slots=True)
class Reply:
    """What a device does with one request: bytes after a time, or nothing."""

    frame: bytes
    delay_s: float
    disconnect: bool = False


def _nobody(question: Question, registers: list[int]) -> None:
    """No one keeps a ledger."""


def _unseen(write: Write) -> None:
    """No one keeps a ledger."""


@dataclass(slots=True)
class SimulatedDevice:
    """One device with its address. `answered(question, registers)` is called for every answer that leaves unharmed.

    `obeyed(write)` is called for everything that was written to it, before it is confirmed and whatever becomes of that.
    """

    address: int
    source: RegisterSource
    turnaround_s: float = 0.005
    """From the end of the request to the first byte of the answer."""
    answered: Callable[[Question, list[int]], None] = _nobody
    obeyed: Callable[[Write], None] = _unseen
    faults: Faults = field(default_factory=Faults)
    requests: int = 0
    """How often it was asked anything."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - not a secret

    def reply(self, pdu: bytes, wrapped: Callable[[int, bytes], bytes]) -> Reply | None:
        """Its reply to a request; `wrapped(unit, pdu)` makes the frame. None = silent."""
        self.requests += 1
        faults = self.faults
        if faults.silent:
            return None
        delay_s = self.turnaround_s + faults.delay_s
        if faults.disconnect:
            return Reply(b"", delay_s, disconnect=True)
        try:
            if faults.exception:
                raise DeclinedError(faults.exception)
            told = read_empty(self.address, pdu)
            if told is not None or (pdu[:1] and pdu[0] in WRITE_FUNCTIONS):
                return Reply(self._harmed(faults.stray + wrapped(self.address, self._obey(told or read_write(self.address, pdu)))), delay_s)
            question = modbus_device.read_question(self.address, pdu)
            registers = self.source.read(question.function, question.first, question.count)
        except DeclinedError as declined:
            return Reply(wrapped(self.address, modbus_device.exception_pdu(pdu[0] if pdu else 0, declined.code)), delay_s)
        frame = wrapped(self.address if faults.wrong_address is None else faults.wrong_address,
                        modbus_device.answer_pdu(question, registers))
        sent = self._harmed(faults.stray + frame)
        if sent == faults.stray + frame and faults.wrong_address is None:
            self.answered(question, registers)
        return Reply(sent, delay_s)

    def _obey(self, write: Write) -> bytes:
        """Carry out what is written; gives the confirmation."""
        if not isinstance(self.source, Writable):
            raise DeclinedError(1 if write.values else 3)
        self.source.write(write)
        self.obeyed(write)
        return write.confirmation

    def _harmed(self, frame: bytes) -> bytes:
        faults = self.faults
        if faults.noise and self.chance.random() < faults.noise:
            frame = burst(frame, self.chance)
        return frame[: len(frame) - faults.truncate] if faults.truncate else frame


def burst(frame: bytes, chance: random.Random, longest: int = 16) -> bytes:
    """The frame with one burst of 1..`longest` bits changed: the first and last bit of it surely, those between by chance."""
    bits = len(frame) * 8
    length = chance.randint(1, min(longest, bits))
    pattern = 1 if length == 1 else 1 << length - 1 | chance.getrandbits(length) | 1
    place = chance.randint(0, bits - length)
    return (int.from_bytes(frame) ^ pattern << place).to_bytes(len(frame))


def by_address(devices: Iterable[SimulatedDevice]) -> dict[int, SimulatedDevice]:
    """The devices of one line by address. Raises ValueError if two share one."""
    found: dict[int, SimulatedDevice] = {}
    for device in devices:
        if found.setdefault(device.address, device) is not device:
            raise ValueError(f"two simulated devices have address {device.address}")
    return found
