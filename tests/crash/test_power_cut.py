"""A power cut loses nothing that was acknowledged: ext4 on a loop device, shut down in mid-write without its log.

Only what was read from the writer before the cut counts as acknowledged. The same harness must lose data with
`synchronous` NORMAL or OFF, or it is blind. What this cannot show: write caches and cards that lie.
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
from pathlib import Path

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
CUTS = int(os.environ.get("ECOSENTRY_CUTS", "10"))
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


@contextlib.contextmanager
def loop_ext4(folder: Path):
    """A small ext4 of its own, mounted; skipped by name where that cannot be had."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not shutil.which("losetup"):
        pytest.skip("a power cut is emulated on a loop-mounted ext4: needs root, mkfs.ext4 and losetup")
    image, place = folder / "image", folder / "mnt"
    place.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)

    def mount():
        done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this machine cannot mount a loop device: {done.stderr.strip()}")

    mount()
    try:
        yield place, mount
    finally:
        subprocess.run(["umount", place], check=False, capture_output=True)


def cut(place: Path, mount, synchronous: str, chance: random.Random) -> tuple[int, int, bool]:
    """One life with a power cut in it: (acknowledged before the cut, found after it, without hole or damage)."""
    journal = place / "journal"
    environment = {**os.environ, "ECOSENTRY_NUMBA": "0"}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, journal, synchronous, str(Path(__file__).parents[1])], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment)
    acknowledged = b""
    while acknowledged.count(b"\n") < 3:
        acknowledged += os.read(writer.stdout.fileno(), 65536)
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
    return acknowledged.count(b"\n"), len(found), whole


def test_a_power_cut_loses_nothing_that_was_acknowledged_and_this_harness_would_see_it(tmp_path):
    chance = random.Random(int(os.environ.get("ECOSENTRY_SEED", "1")))
    with loop_ext4(tmp_path) as (place, mount):
        for k in range(CUTS):
            acknowledged, found, whole = cut(place, mount, "", chance)  # as the product opens it
            assert found >= acknowledged >= 3, f"cut {k}: {acknowledged} acknowledged, {found} found"
            assert whole, f"cut {k}: a hole or damage"
        lost = 0
        for _ in range(4):
            acknowledged, found, whole = cut(place, mount, "OFF", chance)
            lost += found < acknowledged or not whole
    assert lost, "with synchronous OFF nothing was lost: the harness is blind"
