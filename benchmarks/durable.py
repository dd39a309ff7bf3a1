"""A reading's whole way: Mosquitto at QoS 1 → quality → journal (fsync) → InfluxDB or victoria-metrics, beside others in the same run.

    python benchmarks/durable.py [CASE …]          a case: 1@500, 1@saturated, 50@2000 … (readings a message @ readings a second)

The daemon is a process of its own, as it is installed; what it costs is its CPU by /proc/PID/stat, from the first message until everything
is in the journal and in the database. Beside it, one after another with the same messages: a plain paho subscriber that throws them away,
and paho with influxdb-client's own batching, which writes to victoria-metrics (InfluxDB 1.6 has no /api/v2/write) and promises nothing.
Latencies are seen from outside, by relays before the broker and the database: from the moment of publishing until the daemon's PUBACK, and
until the database's 204.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests")]

from _publishing import NODES  # noqa: E402
from _relay import Relay, until_puback_ms, until_stored_ms  # noqa: E402

CASES = {f"{readings}@{rate or 'saturated'}": (readings, rate, seconds)
         for readings in (1, 50) for rate, seconds in ((500, 6), (2000, 4), (0, 0))}
SATURATED = {1: 15_000, 50: 1500}
"""Messages when nothing holds the publisher back."""
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}
SITE = """
[stations.yard]
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{mqtt}"
[devices]
{devices}
[sinks.store]
kind = "influxdb"
url = "http://127.0.0.1:{store}"
{place}
[console]
enabled = false
"""
NODE = 'n{i} = {{ line = "nodes", topic = "bench/n{i}", time = "t", profile = "mqtt_json", interval = "10 s" }}'
PLACES = {"InfluxDB 1.6.7": 'database = "eco"', "victoria-metrics": 'org = "eco"\nbucket = "eco"'}


def cpu_s(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def publish(port: int, readings: int, messages: int, rate: int) -> subprocess.Popen[bytes]:
    words = [str(port), str(readings), str(messages), str(rate / readings)]
    return subprocess.Popen([sys.executable, str(HERE / "_publishing.py"), *words])


def kept(folder: Path, what: str) -> int:
    """What the journal itself says, read by SQLite: readings journalled, rows that the sink still has to get, bytes in use."""
    asks = {"journalled": "SELECT value FROM counter WHERE name = 'journalled'", "behind": "SELECT (SELECT max(n) FROM hot) - max(n) FROM sink",
            "bytes": "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"}
    db = sqlite3.connect(f"{(folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        found = db.execute(asks[what]).fetchone()
        return int(found[0] or 0) if found else 0
    finally:
        db.close()


def ours(folder: Path, store: int, place: str, broker: int, readings: int, messages: int, rate: int) -> dict[str, float]:
    """The daemon with one sink."""
    relays = [Relay(broker), Relay(store)] if rate else []
    devices = "\n".join(NODE.format(i=i) for i in range(NODES))
    ports = [relay.port for relay in relays] or [broker, store]
    (folder / "site.toml").write_text(SITE.format(mqtt=ports[0], store=ports[1], devices=devices, place=place))
    command = [sys.executable, "-m", "gateway.cli", "run", str(folder / "site.toml")]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, env=_ENVIRONMENT, cwd=folder, stderr=log, stdout=log)
    try:
        _connected(folder)
        total, before, size, began = readings * messages, cpu_s(daemon.pid), kept(folder, "bytes"), time.monotonic()
        publisher = publish(broker, readings, messages, rate)
        while kept(folder, "journalled") < total:
            if daemon.poll() is not None or time.monotonic() > began + 120:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.05)
        durable_s = time.monotonic() - began
        while kept(folder, "behind") > 0:
            time.sleep(0.05)
        found = {"us of CPU a reading": (cpu_s(daemon.pid) - before) * 1e6 / total, "readings/s": total / durable_s}
        publisher.wait(60)
        if relays:
            found |= _latencies("PUBACK", until_puback_ms(relays[0])) | _latencies("stored", until_stored_ms(relays[1]))
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)
        return {**found, "bytes a reading in live.db": (kept(folder, "bytes") - size) / total}
    finally:
        daemon.kill()
        daemon.wait()
        for relay in relays:
            relay.close()


def _connected(folder: Path) -> None:
    """Until the daemon hears the broker: nothing of ours is asked for it, it says so in its log."""
    ends = time.monotonic() + 60
    while "connected" not in (folder / "log").read_text():
        assert time.monotonic() < ends, (folder / "log").read_text()
        time.sleep(0.1)
    time.sleep(1.5)  # what belongs to the start is over


def _latencies(name: str, ms: list[float]) -> dict[str, float]:
    ms.sort()
    return {f"p{percent} ms until {name}": ms[len(ms) * percent // 100] for percent in (50, 99)} if ms else {}


def other(command: list[str], broker: int, readings: int, messages: int, rate: int) -> float:
    """µs of CPU a reading of a subscriber that prints a line when it is ready and one when it is done."""
    with subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT) as subscriber:
        assert subscriber.stdout is not None
        assert subscriber.stdin is not None
        subscriber.stdout.readline()
        before = cpu_s(subscriber.pid)
        publish(broker, readings, messages, rate).wait(120)
        said = json.loads(subscriber.stdout.readline())
        spent = cpu_s(subscriber.pid) - before
        subscriber.stdin.close()
    assert said["seen"] == messages, said
    return spent * 1e6 / (readings * messages)


def case(readings: int, rate: int, seconds: int) -> dict[str, object]:
    """All of them with the same messages."""
    from servers import InfluxDB1, Mosquitto, VictoriaMetrics

    messages = rate * seconds // readings or SATURATED[readings]
    found: dict[str, object] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Mosquitto(folder / "broker", more="autosave_on_changes false\nautosave_interval 1800"))
        stores = {"InfluxDB 1.6.7": stack.enter_context(InfluxDB1(folder / "influx")),
                  "victoria-metrics": stack.enter_context(VictoriaMetrics(folder / "victoria"))}
        heard, load = [str(broker.port), "1", str(messages)], (broker.port, readings, messages, rate)
        paho = other([str(HERE / "_mqtt_subscriber.py"), "paho", *heard, "3.1.1"], *load)
        client = other([str(HERE / "_batching_subscriber.py"), *heard, stores["victoria-metrics"].url], *load)
        for name, store in stores.items():
            (own := folder / f"to {store.program}").mkdir()
            us = ours(own, store.port, PLACES[name], *load)
            found[name] = {key: round(value, 2) for key, value in us.items()}
            found[f"{name}: ours / paho that throws away"] = round(us["us of CPU a reading"] / paho, 2)
            found[f"{name}: ours / influxdb-client batching"] = round(us["us of CPU a reading"] / client, 2)
    return {**found, "paho that throws away, us a reading": round(paho, 2), "influxdb-client batching, us a reading": round(client, 2)}


def main() -> dict[str, object]:
    """Every case, or those that the command line names."""
    return {name: case(*CASES[name]) for name in [word for word in sys.argv[1:] if word in CASES] or CASES}


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
