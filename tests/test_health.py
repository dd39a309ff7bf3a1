"""People see of every line and device what it did last, and every fault is counted with its cause."""

import threading

from gateway.health import LineHealth

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


def test_readers_and_the_line_do_not_disturb_each_other():
    of = health()
    threads = [threading.Thread(target=lambda: [of.failed("ph", "noise", "") for _ in range(2000)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        line = of.line()
        assert line["errors"] == line["causes"].get("noise", 0) == line["polls"]
    assert of.line()["errors"] == 6000
