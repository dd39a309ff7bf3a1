"""`ecosentry devices --test FILE`: what a profile has to prove before it is shipped.

It is read, has a source, and decodes its case (`case.py`): bytes of the real device and the values that its display or its
manual gives for them (expected.toml), through the same driver that the daemon uses.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from config.device import Profile
from config.errors import ConfigError, DeviceError
from config.find import Found, local
from config.reading_profile import read_profile
from config.telling import told
from gateway.checking.case import play
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


def _play(profile: Profile, case: Path) -> list[Verdict]:
    try:
        played = play(profile, case)
    except (OSError, ValueError, KeyError, ConfigError, DeviceError) as error:
        what, _, repair = str(error).partition("; ")
        return [Verdict("case", False, f"{case}: {error}" if isinstance(error, OSError | KeyError) else what, repair)]
    verdict = _compared(played.got, played.expected)
    return [verdict, Verdict("plan", True, played.plan)] if played.plan else [verdict]


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
