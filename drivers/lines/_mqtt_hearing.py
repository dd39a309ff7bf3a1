"""What becomes of one message: the devices that want it read it, and it is handed over with its receipt.

A message that nobody can read is handed over too, to be set aside and acknowledged: left at the broker it would come
again for ever.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping

from paho.mqtt.matcher import MQTTMatcher

from config.errors import Undecodable
from drivers.driver import Converses, Deliver, Heard, Reply, Report, Skips, Told
from drivers.lines._receipts import MqttReceipt, Receipts
from drivers.lines._topics import sparse
from drivers.reading import Aside, Batch, Clock, Delivery

_KEPT = 4096
_MOST_TOPICS = 10_000
"""So many topics are remembered with their devices; then the memory starts anew."""
_LONGEST_TOPIC = 500
"""Longer ones are looked up each time, and cut where they are kept for people."""
_MOST_POISON = 100
_MOST_REPLIES = 5
"""So many things all drivers of a line together may say at once."""
_REPLY_EVERY_NS = 1_000_000_000
"""One topic is said something to at most so often."""


def digest_of(topic: str, payload: bytes) -> bytes:
    """16 bytes by which a message is known again."""
    return hashlib.blake2b(topic.encode("utf-8", "surrogatepass") + b"\0" + payload, digest_size=16).digest()


class Poison:
    """Messages on which a driver failed: they are not read again, or the line would fail on them for ever."""

    def __init__(self) -> None:
        self._devices: OrderedDict[bytes, str] = OrderedDict()

    def add(self, heard: Heard, device: str) -> None:
        """Remember a message."""
        self._devices[digest_of(heard.topic, heard.payload)] = device
        while len(self._devices) > _MOST_POISON:
            self._devices.popitem(last=False)

    def device(self, heard: Heard) -> str | None:
        """Whose driver failed on it."""
        return self._devices.get(digest_of(heard.topic, heard.payload)) if self._devices else None


class Hearing:
    """Reads the messages of one line and hands them over."""

    def __init__(
        self, line: str, drivers: Mapping[str, Told], deliver: Deliver, clock: Clock, report: Report, receipts: Receipts,
        most_payload: int, poison: Poison,
    ) -> None:
        """`poison` outlives the line's restarts."""
        self._line, self._drivers, self._deliver, self._clock = line, drivers, deliver, clock
        self._report, self._receipts, self._most_payload, self._poison = report, receipts, most_payload, poison
        self.filters = sparse(topic for driver in drivers.values() for topic in driver.topics)
        self._listeners: dict[str, tuple[str, ...]] = {}
        self._by_filter = MQTTMatcher()  # type: ignore[no-untyped-call]
        wanted: dict[str, list[str]] = {}
        for device, driver in drivers.items():
            for topic in driver.topics:
                wanted.setdefault(topic, []).append(device)
        for topic, devices in wanted.items():
            self._by_filter[topic] = devices
        self._converse = {name: driver for name, driver in drivers.items() if isinstance(driver, Converses)}  # once: asking costs 20 µs
        self._skip = {name: driver for name, driver in drivers.items() if isinstance(driver, Skips)}
        self._replied: dict[str, int] = {}
        self._connection = 0
        self._given: set[int] | None = None

    def connected(self, connection: int, session_present: bool) -> None:
        """A connection was made. In a session that began with it, only what was given out since can come again."""
        self._connection = connection
        if not session_present:
            self._given = set()
        for driver in self._converse.values():
            driver.connected()

    def replies(self) -> list[Reply]:
        """What drivers want to say now: a few things, none of them twice within a second."""
        if not self._converse:
            return []
        now = self._clock.now()
        self._replied = {topic: at for topic, at in self._replied.items() if now.mono_ns - at < _REPLY_EVERY_NS}
        found: list[Reply] = []
        for driver in self._converse.values():
            if len(self._replied) >= _MOST_REPLIES:
                break
            for reply in driver.replies(now)[:_MOST_REPLIES]:
                if reply.topic not in self._replied:
                    self._replied[reply.topic] = now.mono_ns
                    found.append(reply)
        return found

    def message(self, topic: str, payload: bytes, qos: int, packet: int, dup: bool, retained: bool) -> None:
        """One message, as the broker sent it; longer ones than allowed may have been cut. Never waits."""
        receipt = self._receipt(packet, qos, digest_of(topic, payload[: self._most_payload]), dup) if qos else None
        heard = Heard(topic, payload, self._clock.now(), retained, receipt)
        batches, faults = self.read(heard)
        if not batches and not faults:
            if retained:
                self._report.count("retained")
            if receipt:
                receipt.release()
            return
        aside = Aside(topic[:_LONGEST_TOPIC], payload[:_KEPT], "; ".join(faults)) if faults else None
        if not self._deliver(Delivery(self._line, batches, receipt, aside), 0.0):
            self._report.count("dropped")

    def _receipt(self, packet: int, qos: int, digest: bytes, dup: bool) -> MqttReceipt:
        again = dup and (self._given is None or packet in self._given)
        if self._given is not None:
            self._given.add(packet)
        return self._receipts.give(packet, qos, digest, again, self._connection)

    def is_wanted(self, heard: Heard) -> bool:
        """Does a device take messages of this topic?"""
        return any(self._drivers[device].wants(heard) for device in self._who(heard.topic))

    def read(self, heard: Heard) -> tuple[tuple[Batch, ...], list[str]]:
        """The readings in it, and why it is to be set aside."""
        if len(heard.payload) > self._most_payload:
            self._report.count("too big")
            return (), [f"is longer than max_payload, {self._most_payload} bytes"]
        failed = self._poison.device(heard)
        if failed is not None:
            self._report.failed(failed, "undecodable", "its driver failed on a message, which was set aside")
            return (), [f"{failed}: its driver failed on this message"]
        batches: list[Batch] = []
        faults: list[str] = []
        is_wanted = False
        for device in self._who(heard.topic):
            if self._drivers[device].wants(heard):
                is_wanted = True
                try:
                    batches += self._hear(device, heard)
                except Undecodable as error:
                    faults.append(f"{device}: {error}")
                    self._report.failed(device, "undecodable", str(error))
        if not is_wanted:
            self._report.count("unwanted")
            faults.append("no device wants this topic")
        return tuple(batches), faults

    def _hear(self, device: str, heard: Heard) -> list[Batch]:
        batches: list[Batch] = []
        missing = 0
        is_read = False
        try:
            for batch in self._drivers[device].hear(heard):
                if values := batch.raw.tolist():  # most have one value: numpy takes longer
                    batches.append(batch)
                    missing += sum(map(math.isnan, values))
            is_read = True
        except Undecodable:
            is_read = True
            raise
        finally:
            if not is_read:  # a bug of the driver: it goes up to the supervisor, and this message is not read again
                self._poison.add(heard, device)
        trouble = self._converse[device].trouble() if device in self._converse else None
        skipped, why = self._skip[device].skipped() if device in self._skip else (0, "")
        if skipped:
            self._report.count("skipped", skipped)
        if trouble:
            self._report.failed(device, trouble.cause, trouble.words)
        elif batches:
            words = f"left out of its message: {why}" if skipped else f"{missing} values missing in its message" if missing else ""
            self._report.answered(device, heard.stamp.mono_ns, words)
        return batches

    def _who(self, topic: str) -> tuple[str, ...]:
        found = self._listeners.get(topic)
        if found is None:
            if len(self._listeners) >= _MOST_TOPICS:
                self._listeners.clear()
            matches = self._by_filter.iter_match(topic)  # type: ignore[no-untyped-call]
            found = tuple(dict.fromkeys(device for devices in matches for device in devices))
            if len(topic) <= _LONGEST_TOPIC:
                self._listeners[topic] = found
        return found
