"""A TCP connection to a device or a serial-to-network converter. Looking up, connecting and a dead peer are all bounded."""

import socket
from collections.abc import Callable, Mapping
from threading import Event
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.units import Duration
from drivers.driver import Deliver, Report, Told
from drivers.lines._dial import dial
from drivers.lines._in_packets import PacketLine
from drivers.lines._overhearing import OverhearingListener
from drivers.lines._stream import StreamListener
from drivers.lines._wire import DescriptorWire, MuteWire
from drivers.overheard import OverheardDriver
from drivers.owed import Owed
from drivers.reading import Clock


class Options(PacketLine):
    """Keys of a line of kind tcp."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    framing: Literal["tcp", "rtu", "ascii"] = "tcp"
    round_trip: Duration = 0.01
    connect: Duration = 5.0
    """Look-up and connection together take no longer."""
    mode: Literal["ask", "listen"] = "ask"
    """listen: another master asks through this converter; it is read along, and no byte is ever sent. Needs framing rtu or ascii."""

    @model_validator(mode="after")
    def _can_be_heard(self) -> Self:
        if self.mode == "listen" and self.framing == "tcp":
            raise ValueError('mode = "listen" hears serial frames through a converter; write framing = "rtu" or "ascii"')
        return self


class Line:
    """See AskedLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """A TCP line needs no secret."""
        self.name = name
        self._options = options
        self._owed = Owed()
        self._socket: socket.socket | None = None

    def open(self, stop: Event, clock: Clock) -> DescriptorWire:
        """See AskedLine."""
        self.close()
        options = self._options
        self._socket = dial(options.host, options.port, options.connect, stop)
        wire = MuteWire if options.mode == "listen" else DescriptorWire
        return wire(self._socket.fileno(), clock, stop, self._owed, options.character_s, options.silence_s)

    def close(self) -> None:
        """See AskedLine."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """See ToldLine: for devices that speak by themselves."""
        if any(isinstance(driver, OverheardDriver) for driver in drivers.values()):
            OverhearingListener(self.name, self, drivers, deliver, stop, clock, report, self._options).run()
        else:
            StreamListener(self.name, self, drivers, deliver, stop, clock, report).run()

    def visitor(self) -> "Line":
        """See ToldLine. A connection of its own."""
        return Line(self.name, self._options, str)
