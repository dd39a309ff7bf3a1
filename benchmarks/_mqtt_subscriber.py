"""One subscriber in a process of its own: hears COUNT messages and prints the CPU seconds that each cost. KIND: ours, paho, aiomqtt, gmqtt.

    python _mqtt_subscriber.py KIND PORT QOS COUNT PROTOCOL

The others throw the payload away; ours reads every value into columns, hands it over with its receipt, and acknowledges on release.
"""

import asyncio
import json
import sys
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Meter:
    """CPU of the whole process from the first message to the last."""

    count: int
    qos: int
    seen: int = 0
    values: int = 0
    began: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)
    figure: float = 0.0

    def message(self) -> None:
        if not self.seen:
            self.began = time.process_time()
        self.seen += 1
        if self.seen == self.count:
            self.figure = (time.process_time() - self.began) / (self.count - 1)
            self.done.set()


def ready() -> None:
    print("ready", flush=True)


def ours(port: int, meter: Meter, protocol: str) -> None:
    from config.find import find
    from config.reading_profile import read_profile
    from drivers.driver import Device
    from drivers.lines.mqtt import Line, Options
    from drivers.protocols import mqtt_json
    from drivers.reading import Delivery
    from gateway.clock import SystemClock
    from gateway.health import LineHealth
    from gateway.listener import Listener
    from gateway.plugins import KINDS

    found = find("devices", "mqtt_json")
    assert found is not None
    options = Options.model_validate({"url": f"mqtt://127.0.0.1:{port}", "protocol": protocol})
    line = Line("bench", options, str).visitor()  # no session stays
    own = mqtt_json.Options.model_validate({"topic": "bench/#"})
    driver = mqtt_json.Driver(Device("st", "node", read_profile(found, KINDS), own, options, 60.0))
    health = LineHealth("bench", "mqtt", {"node": "st"})

    def take(delivery: Delivery, wait_s: float) -> bool:
        meter.values += delivery.rows
        if delivery.receipt:
            delivery.receipt.release()
        meter.message()
        return True

    stop = threading.Event()
    listener = Listener("bench", line, {"node": driver}, SystemClock("plausible", 0), take, health)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    while health.line()["state"] != "open":
        time.sleep(0.01)
    ready()
    meter.done.wait(120)
    stop.set()
    thread.join()


def with_paho(port: int, meter: Meter, protocol: str) -> None:
    import paho.mqtt.client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5 if protocol == "5" else paho.MQTTv311)
    client.on_message = lambda *_: meter.message()
    client.on_subscribe = lambda *_: ready()
    client.connect("127.0.0.1", port)
    client.subscribe("bench/#", meter.qos)
    client.loop_start()
    meter.done.wait(120)
    client.disconnect()
    client.loop_stop()


def with_aiomqtt(port: int, meter: Meter, protocol: str) -> None:
    import aiomqtt

    async def run() -> None:
        version = aiomqtt.ProtocolVersion.V5 if protocol == "5" else aiomqtt.ProtocolVersion.V311
        async with aiomqtt.Client("127.0.0.1", port, protocol=version) as client:
            await client.subscribe("bench/#", qos=meter.qos)
            ready()
            async for _ in client.messages:
                meter.message()
                if meter.done.is_set():
                    return

    asyncio.run(run())


def with_gmqtt(port: int, meter: Meter, protocol: str) -> None:
    import gmqtt
    from gmqtt.mqtt.constants import MQTTv50, MQTTv311

    async def run() -> None:
        client = gmqtt.Client("gmqtt-bench")
        over = asyncio.Event()

        async def heard(*_: object) -> int:
            meter.message()
            if meter.done.is_set():
                over.set()
            return 0

        client.on_message = heard
        client.on_subscribe = lambda *_: ready()
        await client.connect("127.0.0.1", port, version=MQTTv50 if protocol == "5" else MQTTv311)
        client.subscribe("bench/#", qos=meter.qos)
        await asyncio.wait_for(over.wait(), 120)
        await client.disconnect()

    asyncio.run(run())


if __name__ == "__main__":
    kind, port, qos, count, protocol = sys.argv[1:]
    meter = Meter(int(count), int(qos))
    {"ours": ours, "paho": with_paho, "aiomqtt": with_aiomqtt, "gmqtt": with_gmqtt}[kind](int(port), meter, protocol)
    print(json.dumps({"us": meter.figure * 1e6, "seen": meter.seen, "values": meter.values}), flush=True)
