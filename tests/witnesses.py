"""Three witnesses of what a gateway did: its sources' ledgers, its journal as the file shows it, and what the server gives back.

`through_kills` is the whole scene: a broker, a database, a polled device, two publishers, and a gateway that is killed again and again.
"""

import collections
import contextlib
import math
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from killing import CommandLinePublisher, Drain, Life, Nursery, Publisher, kill_often
from servers import InfluxDB1, Mosquitto, VictoriaMetrics
from waiting import until

from config.reading_profile import load_profile
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.plugins import Plugins

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
probe = {{ line = "cabinet", address = 1, profile = "sim_noise_meter", interval = "1 s" }}
node = {{ line = "nodes", topic = "river/node", time = "t", profile = "mqtt_json", interval = "10 s" }}
shell = {{ line = "nodes", topic = "river/shell", time = "t", profile = "mqtt_json", interval = "10 s" }}
[sinks.influx]
kind = "influxdb"
url = "{influx}"
database = "eco"
[console]
enabled = false
"""

SELDOM = "autosave_on_changes false\nautosave_interval 1800"
"""The broker itself is never killed here: what queues up in it need not be written anew with every message."""


@contextlib.contextmanager
def journal(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal of the site in that folder, read by SQLite alone."""
    db = sqlite3.connect(f"{(folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True)
    try:
        yield db
    finally:
        db.close()


def journal_rows(folder: Path, device: str) -> list[tuple[str, int, float, int]]:
    """(quantity, at, raw, n) of the measured rows of a device with a value, in arrival order."""
    with journal(folder) as db:
        return db.execute("SELECT quantity, at, raw, n FROM hot JOIN series ON series.id = hot.series "
                          "WHERE device = ? AND statistic = '' AND raw IS NOT NULL ORDER BY n", (device,)).fetchall()


def lives(folder: Path) -> list[int]:
    """How many events each life committed beside its start."""
    counts: list[int] = []
    with journal(folder) as db:
        for (kind,) in db.execute("SELECT kind FROM event ORDER BY id"):
            if kind == 1:
                counts.append(0)
            else:
                counts[-1] += 1
    return counts


def counters(folder: Path) -> collections.Counter[str]:
    """The counters of the conservation identity; one that never counted is 0."""
    with journal(folder) as db:
        return collections.Counter(dict(db.execute("SELECT name, value FROM counter")))


def behind(folder: Path) -> int:
    """How many rows the slowest sink has yet to deliver."""
    with journal(folder) as db:
        return int(db.execute("SELECT max((SELECT max(n) FROM hot) - n) FROM sink").fetchone()[0])


def at_influx(influx: InfluxDB1, device: str) -> dict[int, float]:
    """time ns → measured value of a device's points at InfluxDB (if an hour ends meanwhile, its mean is there too)."""
    points = [p for p in influx.points("noise") if p.tags["device"] == device and p.tags["statistic"] == "measured"]
    return {p.at_ns: p.fields["value"] for p in points if "value" in p.fields}  # type: ignore[misc]


def at_victoria(victoria: VictoriaMetrics, device: str) -> dict[int, float]:
    """time ns → measured value of a device's samples at victoria-metrics."""
    found: dict[int, float] = {}
    for samples in victoria.export(f'{{__name__="noise_value",device="{device}",statistic="measured"}}'):
        found.update(zip(samples.at_ms, samples.values, strict=True))
    return {at * 10**6: value for at, value in found.items()}


def wait_until(holds: Callable[[], bool], within_s: float = 60) -> None:
    """As `until`, for what is seen from outside: it takes longer, and looking is not free."""
    until(holds, within_s, every_s=0.2)


@dataclass(frozen=True, slots=True)
class Testimony:
    """What came of many kills. The differences are those from the ledgers: all of them are to be 0."""

    hit: collections.Counter[str]
    """Kills by phase."""
    commits: list[int]
    """Of every life, beside its start."""
    published: int
    typed: int
    """By `mosquitto_pub`."""
    polled: int
    lost: int
    doubled: int
    at_server: list[tuple[str, int, float | None, float | None]]
    """(device, at, value in the ledger, value at the server) where these two are not the same."""
    invented: int
    """Polled values in the journal that the device never gave, or gave fewer times."""
    code: int
    """Of the last life, which was asked to end."""


def through_kills(folder: Path, kills: int, seed: int, *, quickly: bool = False) -> Testimony:
    """Kill a gateway so many times at its worst moments, let it finish its work, and compare the witnesses.

    `quickly`: four of five lives come loaded out of a nursery, or most of the time would go into importing modules.
    """
    answered: list[tuple[str, float]] = []

    def value(quantity: str) -> float:
        answered.append((quantity, round(30 + len(answered) % 5000 / 10, 1)))
        return answered[-1][1]

    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", Plugins()), value))
    with Mosquitto(folder / "mosquitto", more=SELDOM) as broker, InfluxDB1(folder / "influxdb") as influx, SerialBus([meter], folder / "tty"):
        site, log = folder / "site.toml", folder / "log"
        site.write_text(SITE.format(tty=folder / "tty", mqtt=broker.port, influx=influx.url))
        first = Life(site, log)  # the broker keeps messages for us from the first subscription on
        first.until(b"c", 1)
        publisher, shell = Publisher(broker.port, "river/node"), CommandLinePublisher(broker.port, "river/shell")
        try:
            first.kill()
            with Nursery(site, log) if quickly else contextlib.nullcontext() as nursery:
                hit = kill_often(site, kills, seed, log, nursery=nursery)
        finally:
            typed = shell.end()
            published = publisher.end()
        ledgers = {"node": published, "shell": typed}
        last = Life(site, log)
        with Drain(last):
            wait_until(lambda: all(len(journal_rows(folder, name)) >= len(ledger) for name, ledger in ledgers.items()) and behind(folder) == 0)
        code = last.end()
        stored = {name: at_influx(influx, name) for name in ledgers}
    lost = doubled = 0
    at_server = []
    for name, ledger in ledgers.items():
        journalled = collections.Counter((at, raw) for _, at, raw, _ in journal_rows(folder, name))
        said = collections.Counter(ledger.items())
        lost += (said - journalled).total()
        doubled += (journalled - said).total()
        at_server += [(name, at, ledger.get(at), stored[name].get(at)) for at in sorted(stored[name].keys() | ledger.keys())
                      if ledger.get(at) != stored[name].get(at)]
    polled = collections.Counter((quantity, raw) for quantity, _, raw, _ in journal_rows(folder, "probe"))
    return Testimony(hit, lives(folder), len(ledgers["node"]), len(ledgers["shell"]), polled.total(), lost, doubled, at_server,
                     (polled - collections.Counter(answered)).total(), code)


def is_proof(found: Testimony, kills: int) -> None:
    """Was it hard enough to prove anything? Raises AssertionError where it was not."""
    assert found.published > 10 * kills, "the publisher hardly published"
    assert found.typed > kills / 2, "mosquitto_pub hardly published"
    assert found.polled, "the polled device was hardly polled"
    assert len(found.commits) == kills + 2
    assert min(found.commits) >= 1, "a life committed nothing: its kill proves nothing"


def assert_same_story(answered: list[float], journalled: list[float], series: str) -> None:
    """What a polled device says it answered against the rows of the journal (NaN = MISSING), both in order.

    Every value that is journalled was answered, in that order and once. An answer that is not there came too late on a
    busy machine, and then its poll is MISSING (one row a minute); the last one may have been on its way when the daemon ended.
    """
    values = [value for value in journalled if not math.isnan(value)]
    left = iter(answered)
    assert all(any(value == said for said in left) for value in values), f"{series}: the journal holds what was not answered, or in another order"
    late = len(answered) - len(values)
    assert late <= 1 or len(journalled) > len(values), f"{series}: {late} answers are not there, and nothing is MISSING"
    assert len(values) >= 0.8 * len(answered), f"{series}: too few answers were in time to prove anything"
