"""A running daemon is given everything that wires, brokers and servers can say wrongly: each has its word or counter, and the rest goes on.

Real broker, real line discipline, the daemon as a process. What is bad comes from a device, a topic and a receiver of their own; what is
good beside them must arrive whole, without a gap.
"""

import collections
import itertools
import subprocess
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from killing import Drain, Life, Publisher
from servers import Answer, Mosquitto, Request, ScriptedServer, need
from witnesses import counters, journal, journal_rows, wait_until

from config.reading_profile import load_profile
from drivers.simulated.modbus import Faults, ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.control import ask, socket_path
from gateway.plugins import Plugins

pytestmark = [pytest.mark.crash, pytest.mark.server, pytest.mark.timeout(150)]
MOST_GROWTH_MB = 8
"""One message is larger than that."""
SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{tty}"
listen_first = "0 s"
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{mqtt}"
[devices]
sound = {{ line = "cabinet", address = 1, profile = "sim_noise_meter", interval = "1 s" }}
faulty = {{ line = "cabinet", address = 2, profile = "sim_noise_meter", interval = "1 s" }}
good = {{ line = "nodes", topic = "river/good", time = "t", profile = "mqtt_json", interval = "10 s" }}
bad = {{ line = "nodes", topic = "river/bad", time = "t", profile = "mqtt_json", interval = "10 min" }}
plain = {{ line = "nodes", topic = "river/plain/{{quantity}}", profile = "mqtt_plain", interval = "10 min" }}
[rules.loud]
quantity = ["laeq"]
above = "20 dB(A)"
[channels.hook]
kind = "webhook"
key = {{ secret = "hook" }}
[subscriptions.all]
to = ["hook:{hook}/good", "hook:{hook}/garbage", "hook:{hook}/moved", "hook:{hook}/mute"]
about = "all"
[console]
enabled = false
"""

MESSAGES: tuple[tuple[bytes, str], ...] = (
    (b"", "empty"), (b"{", "not JSON"), (b"\xff\xfe{}", "not UTF-8"), (b"\x00" * 1000, "not JSON"), (b"null", "not an object"),
    (b'{"laeq": "loud"}', "'loud' is not a number"), (b'{"laeq": true}', "True is not a number"), (b'{"laeq": [1]}', "is not a number"),
    (b'{"laeq": {"value": 1}}', "is not a number"), (b'{"laeq": NaN}', "NaN is not a number"), (b'{"laeq": -Infinity}', "-Infinity is not a number"),
    (b'{"laeq": 1e999}', "is not a possible number"), (b'{"laeq": ' + b"9" * 5000 + b"}", "is not a possible number"),
    (b'{"laeq": 1, "laeq": 2}', "stands twice"), (b"[" * 100_000, "nested deeper"), (b'{"a":' * 40_000, "nested deeper"),
    (b'{"t": "yesterday", "laeq": 50}', "t: 'yesterday' is not a time"), (b'{"t": 5, "laeq": 50}', "is not a time between"),
    (b'{"t": "2026-11-20T08:00:00", "laeq": 50}', "has no offset"), (b'{"noise": 50}', "no key is a quantity"),
    (b'{"laeq": 50, "pad": "' + b"x" * 10_000_000 + b'"}', "is longer than max_payload"),
)
"""What is said on the topic of `bad`, and a part of the words with which it is set aside."""
TOPICS = (("river/plain/nonsense", b"5", "is not a quantity of the vocabulary"), ("river/plain/laeq", b"0x10", "not JSON"))
FRAMES: tuple[tuple[Callable[[Faults], None], str], ...] = (
    (lambda f: setattr(f, "truncate", 3), "short"), (lambda f: setattr(f, "noise", 1.0), "noise"),
    (lambda f: setattr(f, "stray", bytes(range(40, 140))), "noise"), (lambda f: setattr(f, "wrong_address", 9), "wrong"),
    (lambda f: setattr(f, "exception", 4), "exception"), (lambda f: setattr(f, "delay_s", 0.8), "silent"),
    (lambda f: setattr(f, "silent", True), "silent"),
)
"""What is turned wrong at `faulty`, and the cause that its health counts."""
RECEIVERS = {"/good": Answer(204), "/garbage": Answer(raw=b"\x00\xff\xfe what is HTTP?\r\n\r\n"), "/moved": Answer(302, {"Location": "http://127.0.0.1:1/"}),
             "/mute": Answer(cut=0)}
WORDS = {"/garbage": "does not answer in HTTP", "/moved": "which is not followed", "/mute": "closed the connection without an answer"}


class Meter:
    """A simulated noise meter with a ledger of every value that left it unharmed; each value is another one."""

    def __init__(self, address: int, first: float) -> None:
        self.answered: list[float] = []
        self._next = itertools.count(round(first * 10))
        source = ProfileSource(load_profile("sim_noise_meter", Plugins()), lambda _: next(self._next) / 10)
        self.device = SimulatedDevice(address, source, answered=lambda question, registers: self.answered.extend(r / 10 for r in registers))


class Seen:
    """The daemon from outside: what `ecosentry status` shows, and its journal."""

    def __init__(self, folder: Path, life: Life) -> None:
        self.folder, self._life = folder, life

    def status(self) -> dict:
        found = ask(socket_path(self.folder / "journal"), "status")
        assert isinstance(found, dict)
        return found

    def device(self, name: str) -> dict:
        return next(d for d in self.status()["devices"] if d["name"] == name)

    def line(self, name: str) -> dict:
        return next(one for one in self.status()["lines"] if one["name"] == name)

    def aside(self) -> list[tuple[str, str]]:
        with journal(self.folder) as db:
            return db.execute("SELECT topic, why FROM aside ORDER BY id").fetchall()

    def told(self) -> dict[str, tuple[str, str]]:
        """Path of the receiver → state and words of its first message."""
        with journal(self.folder) as db:
            found = db.execute("SELECT recipient, state, words FROM outbox ORDER BY id DESC").fetchall()
        return {recipient[recipient.rindex("/"):]: (state, words) for recipient, state, words in found}

    def most_resident_mb(self, *, from_now: bool = False) -> float:
        """The most memory that it had since the last look with `from_now`."""
        if from_now:
            Path(f"/proc/{self._life.process.pid}/clear_refs").write_text("5")
        text = Path(f"/proc/{self._life.process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024


def say_wrongly(port: int, seen: Seen) -> int:
    """Every wrong message, and that each is set aside in its words; gives how many there were."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wrong = [("river/bad", payload, words) for payload, words in MESSAGES] + list(TOPICS)
    for topic, payload, _ in wrong:
        client.publish(topic, payload, qos=1).wait_for_publish(20)
    half = f'{{"t": {time.time_ns() // 10**6}, "laeq": NaN, "l90": 41.5}}'
    tomorrow = f'{{"t": {time.time_ns() // 10**6 + 86_400_000}, "laeq": 50}}'
    for payload in (half, tomorrow):
        client.publish("river/bad", payload, qos=1).wait_for_publish(20)
    wait_until(lambda: len(seen.aside()) >= len(wrong) + 1)
    client.disconnect()
    client.loop_stop()
    heard = seen.aside()
    for (topic, payload, words), (said_of, why) in zip(wrong, heard, strict=False):
        assert topic == said_of
        assert words in why, f"{payload[:40]!r}: {why}"
    assert "is not believable" in heard[-1][1]
    return len(wrong)


def answer_wrongly(faults: Faults, seen: Seen) -> None:
    """Every fault of the wire for a poll or two, and that health names its cause."""
    for spoil, cause in FRAMES:
        before = seen.device("faulty")["causes"].get(cause, 0)
        spoil(faults)
        wait_until(lambda before=before, cause=cause: seen.device("faulty")["causes"].get(cause, 0) > before, 15)
        assert seen.device("faulty")["words"], cause
        for knob in fields(Faults):
            setattr(faults, knob.name, knob.default)
        wait_until(lambda: seen.device("faulty")["state"] == "good", 15)


def test_whatever_comes_is_counted_in_words_and_the_rest_goes_on(tmp_path):
    need("mosquitto")
    sound, faulty = Meter(1, 30), Meter(2, 3000)

    def receive(request: Request) -> Answer:
        return RECEIVERS[request.path]

    with Mosquitto(tmp_path / "mosquitto") as broker, SerialBus([sound.device, faulty.device], tmp_path / "tty"), ScriptedServer(by=receive) as hook:
        (tmp_path / "secrets").mkdir(mode=0o700)
        (tmp_path / "secrets" / "hook").touch(mode=0o600)
        (tmp_path / "secrets" / "hook").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        site = tmp_path / "site.toml"
        site.write_text(SITE.format(tty=tmp_path / "tty", mqtt=broker.port, hook=hook.url))
        old = ["mosquitto_pub", "-p", str(broker.port), "-r", "-q", "1", "-t", "river/bad", "-m", '{"t": "2026-01-01T00:00:00Z", "laeq": 99}']
        subprocess.run([need("mosquitto_pub", "mosquitto-clients"), *old[1:]], check=True, timeout=20)
        life = Life(site, tmp_path / "log")
        seen = Seen(tmp_path, life)
        try:
            with Drain(life):
                wait_until(lambda: (tmp_path / "journal" / "control.sock").exists() and seen.device("sound")["state"] == "good")
                publisher = Publisher(broker.port, "river/good", per_second=20)
                try:
                    wait_until(lambda: seen.device("good")["state"] == "good")
                    before_mb = seen.most_resident_mb(from_now=True)
                    wrong = say_wrongly(broker.port, seen)
                    answer_wrongly(faulty.device.faults, seen)
                    wait_until(lambda: all(words in seen.told().get(path, ("", ""))[1] for path, words in WORDS.items()), 30)
                    grown_mb = seen.most_resident_mb() - before_mb
                finally:
                    ledger = publisher.end()
                wait_until(lambda: len(journal_rows(tmp_path, "good")) >= len(ledger))
                status = seen.status()
        except BaseException:
            life.kill()
            raise
        assert life.end() == 0, (tmp_path / "log").read_text()[-2000:]

    causes = seen_causes(status)
    assert causes["undecodable"] == len(MESSAGES) - 1 + len(TOPICS)
    assert causes["too big"] == 1
    assert causes["retained"] == 1
    assert status["conservation"]["holds"]
    assert status["conservation"]["undecodable"] == wrong
    assert status["conservation"]["quarantined"] == 1
    counted = counters(tmp_path)
    assert counted["received"] == sum(counted[name] for name in ("journalled", "duplicate", "undecodable", "quarantined", "held", "overwritten"))
    assert seen.told()["/good"][0] == "told"
    assert {path: state for path, (state, _) in seen.told().items() if path != "/good"} == dict.fromkeys(WORDS, "waiting")
    assert grown_mb < MOST_GROWTH_MB, f"memory grew by {grown_mb:.0f} MB"
    the_good_is_whole(tmp_path, ledger, sound, faulty)


def seen_causes(status: dict) -> collections.Counter[str]:
    return sum((collections.Counter(line["causes"]) for line in status["lines"] if line["kind"] == "mqtt"), collections.Counter())


def the_good_is_whole(folder: Path, ledger: dict[int, float], sound: Meter, faulty: Meter) -> None:
    """Nothing good was lost, nothing bad was taken for a value, and nobody had to wait for the bad."""
    assert collections.Counter((at, raw) for _, at, raw, _ in journal_rows(folder, "good")) == collections.Counter(ledger.items())
    assert [(quantity, raw) for quantity, _, raw, _ in journal_rows(folder, "bad")] == [("l90", 41.5)]
    for name, meter in (("sound", sound), ("faulty", faulty)):
        assert not collections.Counter(raw for _, _, raw, _ in journal_rows(folder, name)) - collections.Counter(meter.answered), name
    times = sorted({at for _, at, _, _ in journal_rows(folder, "sound")})
    assert len(times) > 10
    gaps_s = [(after - before) / 1e9 for before, after in itertools.pairwise(times)]
    assert max(gaps_s) < 2.5, "its neighbour's faults delayed a sound device"
