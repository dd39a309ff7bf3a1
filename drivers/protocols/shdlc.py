"""Sensirion SPS30 particle sensors over their serial interface (SHDLC).

The sensor measures only after a command, and forgets it with its supply: one that says so is started, and has its first
values a second later.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from config.errors import DeviceError
from config.table import Table
from config.units import Duration
from drivers.blocks import LineSpeed
from drivers.codecs import shdlc
from drivers.decode import shortest
from drivers.driver import Device, Group, Wire
from drivers.order import Order, Outcome, Verb
from drivers.protocols._exchange import Exchange
from drivers.protocols._gathered import Gathered
from drivers.protocols._priority import RANKS, Priority
from drivers.reading import Batch

LINES = frozenset({"serial", "tcp", "tcp_server"})
"""Kinds of line that it works on."""
_START_FLOAT = bytes((1, 3))
_ANY_BYTE = b"\xff"
_NEW_VALUES_S = 1.1
"""It has new values every second."""


class Options(Table):
    """Keys of such a device in the site file, beside those that all devices have."""

    address: Annotated[int, Field(ge=0, le=254)] = 0
    priority: Priority = "normal"
    """Who is read first when the line is short of time."""


class Row(Table):
    """A row of the profile."""

    unit: str
    field: Literal["mc1p0", "mc2p5", "mc4p0", "mc10p0", "nc0p5", "nc1p0", "nc2p5", "nc4p0", "nc10p0", "typical_size_um"]
    """mc = mass, nc = number, up to so many µm."""


class Timing(Table):
    """`[timing]` of its profiles."""

    answer: Duration = 0.2
    """The first byte of an answer comes no later than this."""


class Command(Table):
    """One `[commands.NAME]` of its profiles."""

    what: Annotated[str, Field(min_length=1)]
    """What it does, in words: the person who gives the order is asked with them."""
    do: Literal["clean"]
    """clean: its fan blows itself clean; only while it measures."""
    settle: Duration = 0.0
    """Afterwards it is left alone for so long."""


class Driver:
    """Asks one sensor."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if line or rows cannot work."""
        speed, options = device.line_options, device.options
        if not isinstance(speed, LineSpeed) or not isinstance(options, Options):
            raise ValueError(f"device {device.name}: SHDLC needs a line of kind serial, tcp or tcp_server")
        timing = device.profile.timing if isinstance(device.profile.timing, Timing) else Timing()
        self.name, self._address = device.name, options.address
        self._places = {series: shdlc.SPS30_FIELDS.index(row.field) for series, row in device.rows(Row).items()}
        self._exchange = Exchange(device.name, speed.character_s, timing.answer, overdue_s=0.5, round_trip_s=speed.round_trip_s)
        time_s = 60 * speed.character_s + 0.02 + speed.round_trip_s
        found = device.profile.commands if device.may_obey else {}
        self.verbs: Mapping[str, Verb] = {name: Verb(one.what, one.settle) for name, one in found.items() if isinstance(one, Command)}
        """See Obeys."""
        self._group = Group("values", device.interval_s, RANKS[options.priority], time_s, tuple(self._places))

    def groups(self) -> tuple[Group, ...]:
        """See Asked."""
        return (self._group,)

    def poll(self, group: Group, wire: Wire) -> Batch:
        """See Asked."""
        frame = self._command(shdlc.READ, b"", 40, wire)
        if frame.state is not None and frame.state & 0x7F == shdlc.NOT_NOW:
            self._accepted(self._command(shdlc.START, _START_FLOAT, 0, wire))
            raise DeviceError("it was not measuring and has been started; values follow", "busy")
        self._accepted(frame)
        if not frame.data:  # read faster than it measures
            self._exchange.listen(lambda so_far: 1, _NEW_VALUES_S, wire)
            frame = self._command(shdlc.READ, b"", 40, wire)
        if len(frame.data) != 4 * len(shdlc.SPS30_FIELDS):
            raise DeviceError(f"{len(frame.data)} bytes of values instead of 40", "busy" if not frame.data else "wrong")
        floats = shdlc.floats(frame.data)
        got = Gathered(tuple(self._places))
        got.values.update({series: _decimal(floats[place]) for series, place in self._places.items()})
        return got.batch(wire)

    def check(self, order: Order) -> None:
        """See Obeys."""
        if order.verb not in self.verbs:
            raise ValueError(f"knows no {order.verb}; it knows {', '.join(self.verbs) or 'no commands'}")
        self.verbs[order.verb].check(order.value)

    def obey(self, order: Order, wire: Wire) -> Outcome:
        """See Obeys."""
        self.check(order)
        try:
            frame = self._command(shdlc.CLEAN, b"", 0, wire, once=True)
        except DeviceError as fault:
            return Outcome("unknown", f"it was sent; {fault}", fault.cause)
        if frame.has_failed:
            return Outcome("failed", f"the device answers: {shdlc.STATES.get((frame.state or 0) & 0x7F, f'state {frame.state}')}")
        return Outcome("done", "confirmed by the device")

    def sleep(self, wire: Wire) -> None:
        """See SleepsWhenAsked. Only one that has stopped measuring can be put to sleep."""
        self._stopped(self._command(shdlc.STOP, b"", 0, wire))
        self._stopped(self._command(shdlc.SLEEP, b"", 0, wire))

    def wake(self, wire: Wire) -> None:
        """See SleepsWhenAsked. Any byte wakes its interface for a moment, the command its rest; then it has to be started."""
        wire.send(_ANY_BYTE)
        self._stopped(self._command(shdlc.WAKE, b"", 0, wire))
        self._stopped(self._command(shdlc.START, _START_FLOAT, 0, wire))

    def _stopped(self, frame: shdlc.Frame) -> None:
        """It did it, or was so already."""
        if frame.state is None or frame.state & 0x7F != shdlc.NOT_NOW:
            self._accepted(frame)

    def _command(self, command: int, data: bytes, answer_bytes: int, wire: Wire, *, once: bool = False) -> shdlc.Frame:
        request = shdlc.Frame(self._address, command, data)
        return self._exchange.ask(
            shdlc.build(request), lambda so_far: shdlc.missing(so_far, request, answer_bytes), lambda came: shdlc.find(came, request),
            2 * (7 + answer_bytes), wire, once=once)

    def _accepted(self, frame: shdlc.Frame) -> None:
        if frame.has_failed:
            raise DeviceError(f"declines: {shdlc.STATES.get((frame.state or 0) & 0x7F, f'state {frame.state}')}", "exception")


def _decimal(value: float) -> float:
    return shortest(value) if math.isfinite(value) else math.nan
