"""Bytes a day over the uplink, as a data plan counts them: 20 series every 10 s to InfluxDB over HTTP, by `send_every`.

The far side answers as InfluxDB 1.6.7 does and takes segments of a mobile network's size. Bytes are the kernel's (TCP_INFO), both directions.

    python benchmarks/uplink.py
"""

import json
import socket
import sys
import threading
import time
from pathlib import Path

SERIES, EVERY_S, S = 20, 10, 10**9
ANSWER = (b"HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\nRequest-Id: 3f0d0b5a-c6f0-11f0-8003-000000000000\r\n"
          b"X-Influxdb-Build: OSS\r\nX-Influxdb-Version: 1.6.7~rc0\r\nX-Request-Id: 3f0d0b5a-c6f0-11f0-8003-000000000000\r\n"
          b"Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n\r\n")
SEGMENT = 1400
REQUESTS = 60


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (line := stream.readline().strip()):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
                connection.sendall(ANSWER)


def main() -> dict:
    """Bytes a day by send_every."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import numpy as np

    from config.series import Series
    from config.site import Console, Site, Station
    from gateway.contracts import Rows, Surroundings
    from gateway.sinks.influxdb import Options, Sink

    quantities = ("ph", "dissolved_oxygen", "ammonia_nitrogen", "turbidity", "conductivity")
    table = tuple(Series("qinghe", f"probe{i // 5}", quantities[i % 5]) for i in range(SERIES))
    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        found = {}
        for name, polls in (("as journalled, 20 points", 1), ("1 min, 120 points", 6), ("10 min, 1200 points", 60)):
            rng = np.random.default_rng(3)
            options = Options.model_validate({"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "database": "eco"})
            sink = Sink(options, Surroundings("influx", Site(stations={"qinghe": Station()}, console=Console(enabled=False)), str, "0.1"))
            requests = max(4, REQUESTS // polls)
            for k in range(requests + 1):
                n = SERIES * polls
                at = 1_790_000_000 * S + (k * polls + np.repeat(np.arange(polls), SERIES)) * EVERY_S * S
                value = np.round(7 + rng.normal(0, 0.4, n), 2)
                rows = Rows(table, np.arange(n) + k * n, np.tile(np.arange(SERIES, dtype=np.int32), polls), at, np.zeros(n, np.int64), value, value,
                            np.ones(n, np.uint8), np.full(n, ord("N"), np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.int32),
                            np.zeros(n, np.uint8), np.full(n, np.nan))
                sink.send(rows, time.monotonic() + 10)
                if k == 0:
                    before = sink.traffic.bytes  # the first one describes the station and opens the connection
            found[name] = round((sink.traffic.bytes - before) / requests * 86_400 / EVERY_S / polls)
            sink.close()
    return {"bytes_per_day_by_send_every": found}


if __name__ == "__main__":
    print(json.dumps(main()))
