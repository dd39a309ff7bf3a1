"""One EcoSentry hands its rows to another: identity, doubts and origin are kept, each row enters once, a hole is noticed."""

import json
import math
import re
import sqlite3
import time
import tomllib
from contextlib import closing
from pathlib import Path

import field_devices
import pytest
from broker_listener import Broker
from far_sides import make
from house import NOON, House, S, TurnedClock
from killing import Drain, Life, Publisher
from mqtt_devices import heard
from rows import rows
from servers import Mosquitto, need
from witnesses import journal, wait_until

from config.errors import Unavailable, Undecodable
from config.series import Flag, Origin, Reason, Series
from config.site import DeviceTable, Site, SiteDevice, Station
from drivers.codecs.fleet_rows import read
from drivers.protocols.fleet import Driver, Options
from drivers.reading import Batch, Delivery
from gateway.building import load_site
from gateway.control import ask, socket_path
from gateway.relayed import GAPS

PH = Series("st", "probe", "ph")
MOISTURE = Series("st", "soil", "soil_moisture", "10cm")
JOURNAL = "5eed" * 8


def driver(**more) -> Driver:
    made = field_devices.told("fleet", line="mqtt", name="leaf", **more)
    assert isinstance(made, Driver)
    return made


def message(*n: int, after: int | None = None, owed: bool = False, journal: str = JOURNAL, at0: int = NOON, **columns) -> str:
    count = len(n)
    table = {"fleet": 1, "journal": journal, "station": "st", "after": after, "owed": owed, "series": [["probe", "ph", ""]], "n": list(n),
             "which": [0] * count, "at": [at0 + i * S for i in n], "span": [0] * count, "value": [7.0 + i / 100 for i in n],
             "flag": [1] * count, "reason": [ord("N")] * count, "origin": [0] * count} | columns
    return json.dumps(table)


def hear(text: str, of: Driver | None = None) -> list[Batch]:
    return list((of or driver()).hear(heard(text, "ecosentry/fleet/st")))


# ── what is said is what is heard ──
@pytest.mark.server
def test_rows_come_out_of_the_broker_as_they_stood_in_the_journal_but_for_what_is_computed(tmp_path):
    sent = rows([PH, MOISTURE, PH._replace(statistic="mean", period_s=3600), Series("other", "x", "ph")], [0, 1, 2, 0, 1, 3],
                [7.25, 0.1 + 0.2, 7.3, math.nan, 21.5, 5.0], n=[3, 4, 5, 7, 8, 9], span=[0, 60 * S, 3600 * S, 0, 0, 0],
                flag=[Flag.GOOD, Flag.SUSPECT, Flag.GOOD, Flag.MISSING, Flag.FAIL, Flag.GOOD],
                reason=[ord("N"), ord("N"), ord("N"), Reason.LINE, ord("T"), ord("N")], origin=[0, Origin.BACKFILL, 0, 0, Origin.LATE, 0])
    with Broker(tmp_path / "m") as broker:
        far = make("sinks", "fleet", {"url": broker.url})
        far.send(sent, time.monotonic() + 10)
        far.send(sent.pick(slice(4, 5)), time.monotonic() + 10)
        far.close()
        got = broker.got()
    assert [m.topic for m in got] == ["ecosentry/fleet/st", "ecosentry/fleet/other", "ecosentry/fleet/st"]
    assert [(m.qos, read(m.payload).after, read(m.payload).owed) for m in got] == [(1, None, False), (1, None, False), (1, 8, True)]
    batches = hear(got[0].payload.decode())
    found = {(b.series[w], n): (at, span, v, r, b.origin, b.own_time) for b in batches for w, n, at, span, v, r in zip(
        b.which, b.numbered.n.tolist(), b.at.tolist(), b.span.tolist(), b.raw.tolist(), b.reason.tolist(), strict=True)}
    at = dict(zip(sent.n.tolist(), sent.at.tolist(), strict=True))
    assert str(found.pop((PH, 7))[2:4]) == str((math.nan, int(Reason.LINE)))
    assert found == {
        (PH, 3): (at[3], 0, 7.25, ord("N"), Origin.RELAYED, True),
        (MOISTURE, 4): (at[4], 60 * S, 0.1 + 0.2, Reason.DOUBTED, Origin.RELAYED | Origin.BACKFILL, True),
        (MOISTURE, 8): (at[8], 0, 21.5, Reason.REJECTED, Origin.RELAYED, True)}


@pytest.mark.server
def test_a_hub_that_never_came_is_waited_for(tmp_path):
    with Mosquitto(tmp_path / "m") as broker:
        far = make("sinks", "fleet", {"url": broker.url})
        with pytest.raises(Unavailable, match="nobody listens"):
            far.send(rows([PH], [0], [7.0]), time.monotonic() + 5)
        far.close()


@pytest.mark.parametrize(("change", "words"), [
    ({"n": [2, 1]}, "does not rise"), ({"which": [0, 5]}, "beyond series"), ({"at": [1]}, "one length"), ({"journal": "../x"}, "journal"),
    ({"value": ["a", 1]}, "value"), ({"flag": [1, 999]}, "flag"), ({"fleet": 2}, "fleet"), ({"station": "elsewhere"}, "elsewhere"),
    ({"series": [["probe", "no_such", ""]]}, "no_such"), ({"n": [], "which": [], "at": [], "span": []}, "n"), ({"value": [True, 1.0]}, "value"),
    ({"at": [2**70, 1]}, "at")])
def test_what_is_no_table_of_rows_is_refused_in_words(change, words):
    with pytest.raises(Undecodable, match=words):
        hear(message(1, 2, **change))
    for text in ("", "{", "[" * 100_000, "null", '{"value":NaN}'):
        with pytest.raises(Undecodable):
            hear(text)


def test_a_quantity_that_is_not_known_here_costs_only_itself_and_is_told():
    of = driver()
    [batch] = hear(message(1, 2, series=[["probe", "ph", ""], ["probe", "from_the_future", ""]], which=[0, 1]), of)
    assert batch.series == (PH,)
    trouble = of.trouble()
    assert trouble is not None
    assert "from_the_future" in trouble.words


def test_journals_and_series_that_are_made_up_are_bounded():
    of = driver()
    for i in range(16):
        hear(message(1, journal=f"{i:032x}"), of)
    with pytest.raises(Undecodable, match="17th journal"):
        hear(message(1, journal="f" * 32), of)
    many = driver()
    with pytest.raises(Undecodable, match="more than 2000 series"):
        hear(message(1, series=[["d", "ph", str(i)] for i in range(2001)], which=[2000]), many)


# ── in the hub's journal ──
def hub(folder: Path) -> House:
    device = SiteDevice(common=DeviceTable(profile="fleet", line="l", station="st"), options=Options())
    return House(folder, Site(stations={"st": Station(name="St")}, devices={"leaf": device}), TurnedClock(NOON + 1000 * S), expected=[])


def take(house: House, *texts: str) -> None:
    for text in texts:
        assert house.intake.deliver(Delivery("l", tuple(hear(text))), 0)
    while house.intake.rows:
        house.turn()


def kept(house: House) -> list[tuple[int, float, int, int]]:
    with house.reader() as reader:
        found = reader.rows_after(0, 10_000)
        return [(at // S - NOON // S, value, flag, reason) for at, value, flag, reason, w in zip(
            found.at.tolist(), found.value.tolist(), found.flag.tolist(), found.reason.tolist(), found.which.tolist(), strict=True)
            if found.series[w] == PH]


def counted(house: House) -> dict[str, int]:
    with house.reader() as reader:
        return reader.counters()


def test_each_row_enters_once_also_over_a_kill_of_the_hub_and_thousands_of_rows_later(tmp_path):
    house = hub(tmp_path)
    take(house, message(*range(1, 1501)))
    house.again()
    take(house, message(*range(1, 1501)), message(1499, 1500, 1501, 1502, after=1498))
    assert [at for at, *_ in kept(house)] == list(range(1, 1503))
    found = counted(house)
    assert (found["duplicate"], found["journalled"], found.get(GAPS, 0)) == (1502, 1502, 0)
    assert found["received"] == found["journalled"] + found["duplicate"]


def test_a_hole_in_the_numbers_is_counted_and_said_also_over_a_restart(tmp_path):
    house = hub(tmp_path)
    take(house, message(5, 6, after=4))  # the first of all: what was before belongs to nobody
    take(house, message(9, after=6), message(10, after=9))  # 7 and 8 are of another station
    assert counted(house).get(GAPS, 0) == 0
    house.again()
    take(house, message(15, after=14))
    assert counted(house)[GAPS] == 1
    with journal_of(house) as db:
        assert [why for (why,) in db.execute("SELECT why FROM aside")] == [f"rows 11 to 14 of journal {JOURNAL}/st never came"]


def journal_of(house: House):
    return closing(sqlite3.connect(house.folder / "live.db"))


def test_rows_sent_again_out_of_order_fill_the_hole_and_a_new_card_begins_anew(tmp_path):
    house = hub(tmp_path)
    take(house, message(1, 2, 3), message(7, after=3), message(5, after=7, owed=True), message(5, after=7, owed=True))
    take(house, message(1, journal="ab" * 16, at0=NOON + 100 * S))
    assert sorted(at for at, *_ in kept(house)) == [1, 2, 3, 5, 7, 101]


def test_what_the_leaf_doubted_stays_doubted_and_the_hub_adds_its_own_rules(tmp_path):
    house = hub(tmp_path)
    take(house, message(1, 2, 3, 4, 5, flag=[1, 3, 4, 9, 1], value=[7.0, 7.1, 7.2, None, 99.0], reason=[ord(c) for c in "NNTlN"]))
    assert str([(flag, chr(reason)) for _, _, flag, reason in kept(house)]) == str(
        [(1, "N"), (3, "q"), (4, "r"), (9, "l"), (4, "N")]), "99 is no pH here either"


# ── its page ──
PAGE = (Path(__file__).parent.parent / "docs" / "fleet.md").read_text("utf-8")


def test_the_page_s_message_is_read_and_its_sites_are_right(tmp_path):
    [text] = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    assert read(text.encode()).after == 16
    leaf, far = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert tomllib.loads(leaf)["sinks"]["hub"].pop("kind") == "fleet"
    (tmp_path / "site.toml").write_text(far)
    devices = load_site(tmp_path / "site.toml").site.devices
    assert {name: device.common.station for name, device in devices.items()} == {"qinghe_box": "qinghe", "donghe_box": "donghe"}


# ── two daemons ──
LEAF = """
[stations.st]
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{port}"
client_id = "leaf-line"
[devices]
node = {{ topic = "yard/node", time = "t", profile = "mqtt_json", interval = "10 s" }}
[sinks.hub]
kind = "fleet"
url = "mqtt://127.0.0.1:{port}"
[console]
enabled = false
"""
HUB = """
[stations.st]
[lines.fleet]
kind = "mqtt"
url = "mqtt://127.0.0.1:{port}"
client_id = "hub-line"
[devices]
leaf = {{ profile = "fleet" }}
[console]
enabled = false
"""


def is_open(folder: Path) -> bool:
    """Does its line hear the broker?"""
    status = ask(socket_path(folder / "journal"), "status")
    return isinstance(status, dict) and status["lines"][0]["state"] == "open"


def measured(folder: Path) -> list[tuple[int, float, int]]:
    with journal(folder) as db:
        return db.execute("SELECT at, raw, origin FROM hot JOIN series ON series.id = hot.series "
                          "WHERE device = 'node' AND statistic = '' AND raw IS NOT NULL ORDER BY n").fetchall()


@pytest.mark.server
@pytest.mark.crash
def test_every_reading_acknowledged_to_a_node_of_the_leaf_is_once_in_the_journal_of_a_hub_that_was_killed(tmp_path):
    need("mosquitto")
    leaf, far = tmp_path / "leaf", tmp_path / "hub"
    leaf.mkdir()
    far.mkdir()
    with Mosquitto(tmp_path / "m") as broker:
        (leaf / "site.toml").write_text(LEAF.format(port=broker.port))
        (far / "site.toml").write_text(HUB.format(port=broker.port))
        first = Life(leaf / "site.toml", tmp_path / "leaf.log")
        lives = [Life(far / "site.toml", tmp_path / "hub.log")]
        publisher = None
        try:
            with Drain(first):
                wait_until(lambda: is_open(leaf))
                with Drain(lives[-1]):
                    wait_until(lambda: is_open(far))
                publisher = Publisher(broker.port, "yard/node", per_second=100)
                for letter in (b"b", b"p"):  # killed before its commit, and between commit and acknowledgement
                    lives[-1].until(b"c", 2)
                    lives[-1].until(letter, 2)
                    lives[-1].kill()
                    lives.append(Life(far / "site.toml", tmp_path / "hub.log"))
                with Drain(lives[-1]):
                    time.sleep(1)
                    ledger = publisher.end()
                    publisher = None
                    wait_until(lambda: len(measured(far)) >= len(ledger), 30)
                    time.sleep(0.5)
        finally:
            if publisher:
                publisher.end()
            codes = [first.end(), lives[-1].end()]
    assert codes == [0, 0], (tmp_path / "hub.log").read_text()[-2000:] + (tmp_path / "leaf.log").read_text()[-2000:]
    assert len(ledger) > 100
    assert sorted((at, raw) for at, raw, _ in measured(far)) == sorted(ledger.items())
    assert all(origin & Origin.RELAYED for _, _, origin in measured(far))
    with journal(far) as db:
        assert db.execute("SELECT value FROM counter WHERE name = ?", (GAPS,)).fetchone() is None
