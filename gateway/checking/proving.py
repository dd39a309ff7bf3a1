"""`ecosentry devices --test FILE`: what a profile has to prove before it is shipped.

It is read, has a source, and decodes its case: frames of the real device (request.hex, answer.hex, one a line) and the
values that its display or its manual gives for them (expected.toml), through the same driver that the daemon uses.
"""

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from config.device import Profile
from config.errors import ConfigError, DeviceError
from config.find import Found, local
from config.reading_profile import read_profile
from config.telling import told
from drivers.driver import Asked, Device
from drivers.reading import Clock
from gateway.clock import SystemClock
from gateway.plugins import KINDS


@dataclass(slots=True)
class Verdict:
    """One part of the test of a profile."""

    part: str
    good: bool
    words: str
    repair: str = ""


def run_test(path: str, *, as_json: bool, out: TextIO) -> int:
    """Reads the file, looks for its source, and plays its case through the real driver; exit code 0 or 1."""
    verdicts = prove_profile(Path(path))
    if as_json:
        plain = [{"part": v.part, "ok": v.good, "words": v.words, "repair": v.repair} for v in verdicts]
        print(json.dumps({"format": 1, "file": path, "ok": all(v.good for v in verdicts), "parts": plain}, ensure_ascii=False), file=out)
    else:
        for verdict in verdicts:
            print(f"{verdict.part:<7} {verdict.words}" + (f" → {verdict.repair}" if verdict.repair else ""), file=out)
    return 0 if all(verdict.good for verdict in verdicts) else 1


def prove_profile(path: Path) -> list[Verdict]:
    """What the profile contract says of a file. The case is looked for in tests/cases/NAME, above the file and here."""
    try:
        profile = read_profile(Found(path.stem, str(path), False, path.read_bytes()), KINDS)
    except OSError as error:
        return [Verdict("file", False, f"{path}: {error.strerror}")]
    except ConfigError as error:
        return [Verdict("file", False, "\n" + told(error.problems).rstrip())]
    verdicts = [Verdict("file", True, "ok")]
    if len(profile.file.source.strip()) < 5:
        verdicts.append(Verdict("source", False, "missing", 'source = "which manual, which page": required before it can be shipped'))
    if profile.file.verified == "M":
        verdicts.append(Verdict("source", True, "M: from memory; good for this box, not for shipping"))
    case = next((folder for folder in _cases(path) if folder.is_dir()), None)
    if case is None:
        verdicts.append(Verdict("case", True, f"none: tests/cases/{path.stem}/ (request.hex, answer.hex, expected.toml) would show that it decodes"))
    else:
        verdicts += _play(profile, case)
    return verdicts


def _cases(path: Path) -> list[Path]:
    inside = Path("tests") / "cases" / path.stem
    return [*(parent / inside for parent in path.resolve().parents), Path.cwd() / inside, local() / "cases" / path.stem]


@dataclass(slots=True)
class _Recorded:
    """A wire that answers with recorded frames."""

    clock: Clock
    answers: dict[bytes, bytes]
    asked: list[bytes] = field(default_factory=list)
    _waiting: bytes = b""

    def send(self, data: bytes) -> None:
        """See Wire."""
        self.asked.append(data)
        self._waiting = self.answers.get(data, b"")

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire."""
        frame, self._waiting = self._waiting, b""
        return frame

    def drain(self) -> int:
        """See Wire."""
        return 0


def _play(profile: Profile, case: Path) -> list[Verdict]:
    try:
        requests, answers = (_frames(case / name) for name in ("request.hex", "answer.hex"))
        expected = tomllib.loads((case / "expected.toml").read_text("utf-8"))["values"]
        wire = _Recorded(SystemClock(), dict(zip(requests, answers, strict=True)))
    except (OSError, ValueError, KeyError) as error:
        return [Verdict("case", False, f"{case}: {error}")]
    try:
        driver = KINDS.driver(profile.file.protocol)(_on_a_wire(profile))
    except (ValueError, ConfigError) as error:
        return [Verdict("case", False, str(error))]
    if not isinstance(driver, Asked):
        return [Verdict("case", True, f"{profile.file.protocol} speaks by itself: its frames are not asked for")]
    got: dict[str, float] = {}
    for group in driver.groups():
        try:
            batch = driver.poll(group, wire)
        except DeviceError as error:
            unknown = [data.hex(" ") for data in wire.asked if data not in wire.answers]
            return [Verdict("case", False, f"{error}", f"it asks {unknown[0]}, which request.hex does not have" if unknown else "")]
        for which, value in zip(batch.which, batch.raw, strict=True):
            series = batch.series[which]
            got[":".join(filter(None, (series.quantity, series.channel)))] = float(value)
    line_time_s = sum(group.line_time_s for group in driver.groups())
    count = len(wire.asked)
    plan = Verdict("plan", True, f"{count} request{'s' if count != 1 else ''} for {len(got)} values, {line_time_s * 1000:.0f} ms on a serial line")
    return [_compared(got, expected), plan]


def _frames(path: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip()]


def _on_a_wire(profile: Profile) -> Device:
    """The device as it leaves the factory, on a serial line of its own."""
    if "serial" not in KINDS.lines(profile.file.protocol):
        raise ValueError(f"{profile.file.protocol} does not run on a serial line: cases are recorded there")
    factory = {key: value for key, value in profile.file.default.items() if key in ("baudrate", "format")}
    try:
        options = KINDS.options("protocols", profile.file.protocol).model_validate({})
        line = KINDS.options("lines", "serial").model_validate({"port": "case", **factory})
    except ValidationError as error:
        raise ValueError(f"[default]: {error.errors()[0]['msg']}") from error
    return Device("case", "case", profile, options, line, profile.file.interval)


def _compared(got: dict[str, float], expected: dict[str, float]) -> Verdict:
    equal = {name for name in expected if name in got and (got[name] == expected[name] or (math.isnan(got[name]) and math.isnan(expected[name])))}
    if len(equal) == len(expected) == len(got):
        return Verdict("case", True, f"{len(equal)} of {len(expected)} values equal")
    wrong = next((name for name in expected if name not in equal), "")
    if not wrong:
        return Verdict("case", False, f"the case has no {', '.join(sorted(set(got) - set(expected)))}", "add what the display showed")
    if wrong not in got:
        return Verdict("case", False, f"{wrong} is expected and not in the profile")
    return Verdict("case", False, f"{wrong} expected {expected[wrong]:g}, got {got[wrong]:g}", _guess(got[wrong], float(expected[wrong])))


def _guess(got: float, expected: float) -> str:
    for decimals in range(1, 5):
        if expected and math.isclose(got / expected, 10.0**decimals):
            return f"decimals = {decimals}?"
    return "another register, type or order?"
