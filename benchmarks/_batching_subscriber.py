"""What one would write with paho and influxdb-client's own batching: JSON → points → WriteApi. Nothing of it is durable.

    python _batching_subscriber.py PORT QOS MESSAGES URL
"""

import json
import sys
import threading

import paho.mqtt.client as paho
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision


def main() -> None:
    port, qos, messages, url = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    store = InfluxDBClient(url, "token", org="eco")
    points = store.write_api(WriteOptions(batch_size=5000, flush_interval=1000))
    done, seen = threading.Event(), 0

    def heard(client: object, _: object, message: paho.MQTTMessage) -> None:
        nonlocal seen
        said = json.loads(message.payload)
        for one in said if isinstance(said, list) else [said]:
            for name, value in one.items():
                if name != "t":
                    points.write("eco", record=Point(name).tag("device", message.topic).field("value", value).time(one["t"], WritePrecision.US))
        seen += 1
        if seen == messages:
            done.set()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = heard
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.subscribe("bench/#", qos)
    client.loop_start()
    done.wait(120)
    points.close()
    print(json.dumps({"seen": seen}), flush=True)
    sys.stdin.readline()  # its CPU is read from outside
    client.loop_stop()


if __name__ == "__main__":
    main()
