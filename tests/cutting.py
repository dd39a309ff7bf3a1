"""Power cuts: a writer on an ext4 of its own, which is shut down in mid-write without its log. The harness of the power cut tests.

Only what was read from the writer before the cut counts as acknowledged: ext4 may answer an fsync that overlaps its end.
What this cannot show: write caches and cards that lie.
"""

import contextlib
import fcntl
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, b"\2\0\0\0"
WRITER = """
import os, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from house import AMMONIA, House, site
import house as h, gateway.journal.writer as w
original = w.Writer.__init__
w.Writer.__init__ = lambda self, folder, synchronous="": original(self, folder, *sys.argv[2].split())
house = House(Path(sys.argv[1]), site())
k = 0
while True:
    house.clock.forward(1)
    house.say((AMMONIA, float(k)))
    house.turn()
    os.write(1, b"%d\\n" % k)
    k += 1
"""


class Disk(NamedTuple):
    """A mounted file system."""

    place: Path
    mount: Callable[[], None]
    """Again, after a cut."""


class Cut(NamedTuple):
    """What one power cut left."""

    acknowledged: int
    """Commits that the writer had told of before the cut."""
    found: int
    """Commits that are in the journal after it."""
    whole: bool
    """Without a hole or damage."""

    @property
    def lost(self) -> int:
        """Acknowledged commits that are gone."""
        return max(0, self.acknowledged - self.found)


@contextlib.contextmanager
def loop_ext4(folder: Path) -> Iterator[Disk]:
    """A small ext4 of its own, mounted; skipped by name where that cannot be had."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not shutil.which("losetup"):
        pytest.skip("a power cut is emulated on a loop-mounted ext4: needs root, mkfs.ext4 and losetup")
    image, place = folder / "image", folder / "mnt"
    place.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)

    def mount() -> None:
        done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this machine cannot mount a loop device: {done.stderr.strip()}")

    mount()
    try:
        yield Disk(place, mount)
    finally:
        subprocess.run(["umount", place], check=False, capture_output=True)


def cut(disk: Disk, synchronous: str, chance: random.Random) -> Cut:
    """One life of a writer with a power cut in it; `synchronous` "" = as the product opens its journal."""
    place, mount = disk
    journal = place / "journal"
    environment = {**os.environ, "ECOSENTRY_NUMBA": "0"}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, journal, synchronous, str(Path(__file__).parent)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment)
    assert writer.stdout is not None
    acknowledged = b""
    while acknowledged.count(b"\n") < 3:
        told = os.read(writer.stdout.fileno(), 65536)
        assert told, f"the writer died by itself with code {writer.wait(10)}"
        acknowledged += told
    time.sleep(chance.uniform(0.02, 0.25))
    acknowledged += os.read(writer.stdout.fileno(), 1 << 20)
    handle = os.open(place, os.O_RDONLY)
    fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, NOLOGFLUSH)
    os.close(handle)
    writer.kill()
    writer.wait()
    writer.stdout.close()
    subprocess.run(["umount", place], check=True)
    mount()
    db = sqlite3.connect(journal / "live.db")
    try:
        found = [v for (v,) in db.execute("SELECT raw FROM hot WHERE series = 0 ORDER BY n")]
        whole = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok" and found == [float(k) for k in range(len(found))]
    except sqlite3.DatabaseError:
        found, whole = [], False
    finally:
        db.close()
    shutil.rmtree(journal)
    return Cut(acknowledged.count(b"\n"), len(found), whole)
