"""Simulated MQTT nodes: each publishes a JSON object with its own time and a sequence number, QoS 1, and keeps a ledger."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from drivers.simulated.ledger import Ledger

_WAITING = 100_000
"""A node keeps so many messages while its broker is away."""


class Node:
    """One node. What it publishes is in the ledger before it leaves, and again when the broker has confirmed it."""

    def __init__(
        self, name: str, topic: str, series: Mapping[str, str], decimals: Mapping[str, int], value: Callable[[str], float], ledger: Ledger,
        port: int, every_s: float,
    ) -> None:
        """`series` names each quantity in the ledger; `decimals` is the resolution of its sensors."""
        self.name, self.topic = name, topic
        self.silent = False
        self._series, self._decimals, self._value, self._ledger, self._every_s = dict(series), dict(decimals), value, ledger, every_s
        self._sequence = 0
        self._newest_ms = 0
        self._sent: dict[int, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"node-{name}", clean_session=False)
        self._client.username_pw_set("node")
        self._client.max_queued_messages_set(_WAITING)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_publish = self._confirmed
        self._port = port
        self._thread = threading.Thread(target=self._run, name=f"node {name}", daemon=True)

    def start(self) -> None:
        """Connect and publish until closed."""
        self._client.connect_async("127.0.0.1", self._port, keepalive=30)
        self._client.loop_start()
        self._thread.start()

    def close(self) -> None:
        """Publish no more; waits a second for what the broker still has to confirm."""
        self._stop.set()
        self._thread.join()
        until = time.monotonic() + 1.0
        while self._client.is_connected() and self._sent and time.monotonic() < until:
            time.sleep(0.01)
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s - time.time() % self._every_s):
            if not self.silent:
                self.publish()

    def publish(self) -> None:
        """One message now."""
        at_ms = self._newest_ms = max(time.time_ns() // 1_000_000, self._newest_ms + 1)
        values = {quantity: round(self._value(quantity), self._decimals[quantity]) for quantity in self._series}
        payload = json.dumps({"t": at_ms, "seq": self._sequence, **values})
        with self._lock:  # the confirmation may come before publish() has told the message's number
            self._ledger.said("published", self._sequence, {self._series[q]: float(v) for q, v in values.items()}, at_ms * 1_000_000)
            sent = self._client.publish(self.topic, payload, qos=1)
            if sent.rc in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
                self._sent[sent.mid] = self._sequence
            self._sequence += 1

    def _confirmed(self, client: paho.Client, _: Any, number: int, reason: ReasonCode, properties: Properties) -> None:  # noqa: ANN401
        with self._lock:
            sequence = self._sent.pop(number, None)
            if sequence is not None:
                self._ledger.said("confirmed", sequence, dict.fromkeys(self._series.values()))
