"""What a finished campaign leaves behind: docs/proof/NAME.json. Figures in docs/promises.md are quoted from there and nowhere else."""

import hashlib
import json
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent.parent
FOLDER = HOUSE / "docs" / "proof"


@dataclass(frozen=True, slots=True)
class Record:
    """One finished campaign. `files` are the files it proves something about, with their SHA-256."""

    name: str
    promise: str
    figures: dict[str, int | float | str]
    steps: int
    seed: int
    date: str
    commit: str
    seconds: float
    versions: dict[str, str]
    files: dict[str, str]

    def path(self, folder: Path = FOLDER) -> Path:
        return folder / f"{self.name}.json"

    def write(self, folder: Path = FOLDER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = self.path(folder)
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", "utf-8")
        return path

    def changed(self, house: Path = HOUSE) -> list[str]:
        """The proved files that are not what they were: empty = the proof is current."""
        return [name for name, digest in self.files.items() if not (house / name).is_file() or _hash(house / name) != digest]


def read_record(path: Path) -> Record:
    """A record from its file. Raises ValueError or TypeError where it is not whole."""
    return Record(**json.loads(path.read_text("utf-8")))


def hashes(patterns: Iterable[str], house: Path = HOUSE) -> dict[str, str]:
    """The files that fit the patterns, each with its SHA-256. Raises ValueError where a pattern fits none: the proof would be of nothing."""
    found: dict[str, str] = {}
    for pattern in patterns:
        files = sorted(p for p in house.glob(pattern) if p.is_file() and "__pycache__" not in p.parts)
        if not files:
            raise ValueError(f"{pattern} fits no file")
        found |= {p.relative_to(house).as_posix(): _hash(p) for p in files}
    return found


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions(more: Mapping[str, str]) -> dict[str, str]:
    """What it was run with."""
    packages = {name: version(name) for name in ("ecosentry", "numpy", "numba", "pydantic", "paho-mqtt")}
    kernel = platform.release().split("-")[0]
    system = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "machine": platform.machine(), "kernel": kernel}
    return packages | system | dict(more)


def commit() -> str:
    """The commit that the tree stands on; "+" if files differ from it."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-c", "safe.directory=*", *words], cwd=HOUSE, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    at = git("rev-parse", "--short=12", "HEAD")
    return at + ("+" if at and git("status", "--porcelain", "--", "gateway", "drivers", "analytics", "config", "tests") else "")
