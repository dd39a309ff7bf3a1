"""kill -9 at the worst moments: nothing acknowledged is lost, nothing enters twice, every restart is unattended.

Three witnesses are compared: the publisher's own ledger, the journal as this test reads it from the file, and what the
server exports.
"""

import collections
import os
import time

import pytest
from killing import PHASES, Drain, Life, Publisher
from servers import InfluxDB1, Mosquitto, VictoriaMetrics, need
from witnesses import SITE, at_influx, at_victoria, behind, is_proof, journal_rows, through_kills, wait_until

from config.reading_profile import load_profile
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.plugins import Plugins

pytestmark = [pytest.mark.crash, pytest.mark.server, pytest.mark.timeout(400)]
KILLS = int(os.environ.get("ECOSENTRY_KILLS", "30"))
OUTAGE_S = float(os.environ.get("ECOSENTRY_OUTAGE_S", "60"))
SEED = int(os.environ.get("ECOSENTRY_SEED", "1"))


def test_nothing_acknowledged_is_lost_or_doubled_over_many_kills(tmp_path):
    need("mosquitto")
    need("mosquitto_pub", "mosquitto-clients")
    need("influxd", "influxdb")
    found = through_kills(tmp_path, KILLS, SEED, quickly=True)
    is_proof(found, KILLS)
    assert (found.lost, found.doubled) == (0, 0), "ledger and journal differ"
    assert found.at_server == [], "ledger and server differ"
    assert found.invented == 0, "a polled value is in the journal that was never answered"
    assert found.code == 0
    for phase in list(PHASES.values())[:3]:
        assert found.hit[phase] >= 0.1 * KILLS, f"too few kills {phase}: {dict(found.hit)}"


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
