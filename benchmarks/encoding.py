"""Rows to line protocol: our encoder against `influxdb_client.Point` in the same process, same rows, same machine.

    python benchmarks/encoding.py
"""

import gc
import json
import statistics
import time
import zlib
from collections.abc import Callable

import numpy as np

from config.series import Series
from gateway.contracts import Rows
from gateway.sinks._line_protocol import Encoder

MEASURED = ("ph", "dissolved_oxygen", "ammonia_nitrogen", "turbidity", "pm2_5", "laeq", "water_temperature", "conductivity")
T0 = 1_790_000_000 * 10**9


def some_rows(n: int, kind: str) -> Rows:
    """`n` rows of 80 series: `measured` ordinary readings, `means` hourly, `hard` with everything a row can have."""
    rng = np.random.default_rng(7)
    statistic, period = ("mean", 3600) if kind == "means" else ("", 0)
    table = tuple(Series("qinghe", f"device{i % 10}", name, statistic=statistic, period_s=period) for i in range(10) for name in MEASURED)
    value = np.round(rng.integers(0, 500, n) + rng.integers(1, 100, n) / 100, 2)  # Point would write 7.0 as 7
    hard = kind == "hard"
    return Rows(
        series=table, n=np.arange(n, dtype=np.int64), which=(np.arange(n) % len(table)).astype(np.int32),
        at=T0 + np.arange(n, dtype=np.int64) * 10**8, span=np.full(n, period * 10**9, np.int64), raw=value + hard, value=value,
        flag=np.full(n, 3 if hard else 1, np.uint8), reason=np.full(n, ord("T" if hard else "N"), np.uint8),
        tests=np.full(n, 48 if hard else 0, np.uint32), revision=np.full(n, int(hard), np.int32), origin=np.zeros(n, np.uint8),
        share=np.full(n, 0.95 if period else np.nan),
    )


def points_per_s(work: Callable[[], object], points: int, repeats: int = 7) -> float:
    """Of CPU time, the median of some runs after one to warm up."""
    work()
    gc.collect()
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return points / statistics.median(spent)


def with_point(rows: Rows) -> str:
    """The official client's way: one Point object a row."""
    from influxdb_client import Point, WritePrecision

    lines = []
    for w, at, value, flag in zip(rows.which.tolist(), rows.at.tolist(), rows.value.tolist(), rows.flag.tolist(), strict=True):
        s = rows.series[w]
        point = Point("water").tag("station", s.station).tag("device", s.device).tag("quantity", s.quantity).tag("statistic", "measured")
        lines.append(point.field("value", value).field("flag", flag).time(at, WritePrecision.NS).to_line_protocol())
    return "\n".join(lines)


def measure(n: int = 20_000) -> dict[str, float]:
    """Points per second of CPU, and ratios to Point."""
    found: dict[str, float] = {}
    rows = some_rows(n, "measured")
    encoder = Encoder(lambda quantity: "water")
    same = zip(encoder.lines(rows), with_point(rows).splitlines(), strict=True)
    assert all(sorted(ours) == sorted(theirs) for ours, theirs in same), "not the same points"  # Point sorts its fields
    found["Point"] = points_per_s(lambda: with_point(rows), n, 3)
    for batch in (1, 50, 1000):
        cut = n if batch > 1 else 2_000
        parts = [rows.pick(slice(i, i + batch)) for i in range(0, cut, batch)]
        found[f"ours, {batch} a batch"] = points_per_s(lambda p=parts: ["\n".join(encoder.lines(part)).encode() for part in p], cut)
    for kind in ("means", "hard"):
        other = some_rows(n, kind)
        found[f"ours, {kind}, 1000 a batch"] = points_per_s(
            lambda o=other: ["\n".join(encoder.lines(o.pick(slice(i, i + 1000)))).encode() for i in range(0, n, 1000)], n)
    body = "\n".join(encoder.lines(rows)).encode()

    def gzip_1() -> None:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        found["bytes a point, gzip-1"] = len(packer.compress(body) + packer.flush()) / n

    found["gzip-1"] = points_per_s(gzip_1, n)
    found["bytes a point"] = len(body) / n
    return found


def main() -> dict:
    """Points per CPU second, and how many times as fast as Point that is."""
    found = measure()
    rates = {name: figure for name, figure in found.items() if not name.startswith("bytes")}
    return {"points_per_cpu_second": {name: round(rate) for name, rate in rates.items()},
            "times_point": {name: round(rate / rates["Point"], 1) for name, rate in rates.items()},
            **{name: round(figure, 1) for name, figure in found.items() if name not in rates}}


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
