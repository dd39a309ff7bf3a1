"""A copy of the house in which a twin can live, and its tests run there: what turned red, and whether the copy was what ran.

Every file that a twin changes signs a sheet when it is imported, in whichever process: a red test of another tree proves nothing.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from proof.record import HOUSE
from proof.twins import Twin

PARTS = ("gateway", "drivers", "analytics", "config", "tests")
BROKEN = ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "AttributeError", "TypeError", "IndentationError")
"""A twin that cannot run at all is no twin: these do not count as red."""
_NO_SHRINKING = """
from hypothesis import Phase, settings

settings.register_profile("twins", phases=(Phase.explicit, Phase.generate))
settings.load_profile("twins")
"""
"""The smallest example is for people; that there is one is enough here."""
_SIGN = """
import os as _twin_os
if "TWIN_SHEET" in _twin_os.environ:
    with open(_twin_os.environ["TWIN_SHEET"], "a") as _twin_sheet:
        _twin_sheet.write(__file__ + "\\n")
"""


@dataclass(slots=True)
class Verdict:
    """What the tests of a twin said: names as FILE::TEST without parameters."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    """With the first words of the failure."""
    skipped: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    """Of import, collection and fixtures."""
    code: int = 0
    signed: set[str] = field(default_factory=set)
    """Which files of that name were imported."""
    printed: str = ""


def patched(twin: Twin, house: Path = HOUSE) -> str:
    """The source of the twin. Raises ValueError where the old text does not stand there exactly once."""
    source = (house / twin.file).read_text("utf-8")
    if source.count(twin.old) != 1:
        raise ValueError(f"{twin.name}: its old text stands {source.count(twin.old)} times in {twin.file}")
    return source.replace(twin.old, twin.new)


def copy(place: Path, house: Path = HOUSE) -> Path:
    """The packages and tests, in an empty folder."""
    for part in PARTS:
        shutil.copytree(house / part, place / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(house / "pyproject.toml", place)
    (place / "twin_settings.py").write_text(_NO_SHRINKING)
    return place


def run(twin: Twin, place: Path, *, broken: bool) -> Verdict:
    """The tests of a twin in the copy `place`: with its defect, or for comparison without."""
    file = place / twin.file
    original = file.read_text("utf-8")
    sheet, report = place / "sheet", place / "report.xml"
    sheet.write_text("")
    report.unlink(missing_ok=True)
    file.write_text((patched(twin, place) if broken else original) + _SIGN, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(place), "TWIN_SHEET": str(sheet), "ECOSENTRY_NUMBA": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "twin_settings", f"--junitxml={report}", "--timeout=90",
             *(f"tests/{test}" for test in twin.tests)]
    try:
        done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300)
    finally:
        file.write_text(original, "utf-8")
    verdict = _read(report) if report.exists() else Verdict(errors=["no report"])
    verdict.code, verdict.signed, verdict.printed = done.returncode, set(sheet.read_text().split("\n")) - {""}, done.stdout + done.stderr
    return verdict


def _read(report: Path) -> Verdict:
    verdict = Verdict()
    for case in ET.parse(report).getroot().iter("testcase"):
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        name = f"{module}.py::{case.get('name', '').split('[')[0]}"
        failure, skipped, error = case.find("failure"), case.find("skipped"), case.find("error")
        if failure is not None:
            verdict.failed.setdefault(name, failure.get("message", "")[:200])
        elif skipped is not None:
            verdict.skipped[name] = skipped.get("message", "")
        elif error is not None:
            verdict.errors.append(f"{name}: {error.get('message', '')[:200]}")
        else:
            verdict.passed.add(name)
    return verdict
