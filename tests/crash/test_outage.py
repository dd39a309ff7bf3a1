"""A database behind a network that fails in every way: measuring keeps its timetable, people read what is wrong, and all arrives later.

Gateway and database live in network namespaces of their own, with one wire between them and no other way out.
"""

import collections
import itertools
import time
from pathlib import Path

import pytest
from killing import Drain, Life
from networks import FarInflux, Network
from servers import need
from witnesses import behind, journal, wait_until

from config.reading_profile import load_profile
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.control import ask, socket_path
from gateway.plugins import Plugins

pytestmark = [pytest.mark.crash, pytest.mark.server, pytest.mark.timeout(150)]
INTERVAL_S = 0.5
SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{tty}"
listen_first = "0 s"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_noise_meter", interval = "500 ms" }}
[sinks.far]
kind = "influxdb"
url = "{influx}"
database = "eco"
timeout = "2 s"
[console]
enabled = false
"""


class Scene:
    """A gateway that runs, seen from outside."""

    def __init__(self, folder: Path, life: Life) -> None:
        self.folder, self.life = folder, life

    def status(self) -> dict:
        found = ask(socket_path(self.folder / "journal"), "status")
        assert isinstance(found, dict), "nobody answers at the control socket"
        return found

    def sink(self) -> dict:
        return self.status()["sinks"][0]

    def says(self, state: str, words: str, within_s: float = 20) -> None:
        """Until the sink is in this state, in these words. Raises AssertionError with what it said instead."""
        heard: list[tuple[str, str]] = []

        def is_said() -> bool:
            heard.append((self.sink()["state"], self.sink()["words"]))
            return heard[-1][0] == state and words in heard[-1][1]

        try:
            wait_until(is_said, within_s)
        except AssertionError:
            raise AssertionError(f"not {state} {words!r}, but {list(dict.fromkeys(heard))}") from None

    def resident_mb(self) -> float:
        text = Path(f"/proc/{self.life.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024


def journalled(folder: Path) -> collections.Counter[tuple[str, int, float]]:
    """(quantity, at, value) of every value that was measured."""
    with journal(folder) as db:
        return collections.Counter(db.execute(
            "SELECT quantity, at, raw FROM hot JOIN series ON series.id = hot.series WHERE statistic = '' AND raw IS NOT NULL").fetchall())


def stored(influx: FarInflux) -> collections.Counter[tuple[str, int, float]]:
    points = [p for p in influx.points("noise") if p.tags["statistic"] == "measured" and "value" in p.fields]
    return collections.Counter((p.tags["quantity"], p.at_ns, p.fields["value"]) for p in points)


@pytest.fixture
def network():
    with Network() as made:
        yield made


def test_measuring_goes_on_through_every_kind_of_outage_and_all_arrives(tmp_path, network):
    need("influxd", "influxdb")
    answered: list[float] = []

    def value(quantity: str) -> float:
        answered.append(round(30 + len(answered) % 5000 / 10, 1))
        return answered[-1]

    meter = SimulatedDevice(1, ProfileSource(load_profile("sim_noise_meter", Plugins()), value))
    with FarInflux(tmp_path / "influxdb", network) as influx, SerialBus([meter], tmp_path / "tty") as bus:
        site = tmp_path / "site.toml"
        site.write_text(SITE.format(tty=tmp_path / "tty", influx=influx.url))
        scene = Scene(tmp_path, life := network.near.do(lambda: Life(site, tmp_path / "log")))
        try:
            with Drain(life):
                _suffer(scene, network, influx)
                status = scene.status()
        except BaseException:
            life.kill()
            raise
        assert life.end() == 0, (tmp_path / "log").read_text()[-2000:]
        asked = [exchange.came_s for exchange in bus.seen]
        bus.unplug()  # nothing more is measured: what still waited at the end goes out in another life
        life = network.near.do(lambda: Life(site, tmp_path / "log"))
        with Drain(life):
            wait_until(lambda: ask(socket_path(tmp_path / "journal"), "status") is not None and behind(tmp_path) == 0)
        assert life.end() == 0
        in_journal, at_server = journalled(tmp_path), stored(influx)
    _kept_its_timetable(asked, status)
    assert status["conservation"]["holds"]
    assert status["sinks"][0]["holds"]
    assert at_server == in_journal
    values = collections.Counter(value for _, _, value in in_journal)
    assert not values - collections.Counter(answered)
    assert (collections.Counter(answered) - values).total() <= 5, "more than the poll that the stop cut short is not in the journal"


def _suffer(scene: Scene, network: Network, influx: FarInflux) -> None:
    """One outage after another, each seen in words and got over."""
    wait_until(lambda: (scene.folder / "journal" / "control.sock").exists() and scene.sink()["sent"] > 50)
    before_mb = scene.resident_mb()
    for fault, words in ((network.drop, "in time"), (network.reset, "refuses the connection"), (network.unplug, "there is no way to")):
        fault()
        scene.says("unavailable", words)
        waiting = scene.sink()["waiting"]
        time.sleep(2)
        assert scene.sink()["waiting"] > waiting, "what is measured meanwhile waits on the disk"
        network.mend()
        if fault == network.unplug:  # the road back is a narrow one: what has waited goes through it beside what is new
            network.throttle("8kbit")
        scene.says("ok", "")
    sent = scene.sink()["sent"]
    time.sleep(4)
    assert scene.sink()["sent"] > sent, "8 kbit/s are enough"
    network.mend()
    assert scene.resident_mb() - before_mb < 20


def _kept_its_timetable(asked: list[float], status: dict) -> None:
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert len(gaps) > 40
    assert max(gaps) < INTERVAL_S + 1.0, f"a poll was {max(gaps) - INTERVAL_S:.2f} s late"
    assert len(gaps) == pytest.approx((asked[-1] - asked[0]) / INTERVAL_S, rel=0.05)
    assert status["lines"][0]["errors"] == 0
