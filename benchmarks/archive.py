"""Ten million readings in sealed days: how big they are, what a chart and a start cost, and what sealing costs those who commit.

    python benchmarks/archive.py [days]
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from config.series import Series
from config.site import Console, DeviceTable, Journal, Site, SiteDevice, Station
from config.table import Table
from drivers.reading import Delivery, Readings, Stamp
from gateway.contracts import Rows
from gateway.core import Core
from gateway.intake import Intake
from gateway.journal.archive import ArchiveFile, Head
from gateway.journal.reader import Reader
from gateway.journal.records import EventRecord
from gateway.journal.sealing import BLOCK, Sealer, write_file
from gateway.journal.writer import Writer
from gateway.wiring import Expected

S = 1_000_000_000
DAY = 86_400 * S
START = 1_784_851_200 * S  # 2026-07-24 00:00 UTC
MEASURED = ("ph", "dissolved_oxygen", "ammonia_nitrogen", "turbidity", "water_temperature")
TABLE = tuple(Series("river", f"probe{i}", name) for i in range(4) for name in MEASURED)
STEPS = 8640
"""Every 10 s, as in the goals: 20 series."""


def wander(rng: np.random.Generator, count: int) -> np.ndarray:
    """Readings as probes give them: two decimals, a slow daily swing, a little noise."""
    swing = 7 + np.sin(np.arange(count) / count * 2 * np.pi)
    return np.round(swing[:, None] + rng.normal(0, 0.03, (count, len(TABLE))).cumsum(0) / 5 + rng.normal(0, 0.02, (count, len(TABLE))), 2)


def sealed_day(folder: Path, number: int, previous: bytes, rng: np.random.Generator) -> tuple[bytes, int]:
    """One day's file: an event every 10 s with a reading of each series, stamped with the jitter of a polled line."""
    n0, event0, began = 1 + number * STEPS * len(TABLE), 1 + number * STEPS, START + number * DAY
    stamps = began + np.arange(STEPS) * 10 * S + rng.integers(1, 40, STEPS) * 1_000_000
    values = wander(rng, STEPS)
    per_block = BLOCK // len(TABLE)

    def pack(file: ArchiveFile) -> None:
        for first in range(0, STEPS, per_block):
            steps = np.arange(first, min(first + per_block, STEPS))
            raw = values[steps].ravel()
            count = len(raw)
            n = n0 + first * len(TABLE) + np.arange(count)
            at = (stamps[steps][:, None] + np.arange(len(TABLE)) % 4 * 12_000_000).ravel()
            rows = Rows(TABLE, n, np.tile(np.arange(len(TABLE), dtype=np.int32), len(steps)), at, np.zeros(count, np.int64), raw, raw,
                        np.ones(count, np.uint8), np.full(count, ord("N"), np.uint8), np.full(count, 5, np.uint32), np.zeros(count, np.int32),
                        np.zeros(count, np.uint8), np.full(count, np.nan))
            events = [EventRecord(event0 + k, 2, now, 1, now - START, 1, n0 + k * len(TABLE), len(TABLE), 0, 1)
                      for k, now in zip(steps.tolist(), stamps[steps].tolist(), strict=True)]
            file.add(events, rows, int(n[0]), int(n[-1]) + 1)

    day = time.strftime("%Y-%m-%d", time.gmtime(began // S))
    size, digest = write_file(folder / "archive" / f"{day}.db", Head("0" * 32, previous, b"", TABLE), pack)
    return digest, size


class TurnedClock:
    """The clock of the last day, turned by hand."""

    def __init__(self, utc_ns: int) -> None:
        self.utc_ns = utc_ns

    def now(self) -> Stamp:
        return Stamp("boot", self.utc_ns - START, self.utc_ns, True)


def site() -> Site:
    devices = {f"probe{i}": SiteDevice(common=DeviceTable(profile="x", line="l", station="river"), options=Table()) for i in range(4)}
    return Site(stations={"river": Station(name="River", time_zone="Asia/Shanghai")}, devices=devices, console=Console(enabled=False))


class Station7:
    """A core that lives on the folder."""

    def __init__(self, folder: Path, clock: TurnedClock) -> None:
        self.clock, self.intake = clock, Intake()
        self.writer = Writer(folder)
        self.core = Core(self.writer, site(), [Expected(s, 10.0, False) for s in TABLE], clock, self.intake, lambda: None, "benchmark")
        self.core.start()

    def say(self, values: list[float]) -> None:
        self.clock.utc_ns += 10 * S
        readings = Readings(self.clock.now(), False)
        for series, value in zip(TABLE, values, strict=True):
            readings.add(series, value, ord("N"), None)
        self.intake.deliver(Delivery("l", (readings.batch(),), None), 0)
        self.core.cycle(0.0)


def spent(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    began = clock()
    work()
    return clock() - began


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def charts(folder: Path, days: int) -> dict[str, float]:
    """CPU ms of one series over 24 hours: by a reader that has just been opened, and by one that stays open."""
    rng = np.random.default_rng(3)
    cold, warm = [], []
    with Reader(folder) as kept:
        for _ in range(15):
            since, series = START + int(rng.integers(0, (days - 1) * DAY)), int(rng.integers(0, len(TABLE)))

            def look(reader: Reader, since: int = since, series: int = series) -> None:
                assert abs(len(reader.rows_of_series(series, since, since + DAY, 100_000)) - STEPS) <= 1

            with Reader(folder) as reader:
                cold.append(spent(lambda r=reader: look(r)))
            warm.append(spent(lambda: look(kept)))
    return {"first_look_ms": statistics.median(cold) * 1e3, "median_ms": statistics.median(warm) * 1e3, "worst_ms": max(warm + cold) * 1e3}


def sealing(folder: Path, station: Station7, values: list[list[float]]) -> dict[str, float]:
    """Seal the live day in a thread while the core goes on committing; how long the commits take with and without."""
    with station.writer.transaction():
        station.core._checkpoint()  # noqa: SLF001 - five minutes have passed
        station.writer.db.execute("DELETE FROM checkpoint WHERE event < (SELECT max(event) FROM checkpoint)")
    station.say(values[0])
    station.say(values[1])
    quiet = [spent(lambda v=v: station.say(v), time.monotonic) for v in values[2:102]]
    sealer, used, stop = Sealer(folder, Journal(), station.intake.tell), [], threading.Event()

    def work() -> None:
        with Reader(folder) as reader:
            began = time.thread_time()
            assert sealer.turn(reader, lambda used_s: stop.wait(min(1.0, used_s * 3)))
            used.append(time.thread_time() - began)

    with Reader(folder) as reader:
        live = reader.last_n() - reader.sealed()[-1].n_to
    thread = threading.Thread(target=work)
    thread.start()
    busy: list[float] = []
    while thread.is_alive():
        busy.append(spent(lambda: station.say(values[len(busy) % 100]), time.monotonic))
    station.say(values[0])
    clearing = []
    while station.writer.db.execute("SELECT min(n) FROM hot").fetchone()[0] < station.writer.db.execute(
            "SELECT max(n_to) FROM archive").fetchone()[0]:
        clearing.append(spent(station.core._keep_limits, time.monotonic))  # noqa: SLF001 - it is timed alone
    return {"cpu_us_a_row": used[0] / live * 1e6, "commit_median_ms_without": statistics.median(quiet) * 1e3,
            "commit_median_ms_while": statistics.median(busy) * 1e3, "commit_p99_ms_while": float(np.percentile(busy, 99)) * 1e3,
            "commit_worst_ms_while": max(busy) * 1e3, "portions_leaving": len(clearing), "worst_portion_ms": max(clearing) * 1e3}


def measure(folder: Path, days: int = 58) -> dict[str, object]:
    rng = np.random.default_rng(1)
    digest, packing = b"", time.process_time()
    for number in range(days):
        digest, _ = sealed_day(folder, number, digest, rng)
    packing = time.process_time() - packing
    rows = days * STEPS * len(TABLE)
    archive = on_disk(folder / "archive")
    clock = TurnedClock(START + days * DAY)
    adopting = time.monotonic()
    station = Station7(folder, clock)
    adopting = time.monotonic() - adopting
    values = wander(rng, STEPS).tolist()
    for k, some in enumerate(values):
        station.say(some)
        if k % 30 == 0:
            with station.writer.transaction():
                station.core._checkpoint()  # noqa: SLF001 - five minutes have passed
    clock.utc_ns = START + (days + 1) * DAY
    for some in values[:3]:
        station.say(some)
    worst = on_disk(folder)
    with Reader(folder) as reader:
        total = reader.last_n()
    found: dict[str, object] = {
        "readings": total, "bytes_a_reading_sealed": archive / rows, "bytes_a_reading_with_a_whole_day_unsealed": worst / total,
        "packing_cpu_us_a_row": packing / rows * 1e6, "begin_anew_from_all_sealed_days_s": adopting}
    found["sealing_a_day"] = sealing(folder, station, values)
    found["bytes_a_reading"] = on_disk(folder) / total
    station.core.stop()
    station.writer.close()
    clean = []
    for _ in range(5):
        clock.utc_ns += S
        began = time.monotonic()
        station = Station7(folder, clock)
        clean.append(time.monotonic() - began)
        station.core.stop()
        station.writer.close()
    station = Station7(folder, clock)
    unclean = []
    for _ in range(3):
        for some in values[:30]:
            station.say(some)
        station.writer.abandon()
        began = time.monotonic()
        station = Station7(folder, clock)
        unclean.append(time.monotonic() - began)
    station.writer.abandon()
    found |= {"start_s_after_a_clean_stop": statistics.median(clean), "start_s_after_a_kill_30_events_redone": statistics.median(unclean)}
    found["chart_24_h_of_one_series_cpu"] = charts(folder, days)
    with Reader(folder) as reader:
        def scan() -> None:
            position = 0
            while position < 1_000_000:
                position = int(reader.rows_after(position, 50_000).n[-1])
        found["a_million_sealed_rows_read_in_order_ms"] = spent(scan) * 1e3
    return found


def main() -> dict:
    """Figures of ten million readings."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 58), indent=1))
