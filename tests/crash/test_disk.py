"""A disk that is full or read-only: nothing is acknowledged that is not kept, it is said loudly, and it recovers by itself."""

import json
import os
import subprocess
import threading
import time

import pytest
from far_sides import make
from house import AMMONIA, LAEQ, FakeReceipt, House, site
from scripted import Answer, ScriptedServer

from gateway.bell import Bell
from gateway.clock import SystemClock
from gateway.journal.verifying import verify
from gateway.outbox import Messenger

pytestmark = pytest.mark.crash


@pytest.fixture
def small(tmp_path):
    """A file system of 1 MB that can be made larger or read-only."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "t", place], check=False, capture_output=True).returncode:
        pytest.skip("a full disk is made with a small tmpfs: needs root and mount")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)

    yield place, remount
    subprocess.run(["umount", "-l", place], check=True)


def values(house):
    with house.reader() as reader:
        rows = reader.rows_after(0, 1_000_000)
        return rows.value[rows.which == 0].tolist()


def test_a_full_disk_withholds_receipts_and_recovers_when_there_is_room(small):
    place, remount = small
    house = House(place / "journal", site())
    receipts, said, stop = [], [], threading.Event()

    def run():
        while not stop.is_set():
            house.core.cycle(0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not house.core.trouble:
            assert time.monotonic() < deadline, "1 MB was never full: the test proves nothing"
            receipts.append(FakeReceipt(packet=len(receipts)))
            house.clock.forward(1)
            house.say(*((AMMONIA, len(receipts) + k / 1000) for k in range(200)), (LAEQ, 50.0), receipt=receipts[-1])
            said += [len(receipts) + k / 1000 for k in range(200)]
            time.sleep(0.005)
        assert "no space left" in house.core.trouble
        time.sleep(0.3)
        released = sum(r.released for r in receipts)
        assert 0 < released < len(receipts)
        assert values(house) == said[: 200 * released], "what was acknowledged is there, and nothing else"
        remount("size=64m")
        deadline = time.monotonic() + 20
        while sum(r.released for r in receipts) < len(receipts):
            assert time.monotonic() < deadline, "it did not recover"
            time.sleep(0.05)
        assert house.core.trouble == ""
    finally:
        stop.set()
        house.core.give_up.set()
        thread.join(10)
    assert values(house) == said
    with house.reader() as reader:
        counters = reader.counters()
    assert counters["received"] == counters["journalled"] == 201 * len(receipts)
    house.kill()


def until(what, within_s=30):
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def of_journal(hook):
    """What the receiver was told of the journal: (rule, state)."""
    data = [json.loads(request.body)["data"] for request in list(hook.requests)]
    return [(one["rule"], one["state"]) for one in data if one["rule"].startswith("journal")]


def test_on_a_full_disk_people_are_told_the_newest_polls_wait_and_what_was_overwritten_is_counted(small):
    place, remount = small
    hook = ScriptedServer(by=lambda request: Answer(204)).start()
    remount("size=2m")
    house = House(place / "journal", site())
    assert (place / "journal" / "reserve").stat().st_size > 100_000
    house.intake._ring_rows, deliver = 3000, house.intake.deliver
    house.intake.deliver = lambda delivery, _: deliver(delivery, 20)
    channel = make("channels", "webhook", {"key": {"secret": "hook"}, "url": hook.url + "/alerts"})
    messenger = Messenger("hook:one", channel, house.folder, house.intake, Bell(), SystemClock())
    receipts, said, polled, stop = [], [], 0, threading.Event()

    def run():
        while not stop.is_set():
            house.core.cycle(0.1)

    threads = [threading.Thread(target=run), threading.Thread(target=messenger.run, args=(stop,))]
    for thread in threads:
        thread.start()
    try:
        def say(rows):
            nonlocal polled
            house.clock.forward(1)
            house.say(*((LAEQ, polled + k) for k in range(rows)))
            polled += rows
            receipts.append(FakeReceipt(packet=len(receipts)))
            house.say((AMMONIA, float(len(receipts))), receipt=receipts[-1])
            said.append(float(len(receipts)))
            time.sleep(0.005)

        deadline = time.monotonic() + 60
        while not house.core.trouble:
            assert time.monotonic() < deadline, "1 MB was never full: the test proves nothing"
            say(200)
        until(lambda: ("journal_full", "firing") in of_journal(hook))
        with house.reader() as reader:
            until(lambda: reader.recipients()["hook:one"].get("told"))
        deadline = time.monotonic() + 60
        while len(withheld := [receipt for receipt in receipts if not receipt.released]) < 30:
            assert time.monotonic() < deadline
            say(200)
        time.sleep(2.2)
        assert not any(receipt.released for receipt in withheld), "what was kept back is not for readings"
        assert house.core.trouble
        remount("size=64m")
        until(lambda: all(receipt.released for receipt in receipts) and ("journal_full", "ended") in of_journal(hook))
        say(10)
        until(lambda: receipts[-1].released and not house.intake.rows)
    finally:
        stop.set()
        house.core.give_up.set()
        for thread in threads:
            thread.join(10)
        hook.stop()
    assert values(house) == said, "no delivery with a receipt was dropped"
    with house.reader() as reader:
        rows = reader.rows_after(0, 1_000_000)
        found = [v for v, w in zip(rows.value.tolist(), rows.which.tolist(), strict=True) if rows.series[w] == LAEQ and v == v]
        counters = reader.counters()
    assert found[-2500:] == [float(v) for v in range(polled - 2500, polled)], "the newest are there"
    assert found == sorted(set(found))
    assert counters["overwritten"] == polled - len(found) >= 1000
    assert counters["received"] == polled + len(said) == counters["journalled"] + counters["overwritten"]
    assert of_journal(hook) == [("journal_full", "firing"), ("journal_full", "ended")], "told once"
    assert (place / "journal" / "reserve").stat().st_size == 8_000_000, "kept back again"
    assert all(finding.good for finding in verify(house.folder)), verify(house.folder)
    house.kill()


def test_a_read_only_file_system_is_named_and_ends_by_itself(small):
    place, remount = small
    house = House(place / "journal", site())
    house.say((AMMONIA, 1.0))
    house.turn()
    house.kill()  # a card goes read-only under a daemon that opens its journal anew
    remount("ro")
    receipt = FakeReceipt()
    house.say((AMMONIA, 2.0), receipt=receipt)
    thread = threading.Thread(target=house.turn)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not house.core.trouble:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "read-only" in house.core.trouble
        assert not receipt.released
    finally:
        remount("rw")
        thread.join(10)
    assert receipt.released == 1
    assert values(house) == [1.0, 2.0]
    house.kill()
