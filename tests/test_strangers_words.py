"""What a server, a broker, a receiver or a device says enters the journal as words, whatever it says, and never ends the measuring."""

import json
import sqlite3
from dataclasses import dataclass

import pytest
from house import AMMONIA, FakeReceipt, House, site

from config.site import Sink, SinkTable
from config.table import Table
from drivers.reading import Aside, Delivery
from gateway.alerts import Alerts
from gateway.contracts import Notice
from gateway.exchange import Answer
from gateway.journal import alert_tables
from gateway.journal.maintenance import ByHand, WorkBegins, recalled
from gateway.journal.orders import OrderAsked, OrderEnded
from gateway.journal.progress import Requeue, Settled, SinkMoved, SinkSays, Told
from gateway.journal.verifying import verify
from gateway.journal.writer import JournalError

HOSTILE = {"half": "\ud800", "lines": "a\x00b\r\nc\u202edesrever", "long": "\udcff" * 100_000}


@pytest.mark.parametrize("body", [
    b'{"error":"\\ud800"}', b'{"message":"a\\u0000b\\u202e"}', b"[" * 60_000, b'{"error":' * 8000, b"\xff\xfe\x00", b'{"error":' + b"9" * 5000 + b"}",
], ids=["half", "marks", "deep", "deep_objects", "no_text", "long_number"])
def test_what_a_server_answers_is_one_line_that_can_be_written(body):
    words = Answer(401, {}, body).words
    assert words == words.encode().decode()
    assert len(words) <= 500
    assert all(character.isprintable() or character == "\ufffd" for character in words)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_words_of_a_stranger_end_the_measuring(tmp_path, kind):
    words = HOSTILE[kind]
    plan = site().model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())}})
    house, told = House(tmp_path, plan, words_of=lambda device: words), []
    house.say((AMMONIA, 0.4), (AMMONIA._replace(quantity="ph"), 7.0))
    house.turn()
    with house.reader() as reader:
        last = reader.last_n()
    with house.writer.transaction():
        alert_tables.post(house.writer, "hook:one", Notice("es_1", 0, "test", words, {"what": words}))
    work = ByHand("probe", "maintenance", house.clock.utc_ns, house.clock.utc_ns + 10**9, words, words)
    for note in (SinkMoved("store", 0, last, 0, refused=((1, 5, words), (last, 5, words))), Requeue("store"),
                 Settled("store", (last,), ((1, 6, words),)), SinkSays("store", "halted", words, "sink_halted"), Told(1, "waiting", 0, 1, words),
                 OrderAsked(5, "l", "probe", words, None, words, told.append), OrderEnded(1, 6, "failed", words),
                 WorkBegins(work, lambda: told.append("open"))):
        house.intake.tell(note)
    house.intake.deliver(Delivery("l", (), FakeReceipt(), Aside(words, b"x", words)), 0)
    house.clock.forward(60)  # and both devices fall silent, for which their lines have words too
    house.turn()
    house.again()
    house.clock.forward(60)
    house.turn()
    with house.reader() as reader:
        sink, order = reader.sinks()["store"], reader.orders(1, 0)[0]
        assert (sink.n, sink.sent, sink.refused, sink.state) == (last, 1, last - 1 - (last - 2), "halted"), "a note was not written"
        found = [sink.words, order.verb, order.by, order.words, *(alert["body"]["what"] for alert in reader.alerts(9)),
                 *(one.note for one in recalled(reader.meta("maintenance"))),
                 *(one for row in reader._db.execute("SELECT topic, why FROM aside") for one in row)]
        assert reader.counters().get("notes_left_out", 0) == 0
    assert told == [1, "open"]
    assert len(found) >= 8
    for one in found:
        assert one
        assert (len(one) <= 1000, one.encode().decode(), set(one) & {"\n", "\x00"}) == (True, one, set())
    house.kill()
    assert [finding.words for finding in verify(tmp_path) if not finding.good] == []


@dataclass
class Hostile:
    """A note that cannot be written; it has begun to be."""

    error: Exception
    told: int = 0

    def write(self, writer):
        writer.meta("half", 1)
        raise self.error

    def kept(self):
        self.told += 1


@pytest.mark.parametrize("error", [UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), RecursionError(), sqlite3.IntegrityError("UNIQUE")])
def test_a_note_that_cannot_be_written_is_left_out_counted_and_costs_no_reading(tmp_path, error):
    house, hostile, receipt, told = House(tmp_path, site()), Hostile(error), FakeReceipt(), []
    house.say((AMMONIA, 0.4), receipt=receipt)
    house.intake.tell(hostile)
    house.intake.tell(OrderAsked(5, "l", "probe", "zero", None, "me", told.append))
    house.turn()
    assert (receipt.released, hostile.told, told) == (1, 0, [1]), "who waits for it was told that it is on disk, or those beside it were not"
    with house.reader() as reader:
        assert (reader.counters()["notes_left_out"], reader.meta("half")) == (1, None)
        assert reader.last_n() > 0
    house.kill()


def test_a_disk_that_fails_while_a_note_is_written_leaves_none_out(tmp_path):
    house, receipt = House(tmp_path, site()), FakeReceipt()
    house.core.give_up.set()  # else it is tried until it holds
    house.say((AMMONIA, 0.4), receipt=receipt)
    house.intake.tell(Hostile(sqlite3.OperationalError("disk I/O error")))
    with pytest.raises(JournalError):
        house.turn()
    assert receipt.released == 0
    with house.reader() as reader:
        assert reader.counters().get("notes_left_out", 0) == 0
    house.kill()


def test_an_alert_s_own_words_are_json_whoever_said_them(tmp_path):
    house = House(tmp_path, site())
    house.intake.tell(SinkSays("store", "halted", "\ud800", "sink_halted"))
    house.turn()
    assert Alerts.tell_of_full(house.writer) is False
    for body, in house.writer.db.execute("SELECT body FROM outbox"):
        assert "\ud800" not in json.loads(body)["subject"]
    house.kill()
