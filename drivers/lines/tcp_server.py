"""Modems (DTU, 4G routers, converters) that connect to us and carry what their serial side says: each line waits for its own.

A modem says who it is by the packet that it is set to send when it has connected. Several lines may listen at one address. The
newest connection of a registration counts, the older one is ended.
"""

from collections.abc import Callable, Mapping
from threading import Event
from typing import Literal, Self

from pydantic import field_validator, model_validator

from config.errors import LineError
from config.selector import Names
from config.table import Table
from config.units import Duration
from drivers.codecs.calling import Registration, Sieve, code
from drivers.driver import Deliver, Report, Told
from drivers.lines._door import Door
from drivers.lines._in_packets import PacketLine
from drivers.lines._listening import Listen, Networks, Place, networks, place
from drivers.lines._modem_wire import ModemWire
from drivers.lines._stream import StreamListener
from drivers.lines._switchboard import Subscriber, subscribe
from drivers.owed import Owed
from drivers.reading import Clock

_WAIT_S = 1.0
"""An opening waits so long for a modem; then it is tried again by the line's owner."""


class Options(PacketLine):
    """Keys of a line of kind tcp_server."""

    listen: Listen = "127.0.0.1:8899"
    """HOST:PORT to listen at; several lines may share it."""
    registration: str = ""
    """What the modem sends first: its text, "hex:…" or "imei:…". Left out = whoever connects; then nobody shares the address."""
    heartbeat: Names = ()
    """What it sends now and then to keep its connection: text or "hex:…", one or several."""
    networks: Networks = ()
    """Addresses from which it may connect; left out = any."""
    framing: Literal["rtu", "ascii", "tcp"] = "rtu"
    """What it carries: serial frames, or Modbus TCP."""
    round_trip: Duration = 1.5
    """What the network adds to an exchange; up to twice as much is waited for."""

    @field_validator("registration")
    @classmethod
    def _is_registration(cls, text: str) -> str:
        if text:
            Registration.read(text)
        return text

    @field_validator("heartbeat")
    @classmethod
    def _are_codes(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        for text in written:
            code(text)
        return written

    @model_validator(mode="after")
    def _is_careful(self) -> Self:
        if not self.place.is_loopback and not self.registration and not self.networks:
            raise ValueError('would take whoever connects from anywhere; write registration = "…" or networks = ["…"]')
        known = self.known_by
        for text in self.heartbeat:
            if known and any(code(text) in form for form in known.forms):
                raise ValueError(f'has the heartbeat "{text}" inside of its registration; where both are the same, leave heartbeat out')
        return self

    @property
    def place(self) -> Place:
        """Where it listens."""
        return place(self.listen)

    @property
    def known_by(self) -> Registration | None:
        """Its registration; None = it has none."""
        return Registration.read(self.registration) if self.registration else None

    def clash(self, other: Table) -> tuple[str, str] | None:
        """See config.kinds.Neighbour."""
        there = getattr(other, "place", None)
        if not isinstance(there, Place) or not self.place.overlaps(there):
            return None
        if not isinstance(other, Options) or there != self.place:
            return f"listens at {self.place} too, and that address cannot be had twice", "give one of them another port"
        mine, theirs = self.known_by, other.known_by
        if mine is None or theirs is None:
            return f"listens at {self.place} too, and one of them has no registration", "give both a registration, or each a port of its own"
        if mine.resembles(theirs):
            return "has a registration that begins like the other's", "give each modem a registration of its own"
        return None

    @property
    def codes(self) -> tuple[bytes, ...]:
        """What is taken out of all that comes: heartbeats, and registrations, which some modems put before every packet."""
        known = self.known_by
        return (*map(code, self.heartbeat), *(known.forms if known else ()))

    @property
    def who(self) -> str:
        """Whom it waits for, for people."""
        return f"a modem that registers as {self.registration}" if self.registration else "a modem"


class Line:
    """See AskedLine and ToldLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """Such a line needs no secret."""
        self.name = name
        self._options = options
        self._owed = Owed()
        self._sieve = Sieve(options.codes)
        self._heartbeats = Sieve(map(code, options.heartbeat))
        self._subscriber: Subscriber | None = None
        self._door = Door(name)

    def open(self, stop: Event, clock: Clock) -> ModemWire:
        """See AskedLine. The newest connection of its modem; LineError if none comes within a second."""
        self.close()
        options = self._options
        if self._subscriber is None or self._subscriber.stop is not stop:
            self._subscriber = Subscriber(self._door, options.known_by, self._heartbeats, networks(options.networks), stop)
        subscribe(options.place, self._subscriber)
        if quarrel := self._door.quarrel():
            raise LineError(quarrel)
        call = self._door.take(_WAIT_S, stop)
        if call is None:
            seen = f"; {self._door.strangers}" if self._door.strangers else ""
            raise LineError(f"{options.who} has not connected to {options.place}{seen}")
        return ModemWire(self._door, call, self._sieve, clock, stop, self._owed, options.silence_s)

    def close(self) -> None:
        """See AskedLine: this connection; the modem may come again."""
        self._door.leave()

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """See ToldLine: for devices that speak by themselves."""
        StreamListener(self.name, self, drivers, deliver, stop, clock, report).run()

    def visitor(self) -> "Line":
        """See ToldLine. An address belongs to one program: while the daemon listens at it, it cannot be visited."""
        return Line(self.name, self._options, str)
