"""Plays the case of a profile through its real driver: asked frames, a stream that was heard, or a message.

A case folder holds expected.toml and one of: request.hex with answer.hex (frames, one a line), heard.hex (pieces of a stream, one
a line), message.json (with `topic` in expected.toml).
"""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from config.device import Profile
from config.errors import DeviceError, Undecodable
from drivers.driver import Asked, Device, Heard, Streamed, Told, finish
from drivers.owed import Owed
from drivers.reading import Batch, Clock
from gateway.clock import SystemClock
from gateway.plugins import KINDS


@dataclass(slots=True)
class Played:
    """What came out of a case: values by quantity (or quantity:channel), and what it costs on the line, in words."""

    got: dict[str, float]
    expected: dict[str, float]
    plan: str = ""


@dataclass(slots=True)
class _Recorded:
    """A wire that answers with recorded frames; what is asked more than once has an answer for each time."""

    clock: Clock
    answers: dict[bytes, list[bytes]]
    asked: list[bytes] = field(default_factory=list)
    owed: Owed = field(default_factory=Owed)
    _waiting: bytes = b""

    def send(self, data: bytes) -> None:
        """See Wire."""
        self.asked.append(data)
        again = self.answers.get(data, [b""])
        self._waiting = again.pop(0) if len(again) > 1 else again[0]

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire."""
        frame, self._waiting = self._waiting, b""
        return frame

    def drain(self) -> int:
        """See Wire."""
        return 0


def play(profile: Profile, case: Path) -> Played:
    """Raises ValueError, KeyError, OSError, ConfigError or DeviceError with what is wrong with the case or the profile."""
    table = tomllib.loads((case / "expected.toml").read_text("utf-8"))
    expected = {name: float(value) for name, value in table["values"].items()}
    if (case / "message.json").exists():
        topic = str(table["topic"])
        return Played(_values(_told(profile, {"topic": topic}).hear(_heard((case / "message.json").read_bytes(), topic))), expected)
    if (case / "heard.hex").exists():
        return Played(_hear(profile, case), expected)
    requests, answers = (_frames(case / name) for name in ("request.hex", "answer.hex"))
    recorded: dict[bytes, list[bytes]] = {}
    for request, answer in zip(requests, answers, strict=True):
        recorded.setdefault(request, []).append(answer)
    return _ask(profile, recorded, expected)


def _ask(profile: Profile, answers: dict[bytes, list[bytes]], expected: dict[str, float]) -> Played:
    driver, wire = KINDS.driver(profile.file.protocol)(_device(profile, {})), _Recorded(SystemClock(), answers)
    if not isinstance(driver, Asked):
        raise ValueError(f"{profile.file.protocol} speaks by itself: its case is heard.hex or message.json")
    try:
        got = _values([finish(driver.poll(group, wire), wire) for group in driver.groups()])
    except DeviceError as error:
        unknown = [data.hex(" ") for data in wire.asked if data not in answers]
        raise ValueError(f"{error}; it asks {unknown[0]}, which request.hex does not have" if unknown else str(error)) from error
    line_time_s = sum(group.line_time_s for group in driver.groups())
    many = f"{len(wire.asked)} request{'s' if len(wire.asked) != 1 else ''}"
    return Played(got, expected, f"{many} for {len(got)} values, {line_time_s * 1000:.0f} ms on a serial line")


def _hear(profile: Profile, case: Path) -> dict[str, float]:
    driver = _told(profile, {})
    if isinstance(driver, Streamed):
        driver.begin()
    return _values(batch for piece in _frames(case / "heard.hex") for batch in driver.hear(_heard(piece)))


def _told(profile: Profile, options: dict[str, str]) -> Told:
    driver = KINDS.driver(profile.file.protocol)(_device(profile, options))
    if not isinstance(driver, Told):
        raise ValueError(f"{profile.file.protocol} is asked: its case is request.hex and answer.hex")
    return driver


def _heard(payload: bytes, topic: str = "") -> Heard:
    return Heard(topic, payload, SystemClock().now())


def _values(batches: Iterable[Batch]) -> dict[str, float]:
    """The last value of each series. Raises ValueError if a message cannot be read."""
    found = {}
    try:
        for batch in batches:
            for which, value in zip(batch.which, batch.raw, strict=True):
                series = batch.series[which]
                found[":".join(filter(None, (series.quantity, series.channel)))] = float(value)
    except Undecodable as error:
        raise ValueError(f"its message cannot be read: {error}") from error
    return found


def _frames(path: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip()]


def _device(profile: Profile, options: dict[str, str]) -> Device:
    """The device as it leaves the factory, on a line of its own."""
    factory = {key: value for key, value in profile.file.default.items() if key in ("baudrate", "format")}
    kind = "serial" if "serial" in KINDS.lines(profile.file.protocol) else "mqtt"
    place = {"port": "case", **factory} if kind == "serial" else {"url": "mqtt://127.0.0.1"}
    try:
        own = KINDS.options("protocols", profile.file.protocol).model_validate(options)
        line = KINDS.options("lines", kind).model_validate(place)
    except ValidationError as error:
        raise ValueError(f"[default]: {error.errors()[0]['msg']}") from error
    return Device("case", "case", profile, own, line, profile.file.interval)
