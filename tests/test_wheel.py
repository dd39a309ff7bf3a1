"""The wheel holds everything that the program reads: every file of the four packages, not only the Python ones."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
PACKAGES = ("gateway", "drivers", "analytics", "config")


def test_every_file_of_the_packages_is_in_the_wheel(tmp_path):
    pytest.importorskip("hatchling")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=HOUSE, capture_output=True, text=True,
                          check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(HOUSE)) for package in PACKAGES for path in (HOUSE / package).rglob("*")
             if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".nbi", ".nbc")}
    assert any(name.endswith(".toml") for name in files)
    assert files - held == set()
    assert {name.split("/")[0] for name in held if "dist-info" not in name} == set(PACKAGES)
