"""A process that commits hours as fast as it can and seals every day that is over, and what a kill or a power cut leaves of it."""

import fcntl
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cutting import EXT4_IOC_SHUTDOWN, NOLOGFLUSH, Disk
from house import AMMONIA

from gateway.journal.reader import Reader
from gateway.journal.verifying import verify
from gateway.journal.writer import Writer

CHILD = """
import os, sqlite3, sys, threading, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from house import AMMONIA, House, site
import house as h, gateway.journal.writer as w
from config.site import Journal
from gateway.journal import keeping, sealing
original = w.Writer.__init__
w.Writer.__init__ = lambda self, folder, synchronous="": original(self, folder)
house = House(Path(sys.argv[1]), site())
sealer = sealing.Sealer(house.folder, Journal(), house.intake.tell)
def work():
    with house.reader() as reader:
        while True:
            sealer.turn(reader, lambda used: time.sleep(0.001))
            time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
with house.reader() as reader:
    rows, table = reader.rows_after(0, 10**7), reader.series()
    k = 1 + max([int(raw) for raw, which in zip(rows.raw, rows.which) if table[which] == AMMONIA and raw == raw], default=-1)
house.clock.utc_ns += k * 3600 * h.S
while True:
    house.clock.forward(3600)
    house.say((AMMONIA, float(k)))
    house.turn()
    os.write(1, b"%d\\n" % k)
    k += 1
    if k % 12 == 0:
        with house.writer.transaction():
            house.core._checkpoint()
            keeping.clear(house.writer)
"""


class Life(NamedTuple):
    """What was acknowledged before the end, and what the next start finds."""

    acknowledged: int
    """The newest value that the process had told of; -1 = none."""
    found: list[float]
    """Every value in the journal, in arrival order."""
    days: int
    """Sealed files."""
    whole: bool
    """As `journal verify` sees it."""

    def check(self) -> None:
        """Everything that was acknowledged is there, once, in order, wherever it lies."""
        assert self.found == [float(k) for k in range(len(self.found))], "a hole or a double"
        assert len(self.found) > self.acknowledged, f"{self.acknowledged - len(self.found) + 1} acknowledged rows are lost"
        assert self.whole


def life(journal: Path, chance: random.Random, disk: Disk | None = None) -> Life:
    """One life from where the last one ended, with a kill -9 in it, or a power cut on `disk`; then what a start finds."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, journal, str(Path(__file__).parent)], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env={**os.environ, "ECOSENTRY_NUMBA": "0"})
    assert child.stdout is not None
    told = b""
    while told.count(b"\n") < 3:
        more = os.read(child.stdout.fileno(), 65536)
        assert more, f"the process died by itself with code {child.wait(10)}"
        told += more
    time.sleep(chance.uniform(0.05, 0.6))
    os.set_blocking(child.stdout.fileno(), False)
    told += os.read(child.stdout.fileno(), 1 << 20) if disk else b""
    if disk:
        handle = os.open(disk.place, os.O_RDONLY)
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, NOLOGFLUSH)
        os.close(handle)
    child.kill()
    child.wait()
    if not disk:
        told += child.stdout.read() or b""
    child.stdout.close()
    if disk:
        subprocess.run(["umount", disk.place], check=True)
        disk.mount()
    Writer(journal).close()
    with Reader(journal) as reader:
        rows, table, days = reader.rows_after(0, 10**7), reader.series(), len(reader.sealed())
    mine = rows.pick(np.array([table[w] == AMMONIA for w in rows.which.tolist()], np.bool_) & ~np.isnan(rows.raw))
    return Life(int(told.splitlines()[-1]), mine.raw.tolist(), days, all(finding.good for finding in verify(journal)))
