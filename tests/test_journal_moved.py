"""Somebody removes, moves or replaces the journal under a running daemon: nothing is acknowledged into files that nobody finds again."""

import logging
import shutil
import threading

import pytest
from house import AMMONIA, FakeReceipt, House, site
from waiting import until

from gateway.alone import alone
from gateway.building import load_site
from gateway.daemon import Daemon
from gateway.exit_codes import Exit
from gateway.journal import rescuing
from gateway.journal.reader import Reader
from gateway.journal.rescuing import bring_back
from gateway.journal.verifying import verify
from gateway.journal.writer import JournalError, JournalMoved


def unlinked(folder):
    for path in folder.glob("live.db*"):
        path.unlink()


def alone_unlinked(folder):
    """A write-ahead log of before stays, and belongs to nothing any more."""
    (folder / "live.db").unlink()
    kept = (folder / "live.db-wal").read_bytes()
    (folder / "live.db-wal").unlink()
    (folder / "live.db-wal").write_bytes(kept)


def renamed(folder):
    folder.rename(folder.with_name("moved"))


def log_unlinked(folder):
    (folder / "live.db-wal").unlink()


def replaced(folder):
    renamed(folder)
    shutil.copytree(folder.with_name("moved"), folder)


MISHAPS = [unlinked, alone_unlinked, renamed, shutil.rmtree, log_unlinked, replaced]


def said(house, value):
    receipt = FakeReceipt(packet=int(value))
    house.clock.forward(1)
    house.say((AMMONIA, value), receipt=receipt)
    return receipt


def values(folder):
    with Reader(folder) as reader:
        rows = reader.rows_after(0, 10_000)
        return rows.value[(rows.which == 0) & (rows.flag == 1)].tolist()


def told(folder):
    with Reader(folder) as reader:
        return [(one["rule"], one["state"]) for one in reader.alerts(50) if str(one["rule"]).startswith("journal")]


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda mishap: mishap.__name__)
def test_nothing_is_acknowledged_into_files_that_are_gone_and_the_next_start_has_all_that_was(tmp_path, mishap):
    house = House(tmp_path / "journal", site())
    for value in (1.0, 2.0, 3.0):
        receipt = said(house, value)
        house.turn()
        assert receipt.released
    mishap(house.folder)
    receipt = said(house, 4.0)
    with pytest.raises(JournalMoved, match="was removed or replaced") as moved:
        house.turn()
    assert not receipt.released
    words = bring_back(house.writer, str(moved.value))
    house.again()
    assert values(house.folder) == [1.0, 2.0, 3.0]
    assert told(house.folder) == [("journal_moved", "ended")], "told once, with its end"
    with house.reader() as reader:
        waiting = reader.waiting("hook:one")
    assert waiting is not None
    assert words in waiting.notice.subject
    again = said(house, 4.0)
    house.turn()
    assert again.released
    assert values(house.folder) == [1.0, 2.0, 3.0, 4.0]
    house.again()
    assert len(told(house.folder)) == 1
    assert all(finding.good for finding in verify(house.folder))
    house.kill()


def test_what_was_acknowledged_before_another_journal_was_put_there_is_kept_beside_it(tmp_path):
    house = House(tmp_path / "journal", site())
    said(house, 1.0)
    house.turn()
    shutil.copytree(house.folder, tmp_path / "older")
    said(house, 2.0)
    house.turn()
    renamed(house.folder)
    (tmp_path / "older").rename(house.folder)
    said(house, 3.0)
    with pytest.raises(JournalMoved) as moved:
        house.turn()
    words = bring_back(house.writer, str(moved.value))
    house.again()
    assert values(house.folder) == [1.0]
    [kept] = house.folder.glob("live.db.displaced-*")
    assert kept.name in words
    (tmp_path / "kept").mkdir()
    kept.rename(tmp_path / "kept" / "live.db")
    assert values(tmp_path / "kept") == [1.0, 2.0]
    house.kill()


def test_a_journal_that_is_gone_while_it_is_closed_is_not_begun_anew_under_a_core_that_goes_on(tmp_path):
    house = House(tmp_path / "journal", site())
    house.kill()
    unlinked(house.folder)
    receipt = said(house, 1.0)
    with pytest.raises(JournalMoved):
        house.turn()
    assert not receipt.released
    with pytest.raises(JournalError):
        bring_back(house.writer, "gone")
    assert not (house.folder / "live.db").exists()


SITE = """
[stations.river]
[console]
enabled = false
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:1"
[devices.node]
profile = "mqtt_plain"
line = "nodes"
topic = "node/{quantity}"
quantities = ["ph"]
interval = "1 s"
[subscriptions.all]
to = ["hook:alerts"]
about = "all"
[channels.hook]
kind = "mqtt"
url = "mqtt://127.0.0.1:1"
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    return tmp_path


def test_a_daemon_whose_journal_is_removed_ends_with_74_also_when_nothing_comes_in(place, monkeypatch, caplog):
    monkeypatch.setattr("gateway.core._KEEPING_EVERY_S", 0.1)
    caplog.set_level(logging.INFO)
    folder, codes = place / "journal", []
    with alone(folder) as journal:
        daemon, stop = Daemon(load_site(place / "site.toml"), journal), threading.Event()
        worker = threading.Thread(target=lambda: codes.append(daemon.run(stop)))
        worker.start()
        try:
            until(lambda: "ready:" in caplog.text or not worker.is_alive(), 20)
            unlinked(folder)
            until(lambda: codes, 10)
        finally:
            stop.set()
            worker.join(10)
    assert codes == [Exit.DISK] == [74]
    assert (folder / "live.db").exists()


def test_people_hear_from_memory_of_a_journal_that_cannot_be_brought_back(place, monkeypatch):
    cried = []
    monkeypatch.setattr(rescuing, "has_room", lambda *_: (_ for _ in ()).throw(JournalError("no room for it")))
    with alone(place / "journal") as journal:
        daemon = Daemon(load_site(place / "site.toml"), journal)
        monkeypatch.setattr(daemon.core, "_aloud", cried.extend)
        daemon.core.start()
        unlinked(journal.folder)
        daemon._bring_back(JournalMoved("it is gone"))
        daemon.writer.close()
    assert not (journal.folder / "live.db").exists()
    assert [(to, notice.data["rule"]) for to, notice in cried] == [("hook:alerts", "journal_unwritable")]
    assert "it is gone; it cannot be brought back: no room for it" in cried[0][1].subject
