"""kill -9 at the worst moments: nothing acknowledged is lost, nothing enters twice, every restart is unattended.

Three witnesses are compared: the publisher's own ledger, the journal as this test reads it from the file, and what the
server exports.
"""

import collections
import os
import sqlite3
import time

import pytest
from killing import PHASES, CommandLinePublisher, Drain, Life, Publisher, kill_often
from servers import InfluxDB1, Mosquitto, VictoriaMetrics, need

from config.reading_profile import load_profile
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.plugins import Plugins

pytestmark = [pytest.mark.crash, pytest.mark.server, pytest.mark.timeout(400)]
KILLS = int(os.environ.get("ECOSENTRY_KILLS", "30"))
OUTAGE_S = float(os.environ.get("ECOSENTRY_OUTAGE_S", "60"))
SEED = int(os.environ.get("ECOSENTRY_SEED", "1"))

SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{tty}"
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


def journal_rows(folder, device):
    """(series text, at, raw, flag) of the measured rows of a device with a value, read from the file by the test itself."""
    db = sqlite3.connect(f"{(folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True)
    try:
        return db.execute("SELECT quantity, at, raw, n FROM hot JOIN series ON series.id = hot.series "
                          "WHERE device = ? AND statistic = '' AND raw IS NOT NULL ORDER BY n", (device,)).fetchall()
    finally:
        db.close()


def lives(folder):
    """How many events each life committed beside its start."""
    db = sqlite3.connect(f"{(folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True)
    try:
        counts, kinds = [], [k for (k,) in db.execute("SELECT kind FROM event ORDER BY id")]
    finally:
        db.close()
    for kind in kinds:
        if kind == 1:
            counts.append(0)
        else:
            counts[-1] += 1
    return counts


def wait_until(holds, within_s=60):
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)


def behind(folder):
    db = sqlite3.connect(f"{(folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True)
    try:
        return db.execute("SELECT max((SELECT max(n) FROM hot) - n) FROM sink").fetchone()[0]
    finally:
        db.close()


def at_influx(influx, device):
    return {p.at_ns: p.fields["value"] for p in influx.points("noise") if p.tags["device"] == device and "value" in p.fields}


def at_victoria(victoria, device):
    found = {}
    for samples in victoria.export('{__name__="noise_value",device="%s"}' % device):
        found.update(zip(samples.at_ms, samples.values, strict=True))
    return {at * 10**6: value for at, value in found.items()}


def test_nothing_acknowledged_is_lost_or_doubled_over_many_kills(tmp_path):
    need("mosquitto")
    need("influxd", "influxdb")
    answered = []

    def value(quantity):
        answered.append((quantity, round(30 + len(answered) % 5000 / 10, 1)))
        return answered[-1][1]

    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", Plugins()), value))
    with Mosquitto() as broker, InfluxDB1() as influx, SerialBus([meter], tmp_path / "tty"):
        site = tmp_path / "site.toml"
        site.write_text(SITE.format(tty=tmp_path / "tty", mqtt=broker.port, influx=influx.url))
        first = Life(site, tmp_path / "log")  # the broker keeps messages for us from the first subscription on
        first.until(b"c", 1)
        publisher, shell = Publisher(broker.port, "river/node"), CommandLinePublisher(broker.port, "river/shell")
        first.kill()
        hit = kill_often(site, KILLS, SEED, tmp_path / "log")
        ledger, typed = publisher.end(), shell.end()
        last = Life(site, tmp_path / "log")
        with Drain(last):
            wait_until(lambda: len(journal_rows(tmp_path, "node")) >= len(ledger) and len(journal_rows(tmp_path, "shell")) >= len(typed)
                       and behind(tmp_path) == 0)
        assert last.end() == 0
        stored = {name: at_influx(influx, name) for name in ("node", "shell")}

    assert len(ledger) > 20 * KILLS, "the publisher hardly published: the test proves nothing"
    assert len(typed) > 2 * KILLS, "mosquitto_pub hardly published: the test proves nothing"
    for name, said in (("node", ledger), ("shell", typed)):
        journalled = journal_rows(tmp_path, name)
        assert collections.Counter((at, raw) for _, at, raw, _ in journalled) == collections.Counter(said.items()), f"{name}: ledger and journal differ"
        assert stored[name] == said, f"{name}: ledger and server differ"
    polled = [(q, v) for q, _, v, _ in journal_rows(tmp_path, "probe")]
    assert polled
    assert not collections.Counter(polled) - collections.Counter(answered), "a polled value is in the journal that was never answered"
    commits = lives(tmp_path)
    assert len(commits) == KILLS + 2
    assert min(commits) >= 1, "a life committed nothing: its kill proves nothing"
    for phase in list(PHASES.values())[:3]:
        assert hit[phase] >= 0.1 * KILLS, f"too few kills {phase}: {dict(hit)}"


def test_a_minute_without_any_server_and_two_kills_in_it_cost_nothing(tmp_path):
    need("mosquitto")
    need("influxd", "influxdb")
    need("victoria-metrics")
    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", Plugins()), lambda _: 50.0))
    second = '[sinks.victoria]\nkind = "influxdb"\nurl = "{url}"\norg = "eco"\nbucket = "eco"\n'
    with Mosquitto() as broker, InfluxDB1() as influx, VictoriaMetrics() as victoria, SerialBus([meter], tmp_path / "tty"):
        site = tmp_path / "site.toml"
        site.write_text(SITE.format(tty=tmp_path / "tty", mqtt=broker.port, influx=influx.url) + second.format(url=victoria.url))
        life = Life(site, tmp_path / "log")
        life.until(b"c", 1)
        publisher = Publisher(broker.port, "river/node", per_second=50)
        with Drain(life):
            time.sleep(3)
            influx.kill()
            victoria.stop()  # never killed: it acknowledges before it is durable
            time.sleep(OUTAGE_S / 3)
        for _ in range(2):
            life.kill()
            life = Life(site, tmp_path / "log")
            with Drain(life):
                time.sleep(OUTAGE_S / 3)
        influx.start()
        victoria.start()
        ledger = publisher.end()
        with Drain(life):
            wait_until(lambda: len(journal_rows(tmp_path, "node")) >= len(ledger) and behind(tmp_path) == 0, 120)
            time.sleep(2)  # victoria-metrics shows samples a second after it has them
            stored = {"InfluxDB": at_influx(influx, "node"), "victoria-metrics": at_victoria(victoria, "node")}
        assert life.end() == 0
    assert len(ledger) > 20 * OUTAGE_S
    assert collections.Counter((at, raw) for _, at, raw, _ in journal_rows(tmp_path, "node")) == collections.Counter(ledger.items())
    for name, found in stored.items():
        assert found == ledger, f"ledger and {name} differ"
