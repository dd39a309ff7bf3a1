"""Someone who listens to a real broker and misses nothing, also while it is away."""

import json
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from servers import Mosquitto

TOPICS = ("ecosentry/#", "homeassistant/#", "spBv1.0/#")


class Broker:
    """Mosquitto with a listener on everything below TOPICS."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.server = Mosquitto(folder, **options)  # type: ignore[arg-type]
        self.heard: list[paho.MQTTMessage] = []
        self._listening = threading.Event()

    @property
    def url(self) -> str:
        return self.server.url

    def __enter__(self) -> "Broker":
        self.server.start()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "listener", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in TOPICS])
        self._client.on_subscribe = lambda *_: self._listening.set()
        self._client.on_disconnect = lambda *_: self._listening.clear()
        self._client.on_message = lambda _client, _data, message: self.heard.append(message)
        self._client.connect("127.0.0.1", self.server.port)
        self._client.loop_start()
        assert self._listening.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self.server.stop()

    def stop(self) -> None:
        self.server.stop()
        self._listening.clear()

    def start(self) -> None:
        """The server, and the listener is connected again: what comes with QoS 0 is not kept for it."""
        self.server.start()
        assert self._listening.wait(10)

    def got(self) -> list[paho.MQTTMessage]:
        """Everything so far: what the broker has acknowledged it hands on at once."""
        assert self._listening.wait(10), "the listener is not connected"
        count = -1
        while count != len(self.heard):
            count = len(self.heard)
            time.sleep(0.15)
        return list(self.heard)

    def rows(self) -> list[dict[str, object]]:
        """The rows among it."""
        return [json.loads(m.payload) for m in self.got() if not m.topic.startswith("homeassistant/")]
