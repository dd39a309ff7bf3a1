"""People see of every line and device what it did last, and every fault is counted with its cause."""

import io
import threading
import time
from types import SimpleNamespace

import pytest
from controlled import answering

from drivers.likely import UNSPOKEN
from gateway.building import journal_folder, load_site
from gateway.clock import SystemClock
from gateway.control import socket_path
from gateway.daemon import Daemon
from gateway.health import LineHealth
from gateway.listener import Listener
from gateway.status_device import run_status_device

S = 1_000_000_000


def health() -> LineHealth:
    return LineHealth("bus", "serial", {"ph": "river", "soil": "bank"}, "cabinet, terminals 5/6")


def states(of: LineHealth) -> list[str]:
    return [device["state"] for device in of.devices(100 * S)]


def test_a_new_line_waits_for_its_devices():
    of = health()
    line = of.line()
    assert (line["name"], line["kind"], line["state"], line["where"], line["devices"]) == ("bus", "serial", "starting", "cabinet, terminals 5/6", 2)
    assert states(of) == ["waiting", "waiting"]
    assert [device["age_s"] for device in of.devices(5 * S)] == [None, None]


def test_the_age_counts_from_the_last_good_answer():
    of = health()
    of.opened()
    of.answered("ph", 90 * S)
    of.failed("ph", "noise", "the checksum does not fit")
    ph, soil = of.devices(100 * S)
    assert (ph["state"], ph["age_s"], ph["words"], ph["station"], ph["line"]) == ("failing", 10.0, "the checksum does not fit", "river", "bus")
    assert soil["state"] == "waiting"
    of.answered("ph", 95 * S, "1 of 3 values missing")
    ph = of.devices(100 * S)[0]
    assert (ph["state"], ph["age_s"], ph["words"], ph["polls"]) == ("good", 5.0, "1 of 3 values missing", 3)


def test_every_fault_is_counted_with_its_cause_for_device_and_line():
    of = health()
    for cause in ("noise", "silent", "silent"):
        of.failed("ph", cause, cause, given_up=cause == "silent")
    of.late("soil", 4)
    of.count("undecodable", 2)
    ph, soil = of.devices(0)
    assert (ph["state"], ph["causes"], ph["errors"]) == ("silent", {"noise": 1, "silent": 2}, 3)
    assert (soil["late"], soil["errors"]) == (4, 0)
    line = of.line()
    assert (line["polls"], line["late"], line["errors"], line["causes"]) == (3, 4, 5, {"noise": 1, "silent": 2, "undecodable": 2})


def test_a_lost_line_makes_its_devices_unreachable_until_it_is_back():
    of = health()
    of.answered("ph", 1)
    of.lost("the adapter is gone")
    assert (of.line()["state"], of.line()["words"], of.line()["causes"]) == ("lost", "the adapter is gone", {"line": 1})
    assert states(of) == ["unreachable", "unreachable"]
    of.opened()
    assert states(of) == ["waiting", "waiting"]
    assert of.line()["words"] == ""
    of.stopped()
    assert of.line()["state"] == "stopped"


def test_a_source_that_falls_silent_is_counted_once_each_time():
    of = health()
    for _ in range(3):
        of.silent("ph", "nothing for 5 min")
    of.answered("ph", 1)
    of.silent("ph", "nothing for 5 min")
    assert of.devices(2)[0]["causes"] == {"silent": 2}


def test_why_a_device_that_speaks_by_itself_is_silent_is_told_with_what_its_line_says():
    of = health()
    of.opened()
    of.noted("the broker takes no subscription")
    of.silent("ph", "has not spoken for 35 s")
    of.failed("soil", "silent", "no answer: power, wires A and B, address?", given_up=True, try_at_ns=9)
    assert of.why("ph") == "has not spoken for 35 s; line bus: the broker takes no subscription"
    assert of.why("soil") == "no answer: power, wires A and B, address?", "one that is asked says it all itself"
    assert of.why("another") == ""
    another = LineHealth("other", "tcp", {"meter": "river"})
    assert Daemon._words_of(SimpleNamespace(health=[another, of]), "ph") == of.why("ph"), "so it stands in the alert"


def test_the_silence_of_a_device_that_speaks_by_itself_has_the_cause_that_was_seen_last():
    of = health()
    listener = Listener("bus", None, {"ph": SimpleNamespace()}, SystemClock(), lambda delivery, wait_s: True, of, {"ph": 10.0})
    listener.opened()
    now = time.monotonic_ns()
    listener.alive(now + 60 * 10**9)
    assert "power" in of.why("ph")
    listener.failed("ph", "noise", "no frame has a right checksum: another baudrate?")
    listener.alive(now + 70 * 10**9)
    assert of.why("ph").endswith("70 s: no frame has a right checksum: another baudrate?")
    listener.answered("ph", now)
    listener.alive(now + 130 * 10**9)
    assert of.why("ph").endswith(UNSPOKEN), "it has spoken since"


@pytest.mark.parametrize(("given_up", "words"), [(True, "given up: tried now and then"), (False, "it speaks by itself and has not")])
def test_the_status_of_a_silent_device_says_whether_it_is_asked_or_waited_for(tmp_path, given_up, words):
    of, out, site = health(), io.StringIO(), tmp_path / "site.toml"
    site.write_text("[stations.river]\n", "utf-8")
    of.failed("ph", "silent", "no answer", given_up=True, try_at_ns=10**10) if given_up else of.silent("ph", "has not spoken for 35 s")
    status = {"devices": of.devices(0), "lines": [of.line()]}
    (tmp_path / "journal").mkdir()
    with answering(socket_path(journal_folder(load_site(site).site)), {"status": lambda asked: status}):
        assert run_status_device(site, "ph", as_json=False, out=out) == 1
    assert words in out.getvalue()


def test_readers_and_the_line_do_not_disturb_each_other():
    of = health()
    threads = [threading.Thread(target=lambda: [of.failed("ph", "noise", "") for _ in range(2000)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        line = of.line()
        assert line["errors"] == line["causes"].get("noise", 0) == line["polls"]
    assert of.line()["errors"] == 6000
