"""A line is scanned and probed while the daemon polls it: nothing is late by more than one exchange, nobody stops the service."""

import io
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_inside import running
from scanned import RecognisableSoil, device, scan

from drivers.codecs.modbus import Question
from drivers.simulated.modbus_pty import SerialBus
from gateway.daemon import Daemon
from gateway.scanning.probe_command import ProbeWish, run_probe
from gateway.scanning.scan_command import Ways, run_scan
from gateway.scanning.wish import Wish

SITE = """
[stations.field]
[lines.cabinet]
kind = "serial"
port = "{port}"
baudrate = 9600
listen_first = "0 s"
[devices]
one = {{ line = "cabinet", address = 1, profile = "cwt_soil_7in1", interval = "1 s" }}
two = {{ line = "cabinet", address = 2, profile = "cwt_soil_7in1", interval = "1 s" }}
[console]
enabled = false
"""
PERIOD_S, EXCHANGE_S = 1.0, 0.1


class Bus:
    """Two devices of the site file and a third; when each was answered is noted by the far side itself."""

    def __init__(self, folder: Path) -> None:
        self.ledger: dict[int, list[float]] = {1: [], 2: [], 9: []}
        devices = [device(address, RecognisableSoil(address)) for address in self.ledger]
        for one in devices:
            one.answered = self._note(one.address)
        self.bus = SerialBus(devices, folder / "tty")

    def _note(self, address: int):
        def note(question: Question, registers: list[int]) -> None:
            if question.count > 1:  # a poll, not a question of the scan
                self.ledger[address].append(time.monotonic())

        return note


@pytest.fixture
def polled(tmp_path) -> Iterator[tuple[Bus, Daemon, Path]]:
    far = Bus(tmp_path)
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(port=tmp_path / "tty"), "utf-8")
    with far.bus, running(path) as daemon:
        end = time.monotonic() + 10
        while not (far.ledger[1] and far.ledger[2] and (tmp_path / "journal/control.sock").exists()) and time.monotonic() < end:
            time.sleep(0.05)
        yield far, daemon, path


def probe(name: str, path: Path, wish: ProbeWish) -> tuple[int, str]:
    out = io.StringIO()
    return run_probe(name, path, wish, out, out), out.getvalue()


def worst_gap(times: list[float]) -> float:
    return max(b - a for a, b in itertools.pairwise(times))


def test_a_scan_through_the_daemon_finds_what_is_new_and_no_poll_waits_longer_than_one_exchange(polled):
    far, daemon, path = polled
    code, said, _ = scan("cabinet", path, Wish(addresses="1-12", answer_s=EXCHANGE_S, listen_s=0.5))
    assert code == 0, said
    rows = said.splitlines()
    assert rows[1].split()[:3] == ["9", "9600", "8N1"]
    assert "cwt_soil_7in1 (7 of 7 plausible), recognised" in rows[1]
    assert rows[-2:] == ["not asked, in the site file: one (1), two (2)", "(asked the daemon, polling goes on)"]
    assert daemon.health[0].line()["late"] == 0
    assert daemon.health[0].line()["errors"] == 0
    for address in (1, 2):
        assert len(far.ledger[address]) > 2
        assert worst_gap(far.ledger[address]) < PERIOD_S + EXCHANGE_S + 0.6  # the last: what noisy cores may add


def test_a_port_of_a_running_line_is_scanned_through_the_daemon_too_and_listed_as_its_own(polled):
    far, _, path = polled
    found = json.loads(scan(str(far.bus.link), path, Wish(addresses="8-9", answer_s=EXCHANGE_S, listen_s=0.5), Ways(as_json=True))[1])
    assert (found["line"], found["through"], found["known"]) == ("cabinet", "daemon", {"one": 1, "two": 2})
    assert [one["address"] for one in found["found"]] == [9]
    for code, said in (scan("cabinet", path, Wish(everything=True, baudrate=4800))[::2], probe("cabinet", path, ProbeWish("9", format="8E1"))):
        assert code == 2
        assert "not while the daemon polls line cabinet, for it asks at the line's own setting, 9600 8N1" in said
    assert "up to 10" in probe("cabinet", path, ProbeWish("9", answer_s=11.0))[1], "the patience that is wished for comes to the daemon"


@pytest.mark.usefixtures("ctrl_c")
def test_what_the_daemon_found_before_ctrl_c_is_told_and_the_scan_is_cancelled(polled):
    far, daemon, path = polled
    note, out = far.bus.devices[9].answered, io.StringIO()

    def press(first: int) -> None:
        """Ctrl-C, half a second after device 9 has answered for this register."""
        def answered(question: Question, registers: list[int]) -> None:
            if question.first == first:
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
                far.bus.devices[9].answered = note

        far.bus.devices[9].answered = answered

    press(0)
    with pytest.raises(KeyboardInterrupt):
        run_scan("cabinet", path, Wish(addresses="9-200", answer_s=EXCHANGE_S, listen_s=0.3), Ways(quiet=True), out, out)
    said = out.getvalue().splitlines()
    assert said[1].split()[:3] == ["9", "9600", "8N1"]
    assert said[-1] == "This is not whole: it was broken off."
    visits, until = daemon._visited["cabinet"].visits, time.monotonic() + 3
    while visits.views()[0]["state"] != "cancelled" and time.monotonic() < until:
        time.sleep(0.05)
    assert visits.views()[0]["state"] == "cancelled"
    out = io.StringIO()
    press(0x07D0)
    with pytest.raises(KeyboardInterrupt):
        run_probe("cabinet", path, ProbeWish("9", quiet=True), out, out)
    said = out.getvalue().splitlines()
    assert said[0].startswith("address 9 answers function 3, registers 0–6")
    assert said[-2:] == ["(asked the daemon, polling goes on)", "This is not whole: it was broken off."]


def test_a_device_is_probed_through_the_daemon_while_it_and_others_are_polled(polled, tmp_path):
    far, daemon, path = polled
    out = io.StringIO()
    began = len(far.ledger[1])
    code = run_probe("cabinet", path, ProbeWish("9", registers="0-7", write=str(tmp_path / "mine.toml")), out, out)
    said = out.getvalue()
    assert code == 0, said
    assert "fits cwt_soil_7in1 on 7 of 7, recognised" in said
    assert "(asked the daemon, polling goes on)" in said
    assert len(far.ledger[1]) > began
    assert daemon.health[0].line()["late"] == 0
    assert worst_gap(far.ledger[2]) < PERIOD_S + EXCHANGE_S + 0.6
