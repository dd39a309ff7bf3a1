"""Readings through step, journal and line protocol, by batch size: compiled kernels against plain Python, same run.

    python benchmarks/pipeline.py

Every commit is real (SQLite WAL, synchronous FULL); CPU time of the process, not the disk's waiting. Twenty series with
limits, two rules on one of them, hourly means.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERIES = 20
SIZES = (1, 50, 1000)
S = 10**9
NOON = 1_795_262_400 * S


def _measure() -> dict[str, float]:
    """Readings per CPU second at each batch size, in this process with the kernels it has."""
    import numpy as np

    from config.series import Series
    from config.site import Console, DeviceTable, Rule, Site, SiteDevice, Station
    from config.table import Table
    from drivers.reading import Batch, Delivery, Stamp
    from gateway.core import Core
    from gateway.intake import Intake
    from gateway.journal.reader import Reader
    from gateway.journal.writer import Writer
    from gateway.sinks._line_protocol import Encoder
    from gateway.wiring import Expected

    devices = {f"d{i}": SiteDevice(common=DeviceTable(profile="x", line="l", station="river"), options=Table()) for i in range(SERIES)}
    table = tuple(Series("river", f"d{i}", "ammonia_nitrogen") for i in range(SERIES))
    rules = {"ladder": Rule.model_validate({"device": ("d0",), "above": {"yellow": "1 mg/L", "red": "2 mg/L"}}),
             "mean": Rule.model_validate({"device": ("d0",), "mean": "1 h", "above": {"yellow": "1 mg/L"}})}
    site = Site(stations={"river": Station()}, devices=devices, rules=rules, console=Console(enabled=False))

    class Turned:
        utc = NOON

        def now(self) -> Stamp:
            return Stamp("boot", self.utc, self.utc)

    found = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            clock, intake = Turned(), Intake(10**6)
            writer = Writer(Path(folder))
            core = Core(writer, site, [Expected(s, 10.0, False) for s in table], clock, intake, lambda: None, "benchmark")
            core.start()
            values = np.round(np.random.default_rng(1).random(size) * 0.9, 3)
            which = (np.arange(size) % SERIES).astype(np.int32)
            cycles = max(20, min(600, 20_000 // size))
            for k in range(cycles + 5):
                if k == 5:
                    began = time.process_time()
                clock.utc += S
                at = np.full(size, clock.utc)
                batch = Batch(table, which, at, np.zeros(size, np.int64), values, np.full(size, 78, np.uint8), clock.now())
                intake.deliver(Delivery("l", (batch,)), 0)
                core.cycle(0.0)
            spent = time.process_time() - began
            with Reader(Path(folder)) as reader:
                rows = reader.rows_after(0, size * cycles)
            encoder = Encoder()
            began = time.process_time()
            for start in range(0, len(rows), 5000):
                encoder.lines(rows.pick(slice(start, start + 5000)))
            encoding = (time.process_time() - began) / len(rows)
            found[str(size)] = round(1 / (spent / (size * cycles) + encoding))
            writer.close()
    return found


def main() -> dict[str, object]:
    """Readings per CPU second, compiled and plain, and their ratio."""
    runs = {}
    for engine, switch in (("numba", "1"), ("python", "0")):
        environment = {**os.environ, "ECOSENTRY_NUMBA": switch}
        done = subprocess.run([sys.executable, __file__, "--measure"], env=environment, capture_output=True, text=True, check=True)
        runs[engine] = json.loads(done.stdout)
    return {"readings_per_cpu_second_by_batch": runs,
            "compiled_to_plain": {size: round(runs["numba"][size] / runs["python"][size], 2) for size in runs["numba"]}}


if __name__ == "__main__":
    print(json.dumps(_measure() if "--measure" in sys.argv else main()))
