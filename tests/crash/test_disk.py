"""A disk that is full or read-only: nothing is acknowledged that is not kept, it is said loudly, and it recovers by itself."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from far_sides import make
from house import AMMONIA, LAEQ, NOON, FakeReceipt, House, S, TurnedClock, site
from killing import ENVIRONMENT
from scripted import Answer, ScriptedServer

from config.errors import Unavailable
from gateway.aloud import Aloud
from gateway.bell import Bell
from gateway.clock import SystemClock
from gateway.gap_ledger import gaps_between
from gateway.journal.verifying import verify
from gateway.journal.writer import JournalError
from gateway.outbox import Messenger

pytestmark = pytest.mark.crash


RUN = "import sys; from gateway import daemon; daemon._STUCK_S = 1.0; sys.exit(daemon.run(sys.argv[1]))"
"""A daemon whose core counts as stuck soon."""


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


SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{place}/no-such-port"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_water_probe", interval = "1 s" }}
[journal]
path = "{place}/journal"
[channels.hook]
kind = "webhook"
url = "{url}"
key = {{ secret = "hook" }}
[subscriptions.all]
to = ["hook"]
about = "all"
[console]
enabled = false
"""


def fill(place, left=0):
    """Somebody else takes all the room there is, but for `left` bytes."""
    with (place / "filler").open("wb", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue
        filler.truncate(filler.tell() - left)
    assert os.statvfs(place).f_bavail * 4096 == left


def kept_before(place, *, clean=True):
    """A journal with acknowledged readings, left by a clean end or by a kill."""
    house = House(place / "journal", site())
    for k in range(30):
        house.clock.forward(1)
        house.say((AMMONIA, float(k)))
        house.turn()
    if clean:
        house.core.stop()
    house.kill()
    return [float(k) for k in range(30)]


def test_a_disk_that_is_full_already_at_a_start_costs_nothing_and_people_are_told_once(small, tmp_path):
    place, remount = small
    remount("size=16m")
    said = kept_before(place, clean=False)
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "hook").touch(mode=0o600)
    (tmp_path / "secrets" / "hook").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    fill(place)
    with ScriptedServer(by=lambda request: Answer(204)) as hook, contextlib.ExitStack() as stack:
        (tmp_path / "site.toml").write_text(SITE.format(place=place, url=hook.url))
        systemd = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        systemd.bind(str(tmp_path / "n"))
        systemd.settimeout(10)
        daemon = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "site.toml")], stderr=subprocess.PIPE, text=True,
                                  env={**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "900000"})
        try:
            until(lambda: ("journal_full", "firing") in of_journal(hook) or daemon.poll() is not None)
            assert daemon.poll() is None, daemon.stderr.read()
            ready = systemd.recv(4096)
            assert b"READY=1" in ready
            assert b"STATUS=journal: " in ready
            assert b"no space left" in ready
            began, fed = time.monotonic(), 0
            while time.monotonic() - began < 2.0 or fed < 3:
                fed += systemd.recv(4096) == b"WATCHDOG=1" and time.monotonic() - began > 1.2
            assert not (place / "journal" / "reserve").exists()
            kept = values_in(place)
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stderr.close()
        told = of_journal(hook)
    assert kept == said, "what was acknowledged is there, and the room kept back is not for readings"
    assert told == [("journal_full", "firing")]
    (place / "filler").unlink()
    assert all(finding.good for finding in verify(place / "journal")), verify(place / "journal")


def values_in(place):
    query = "SELECT raw FROM hot JOIN series ON series.id = hot.series WHERE statistic = '' AND raw NOT NULL ORDER BY n"
    with contextlib.closing(sqlite3.connect(f"file:{place}/journal/live.db?mode=ro", uri=True)) as db:
        return [value for (value,) in db.execute(query)]


def turning(house):
    """The core of a house in a thread of its own; gives what ends it."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            house.core.cycle(0.1)

    thread = threading.Thread(target=run)
    thread.start()

    def end():
        stop.set()
        house.core.give_up.set()
        thread.join(10)

    return end


def fired(house):
    """(rule, state) of the alerts of the journal."""
    with house.reader() as reader:
        return [(one["rule"], one["state"]) for one in reader.alerts(50) if str(one["rule"]).startswith("journal")]


def test_started_again_and_again_on_a_full_disk_no_reading_takes_the_room_kept_back_until_there_is_room(small):
    place, remount = small
    remount("size=16m")
    said = kept_before(place)
    fill(place)
    house = House(place / "journal", site())
    assert "no space left" in house.core.trouble
    house.again()  # what is left of the room kept back is more than a reading needs
    assert "no space left" in house.core.trouble
    assert os.statvfs(place).f_bavail > 100
    end, receipt = turning(house), FakeReceipt()
    try:
        house.say((AMMONIA, 99.0), receipt=receipt)
        time.sleep(1.3)
        assert receipt.released == 0
        assert values(house) == said
        assert fired(house) == [("journal_full", "firing")]
        (place / "filler").unlink()
        until(lambda: receipt.released and fired(house) == [("journal_full", "ended")])
    finally:
        end()
    assert house.core.trouble == ""
    assert values(house) == [*said, 99.0]
    assert (place / "journal" / "reserve").exists()
    house.kill()


def test_of_a_read_only_disk_where_not_even_an_alert_can_be_journalled_people_hear_from_memory_once_and_of_its_end(small, monkeypatch):
    place, remount = small
    monkeypatch.setattr("gateway.core._LOUD_AFTER_S", 0.5)
    moods, told, stop = iter([Unavailable("no network")]), [], threading.Event()

    class Phone:
        def __init__(self, recipient):
            self.recipient = recipient

        def tell(self, notice, deadline):
            if error := next(moods, None):
                raise error
            told.append((self.recipient, notice.id, notice.data["rule"], notice.data["state"], notice.subject))

        def close(self):
            pass

    monkeypatch.setattr("gateway.aloud._AGAIN_S", 0.1)
    aloud = Aloud(Phone)
    house = House(place / "journal", site(), aloud=aloud.say)
    house.kill()  # a card goes read-only under a daemon that opens its journal anew
    remount("ro")
    end, talker = turning(house), threading.Thread(target=aloud.run, args=(stop,))
    talker.start()
    receipt = FakeReceipt()
    try:
        house.say((AMMONIA, 99.0), receipt=receipt)
        until(lambda: len(told) >= 2)
        tried = house.core.tried
        until(lambda: house.core.tried > tried, 5)
        assert [(to, rule, state) for to, _, rule, state, _ in told] == [
            ("hook:two", "journal_unwritable", "firing"), ("hook:one", "journal_unwritable", "firing")], "who cannot be reached delays no other"
        assert all("read-only" in subject for *_, subject in told)
        remount("rw")
        until(lambda: len(told) >= 4 and receipt.released)
    finally:
        remount("rw")
        end()
        stop.set()
        talker.join(10)
    assert sorted((to, state) for to, _, _, state, _ in told[2:]) == [("hook:one", "ended"), ("hook:two", "ended")]
    assert len({identity for _, identity, *_ in told}) == 4
    assert fired(house) == [], "what was told from memory is not in the journal"
    assert values(house)[-1] == 99.0
    house.kill()


def test_where_not_even_the_room_kept_back_helps_a_start_ends_with_its_error_and_nothing_is_lost(small):
    place, remount = small
    remount("size=16m")
    said = kept_before(place)
    (place / "journal" / "reserve").unlink()
    fill(place)
    with pytest.raises(JournalError, match="no space left on the disk"):
        House(place / "journal", site())
    (place / "filler").unlink()
    house = House(place / "journal", site())
    assert values(house) == said
    house.kill()


def test_a_damaged_journal_on_a_full_disk_is_salvaged_when_there_is_room_and_not_forgotten(small):
    place, remount = small
    remount("size=16m")
    said = kept_before(place)
    (place / "journal" / "reserve").unlink()
    with contextlib.closing(sqlite3.connect(place / "journal" / "live.db")) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'aside'").fetchone()
    with (place / "journal" / "live.db").open("r+b") as file:
        file.seek(1024 * (page - 1))
        file.write(b"x" * 1024)
    fill(place, 49_152)  # enough to find the damage, not for a new one
    for _ in range(2):
        with pytest.raises(JournalError, match="no space left"):
            House(place / "journal", site())
    (place / "filler").unlink()
    house = House(place / "journal", site())
    assert len(list((place / "journal").glob("live.db.damaged-*Z"))) == 1
    assert values(house) == said, "it looked into the old one"
    house.kill()


KILLED = """
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import house
import test_disk
place = Path(sys.argv[1])
home = house.House(place / "journal", house.site())
for k in range(3):
    home.clock.forward(10)
    home.say((house.AMMONIA, float(k)))
    home.turn()
test_disk.fill(place)
(place / "journal" / "reserve").unlink()
test_disk.fill(place)
test_disk.turning(home)
for k in range(20):
    home.clock.forward(10)
    home.say((house.AMMONIA, 50.0 + k))
test_disk.until(lambda: home.core.trouble and test_disk.values_in(place) == [0.0, 1.0, 2.0])
os.write(1, home.core.trouble.encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_waited_in_memory_for_a_full_disk_and_was_killed_is_in_the_ledger_as_the_gateway_s_absence(small):
    place, remount = small
    remount("size=16m")
    done = subprocess.run([sys.executable, "-c", KILLED, str(place), str(Path(__file__).parent)], capture_output=True, check=False, timeout=60,
                          env={**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{Path(__file__).parents[1]}"})
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert b"no space left" in done.stdout
    (place / "filler").unlink()
    house = House(place / "journal", site(), TurnedClock(NOON + 600 * S))
    house.say((AMMONIA, 99.0))
    house.turn()
    assert values(house) == [0.0, 1.0, 2.0, 99.0]
    with house.reader() as reader:
        (gap,) = gaps_between(reader, 0, 2**63 - 1, [reader.series().index(AMMONIA)])
        counters = reader.counters()
    assert ((gap.since - NOON) // S, (gap.until - NOON) // S, gap.words, gap.filled) == (30, 600, "the gateway was down", 0.0)
    assert counters["received"] == counters["journalled"] == 4
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
