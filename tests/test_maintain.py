"""Somebody goes to an instrument and says so: from then on nothing of it counts, whatever happens to the daemon; and people see what is open."""

import json
import sqlite3
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from daemon_inside import running
from house import AMMONIA, LAEQ, NOON, House, S, site
from waiting import until

from config.maintenance import Maintenance
from config.reading_site import read_site_text
from gateway.cli import main
from gateway.control import DeclinedError
from gateway.journal.maintenance import KEY, ByHand, WorkBegins, recalled
from gateway.maintaining import Maintaining
from gateway.open_windows import open_windows
from gateway.plugins import KINDS


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "journal", site())
    yield house
    house.kill()


def maintaining(house):
    """The words of the control socket; the core turns at once."""

    def tell(note):
        house.intake.tell(note)
        house.turn()

    return Maintaining(house.folder, house.site, house.clock, tell)


def speak(house, minutes):
    for _ in range(round(minutes * 6)):
        house.clock.forward(10)
        house.say((AMMONIA, 0.5), (LAEQ, 50.0))
        house.turn()


def reasons(house, series=AMMONIA):
    with house.reader() as reader:
        rows = reader.rows_of_series(reader.series().index(series), 0, 2**62, 10_000)
    return "".join(map(chr, rows.reason.tolist()))


def test_from_the_word_on_nothing_counts_until_its_time_is_over_or_somebody_ends_it(house):
    speak(house, 1)
    said = maintaining(house).begin({"device": "probe", "seconds": 120, "by": "li.wei"})
    assert said[0]["words"] == "maintenance until 20:03 (by li.wei)", "by the station's clock"
    speak(house, 3)
    maintaining(house).begin({"device": "probe", "seconds": 600, "by": "li.wei", "kind": "span"})
    speak(house, 1)
    assert maintaining(house).end({"device": "probe"}) == []
    speak(house, 1)
    assert reasons(house) == "N" * 6 + "M" * 11 + "N" * 7 + "C" * 6 + "N" * 6
    assert set(reasons(house, LAEQ)) == {"N"}


def test_it_survives_kills_and_a_reading_that_comes_late_is_judged_by_its_own_time(house):
    maintaining(house).begin({"device": "probe", "seconds": 120, "by": "li.wei"})
    house.again()
    speak(house, 1)
    house.again()
    speak(house, 10)
    house.again()
    house.say((AMMONIA, 0.4), at=NOON + 61 * S)
    house.say((AMMONIA, 0.4), at=NOON + 121 * S)
    house.turn()
    assert reasons(house) == "M" * 11 + "N" * 55 + "MN"


def test_rows_that_are_committed_with_the_word_are_judged_with_it(house):
    house.clock.forward(10)
    since = house.clock.now().utc_ns
    house.clock.forward(1)
    house.say((AMMONIA, 0.5))
    house.intake.tell(WorkBegins(ByHand("probe", "maintenance", since, since + 60 * S, "li.wei"), lambda: None))
    house.turn()
    assert reasons(house) == "M"


def test_who_is_silent_is_missed_soon_after_somebody_ended_the_work_however_long_it_was_to_last(house):
    speak(house, 1)
    maintaining(house).begin({"device": "probe", "seconds": 3600, "by": "li.wei"})

    def node_alone(minutes):
        for _ in range(round(minutes * 6)):
            house.clock.forward(10)
            house.say((LAEQ, 50.0))
            house.turn()

    node_alone(5)
    maintaining(house).end({"device": "probe"})
    node_alone(2)
    with house.reader() as reader:
        (alert,) = reader.alerts(5)
    assert 390 * S <= alert["since"] - NOON <= 450 * S, "three of its periods, and the minute in which it is looked at again"


@pytest.mark.parametrize("bad", [(1,), (1, 2), (1, 3), (2,), (2, 3)])
def test_a_word_whose_commit_fails_at_first_counts_with_the_one_that_holds(house, monkeypatch, bad):
    transaction, tries = house.writer.transaction, []

    @contextmanager
    def failing():
        tries.append(None)
        with transaction():
            yield
            if len(tries) in bad:
                raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(house.writer, "transaction", failing)
    monkeypatch.setattr(house.core, "give_up", SimpleNamespace(wait=lambda seconds: False, is_set=lambda: False))
    maintaining(house).begin({"device": "probe", "seconds": 120, "by": "li.wei"})
    monkeypatch.undo()
    speak(house, 3)
    with house.reader() as reader:
        assert reader.plan(reader.last_event().plan), "what these readings were judged by is on disk"
    house.again()
    speak(house, 1)
    assert reasons(house) == "M" * 11 + "N" * 13


@pytest.mark.parametrize(("asked", "why"), [
    ({"device": "prob", "seconds": 60}, "no device prob"), ({"device": "probe"}, "1 s to 30 d"), ({"device": "probe", "seconds": 0}, "1 s to 30 d"),
    ({"device": "probe", "seconds": float("nan")}, "1 s to 30 d"), ({"device": "probe", "seconds": True}, "1 s to 30 d"),
    ({"device": "probe", "seconds": 31 * 86400}, "1 s to 30 d"), ({"device": "probe", "seconds": 60, "kind": "party"}, "no kind party")])
def test_what_cannot_be_is_declined_and_nothing_is_written(house, asked, why):
    with pytest.raises(DeclinedError, match=why):
        maintaining(house).begin(asked)
    with house.reader() as reader:
        assert recalled(reader.meta(KEY)) == ()


def test_nobody_can_end_what_nobody_began(house):
    house.site = house.site.model_copy(update={"maintenance": {"cleaning": Maintenance.model_validate(
        {"device": "probe", "at": "20:00", "for": "10 min"})}})
    house.again()
    with pytest.raises(DeclinedError, match=r"what is planned ends by itself: maintenance until 20:10 \(cleaning\)"):
        maintaining(house).end({"device": "probe"})


def test_while_the_clock_is_not_true_nobody_knows_which_readings_are_meant(house):
    house.clock.sure = False
    with pytest.raises(DeclinedError, match="the clock is not yet true"):
        maintaining(house).begin({"device": "probe", "seconds": 60})


def test_what_is_open_is_told_with_its_quantities_its_settling_and_its_day(house):
    house.site = house.site.model_copy(update={"maintenance": {
        "zero": Maintenance.model_validate({"quantity": "ph", "at": "19:50", "for": "5 min", "settle": "10 min", "kind": "zero"}),
        "night": Maintenance.model_validate({"device": "node", "at": "Sat 20:00", "for": "6 h"})}})
    house.again()
    with house.reader() as reader:
        found = [(one.device, one.words) for one in open_windows(house.site, reader.series(), (), NOON)]
    assert found == [("probe", "settling after zero of ph until 20:05 (zero)"), ("node", "maintenance until 2026-11-22 02:00 (night)")]


def test_however_often_it_is_said_the_journal_stays_small_and_the_newest_is_known(house):
    with house.writer.transaction():
        for i in range(100):
            WorkBegins(ByHand("probe", "maintenance", NOON + i * S, NOON + (i + 60) * S, "x" * 200), lambda: None).write(house.writer)
    with house.reader() as reader:
        kept = recalled(reader.meta(KEY))
    assert (len(kept), kept[-1].since) == (64, NOON + 99 * S)
    assert [one.until - one.since for one in kept] == [S] * 63 + [60 * S], "one at a time"


SITE = """
[stations.river]
time_zone = "Asia/Shanghai"
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
port = 1
[devices]
probe = { profile = "sim_water_probe", interval = "1 s" }
[console]
enabled = false
[maintenance.cleaning]
device = "probe"
at = "Mon 09:00"
for = "45 min"
"""


def test_people_begin_see_and_end_it_with_the_command_and_the_status_says_until_when(tmp_path, capsys):
    path = tmp_path / "site.toml"
    path.write_text(SITE, "utf-8")

    def said(*words):
        code = main([*words, "--site", str(path)])
        return code, capsys.readouterr().out

    with running(path):
        until(lambda: "unreachable" in said("status", "probe")[1], every_s=0.1)
        code, words = said("maintain", "probe", "start", "--for", "45 min", "--by", "li.wei", "--note", "new membrane")
        assert code == 0
        assert words.startswith("probe: maintenance until ")
        code, words = said("status", "probe")
        assert code == 0
        assert words.startswith("river/probe  maintenance: gives nothing, and nobody misses it")
        assert "(by li.wei)" in words
        status = json.loads(said("status", "--json")[1])
        assert [(one["device"], one["by"]) for one in status["maintenance"]] == [("probe", "li.wei")]
        assert main(["maintain", "probe", "start", "--site", str(path)]) == 2, "for how long?"
        assert said("maintain", "probe", "end") == (0, "probe: over; values count again\n")
        assert said("maintain", "probe", "end")[0] == 1
        assert "unreachable" in said("status", "probe")[1]
    words = said("maintain")[1]
    assert "nobody is at work now" in words
    assert "cleaning" in words
    assert "Mon 09:00" in words
    assert "new membrane" in words
    assert said("maintain", "probe", "start", "--for", "1 h")[0] == 69, "without a daemon"


def test_the_check_says_what_is_planned_and_the_whole_file_reads_back_equal(tmp_path, capsys):
    path = tmp_path / "site.toml"
    path.write_text(SITE + 'settle = "1 min"\nkind = "zero"\nquantity = "ph"\n', "utf-8")
    assert main(["check", str(path)]) == 0
    assert "planned   cleaning: zero of probe / ph, Mon 09:00 for 45 min and 1 min to settle\n" in capsys.readouterr().out
    assert main(["check", "--all", str(path)]) == 0
    assert read_site_text(capsys.readouterr().out, KINDS).maintenance == read_site_text(path.read_text("utf-8"), KINDS).maintenance
