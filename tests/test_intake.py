"""The queue into the core: a ring while the journal cannot be written, and nothing with a receipt gives way."""

import threading

from house import LAEQ, FakeReceipt, House, site

from drivers.reading import Delivery, Readings, Stamp
from gateway.intake import Intake
from gateway.journal.progress import FULL, JournalSays, SinkMoved
from gateway.journal.writer import JournalError


def delivery(value, rows=1, receipt=None):
    readings = Readings(Stamp("boot", 1, 1, True), False)
    for k in range(rows):
        readings.add(LAEQ, value + k, ord("N"))
    return Delivery("l", (readings.batch(),), receipt)


def values(intake):
    found = []
    while taken := intake.take(0, 10**6)[0]:
        found += [value for one in taken for batch in one.batches for value in batch.raw.tolist()]
    return found


def test_the_ring_overwrites_the_oldest_without_a_receipt_and_counts_each():
    intake = Intake(most_rows=4, ring_rows=10)
    assert intake.deliver(delivery(0.0, 2), 0)
    assert intake.deliver(delivery(100.0, 3, FakeReceipt()), 0)
    assert not intake.deliver(delivery(2.0, 1), 0), "not a ring yet: who polls waits"
    intake.ring(True)
    for k in range(20):
        assert intake.deliver(delivery(float(10 + k)), 0)
    assert intake.rows == 10
    assert values(intake) == [100.0, 101.0, 102.0, *map(float, range(23, 30))]
    assert intake.overwritten() == 2 + 13
    assert intake.overwritten() == 0, "counted once"


def test_deliveries_with_receipts_are_taken_beyond_the_ring_and_none_gives_way():
    intake = Intake(most_rows=4, ring_rows=4)
    intake.ring(True)
    for k in range(10):
        assert intake.deliver(delivery(float(k), 1, FakeReceipt()), 0)
    assert intake.deliver(delivery(50.0), 0)
    assert values(intake) == [*map(float, range(10)), 50.0]
    assert intake.overwritten() == 0


def test_who_waits_for_room_goes_on_when_the_queue_becomes_a_ring():
    intake = Intake(most_rows=1, ring_rows=5)
    assert intake.deliver(delivery(0.0), 0)
    done = []
    waiting = threading.Thread(target=lambda: done.append(intake.deliver(delivery(1.0), 20)))
    waiting.start()
    intake.ring(True)
    waiting.join(10)
    assert done == [True]


def test_notes_are_committed_in_their_order_while_readings_wait(tmp_path, monkeypatch):
    """A sink's position moves from where it was only: a newer note before an older one would be lost."""
    house = House(tmp_path, site())
    with house.writer.transaction():
        house.writer.db.execute("INSERT INTO sink VALUES ('store',0,0,0,0,0,'new','')")
    append, fails = type(house.writer)._append, [True]

    def refuse(self, columns):
        if fails[0] and len(columns):
            raise JournalError("no room for readings")
        append(self, columns)

    monkeypatch.setattr(type(house.writer), "_append", refuse)
    house.intake.tell(SinkMoved("store", 0, 2, 2))
    house.say((LAEQ, 50.0))
    core = threading.Thread(target=house.turn)
    core.start()
    try:
        with house.reader() as reader:
            for n in (3, 4):
                house.intake.tell(SinkMoved("store", n - 1, n, 1))
                wait = threading.Event()
                for _ in range(200):
                    if reader.sinks()["store"].n == n:
                        break
                    wait.wait(0.05)
                assert reader.sinks()["store"].sent == n
            assert [alert["rule"] for alert in reader.alerts(5)] == [FULL]
            assert reader.counters() == {}
    finally:
        fails[0] = False
        core.join(10)
    house.turn()
    with house.reader() as reader:
        assert reader.counters() == {"received": 1, "journalled": 1}
        assert reader.alerts(5)[0]["state"] == "ended"
    house.intake.tell(JournalSays(FULL, "again"))
    house.turn()
    house.again()
    with house.reader() as reader:
        assert [alert["state"] for alert in reader.alerts(5)] == ["ended", "ended"], "a start proves that it can be written"
    house.kill()
