"""`ecosentry scan` without argument: every port by its lasting name, listened to side by side; nothing is sent."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from config.errors import LineError
from drivers.codecs.masters import Masters
from drivers.job import Plain
from drivers.ports import Port
from gateway.scanning.own_port import Setting, listen, own_port
from gateway.scanning.streams import Recognised, Recogniser

EACH_S = 3.0
_SETTINGS = (Setting(9600), Setting(4800), Setting(19200), Setting(115200), Setting(2400), Setting(9600, "8E1"), Setting(38400),
             Setting(19200, "8E1"))
"""Tried one after another only while bytes come that nothing can read."""
State = Literal["quiet", "stream", "master", "unknown", "taken", "denied", "failed", "console"]


@dataclass(frozen=True, slots=True)
class Listened:
    """One port."""

    port: Port
    state: State
    words: str = ""
    setting: str = ""
    stream: Recognised | None = None

    def plain(self) -> Plain:
        """For JSON."""
        profiles, values = (list(self.stream.profiles), self.stream.values) if self.stream else ([], {})
        return {**asdict(self.port), "state": self.state, "words": self.words, "setting": self.setting, "profiles": profiles, "values": values}


def listen_to_all(ports: Sequence[Port], lines: Mapping[str, str], each_s: float, stop: Event) -> list[Listened]:
    """Every port, in their order. `lines`: the site's line by the real device of its port, where the daemon has it."""
    with ThreadPoolExecutor(max(1, len(ports))) as pool:
        return list(pool.map(lambda port: _one(port, lines.get(str(Path(port.device).resolve()), ""), each_s, stop), ports))


def _one(port: Port, line: str, each_s: float, stop: Event) -> Listened:
    if line:
        return Listened(port, "taken", f"read by EcoSentry: line {line}; ecosentry scan {line} looks at it while polling goes on")
    if port.is_console:
        return Listened(port, "console", "the console of this box: not touched")
    try:
        return hear_port(port, each_s, stop)
    except LineError as error:
        text = str(error)
        state: State = "taken" if "in use" in text else "denied" if "may not be opened" in text else "failed"
        return Listened(port, state, text)


def hear_port(port: Port, each_s: float, stop: Event, own: Setting | None = None) -> Listened:
    """What speaks on a port, at its own setting (else 9600 8N1) and, if it cannot be understood, at others. Raises LineError."""
    first: Listened | None = None
    for setting in dict.fromkeys((own or _SETTINGS[0], *_SETTINGS)):
        heard = _at(port, setting, each_s, stop)
        first = first or heard
        if heard.state in ("stream", "master") or (first.state == "quiet") or stop.is_set():
            return heard
    assert first is not None
    return first


def _at(port: Port, setting: Setting, each_s: float, stop: Event) -> Listened:
    recogniser, masters = Recogniser(), Masters()

    def hear(piece: bytes, mono_ns: int) -> bool:
        if piece:
            recogniser.feed(piece, mono_ns)
            masters.feed(piece, mono_ns)
        else:
            masters.fall_silent(mono_ns)
        return masters.requests > 1

    with own_port(setting.options(port.name), stop) as wire:
        count = listen(wire, each_s, hear, stop)
    stream = recogniser.verdict()
    if masters.requests:
        return Listened(port, "master", f'{masters.words()}: nothing was sent; mode = "listen" reads along', str(setting))
    if stream.profiles:
        return Listened(port, "stream", "", str(setting), stream)
    return Listened(port, "unknown" if count else "quiet", stream.words, str(setting) if count else "")
