"""The daemon as an operator and systemd meet it: it starts without anything, says so, answers, and ends in time."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from servers import free_port
from waiting import until

from gateway.alone import Held, alone
from gateway.daemon import _BEFORE_AGAIN_S, run
from gateway.exit_codes import Exit

SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{folder}/no-such-port"
[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {closed}
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:{closed}"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_water_probe", interval = "1 s" }}
power = {{ line = "meter", address = 1, profile = "sim_energy_meter", interval = "1 s" }}
noise = {{ line = "nodes", topic = "yard/{{quantity}}", profile = "mqtt_plain", interval = "1 s" }}
[channels.hook]
kind = "webhook"
url = "http://127.0.0.1:{closed}/"
key = {{ secret = "hook" }}
[subscriptions.all]
to = ["hook"]
about = "all"
[sinks.influx]
kind = "influxdb"
url = "http://127.0.0.1:{closed}"
database = "eco"
[console]
listen = "127.0.0.1:{console}"
"""


def command(*words):
    return [sys.executable, "-m", "gateway.cli", *map(str, words)]


def without_systemd(**more):
    return {**{k: v for k, v in os.environ.items() if k not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET")}, **more}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(folder=tmp_path, closed=free_port(), console=free_port()))
    return path


@contextlib.contextmanager
def systemd(path: Path):
    """The far side of sd_notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        yield listener


@contextlib.contextmanager
def running(site, **more):
    with systemd(site.parent / "n") as said:
        around = without_systemd(NOTIFY_SOCKET=said.getsockname(), **more)
        daemon = subprocess.Popen(command("run", site), stderr=subprocess.PIPE, text=True, env=around)
        try:
            yield daemon, said
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stderr.close()


def status(site):
    done = subprocess.run(command("status", site, "--json"), capture_output=True, text=True, env=without_systemd(), check=False, timeout=30)
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


def test_it_is_ready_and_measures_without_network_broker_database_or_sensor(site):
    began = time.monotonic()
    with running(site) as (daemon, said):
        assert said.recv(4096).startswith(b"READY=1")
        assert time.monotonic() - began < 25
        deadline = time.monotonic() + 20
        while True:
            code, found = status(site)
            missing = found["journal"]["rows"]
            if missing >= 10 and all(line["state"] == "lost" for line in found["lines"]) and found["sinks"][0]["state"] == "unavailable":
                break
            assert time.monotonic() < deadline, found
        assert code == 1, "something is not well, and the exit code says so"
        assert found["conservation"]["holds"]
        assert all(line["words"] for line in found["lines"]), "each lost line says why"
        assert daemon.poll() is None


def test_sigterm_ends_it_in_order_within_5_s(site):
    with running(site) as (daemon, said):
        said.recv(4096)
        time.sleep(1)
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0
        assert time.monotonic() - began < 5 + 2, "5 s, and 2 s for a busy machine"
        assert b"STOPPING=1" in said.recv(4096)
    code, found = status(site)
    assert code == 1
    assert "no daemon runs" in found["notes"][0]


def test_the_watchdog_is_fed_while_the_core_turns(site):
    with running(site, WATCHDOG_USEC="3000000") as (_, said):
        said.recv(4096)
        fed = [said.recv(4096) for _ in range(3)]
    assert set(fed) == {b"WATCHDOG=1"}


def test_a_journal_that_cannot_be_opened_is_said_to_systemd_and_the_next_start_is_not_forbidden(site):
    (site.parent / "journal").write_text("no folder")
    run = "import sys; from gateway import daemon; daemon._BEFORE_AGAIN_S = 0.5; sys.exit(daemon.run(sys.argv[1]))"
    with systemd(site.parent / "n") as said:
        done = subprocess.run([sys.executable, "-c", run, site], capture_output=True, text=True, check=False, timeout=60,
                              env=without_systemd(NOTIFY_SOCKET=said.getsockname(), PYTHONPATH=str(Path(__file__).parents[1])))
        assert done.returncode == Exit.DISK == 74
        assert f"STATUS={done.stderr.strip()}" == said.recv(4096).decode()
    unit = dict(line.split("=", 1) for line in (Path(__file__).parents[1] / "systemd" / "ecosentry.service").read_text().splitlines()
                if "=" in line and not line.startswith("#"))
    assert unit["StartLimitIntervalSec"] == "10min"
    assert int(unit["StartLimitBurst"]) * (_BEFORE_AGAIN_S + int(unit["RestartSec"])) > 600, "else systemd gives the station up for good"


def test_the_journal_is_checked_at_night_and_status_shows_what_was_found(site):
    from config.reading_site import read_site_file
    from gateway.daemon import Daemon
    from gateway.plugins import KINDS

    daemon = Daemon(read_site_file(str(site), KINDS), Held(site.parent / "journal"))
    daemon.core.start()
    overview = daemon._faces()
    try:
        assert overview.status()["journal"]["checked"] == "not yet"
        daemon._check.run()
        assert overview.status()["journal"]["checked"].startswith("whole at 20")
        daemon.writer.db.execute("UPDATE counter SET value = value + 1 WHERE name = 'received'")
        daemon.writer.db.execute("INSERT OR IGNORE INTO counter VALUES ('received', 5)")
        daemon._check.run()
        assert not daemon._check.well
        assert "received" in overview.status()["journal"]["checked"]
    finally:
        overview.close()
        daemon.writer.close()


def test_health_says_what_does_not_work(site):
    from gateway.building import load_site
    from gateway.daemon import Daemon

    with alone(site.parent / "journal") as journal:
        daemon = Daemon(load_site(site), journal)
        daemon.core.start()
        overview = daemon._faces()
        stop, fails = threading.Event(), [OSError("no such port")]
        try:
            assert overview.health() == ""
            daemon.core.trouble = "the disk is full"
            assert overview.health() == "journal: the disk is full"
            daemon.core.trouble = ""
            daemon._turned = daemon.core.tried = time.monotonic() - 60
            assert overview.health() == "the core stands still"
            daemon._turned = time.monotonic()

            def work(told: threading.Event) -> None:
                if fails:
                    raise fails.pop()
                told.wait()

            daemon.supervisor.workers.clear()
            daemon.supervisor.add("line cabinet", work, 0)
            daemon.supervisor.add("line meter", lambda told: stop.wait() and None, 0)
            daemon.supervisor.start()
            until(lambda: overview.health() == "worker line cabinet is down")
            until(lambda: overview.health() == "", 5)
            stop.set()
            until(lambda: overview.health() == "worker line meter is down")
        finally:
            stop.set()
            daemon.supervisor.stop(0, time.monotonic() + 5)
            overview.close()
            daemon.writer.close()
    assert overview.health() == "", "who was told to end is not down"


def test_a_clock_behind_the_journal_is_not_believed_unless_the_kernel_vouches_for_it(site, monkeypatch):
    from config.reading_site import read_site_file
    from gateway.daemon import Daemon
    from gateway.plugins import KINDS

    file, journal = read_site_file(str(site), KINDS), Held(site.parent / "journal")
    first = Daemon(file, journal)
    first.core.start()
    first.writer.close()
    now = time.time_ns()
    monkeypatch.setattr("gateway.clock.time.time_ns", lambda: now - 3600 * 10**9)
    for vouched in (False, True):
        monkeypatch.setattr("gateway.clock.synchronised", lambda vouched=vouched: vouched)
        second = Daemon(file, journal)
        assert second.clock.now().sure is vouched
        second.writer.close()


def test_two_daemons_never_write_one_journal(site):
    with running(site) as (_, said):
        said.recv(4096)
        second = subprocess.run(command("run", site), capture_output=True, text=True, env=without_systemd(), check=False, timeout=60)
    assert second.returncode == 69
    assert "another ecosentry writes the journal" in second.stderr


def test_a_second_daemon_touches_nothing_of_a_journal_that_another_writes(site, monkeypatch, capsys):
    folder = site.parent / "journal"
    monkeypatch.setattr("gateway.daemon.signal.signal", lambda *_: None)
    with alone(folder):
        (folder / "live.db").write_bytes(b"a page has rotted" * 1000)  # whoever opens it for writing sets it aside and begins anew
        (folder / "live.db.salvaging").write_bytes(b"the other is at it")
        before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
        assert run(str(site)) == Exit.UNAVAILABLE == 69
        assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()} == before
    assert "another ecosentry writes the journal" in capsys.readouterr().err


def test_a_line_that_lacks_its_secret_is_named_and_nothing_starts(site):
    site.write_text(site.read_text().replace('kind = "mqtt"\n', 'kind = "mqtt"\nuser = "me"\npassword = { secret = "broker-word" }\n'))
    done = subprocess.run(command("run", site), capture_output=True, text=True, env=without_systemd(), check=False, timeout=60)
    assert done.returncode == 78
    assert "broker-word" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_site_file_ends_with_78_and_its_place(site):
    site.write_text(site.read_text().replace("profile = ", "profil = ", 1))
    done = subprocess.run(command("run", site), capture_output=True, text=True, env=without_systemd(), check=False, timeout=60)
    assert done.returncode == 78
    assert "did you mean profile?" in done.stderr


def test_a_command_without_a_daemon_or_a_journal_says_what_to_do(site):
    done = subprocess.run(command("status", site), capture_output=True, text=True, env=without_systemd(), check=False, timeout=60)
    assert done.returncode == 69
    assert "ecosentry run" in done.stdout


def test_only_owner_and_group_may_use_the_control_socket(site):
    with running(site) as (_, said):
        said.recv(4096)
        path = site.parent / "journal" / "control.sock"
        deadline = time.monotonic() + 5
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as rude:  # nonsense and silence do not stop it
            rude.connect(str(path))
            rude.sendall(b"\xff" * 70_000)
        assert status(site)[1]["format"] == 1
