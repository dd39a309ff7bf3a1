"""CPU of a message, from a real Mosquitto to columns with their receipt, beside subscribers that throw the payload away.

    python benchmarks/mqtt.py

Every subscriber is a process of its own and hears the same messages one after another; the figure is its CPU from the first message to
the last. Ours at QoS 1 runs with MQTT 5, whose receive maximum is our window; with 3.1.1 the broker's `max_inflight_messages` counts.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = ("ours", "paho", "aiomqtt", "gmqtt")
QUANTITIES = ("pm1", "pm2_5", "pm10", "so2", "no2", "no", "o3", "co", "h2s", "nh3")
COUNTS = {1: 3000, 50: 500}
ROUNDS = 2
PACE = 50
PER_SECOND = {1: 2500, 50: 500}


def payload(readings: int, number: int) -> bytes:
    """So many readings in a list of objects with their own time, as a node sends what it has gathered."""
    t = 1_795_132_800_000 + number * 10_000
    if readings == 1:
        return json.dumps({"t": t, "pm10": 61.5 + number % 7}).encode()
    rows = [{"t": t + 1000 * i} | {name: round(20 + i + k / 10, 1) for k, name in enumerate(QUANTITIES)} for i in range(readings // 10)]
    return json.dumps(rows).encode()


class Broker:
    """Mosquitto in a folder of its own on a free port."""

    def __enter__(self) -> "Broker":
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise RuntimeError("needs mosquitto: apt-get install mosquitto")
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        as_root = "user root\n" if os.geteuid() == 0 else ""
        (self.folder / "conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n"
                                          f"max_queued_messages 0\n{as_root}")
        self.process = subprocess.Popen([program, "-c", str(self.folder / "conf")], stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as s:
                if not s.connect_ex(("127.0.0.1", self.port)):
                    return self
            time.sleep(0.02)
        raise RuntimeError("mosquitto does not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def hear(broker: Broker, kind: str, qos: int, readings: int, protocol: str) -> float:
    """µs of CPU a message of one subscriber."""
    import paho.mqtt.client as paho

    count = COUNTS[readings]
    command = [sys.executable, str(HERE / "_mqtt_subscriber.py"), kind, str(broker.port), str(qos), str(count), protocol]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as subscriber:
        assert subscriber.stdout is not None
        subscriber.stdout.readline()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.max_inflight_messages_set(500)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        for first in range(0, count, PACE):  # QoS 0 is thrown away by the broker where a subscriber cannot follow
            sent = [client.publish("bench/node", payload(readings, number), qos) for number in range(first, min(count, first + PACE))]
            sent[-1].wait_for_publish(60)
            time.sleep(PACE / PER_SECOND[readings])
        said = json.loads(subscriber.stdout.readline())
        client.disconnect()
        client.loop_stop()
    assert said["seen"] == count, said
    assert kind != "ours" or said["values"] == count * readings, said
    return float(said["us"])


def main() -> dict:
    """µs of CPU a message by QoS and readings a payload, and what ours costs beside each of the others."""
    found: dict[str, dict[str, float]] = {}
    with Broker() as broker:
        for qos in (0, 1):
            for readings in COUNTS:
                rounds = [{kind: hear(broker, kind, qos, readings, "5") for kind in KINDS} for _ in range(ROUNDS)]
                us = {kind: statistics.median(one[kind] for one in rounds) for kind in KINDS}
                ratios = {f"ours / {kind}": statistics.median(one["ours"] / one[kind] for one in rounds) for kind in KINDS[1:]}
                found[f"QoS {qos}, {readings} readings"] = {
                    **{f"{kind}, us a message": round(value, 1) for kind, value in us.items()},
                    **{name: round(value, 2) for name, value in ratios.items()}, "ours, us a reading": round(us["ours"] / readings, 2)}
    return found


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
