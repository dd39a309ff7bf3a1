"""A supply that comes and goes: fifty starts in ten minutes, each ended by kill -9, neither wear, corrupt nor flood."""

import collections
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cutting import loop_ext4
from house import NOON, S

from gateway.journal.verifying import verify

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
STARTS = 50
KB_A_START = 150
"""Of these a start itself needs a third, the rest are five commits of a reading each."""
KB_KEPT_A_START = 40
LIVES = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import house
from gateway.journal.writer import Writer
from gateway.step import warm_up
house.Writer = lambda folder, synchronous: Writer(folder)
warm_up()
folder = Path(sys.argv[1])
for k in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:  # the box has 12 s of supply in each cycle, the daemon 5 s of it
        clock = house.TurnedClock(house.NOON + 12 * k * house.S, boot=f"boot-{k}")
        clock.mono_ns = 30 * house.S
        home = house.House(folder, house.site(ladder=house.LADDER), clock)
        for second in range(5):
            clock.forward(1)
            home.say((house.AMMONIA, 1.2 + second / 1000))
            home.turn()
            os.write(1, b"%d %d\\n" % (k, second))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
"""


def written(place: Path) -> int:
    """Bytes that the kernel wrote to the block device below."""
    subprocess.run(["sync", "-f", place], check=True)
    device = place.stat().st_dev
    return int(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()[6]) * 512


def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None and Path("/dev/loop-control").exists()


def test_fifty_starts_in_ten_minutes_neither_wear_corrupt_nor_flood(tmp_path):
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(loop_ext4(tmp_path)).place if can_mount() else tmp_path
        folder = place / "journal"
        before = written(place) if can_mount() else 0
        done = subprocess.run([sys.executable, "-c", LIVES, str(folder), str(STARTS), str(Path(__file__).parents[1])],
                              capture_output=True, text=True, check=False, timeout=100,
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
        assert done.returncode == 0, done.stderr[-3000:]
        if can_mount():
            kb = (written(place) - before) / STARTS / 1000
            assert kb <= KB_A_START, f"a start writes {kb:.0f} kB to the card"
        acknowledged = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        size = sum(path.stat().st_size for path in folder.glob("live.db*"))
        findings = verify(folder)
        with contextlib.closing(sqlite3.connect(folder / "live.db")) as db:
            rows = db.execute("SELECT at, raw FROM hot JOIN series ON series.id = hot.series WHERE quantity = 'ammonia_nitrogen' AND "
                              "statistic = '' AND raw IS NOT NULL ORDER BY n").fetchall()
            kept = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("boot", "plan", "checkpoint", "aside")}
            told = [(recipient, json.loads(body)["data"]["alert"]) for recipient, body in db.execute("SELECT recipient, body FROM outbox")]
            log = db.execute("SELECT alert, kind FROM alert_log").fetchall()
    assert [finding for finding in findings if not finding.good] == []
    assert acknowledged == [(k, second) for k in range(STARTS) for second in range(5)]
    assert rows == [(NOON + (12 * k + second + 1) * S, 1.2 + second / 1000) for k, second in acknowledged], "what was committed is not what is there"
    assert log == [(1, "alert.raised")], "an alert began anew, or ended, because the box did"
    assert collections.Counter(told) == {("hook:one", "1121-1"): 1, ("hook:two", "1121-1"): 1}, "somebody was told twice or not at all"
    assert kept == {"boot": STARTS, "plan": 1, "checkpoint": 2, "aside": 0}, "something of each start stays"
    assert size <= STARTS * KB_KEPT_A_START * 1000, f"a start leaves {size / STARTS / 1000:.0f} kB"
