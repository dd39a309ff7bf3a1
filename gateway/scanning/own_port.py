"""A port that the command has to itself: opened under its exclusive lock, one setting after another, and a job driven on it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from config.errors import LineError
from drivers.driver import AskedLine, Wire
from drivers.job import Gap, Job, Plain, Progress
from drivers.lines.serial import Line as SerialLine
from drivers.lines.serial import Options as SerialOptions
from gateway.clock import SystemClock

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a serial port is set to."""

    baudrate: int = 9600
    format: str = "8N1"
    framing: str = "rtu"

    def __str__(self) -> str:
        return f"{self.baudrate} {self.format}"

    @classmethod
    def of(cls, options: SerialOptions) -> "Setting":
        """What a line is set to."""
        usual = cls()
        return cls(options.baudrate or usual.baudrate, options.format or usual.format, options.framing)

    def options(self, port: str, like: SerialOptions | None = None) -> SerialOptions:
        """The options of a port with it; what else the port needs (RS-485 mode) is that of `like`. Raises ValueError if it cannot be."""
        made = SerialOptions.model_validate({"port": port, "baudrate": self.baudrate, "format": self.format, "framing": self.framing})
        return made if like is None else made.model_copy(update={"rs485": like.rs485})


class OwnPort:
    """An open line; a context manager. Raises LineError where it cannot be opened."""

    def __init__(self, line: AskedLine, stop: Event) -> None:
        self._line, self._stop = line, stop

    def __enter__(self) -> Wire:
        return self._line.open(self._stop, SystemClock())

    def __exit__(self, *_: object) -> None:
        self._line.close()


def own_port(options: SerialOptions, stop: Event) -> OwnPort:
    """A serial port as these options say."""
    return OwnPort(SerialLine("scan", options, str), stop)


def run_job(job: Job, wire: Wire, tell: Tell, stop: Event) -> Plain:
    """Drive a job on a line that nobody else uses; gives its result. Raises LineError, DeviceError, KeyboardInterrupt."""
    work = job.work()
    try:
        progress = next(work)
        while True:
            tell(progress)
            if stop.is_set():
                raise LineError("stopped")
            if progress.pause_s:
                stop.wait(progress.pause_s)
            progress = work.send(Gap(wire, math.inf))
    except StopIteration as end:
        result: Plain = end.value
        return result
    finally:
        work.close()


def listen(wire: Wire, seconds: float, hear: Callable[[bytes, int], bool], stop: Event) -> int:
    """Hand what comes to `hear(piece, mono_ns)` until it says True or the time is over; gives the number of bytes."""
    until, heard = time.monotonic() + seconds, 0
    while (rest_s := until - time.monotonic()) > 0 and not stop.is_set():
        piece = wire.receive(lambda so_far: 0 if so_far else 1, min(rest_s, 0.1))
        heard += len(piece)
        if hear(piece, wire.clock.now().mono_ns):
            break
    return heard
