"""Alerts published to an MQTT topic, as JSON, with QoS 1: told = the broker has acknowledged.

Alerts are rare, so each is a visit of its own: connect, publish, wait for the PUBACK, leave. No thread and no state
stay behind between two alerts, and a broker that was away in the meantime does not matter. A repeated try may publish
twice; `id` in the document is the same, which is how a subscriber knows.
"""

import re
import time
from typing import Annotated

from pydantic import Field, field_validator

from config.errors import ConfigError, Problem
from gateway.broker import PLACE, Broker, BrokerTable, Message, topic_fault
from gateway.channels._document import document
from gateway.contracts import Notice, Surroundings

_PLACES = {"station", "device", "quantity", "rule", "alert", "colour", "state", "about", "area"}


class Options(BrokerTable):
    """Keys of `[channels.NAME]` with kind = "mqtt"."""

    topic: Annotated[str, Field(min_length=1)] = "ecosentry/{station}/alerts"
    """May hold {station} {device} {quantity} {rule} {alert} {colour} {state} {about} {area}."""
    state_topic: str = ""
    """If given: the newest message of each alert, kept by the broker for who comes later, taken away when it has ended."""

    @field_validator("topic", "state_topic")
    @classmethod
    def _is_template(cls, topic: str) -> str:
        if wrong := topic_fault(topic, _PLACES):
            raise ValueError(wrong)
        return topic


class Channel:
    """Publishes to one topic of one broker; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._topic = around.address or options.topic
        if wrong := topic_fault(self._topic, _PLACES):
            raise ConfigError([Problem("", f'channel {around.name}: the topic "{self._topic}" {wrong}')])
        self._broker = Broker(options, around.secret)

    def tell(self, notice: Notice, deadline: float) -> None:
        """Publish and wait for the PUBACK. Raises Unavailable, Halted or Refused."""
        body = document(notice)
        messages = [Message(fill(self._topic, notice), body, False)]
        if self._options.state_topic:
            over = notice.data.get("state") == "ended" or notice.kind in ("alert.ended", "alert.withdrawn")
            messages.append(Message(fill(self._options.state_topic, notice), b"" if over else body, True))
        self._visit(messages, deadline)

    def check(self, deadline: float) -> str:
        """Connects and logs in. Whether publishing is allowed shows with the first message."""
        self._visit([], deadline)
        return f"{self._broker.where} lets us in (MQTT {self._broker.version})"

    def close(self) -> None:
        """Let go; a try that runs ends soon with Unavailable."""
        self._broker.errand.end()

    def _visit(self, messages: list[Message], deadline: float) -> None:
        self._broker.errand.begin(min(deadline, time.monotonic() + self._options.timeout))
        visit = self._broker.connect()
        try:
            visit.publish(messages)
        finally:
            visit.leave()


def fill(template: str, notice: Notice) -> str:
    """The topic of one notice; a value that could not be one level of a topic has those characters replaced by _."""

    def value(match: re.Match[str]) -> str:
        text = str(notice.data.get(match[1]) or "none")
        return re.sub(r"[+#/$\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "_", text)[:200]

    return PLACE.sub(value, template)
