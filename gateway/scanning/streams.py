"""What speaks by itself on a port: the shipped profiles of streams are listened with, and the best of them is named."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from config.device import Profile
from config.errors import ConfigError
from config.find import found
from config.reading_profile import read_profile
from drivers.codecs import nmea
from drivers.codecs.frame import LineCutter, NotAFrame
from drivers.driver import Device, Heard, Streamed, Told
from drivers.lines.serial import Options as SerialOptions
from drivers.reading import Stamp
from gateway.plugins import KINDS
from gateway.scanning.fitting import is_plausible

_SAMPLE = 48
_MOST_LINES = 3


@dataclass(slots=True)
class _Candidate:
    profile: Profile
    driver: Told
    times: int = 0
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was recognised."""

    profiles: tuple[str, ...]
    """Profiles that read it equally well, by name; none = not known."""
    times: int
    """So many readings."""
    values: dict[str, float]
    """The newest by quantity."""
    bytes_heard: int
    words: str
    """What came, for people, where no profile knows it."""


class Recogniser:
    """Hears one stream with every profile of sensors that speak by themselves."""

    def __init__(self) -> None:
        self._candidates = [_Candidate(profile, driver) for profile in _profiles() if (driver := _driver(profile)) is not None]
        self._lines, self._texts, self._sentences = LineCutter(), list[str](), dict[str, None]()
        self._sample = b""
        self.bytes_heard = 0

    def feed(self, piece: bytes, mono_ns: int) -> None:
        """Some of the stream."""
        self.bytes_heard += len(piece)
        self._sample = (self._sample + piece)[:_SAMPLE]
        heard = Heard("", piece, Stamp("scan", mono_ns, mono_ns))
        for candidate in self._candidates:
            for batch in candidate.driver.hear(heard):
                candidate.times += 1
                for which, raw in zip(batch.which.tolist(), batch.raw.tolist(), strict=True):
                    if not math.isnan(raw):
                        candidate.values[":".join(filter(None, (batch.series[which].quantity, batch.series[which].channel)))] = raw
        for line in self._lines.feed(piece):
            self._note(line)

    def _note(self, line: bytes) -> None:
        try:
            self._sentences[nmea.read(line).name] = None
        except NotAFrame:
            if len(self._texts) < _MOST_LINES and all(0x20 <= byte < 0x7F for byte in line):
                self._texts.append(line.decode("ascii")[:80])

    def verdict(self) -> Recognised:
        """What it is."""
        good = [c for c in self._candidates if c.values and all(is_plausible(name, value) for name, value in c.values.items())]
        best = max(((len(c.values), c.times) for c in good), default=(0, 0))
        names = tuple(sorted(c.profile.name for c in good if (len(c.values), c.times) == best))
        values = next((c.values for c in good if c.profile.name in names), {})
        return Recognised(names, best[1], values, self.bytes_heard, "" if names else self._words())

    def _words(self) -> str:
        if self._sentences:
            return f"NMEA sentences {', '.join(list(self._sentences)[:8])}: a profile with protocol = \"nmea\" can name their fields"
        if self._texts:
            return f'lines of text, as in {self._texts[0]!r}: a profile with protocol = "text_lines" can read them'
        return f"{self.bytes_heard} bytes that no profile knows: {self._sample.hex(' ')}" if self.bytes_heard else ""


def _profiles() -> Iterable[Profile]:
    for file in found("devices").values():
        try:
            yield read_profile(file, KINDS)
        except ConfigError:
            continue  # `ecosentry devices` shows what is wrong with it


def _driver(profile: Profile) -> Told | None:
    if "serial" not in KINDS.lines(profile.file.protocol):
        return None
    options = KINDS.options("protocols", profile.file.protocol)()
    try:
        driver = KINDS.driver(profile.file.protocol)(Device("scan", "scan", profile, options, SerialOptions(port="scan"), 1.0))
    except (ConfigError, ValueError):
        return None
    return driver if isinstance(driver, Told) and isinstance(driver, Streamed) else None
