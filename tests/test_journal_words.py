"""`ecosentry journal`: what people take out of the journal is what is in it, while the daemon goes on writing."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from house import AMMONIA, LADDER, LAEQ, House, S, site
from test_onward import Store

from config.errors import Refused, Unavailable
from config.series import Series
from config.site import Station
from gateway import parquet
from gateway.alone import alone
from gateway.bell import Bell
from gateway.building import load_site
from gateway.cli import main, parser
from gateway.control import ControlServer, socket_path
from gateway.courier import Courier
from gateway.exit_codes import Exit
from gateway.journal.progress import Requeue, Settled
from gateway.journal.verifying import verify
from gateway.row_table import HEADER, zones

SITE = """
[stations.river]
name = "River"
time_zone = "Asia/Shanghai"
[sinks.store]
kind = "files"
folder = "rows"
[console]
enabled = false
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch):
    (tmp_path / "site.toml").write_text(SITE)
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ECOSENTRY_SITE", str(tmp_path / "site.toml"))
    return tmp_path


@pytest.fixture
def house(place: Path):
    written, plan = load_site(place / "site.toml").site, site(ammonia=LADDER)
    plan = plan.model_copy(update={"sinks": written.sinks, "stations": {**plan.stations, "lake": Station(time_zone="Asia/Shanghai")}})
    house = House(place / "journal", plan)
    say(house, 50)
    yield house
    house.kill()


def say(house: House, count: int, value: float = 0.5) -> None:
    for k in range(count):
        house.clock.forward(1)
        house.say((AMMONIA, value + k / 1000), (LAEQ, 50.0))
        house.turn()


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(["journal", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# ── show and export ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_show_gives_the_newest_rows_of_a_series_with_unit_and_local_time(house, capsys):
    code, out, _ = run(capsys, "show", "river/probe/ammonia_nitrogen", "--last", "3")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[-1].split()[:4] == ["2026-11-21T20:00:50+08:00", "river/probe/ammonia_nitrogen", "0.549", "mg/L"]
    code, out, _ = run(capsys, "show", "node", "--last", "2", "--json")
    said = json.loads(out)
    assert (code, said["format"], [row["n"] for row in said["rows"]]) == (0, 1, [98, 100])


def test_export_is_every_row_exactly_with_unit_flag_completeness_and_revision(house, capsys):
    house.clock.forward(3700)
    house.turn()
    code, out, err = run(capsys, "export", "--what", "all")
    assert code == 0
    rows = table(out)
    with house.reader() as reader:
        kept = reader.rows_after(0, 10_000)
    assert [int(r["n"]) for r in rows] == kept.n.tolist()
    assert [r["value"] for r in rows] == ["" if v != v else repr(v) for v in kept.value.tolist()]
    assert [datetime.fromisoformat(r["end"]).timestamp() for r in rows] == [at / S for at in kept.at.tolist()]
    means = [r for r in rows if r["statistic"] != "measured"]
    assert means
    assert all(r["period_s"] == "3600" and r["share"] for r in means)
    assert {r["unit"] for r in rows if r["quantity"] == "ammonia_nitrogen"} == {"mg/L"}
    assert all(r["time"].endswith("+08:00") for r in rows)
    assert f"{len(rows)} rows" in err
    hourly = table(run(capsys, "export", "--what", "1h")[1])
    assert hourly == means
    assert table(run(capsys, "export")[1]) == [r for r in rows if r["statistic"] == "measured"]


@pytest.mark.parametrize(("options", "first", "count"), [
    (["--from", "2026-11-21 20:00:11"], "20:00:11", 40), (["--from", "2026-11-21T12:00:11Z"], "20:00:11", 40),
    (["--to", "2026-11-21 20:00:11"], "20:00:01", 10),
    (["--from", "2026-11-21", "--to", "2026-11-22"], "20:00:01", 50), (["--from", "2026-11-22"], "", 0),
    (["--from", "2026-11-21T20:00:11+08:00", "--to", "2026-11-21T20:00:21+08:00"], "20:00:11", 10)])
def test_bare_times_are_the_station_s_and_the_end_is_not_in(house, capsys, options, first, count):
    code, out, _ = run(capsys, "export", "river/node", *options)
    rows = table(out)
    assert (code, len(rows)) == (0, count)
    assert not rows or rows[0]["time"] == f"2026-11-21T{first}+08:00"


def test_excel_gets_its_mark_and_lines_end_as_they_should(house, place):
    command = [sys.executable, "-m", "gateway.cli", "journal", "export", "--bom", "--site", str(place / "site.toml")]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1], env={**os.environ, "LANG": "C", "PYTHONUTF8": "0"})
    assert done.stdout.startswith(b"\xef\xbb\xbfn,time,")
    assert b"\r" not in done.stdout
    assert len(done.stdout.splitlines()) == 101


@pytest.mark.parametrize(("words", "says"), [
    (["export", "rivr/probe"], "did you mean river/probe"), (["export", "--from", "tomorrow"], "is not a time"),
    (["export", "--since", "7"], "not a duration"), (["export", "--since", "7d", "--from", "2026-01-01"], "not both"),
    (["show", "nothing-like-it"], "no series"), (["requeue", "nosuch"], "no sink nosuch"), (["refused", "nosuch"], "no sink nosuch"),
    (["backup", "/no/such/folder"], "no folder")])
def test_a_wrong_question_is_said_so_and_exits_with_2(house, capsys, words, says):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err


def test_a_device_of_two_stations_has_to_be_named_whole(house, capsys):
    house.say((Series("lake", "probe", "ph"), 7.0))
    house.turn()
    assert run(capsys, "export", "probe")[0] == 2
    assert len(table(run(capsys, "export", "lake")[1])) == 1
    assert len(table(run(capsys, "export", "lake/probe", "node")[1])) == 51


def test_hostile_names_stay_one_row_and_no_formula(house, capsys):
    names = ["=1+1", "a,b", 'say "no"', "two\nlines", "@x", "\u2028", "../..", "é", "e\u0301", "a/b"]
    house.say(*[(AMMONIA._replace(channel=name), 1.0) for name in names])
    house.turn()
    rows = table(run(capsys, "export", "river/probe/ammonia_nitrogen", "--from", "2026-11-21 20:00:50")[1])
    found = [row["channel"] for row in rows if row["channel"]]
    assert len(set(found)) == len(found) == len(names)
    assert not [name for name in found if name[0] in "=+-@"]
    assert len(table(run(capsys, "export", "river/probe/ammonia_nitrogen/a/b")[1])) == 1


@pytest.mark.parametrize("what", ["no site", "no journal", "not readable", "damaged"])
def test_the_exit_code_says_what_is_missing(place, capsys, what, monkeypatch):
    if what == "no site":
        (place / "site.toml").write_text("[stations]\nnonsense = 1\n")
    if what in ("not readable", "damaged"):
        (place / "journal").mkdir()
        (place / "journal/live.db").write_bytes(b"no database" * 1000)
    if what == "not readable":
        monkeypatch.setattr("gateway.journal.reading.os.access", lambda *_: False)
    expected = {"no site": 78, "no journal": 69, "not readable": 77, "damaged": 74}[what]
    for words in (["show"], ["export"], ["verify"], ["refused"], ["backup", str(place)], ["requeue", "store"]):
        code, out, err = run(capsys, *words)
        assert (code, out) == (expected, ""), words
        assert err
    for word in ("gaps", "order"):
        code = main(["--site", str(place / "site.toml"), word])
        out, err = capsys.readouterr()
        assert (code, out) == (expected, ""), word
        assert err


# ── while the daemon writes ──────────────────────────────────────────────────────────────────────────────────────────────
def test_two_readers_and_a_backup_see_a_prefix_without_a_hole_while_the_daemon_writes(house, place):
    stop, trouble, seen = threading.Event(), [], []

    def look() -> None:
        command = [sys.executable, "-m", "gateway.cli", "--site", str(place / "site.toml"), "journal", "export", "--what", "all"]
        while not stop.is_set():
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
            numbers = [int(row["n"]) for row in table(done.stdout)]
            if done.returncode or numbers != list(range(1, len(numbers) + 1)):
                trouble.append(done.stderr)
            seen.append(len(numbers))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    target = place / "stick"
    target.mkdir()
    deadline, copied = time.monotonic() + 20, []
    while (len(seen) < 6 or len(copied) < 2) and time.monotonic() < deadline:
        say(house, 20)
        time.sleep(0.02)
        if len(copied) < 2:
            before = house.writer.next_n - 1
            code = main(["journal", "backup", str(target)])
            copied.append((code, before))
            for file in target.glob("*.db"):
                file.rename(target / f"{len(copied)}.kept")
    stop.set()
    for reader in readers:
        reader.join(20)
    assert trouble == []
    assert len(set(seen)) > 2, "they looked at a journal that stood still"
    assert [code for code, _ in copied] == [0, 0]
    for k, (_, before) in enumerate(copied, 1):
        with contextlib.closing(sqlite3.connect(target / f"{k}.kept")) as copy:
            assert copy.execute("SELECT count(*), max(n) FROM hot").fetchone() >= (before, before)


# ── backup ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_backup_is_one_file_and_a_daemon_starts_from_it_where_it_was_made(house, place, capsys):
    (place / "stick").mkdir()
    code, out, _ = run(capsys, "backup", str(place / "stick"))
    assert code == 0
    [file] = (place / "stick").iterdir()
    assert str(file) in out
    assert "To restore: stop the service" in out
    with house.reader() as reader:
        before = reader.rows_after(0, 10_000)
    house.kill()
    shutil.rmtree(place / "journal")
    (place / "journal").mkdir()
    shutil.copy(file, place / "journal/live.db")
    house.start()
    with house.reader() as reader:
        assert reader.rows_after(0, 10_000).value.tolist()[: len(before)] == before.value.tolist()
    say(house, 5)
    assert all(finding.good for finding in verify(place / "journal"))


def test_a_backup_that_cannot_be_made_leaves_nothing_and_says_why(house, place, capsys, monkeypatch):
    (place / "stick").mkdir()
    monkeypatch.setattr("gateway.journal.copying.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1000, 1000, 0))
    code, _, err = run(capsys, "backup", str(place / "stick"))
    assert code == 74
    assert "MB free" in err
    assert list((place / "stick").iterdir()) == []


# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_whole_journal_passes_also_with_alerts_held_readings_and_a_sink(house, place, capsys):
    say(house, 30, 1.5)
    house.clock.sure = False
    house.say((AMMONIA, 0.1))
    house.turn()
    code, out, _ = run(capsys, "verify", "--json")
    said = json.loads(out)
    assert (code, said["ok"]) == (0, True), said
    assert {check["name"] for check in said["checks"]} == {"pages", "events", "rows", "archive", "series", "alert log", "readings", "sink store"}
    [log] = [check for check in said["checks"] if check["name"] == "alert log"]
    assert not log["words"].startswith("0 entries")


HARM = {
    "alert log": ["UPDATE alert_log SET at = at + 1 WHERE no = 1", "DELETE FROM alert_log WHERE no = 1", "UPDATE alert_log SET body = '{}'"],
    "events": ["DELETE FROM event WHERE id = 20", "UPDATE event SET n_from = n_from + 1 WHERE id = 20"],
    "rows": ["DELETE FROM hot WHERE n = 30", "UPDATE hot SET series = 9999 WHERE n = 30", "UPDATE hot SET n = 100000 WHERE n = 30"],
    "series": ["DELETE FROM series WHERE id = 0"],
    "readings": ["UPDATE counter SET value = value + 1 WHERE name = 'received'", "INSERT INTO held(series) VALUES (1)"],
    "sink store": ["UPDATE sink SET sent = sent + 1",
                   "INSERT INTO refused VALUES ('store', 5, 0, 'no')", "INSERT INTO meta VALUES ('owed.store', 1)"],
}


@pytest.mark.parametrize(("name", "statement"), [(name, one) for name, many in HARM.items() for one in many])
def test_each_harm_is_found_where_it_was_done(house, place, capsys, name, statement):
    say(house, 30, 1.5)
    house.kill()
    with contextlib.closing(sqlite3.connect(place / "journal/live.db")) as db:
        assert db.execute(statement).rowcount
        db.commit()
    code, out, _ = run(capsys, "verify", "--json")
    assert code == 1
    assert name in {check["name"] for check in json.loads(out)["checks"] if not check["ok"]}


def test_a_damaged_page_is_found(house, place, capsys):
    house.kill()
    with contextlib.closing(sqlite3.connect(place / "journal/live.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'hot'").fetchone()[0]
    with (place / "journal/live.db").open("r+b") as file:
        file.seek((root - 1) * size + 8)
        file.write(os.urandom(200))
    assert run(capsys, "verify")[0] in (1, 74)


# ── refused and requeue ──────────────────────────────────────────────────────────────────────────────────────────────────
BAD = {7, 60, 61}


class Picky(Store):
    """Refuses the bad rows, as long as it is told to."""

    def __init__(self):
        super().__init__(self._judge)
        self.bad = set(BAD)

    def _judge(self, rows):
        if self.bad & set(rows.n.tolist()):
            raise Refused("field type conflict")


def courier_of(house: House, store: Store) -> Courier:
    return Courier("store", store, house.site.sinks["store"].common, house.site, house.folder, house.intake, Bell())


def deliver(house: House, store: Store) -> None:
    with house.reader() as reader:
        position = reader.sinks()["store"].n
        assert courier_of(house, store).carry(reader.rows_after(position, 5000), position) is None
    house.turn()


def sums(house: House) -> dict[str, int]:
    """The sum of the sink, and whether it holds, from outside of the counters."""
    with house.reader() as reader:
        record, last = reader.sinks()["store"], reader.last_n()
        aside = reader.refused("store", 10_000)
    found = {"sent": record.sent, "refused": record.refused, "skipped": record.skipped, "thinned": record.thinned, "owed": record.owed}
    assert last == sum(found.values()) + last - record.n
    assert found["refused"] == sum(one.words is not None for one in aside)
    assert found["owed"] == sum(one.words is None for one in aside)
    assert all(finding.good for finding in verify(house.folder))
    return found


def test_refused_rows_are_listed_with_the_store_s_words(house, capsys):
    assert run(capsys, "refused")[:2] == (0, "nothing was refused\n")
    deliver(house, Picky())
    code, out, err = run(capsys, "refused", "store")
    assert code == 1
    assert len(out.splitlines()) == 3
    assert all("field type conflict" in line for line in out.splitlines())
    assert "journal requeue store" in err
    code, out, _ = run(capsys, "refused", "--json")
    assert [one["n"] for one in json.loads(out)["refused"]] == sorted(BAD)


@pytest.mark.parametrize("daemon", ["runs", "rests"])
def test_requeued_rows_are_sent_again_and_the_sum_of_the_sink_holds_at_every_step(house, place, capsys, daemon):
    store = Picky()
    deliver(house, store)
    assert sums(house) == {"sent": 97, "refused": 3, "skipped": 0, "thinned": 0, "owed": 0}
    assert run(capsys, "requeue", "store", "--dry-run")[0] == 0
    assert sums(house)["refused"] == 3
    if daemon == "runs":
        server = ControlServer(socket_path(house.folder), {"requeue": lambda asked: house.intake.tell(Requeue(str(asked["sink"]))) or True})
        stop = threading.Event()
        thread = threading.Thread(target=server.run, args=(stop,))
        thread.start()
        while not socket_path(house.folder).exists():
            time.sleep(0.01)
        code, out, _ = run(capsys, "requeue", "store")
        stop.set()
        thread.join()
        house.turn()
    else:
        house.kill()
        code, out, _ = run(capsys, "requeue", "store")
        house.start()
    assert code == 0
    assert out.startswith("3 rows that store refused will be sent again")
    found = sums(house)
    assert (found["refused"], found["owed"]) == (0, 3)
    store.bad = {61}
    with house.reader() as reader:
        assert courier_of(house, store).settle(reader) is None
        assert sums(house)["owed"] == 3, "nothing has moved before the note is committed"
        assert courier_of(house, store).settle(reader) is None  # the note was not committed yet: said twice, counted once
    house.turn()
    found = sums(house)
    assert (found["sent"], found["refused"], found["owed"]) == (99, 1, 0)
    assert {7, 60} <= set(store.kept)
    assert [line for line in run(capsys, "refused")[1].splitlines() if "row 61" in line]


def test_what_was_requeued_survives_a_kill_between_the_store_and_the_note(house, capsys):
    store = Picky()
    deliver(house, store)
    house.intake.tell(Requeue("store"))
    house.turn()
    store.bad = set()
    with house.reader() as reader:
        courier_of(house, store).settle(reader)
    house.again()  # the note of what was sent died with the process
    assert sums(house)["owed"] == 3
    with house.reader() as reader:
        courier_of(house, store).settle(reader)
    house.turn()
    assert (sums(house)["owed"], sums(house)["refused"]) == (0, 0)
    assert set(store.kept) >= BAD


def test_owed_rows_that_are_gone_count_as_thinned_and_those_no_longer_chosen_as_skipped(house):
    deliver(house, Picky())
    house.intake.tell(Requeue("store"))
    with house.writer.transaction():
        house.writer.db.execute("DELETE FROM hot WHERE n = 7")
        house.writer.meta("thinned_to", 7)
        house.writer.db.execute("DELETE FROM hot WHERE n < 7")
    house.turn()
    store = Picky()
    store.bad = set()
    only_noise = Courier("store", store, house.site.sinks["store"].common.model_copy(update={"quantity": ("laeq",)}), house.site, house.folder,
                         house.intake, Bell())
    with house.reader() as reader:
        assert only_noise.settle(reader) is None
    house.turn()
    found = sums(house)
    assert (found["owed"], found["thinned"], found["skipped"]) == (0, 1, 1)
    assert store.kept == [60]


def test_a_store_that_is_down_keeps_what_is_owed(house):
    deliver(house, Picky())
    house.intake.tell(Requeue("store"))
    house.turn()

    def down(rows):
        raise Unavailable("gone")

    with house.reader() as reader:
        assert courier_of(house, Store(down)).settle(reader) > 0
    house.turn()
    assert sums(house)["owed"] == 3


def test_a_note_said_twice_or_late_moves_nothing_that_is_not_owed(house):
    deliver(house, Picky())
    before = sums(house)
    for note in (Settled("store", (7, 60)), Settled("store", (), ((61, 5, "again"),)), Settled("nosuch", (1,))):
        house.intake.tell(note)
    house.turn()
    found = sums(house)
    assert found == before


def test_the_running_courier_sends_what_was_requeued_by_itself(house):
    store, bell, stop = Picky(), Bell(), threading.Event()
    courier = Courier("store", store, house.site.sinks["store"].common, house.site, house.folder, house.intake, bell)
    thread = threading.Thread(target=courier.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 15

    def turns_until(done) -> bool:
        while not done() and time.monotonic() < deadline:
            house.turn()
            bell.ring()
            time.sleep(0.01)
        return done()

    try:
        assert turns_until(lambda: len(store.kept) == 97)
        assert turns_until(lambda: sums(house)["refused"] == 3)
        store.bad = set()
        house.intake.tell(Requeue("store"))
        assert turns_until(lambda: set(store.kept) >= BAD)
        assert turns_until(lambda: sums(house)["owed"] == 0)
    finally:
        stop.set()
        bell.ring()
        thread.join(5)
    assert not thread.is_alive()


def test_requeue_does_not_write_beside_a_daemon_that_does_not_answer(house, capsys):
    deliver(house, Picky())
    with alone(house.folder):
        code, _, err = run(capsys, "requeue", "store")
    assert code == 69
    assert "another ecosentry writes" in err
    assert sums(house)["refused"] == 3


# ── said ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_word_and_option_stands_on_the_page():
    page = (Path(__file__).parents[1] / "docs/cli.md").read_text("utf-8")
    journal = next(a for a in parser()._subparsers._group_actions).choices["journal"]
    words = next(a for a in journal._subparsers._group_actions).choices
    for name, word in words.items():
        assert f"journal {name}" in page, name
        for option in (o for a in word._actions for o in a.option_strings if o.startswith("--") and o != "--help"):
            assert option in page, f"{name} {option}"


def test_the_page_lists_every_exit_code_once():
    page = (Path(__file__).parents[1] / "docs/cli.md").read_text("utf-8")
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", page.partition("## Exit codes")[2], re.MULTILINE)]
    assert listed == [0, *Exit]


def test_an_export_in_parquet_is_the_export_in_csv(house, place, tmp_path):
    command = [sys.executable, "-m", "gateway.cli", "--site", str(place / "site.toml"), "journal", "export", "--what", "all"]
    plain = subprocess.run(command, capture_output=True, check=True, timeout=60)
    packed = subprocess.run([*command, "--format", "parquet"], capture_output=True, check=True, timeout=60)
    assert packed.stderr == plain.stderr
    file = tmp_path / "all.parquet"
    file.write_bytes(packed.stdout)
    found = list(parquet.lines_of(file, zones(load_site(place / "site.toml").site.stations)))
    assert "\n".join([HEADER, *found, ""]) == plain.stdout.decode()
    assert len(found) > 10


def test_daily_rows_are_asked_for_as_people_say_it_and_parquet_wants_its_package(house, capsys, monkeypatch):
    assert run(capsys, "export", "--what", "day")[:2] == run(capsys, "export", "--what", "24h")[:2]
    assert run(capsys, "export", "--format", "parquet", "--bom")[0] == 2
    monkeypatch.setattr(parquet, "is_there", lambda: False)
    code, _, err = run(capsys, "export", "--format", "parquet")
    assert (code, "make install PARQUET=1" in err) == (2, True)
