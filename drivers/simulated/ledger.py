"""The witness: what the simulated devices said, written by themselves in the moment of saying it.

A CSV file that only grows, one line a value: event, series, sequence, time_ns, value, mono_ns. `event` is `answered` (a
Modbus answer left), `published` (a message was handed to the broker), `confirmed` (the broker has it) or `obeyed` (a coil
or register was written; series names it). `value` is the shortest decimal of the float64. It survives the writer's death:
every line is given to the system at once.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

HEADER = "event,series,sequence,time_ns,value,mono_ns"


class Entry(NamedTuple):
    """One line."""

    event: str
    series: str
    sequence: int
    time_ns: int | None
    value: float | None
    """None: of a confirmation."""
    mono_ns: int


class Ledger:
    """Appends; any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        is_new = not path.exists() or path.stat().st_size == 0
        self._file = path.open("a", encoding="utf-8")
        if is_new:
            self._file.write(HEADER + "\n")
            self._file.flush()

    def said(self, event: str, sequence: int, values: Mapping[str, float | None], time_ns: int | None = None) -> None:
        """What was said in one answer or message, by series; in one piece."""
        mono = time.monotonic_ns()
        at = "" if time_ns is None else str(time_ns)
        lines = "".join(f"{event},{series},{sequence},{at},{'' if value is None else repr(value)},{mono}\n" for series, value in values.items())
        with self._lock:
            if not self._file.closed:
                self._file.write(lines)
                self._file.flush()

    def close(self) -> None:
        """No more is written."""
        with self._lock:
            self._file.close()


def read_ledger(path: Path) -> Iterable[Entry]:
    """The entries of a ledger; an unfinished last line is left out."""
    text = path.read_text("utf-8")
    for line in text[: text.rfind("\n") + 1].splitlines()[1:]:
        event, series, sequence, at, value, mono = line.split(",")
        yield Entry(event, series, int(sequence), int(at) if at else None, float(value) if value else None, int(mono))
