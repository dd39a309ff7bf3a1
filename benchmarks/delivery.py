"""From a reading to the disk and to InfluxDB, and how fast a backlog drains; influxdb-client's own batching beside it in the same run.

A real InfluxDB 1.6.7, SQLite with synchronous FULL, our core and courier in their threads; the client writes to VictoriaMetrics, because it
speaks only the API of 2.x. CPU is of this process, without the server's; ours contains reading the journal and noting the position.

    python benchmarks/delivery.py
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

SERIES, POLLS, BACKLOG, S = 20, 200, 100_000, 10**9
ROOT = Path(__file__).resolve().parent.parent


class Receipt:
    """Notes when the reading was durable."""

    line, packet, digest, again = "bench", 0, b"", False

    def __init__(self, found: list[float]) -> None:
        self._began, self._found = time.monotonic(), found

    def release(self) -> None:
        """Called after the commit."""
        self._found.append(time.monotonic() - self._began)


def _percentiles(found: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(found, n=100)
    return {"p50_ms": round(cuts[49] * 1000, 1), "p99_ms": round(cuts[98] * 1000, 1)}


def main() -> dict:
    """Latencies, drain rate and CPU per row; the official client's for the same rows."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from servers import InfluxDB1, VictoriaMetrics

    with tempfile.TemporaryDirectory() as folder:
        with InfluxDB1(Path(folder) / "influx") as server:
            found = _ours(Path(folder) / "journal", server.url)
        with VictoriaMetrics(Path(folder) / "victoria") as other:
            found["influxdb-client, batching"] = _client(other.url)
        found["cpu_client_to_ours"] = round(found["influxdb-client, batching"]["cpu_us_per_row"] / found["backlog"]["cpu_us_per_row"], 2)
    return found


def _ours(folder: Path, url: str) -> dict:
    import numpy as np

    from config.series import Series
    from config.site import Console, DeviceTable, Journal, SinkTable, Site, SiteDevice, Station
    from config.site import Sink as SinkOf
    from config.table import Table
    from drivers.reading import Batch, Delivery
    from gateway.bell import Bell
    from gateway.clock import SystemClock
    from gateway.contracts import Rows, Surroundings
    from gateway.core import Core
    from gateway.courier import Courier
    from gateway.intake import Intake
    from gateway.journal.writer import Writer
    from gateway.sinks.influxdb import Options, Sink
    from gateway.wiring import Expected

    devices = {f"d{i}": SiteDevice(common=DeviceTable(profile="x", line="l", station="river"), options=Table()) for i in range(SERIES)}
    table = tuple(Series("river", f"d{i}", "ammonia_nitrogen") for i in range(SERIES))
    site = Site(stations={"river": Station()}, devices=devices, console=Console(enabled=False), journal=Journal(durable_within="200 ms"),
                sinks={"influx": SinkOf(kind="influxdb", common=SinkTable(), options=Table())})
    clock, intake, bell, stop = SystemClock(), Intake(10**6), Bell(), threading.Event()
    sent: dict[int, float] = {}

    class Watched(Sink):
        def send(self, rows: Rows, deadline: float) -> None:
            super().send(rows, deadline)
            for at in np.unique(rows.at).tolist():
                sent.setdefault(at, time.monotonic())

    writer = Writer(folder)
    core = Core(writer, site, [Expected(s, 10.0, False) for s in table], clock, intake, bell.ring, "benchmark")
    core.start()

    def turn() -> None:
        while not stop.is_set():
            core.cycle(0.2)

    def say(receipt: Receipt | None, rows: int = SERIES) -> int:
        at = clock.now().utc_ns
        which = (np.arange(rows) % SERIES).astype(np.int32)
        ends = at - (np.arange(rows)[::-1] // SERIES) * 10**6
        batch = Batch(table, which, ends, np.zeros(rows, np.int64), np.full(rows, 0.31), np.full(rows, 78, np.uint8), clock.now())
        intake.deliver(Delivery("bench", (batch,), receipt), 10)
        return at

    sink = Watched(Options.model_validate({"url": url, "database": "eco"}), Surroundings("influx", site, str, "0.1"))
    courier = Courier("influx", sink, SinkTable(), site, folder, intake, bell, clock=clock)
    threads = [threading.Thread(target=turn), threading.Thread(target=courier.run, args=(stop,))]
    threads[0].start()
    for _ in range(BACKLOG // 1000):
        say(None, 1000)
        time.sleep(0.01)
    while writer.next_n <= BACKLOG:
        time.sleep(0.1)
    began, cpu = time.monotonic(), time.process_time()
    threads[1].start()
    while _behind(folder):
        time.sleep(0.05)
    drained_s, drained_cpu = time.monotonic() - began, time.process_time() - cpu
    durable: list[float] = []
    said: dict[int, float] = {}
    for _ in range(POLLS):
        time.sleep(0.1)
        now = time.monotonic()
        said[say(Receipt(durable))] = now
    time.sleep(1.5)
    stop.set()
    bell.ring()
    for thread in threads:
        thread.join()
    writer.close()
    return {"reading_to_durable": _percentiles(durable), "reading_to_influxdb": _percentiles([sent[at] - when for at, when in said.items()]),
            "backlog": {"rows": BACKLOG, "rows_per_s": round(BACKLOG / drained_s), "cpu_us_per_row": round(drained_cpu / BACKLOG * 1e6, 2)}}


def _behind(folder: Path) -> int:
    from gateway.journal.reader import Reader

    with Reader(folder) as reader:
        record = reader.sinks()["influx"]
        return reader.last_n() - record.n + record.owed


def _client(url: str) -> dict:
    """The same number of rows through `WriteApi` as its documentation shows it: Point objects, batches of 5000."""
    from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision

    at = time.time_ns()
    began, cpu = time.monotonic(), time.process_time()
    with InfluxDBClient(url=url, token=":", org="-", enable_gzip=True) as client, \
            client.write_api(write_options=WriteOptions(batch_size=5000, flush_interval=1000)) as api:
        for k in range(BACKLOG):
            point = Point("water").tag("station", "river").tag("device", f"d{k % SERIES}").tag("quantity", "ammonia_nitrogen")
            point.tag("statistic", "measured").field("value", 0.31).field("flag", 1).time(at + k, WritePrecision.NS)
            api.write("client", record=point)
    return {"rows_per_s": round(BACKLOG / (time.monotonic() - began)), "cpu_us_per_row": round((time.process_time() - cpu) / BACKLOG * 1e6, 2)}


if __name__ == "__main__":
    print(json.dumps(main()))
