"""A serial port (RS-232, RS-485 through an adapter): exclusive, opened by its stable name, every fault a LineError."""

import os
import termios
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event
from typing import Annotated, Any, Literal, Self

import serial
import serial.rs485
from pydantic import Field

from config.errors import LineError
from config.table import Table
from config.units import Duration
from drivers.codecs.masters import LISTEN_FIRST_S
from drivers.driver import Deliver, Report, Told
from drivers.lines._overhearing import OverhearingListener
from drivers.lines._stream import StreamListener
from drivers.lines._wire import DescriptorWire, MuteWire
from drivers.overheard import OverheardDriver
from drivers.owed import Owed
from drivers.reading import Clock

_BAUDRATE = 9600
_FORMAT = "8N1"


class Rs485(Table):
    """Keys of `rs485 = { … }`: the port's driver switches the transmitter on and off by the RTS line, for boards that have no circuit for it."""

    sending: Literal["high", "low"] = "high"
    """Level of RTS while we send; the other one while we listen."""
    before: Annotated[Duration, Field(ge=0, le=0.1)] = 0.0
    """From RTS to the first bit of a request."""
    after: Annotated[Duration, Field(ge=0, le=0.1)] = 0.0
    """From the last bit of a request to RTS."""
    echo: Literal["off", "on"] = "off"
    """on: the receiver stays on while we send, our own bytes come back (and are recognised)."""

    @property
    def settings(self) -> "serial.rs485.RS485Settings":
        """As pyserial hands them to the kernel (TIOCSRS485)."""
        is_high = self.sending == "high"
        return serial.rs485.RS485Settings(is_high, not is_high, self.echo == "on", self.before or None, self.after or None)


class Options(Table):
    """Keys of a line of kind serial. `baudrate` and `format` left out come from the profiles of its devices."""

    port: Annotated[str, Field(min_length=1)]
    """/dev/serial/by-path/… or by-id/…: these names stay when adapters are replugged, ttyUSB0 does not."""
    baudrate: Annotated[int, Field(ge=300, le=4_000_000)] | None = None
    format: Annotated[str, Field(pattern=r"^[5678][NEO][12]$")] | None = None
    """Data bits, parity (N, E, O), stop bits."""
    rs485: bool | Rs485 = False
    """true or a table: the kernel switches between sending and receiving; left out for RS-232 and for adapters that switch by themselves."""
    framing: Literal["rtu", "ascii"] = "rtu"
    """How Modbus is written on it: bytes, or hex digits."""
    mode: Literal["ask", "listen"] = "ask"
    """listen: another master asks; its requests and the answers are read along, and no byte is ever sent."""
    listen_first: Annotated[Duration, Field(ge=0, le=600)] = LISTEN_FIRST_S
    """Before anything is asked for the first time, so long is listened for another master; 0 = not."""

    def filled(self, defaults: Iterable[Mapping[str, Any]]) -> Self:
        """With baudrate and format taken from the `[default]` tables of the profiles of its devices, in their order.

        Raises ValueError if they differ: then the site file has to say what the devices were set to.
        """
        tables = list(defaults)
        found = {key: self._agreed(key, tables) for key in ("baudrate", "format") if getattr(self, key) is None}
        known = type(self).model_validate({"port": self.port, **{key: value for key, value in found.items() if value is not None}})
        return self.model_copy(update={key: getattr(known, key) for key in found})

    @staticmethod
    def _agreed(key: str, tables: list[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - checked by the model
        values = list(dict.fromkeys(table[key] for table in tables if key in table))
        if len(values) > 1:
            names = " and ".join(str(value) for value in values)
            raise ValueError(f"has devices that leave the factory with {key} {names}: set all to one and write {key} here")
        return values[0] if values else None

    def clash(self, other: Table) -> tuple[str, str] | None:
        """See config.kinds.Neighbour: one device has many names in /dev, and one owner."""
        if not isinstance(other, Options) or os.path.realpath(self.port) != os.path.realpath(other.port):
            return None
        named = "" if self.port == other.port else f": {self.port} and {other.port} are {os.path.realpath(self.port)}"
        return f"has the same port too{named}", "one port is one line: put the devices of both on it"

    @property
    def character_s(self) -> float:
        """Start bit, data, parity, stop."""
        bits = self.format or _FORMAT
        return (1 + int(bits[0]) + (bits[1] != "N") + int(bits[2])) / (self.baudrate or _BAUDRATE)

    @property
    def silence_s(self) -> float:
        """t3.5: 3.5 characters up to 19200 baud, 1.75 ms above (Modbus over Serial Line V1.02, 2.5.1.1)."""
        return 3.5 * self.character_s if (self.baudrate or _BAUDRATE) <= 19200 else 0.00175

    @property
    def round_trip_s(self) -> float:
        """A wire adds none, but the switching of its direction may."""
        return self.rs485.before + self.rs485.after if isinstance(self.rs485, Rs485) else 0.0

    @property
    def listens_s(self) -> float:
        """See LineSpeed."""
        return self.listen_first


class Line:
    """See AskedLine."""

    def __init__(self, name: str, options: Options, secret: Callable[[str], str]) -> None:
        """A serial line needs no secret."""
        self.name = name
        self._options = options
        self._owed = Owed()
        self._port: serial.Serial | None = None

    def open(self, stop: Event, clock: Clock) -> DescriptorWire:
        """See AskedLine. The name is looked up anew each time, so a replugged adapter is found again."""
        self.close()
        options = self._options
        bits = options.format or _FORMAT
        try:
            self._port = serial.Serial(options.port, options.baudrate or _BAUDRATE, int(bits[0]), bits[1], int(bits[2]),
                                       timeout=0, write_timeout=0, exclusive=True)
            self._port.reset_input_buffer()
            self._switch(self._port)
        except (OSError, ValueError, termios.error) as error:
            self.close()
            raise LineError(_words(options.port, error)) from error
        self._hasten(self._port)
        wire = MuteWire if options.mode == "listen" else DescriptorWire
        return wire(self._port.fileno(), clock, stop, self._owed, options.character_s, options.silence_s)

    def _switch(self, port: "serial.Serial") -> None:
        """Kernel RS-485 mode. Raises LineError if the port has none."""
        wished = self._options.rs485
        if not wished:
            return
        try:
            port.rs485_mode = (wished if isinstance(wished, Rs485) else Rs485()).settings
        except (OSError, ValueError) as error:
            self.close()
            raise LineError(f"{self._options.port} has no RS-485 mode in its driver ({error}): leave rs485 out if the adapter or board"
                            " switches by itself, as USB adapters do") from error

    def close(self) -> None:
        """See AskedLine."""
        port, self._port = self._port, None
        if port is not None:
            with suppress(OSError):  # the adapter is gone: nothing is left to close
                port.close()

    def run(self, drivers: Mapping[str, Told], deliver: Deliver, stop: Event, clock: Clock, report: Report) -> None:
        """See ToldLine: for devices that speak by themselves."""
        if any(isinstance(driver, OverheardDriver) for driver in drivers.values()):
            OverhearingListener(self.name, self, drivers, deliver, stop, clock, report, self._options).run()
        else:
            StreamListener(self.name, self, drivers, deliver, stop, clock, report).run()

    def visitor(self) -> "Line":
        """See ToldLine. A port belongs to one program: while the daemon has it, it cannot be visited."""
        return Line(self.name, self._options, str)

    @staticmethod
    def _hasten(port: serial.Serial) -> None:
        """USB adapters hold bytes back for up to 16 ms unless told otherwise; many ports have no such switch."""
        with suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)


def _words(port: str, error: Exception) -> str:
    """What is wrong with a port, and what to do."""
    text = str(error)
    if "No such file" in text:
        return f"{port} is not there: is the adapter plugged in? `ls /dev/serial/by-path` shows what is"
    if "Permission denied" in text:
        return f"{port} may not be opened by this user: add it to the group dialout"
    if "exclusively lock" in text or "busy" in text:
        return f"{port} is in use by another program"
    return f"{port} cannot be opened: {text}"
