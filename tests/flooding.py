"""A running daemon is flooded through a real broker: kept topics, hostile topics, deep nesting, garbage. What is good beside it must arrive whole."""

import collections
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from killing import Drain, Life, Publisher
from servers import Mosquitto, need
from witnesses import counters, journal_rows, wait_until

from gateway.control import ask, socket_path

SITE = """
[stations.river]
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{port}"
protocol = "5"
[devices]
good = {{ topic = "river/good", time = "t", profile = "mqtt_json", interval = "10 s" }}
bad = {{ topic = "river/bad/#", profile = "mqtt_json", interval = "1 d" }}
kept = {{ topic = "river/kept/{{channel}}/{{quantity}}", profile = "mqtt_plain", interval = "1 d" }}
edge = {{ group = "G", node = "E", device = "D", profile = "sparkplug_b", interval = "1 d" }}
leaf = {{ profile = "fleet", interval = "1 d" }}
[console]
enabled = false
"""
TOPICS = ("river/bad/x", "river/kept/a/laeq", "spBv1.0/G/DDATA/E/D", "spBv1.0/G/NBIRTH/E", "ecosentry/fleet/river")


@dataclass(frozen=True)
class Flood:
    """How much of each."""

    kept: int
    topics: int
    deep: int
    garbage: int

    @property
    def unreadable(self) -> int:
        return self.topics + self.deep + self.garbage


@dataclass(frozen=True)
class Aftermath:
    """What came of it."""

    ledger: dict[int, float]
    good: list[tuple[int, float]]
    counted: collections.Counter[str]
    causes: collections.Counter[str]
    other_values: int
    """Values in the journal that nobody meant."""
    grown_mb: float
    holds: bool
    code: int


def garbage(chance: random.Random) -> bytes:
    """Bytes that no protocol here can read: random, cut, wrong."""
    kind = chance.randrange(5)
    if kind == 0:
        return b"\xff" + chance.randbytes(chance.randrange(300))
    if kind == 1:
        return b'{"laeq": ' + str(chance.random()).encode()
    if kind == 2:
        return b'{"laeq": "x' + chance.randbytes(8).hex().encode() + b'"}'
    if kind == 3:
        return b"\x12\xff\xff\xff\x7f" + chance.randbytes(20)
    return b"[" * chance.randrange(1, 2000)


def hostile_topic(chance: random.Random, number: int) -> str:
    """A topic below river/bad/ or river/kept/ that is long, deep, or written to confuse."""
    tail = chance.choice(("a" * chance.randrange(1, 40_000), "/".join("x" * 150), "\u202egolf\u2066",
                          "'; DROP TABLE hot;--", "%00%0a", "\U0001f4a9" * 50,
                          "<script>", "{quantity}", "..", "=cmd|'/c'!A1"))
    where = "river/bad" if "/" in tail else chance.choice(("river/bad", "river/kept"))  # the other filter takes two levels
    return f"{where}/{number}/{tail}"


def messages(flood: Flood, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Everything that cannot be read, mixed."""
    kinds = ["topic"] * flood.topics + ["deep"] * flood.deep + ["garbage"] * flood.garbage
    chance.shuffle(kinds)
    for number, kind in enumerate(kinds):
        if kind == "topic":
            yield hostile_topic(chance, number), b"nonsense"
        elif kind == "deep":
            yield "river/bad/deep", chance.choice((b"[" * 100_000, b'{"a":' * 30_000, b'{"laeq":[' * 20_000))
        else:
            yield chance.choice(TOPICS), garbage(chance)


class Pump:
    """Publishes as fast as the broker takes it, QoS 1, and waits until it has all."""

    def __init__(self, port: int) -> None:
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self.client.max_inflight_messages_set(200)
        self.done = 0
        self.client.on_publish = self._published
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.said = 0

    def _published(self, *_: object) -> None:
        self.done += 1

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, 1, retain)
        self.said += 1
        until = time.monotonic() + 60
        while self.said - self.done > 500:
            assert time.monotonic() < until, "the broker does not take it"
            time.sleep(0.001)

    def end(self) -> None:
        wait_until(lambda: self.done == self.said)
        self.client.disconnect()
        self.client.loop_stop()


def resident_mb(life: Life) -> float:
    """The most memory that it had since `forget`."""
    text = Path(f"/proc/{life.process.pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


def through_flood(folder: Path, flood: Flood, seed: int, within_s: float = 60) -> Aftermath:
    """The whole scene."""
    need("mosquitto")
    chance = random.Random(seed)
    with Mosquitto(folder / "mosquitto", more="autosave_on_changes false\nautosave_interval 1800") as broker:
        site = folder / "site.toml"
        site.write_text(SITE.format(port=broker.port))
        pump = Pump(broker.port)
        for i in range(flood.kept):
            pump.say(f"river/kept/c{i}/laeq", b"55.5", retain=True)
        wait_until(lambda: pump.done == flood.kept)
        life = Life(site, folder / "log")
        try:
            with Drain(life):
                wait_until(lambda: causes(folder)["retained"] >= flood.kept, within_s)
                publisher = Publisher(broker.port, "river/good", per_second=20)
                try:
                    Path(f"/proc/{life.process.pid}/clear_refs").write_text("5")
                    before_mb = resident_mb(life)
                    for topic, payload in messages(flood, chance):
                        pump.say(topic, payload)
                    pump.end()
                    wait_until(lambda: counters(folder)["undecodable"] >= flood.unreadable, within_s)
                    grown_mb = resident_mb(life) - before_mb
                finally:
                    ledger = publisher.end()
                wait_until(lambda: len(journal_rows(folder, "good")) >= len(ledger), within_s)
                found, status = causes(folder), ask(socket_path(folder / "journal"), "status")
        except BaseException:
            life.kill()
            raise
        code = life.end()
    assert isinstance(status, dict)
    others = sum(len(journal_rows(folder, name)) for name in ("bad", "kept", "edge", "leaf"))
    good = [(at, raw) for _, at, raw, _ in journal_rows(folder, "good")]
    return Aftermath(ledger, good, counters(folder), found, others, grown_mb, bool(status["conservation"]["holds"]), code)


def causes(folder: Path) -> collections.Counter[str]:
    """What the line has counted so far."""
    status = ask(socket_path(folder / "journal"), "status")
    return collections.Counter(status["lines"][0]["causes"]) if isinstance(status, dict) else collections.Counter()


def is_unharmed(found: Aftermath, flood: Flood, most_mb: float) -> None:
    """Raises AssertionError where the promise does not hold."""
    assert collections.Counter(found.good) == collections.Counter(found.ledger.items()), "live data were lost or doubled"
    assert found.ledger
    assert found.other_values == 0, "garbage became a value"
    assert found.causes["retained"] == flood.kept
    assert found.counted["undecodable"] == flood.unreadable, dict(found.counted)
    parts = ("journalled", "duplicate", "undecodable", "quarantined", "held", "overwritten")
    assert found.counted["received"] == sum(found.counted[name] for name in parts)
    assert found.holds
    assert found.grown_mb < most_mb, f"memory grew by {found.grown_mb:.0f} MB"
    assert found.code == 0
