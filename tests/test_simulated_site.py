"""The simulated site: the same seed says the same, and its ledger is what independent readers hear."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import servers
from mqtt_devices import Journal, Running, driver, packaged
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from waiting import until

from drivers.lines.mqtt import Line, Options
from drivers.simulated import ledger as ledger_file
from drivers.simulated.broker import SiteBroker
from drivers.simulated.ledger import Entry, Ledger, read_ledger
from drivers.simulated.recorded import recorded
from drivers.simulated.site import METER, NODES, RTU, SimulatedSite, packaged_profile
from drivers.simulated.world import EPISODES, World

pytestmark = pytest.mark.server
MEASURED = sorted({q for place in (*RTU, METER) for q in packaged_profile(place.profile).rows} | {q for _, _, d in NODES.values() for q in d})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SimulatedSite]:
    servers.need("mosquitto")
    with SimulatedSite(tmp_path, every_s=0.1, paced=False) as one:
        yield one


def entries(site: SimulatedSite, event: str) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in read_ledger(site.ledger.path):
        if entry.event == event:
            found[entry.series].append(entry)
    return found


def test_one_seed_says_the_same_at_every_instant_and_another_says_otherwise() -> None:
    one, same, other = World(1, 60), World(1, 60), World(2, 60)
    instants = [0.0, 17.3, 100.0, 4000.0]
    for quantity in MEASURED:
        values = [one.value(quantity, at, 0) for at in instants]
        assert values == [same.value(quantity, at, 0) for at in instants]
        assert values != [other.value(quantity, at, 0) for at in instants], quantity


def test_every_simulated_value_is_plausible_and_fits_its_register() -> None:
    from config.quantity import vocabulary

    world = World(3, 60)
    for quantity in MEASURED:
        low, high = vocabulary()[quantity].plausible
        for at in range(0, 4 * 24 * 60, 37):
            value = world.value(quantity, at, at)
            assert low <= value <= high, (quantity, at, value)
            assert value <= 6000 or quantity == "active_energy"


def test_energy_only_rises() -> None:
    world = World(1, 60)
    energy = [world.value("active_energy", at, 0) for at in range(3000)]
    assert energy == sorted(energy)
    assert energy[-1] > energy[0]


def test_both_episodes_rise_over_every_limit_and_are_over_within_two_minutes() -> None:
    world = World(1, 60)
    for episode, red, quiet in zip(EPISODES, (250, 2.0), (110, 0.8), strict=True):
        values = [world.value(episode.quantity, at, at) for at in range(120)]
        assert values[0] < quiet
        assert max(values) > red
        assert values[-1] < quiet
        assert world.value(episode.quantity, 60, 0) < quiet, "nothing happens before somebody measures"
        assert max(world.value(episode.quantity, at, at) for at in range(240, 360)) > red, "it comes again"


def test_the_recording_is_the_published_one() -> None:
    """Rows of the station Dongsi in the published table (UCI 501)."""
    air = recorded()
    assert air.hours == 672
    assert (air.value("pm2_5", 0), air.value("pm10", 1), air.value("co", 1), air.value("air_temperature", 0)) == (59.0, 117.0, 0.9, 23.9)
    assert air.value("pm2_5", 0.5) == 62.0
    assert air.value("wind_direction", 0) == pytest.approx(225)
    assert air.value("pm2_5", 672) == air.value("pm2_5", 0)
    assert 70 < air.value("relative_humidity", 0) < 80


@pytest.mark.parametrize("place", RTU)
def test_the_ledger_is_what_another_master_reads_on_the_serial_line(site: SimulatedSite, place: object) -> None:
    from drivers.decode import decode

    rows = packaged_profile(place.profile).rows  # type: ignore[attr-defined]
    read: dict[str, list[float]] = defaultdict(list)
    with ModbusSerialClient(str(site.bus.path), baudrate=9600) as master:
        for _ in range(5):
            for name, row in rows.items():
                ask = master.read_input_registers if row.function == 4 else master.read_holding_registers
                answer = ask(row.first, count=row.form.registers, device_id=place.address)  # type: ignore[attr-defined]
                assert not answer.isError()
                read[name].append(decode(row.form, answer.registers))
    said = entries(site, "answered")
    for name, values in read.items():
        assert [e.value for e in said[f"{place.station}/{place.name}/{name}"]] == values  # type: ignore[attr-defined]


def test_the_ledger_is_what_another_master_reads_from_the_meter(site: SimulatedSite) -> None:
    with ModbusTcpClient("127.0.0.1", port=site.server.port) as master:
        answers = [master.read_holding_registers(4, count=4, device_id=1) for _ in range(10)]
        values = [master.convert_from_registers(a.registers, master.DATATYPE.FLOAT64) for a in answers]
    assert [e.value for e in entries(site, "answered")["street/meter/active_power"]] == values


def test_the_ledger_is_what_another_subscriber_hears(site: SimulatedSite) -> None:
    command = [servers.need("mosquitto_sub", "mosquitto-clients"), "-p", str(site.broker.port), "-t", "#", "-q", "1", "-C", "20", "-W", "20"]
    heard = [json.loads(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()]
    until(lambda: len(entries(site, "confirmed")["field/leaf/leaf_wetness"]) > 10)
    said = {(e.series.split("/")[-1], e.sequence, e.time_ns): e.value for es in entries(site, "published").values() for e in es}
    assert len(heard) == 20
    for message in heard:
        quantities = [key for key in message if key not in ("t", "seq")]
        assert len(quantities) in (3, 4)
        for quantity in quantities:
            assert said[quantity, message["seq"], message["t"] * 1_000_000] == message[quantity]


def test_what_the_broker_has_confirmed_is_known_and_nothing_is_lost_while_it_is_away(site: SimulatedSite) -> None:
    until(lambda: len(entries(site, "confirmed")["field/leaf/leaf_wetness"]) > 3)
    site.broker.close()
    before = len(entries(site, "published")["field/leaf/leaf_wetness"])
    until(lambda: len(entries(site, "published")["field/leaf/leaf_wetness"]) > before + 5)
    site.broker.start()
    site.silence("leaf")
    time.sleep(0.2)
    published = {e.sequence for e in entries(site, "published")["field/leaf/leaf_wetness"]}
    until(lambda: {e.sequence for e in entries(site, "confirmed")["field/leaf/leaf_wetness"]} == published)


def test_a_plug_can_be_pulled_with_touch_and_put_back_with_rm(site: SimulatedSite) -> None:
    (site.plugs / "meter").touch()
    (site.plugs / "leaf").touch()
    until(lambda: site.nodes["leaf"].silent)
    with ModbusTcpClient("127.0.0.1", port=site.server.port, timeout=0.3, retries=0) as master, pytest.raises(ModbusIOException):
        master.read_holding_registers(4, count=4, device_id=1)
    (site.plugs / "meter").unlink()
    (site.plugs / "leaf").unlink()
    until(lambda: not site.nodes["leaf"].silent)
    with ModbusTcpClient("127.0.0.1", port=site.server.port) as master:
        assert not master.read_holding_registers(4, count=4, device_id=1).isError()
    site.silence("noise")
    site.speak("noise")
    assert not list(site.plugs.iterdir())


def test_as_a_process_it_tells_its_addresses_and_ends_with_the_one_who_started_it(tmp_path: Path) -> None:
    servers.need("mosquitto")
    command = [sys.executable, "-m", "drivers.simulated", str(tmp_path), "--seed", "5", "--every", "0.2", "--leash"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        found = json.loads(process.stdout.readline())
        assert Path(found["serial"]).exists()
        port = int(found["mqtt"].rpartition(":")[2])
        for one in (port, found["tcp_port"]):
            socket.create_connection(("127.0.0.1", one), 1).close()
        until(lambda: bool(list(read_ledger(Path(found["ledger"])))))
        process.stdin.close()
        assert process.wait(10) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_killed_it_takes_its_broker_along_and_leaves_a_readable_ledger(tmp_path: Path) -> None:
    servers.need("mosquitto")
    servers.need("setpriv", "util-linux")
    command = [sys.executable, "-m", "drivers.simulated", str(tmp_path), "--every", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = json.loads(process.stdout.readline())
        until(lambda: len(list(read_ledger(Path(found["ledger"])))) > 20)
        process.send_signal(signal.SIGKILL)
    port = int(found["mqtt"].rpartition(":")[2])

    def is_gone() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return True
        return False

    until(is_gone)
    assert all(entry.series for entry in read_ledger(Path(found["ledger"])))


def test_a_ledger_that_was_cut_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.csv")
    book.said("answered", 0, {"a/b/c": 0.1, "a/b/d": -5e-324})
    book.close()
    text = book.path.read_text()
    book.path.write_text(text + "answered,a/b/c,1,,0.")
    assert text.startswith(ledger_file.HEADER)
    assert [(e.series, e.value, e.time_ns) for e in read_ledger(book.path)] == [("a/b/c", 0.1, None), ("a/b/d", -5e-324, None)]


def test_the_embedded_broker_serves_the_mqtt_line(tmp_path: Path) -> None:
    pytest.importorskip("amqtt", reason="needs amqtt: pip install 'ecosentry[demo]'")
    with SiteBroker(tmp_path, "amqtt") as broker:
        assert "no redelivery" in broker.words
        line = Line("nodes", Options(url=broker.url, user="gateway", client_id="gateway"), str)
        drivers = {"air": driver(packaged("mqtt_json"), "yard/air", "air")}
        journal = Journal()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="publisher")
        client.username_pw_set("node")
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        began_ms = time.time_ns() // 1_000_000

        def publish(values: range) -> None:
            for value in values:
                client.publish("yard/air", json.dumps({"t": began_ms + value, "pm10": value}), 1).wait_for_publish(10)

        with Running(line, drivers, journal):
            publish(range(50))
            until(lambda: len(journal.values) == 50)
        publish(range(50, 70))  # comes later with the retain flag set, so only its own time makes it a reading
        later = Journal()
        with Running(line, drivers, later):
            until(lambda: len(later.values) == 20)
        client.disconnect()
        client.loop_stop()
    assert (journal.values, later.values) == (list(range(50)), list(range(50, 70)))
