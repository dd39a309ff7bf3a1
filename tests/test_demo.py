"""`ecosentry demo`: the whole way with one command, and what the simulated devices said is what the journal holds."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
import servers
from waiting import until
from witnesses import assert_same_story

from drivers.simulated.ledger import read_ledger
from gateway.building import load_site
from gateway.demo import alert_line, demo_site
from gateway.journal.reader import Reader

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]
FOUND: dict[str, object] = {"serial": "/nowhere/rs485", "tcp_port": 1502, "mqtt": "mqtt://127.0.0.1:1999", "broker": "amqtt"}


class Demo:
    """The command in a process of its own, with what it has printed so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.screen = folder.parent / f"{folder.name}.screen"
        command = [sys.executable, "-m", "gateway.cli", "demo", "--folder", str(folder), *options]
        around = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        with self.screen.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=around)

    @property
    def printed(self) -> str:
        return self.screen.read_text("utf-8")

    def await_words(self, words: str, within_s: float = 60) -> None:
        until(lambda: words in self.printed or self.process.poll() is not None, within_s, self.printed)
        assert words in self.printed, self.printed

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def __enter__(self) -> "Demo":
        servers.need("mosquitto")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def test_the_demo_shows_live_values_fires_both_alerts_and_keeps_exactly_what_was_said(tmp_path: Path) -> None:
    port = servers.free_port()
    with Demo(tmp_path / "demo", "--for", "42", "--console", str(port), "--seed", "3") as demo:
        demo.await_words("Ctrl-C ends it")
        status, page = servers.http(f"http://127.0.0.1:{port}/")
        assert status == 200
        assert b"<html" in page.lower()
        assert demo.process.wait(90) == 0, demo.printed
    screen = demo.printed
    assert "Simulated: RS-485 line with 4 devices, Modbus TCP meter, 2 MQTT nodes" in screen
    assert f"Console   http://127.0.0.1:{port}" in screen
    assert f"ssh -L {port}:127.0.0.1:{port}" in screen
    assert "MQTT      mosquitto at 127.0.0.1:" in screen
    for series in ("street/air/pm2_5", "river/water/ammonia_nitrogen"):
        assert re.search(rf"^\d\d:\d\d:\d\d  FIRING   \w+ +{series}", screen, re.MULTILINE), screen
        assert re.search(rf"^\d\d:\d\d:\d\d  CLIMBED  \w+ +{series}", screen, re.MULTILINE), screen
    compare(tmp_path / "demo")


def compare(folder: Path) -> None:
    """Series by series the ledger of the devices against the rows of the journal, exactly."""
    answered, published = defaultdict(list), defaultdict(list)
    for entry in read_ledger(folder / "simulated" / "ledger.csv"):
        if entry.event == "answered":
            answered[entry.series].append(entry.value)
        elif entry.event == "published":
            published[entry.series].append((entry.time_ns, entry.value))
    journalled = defaultdict(list)
    with Reader(folder / "journal") as reader:
        rows, table = reader.rows_after(0, 10**6), reader.series()
    for which, at, value in zip(rows.which.tolist(), rows.at.tolist(), rows.value.tolist(), strict=True):
        if not table[which].statistic:
            journalled[str(table[which])].append((at, value))
    assert len(answered) == 34
    assert len(published) == 7
    assert set(journalled) == set(answered) | set(published)
    for series, values in answered.items():
        assert len(values) >= 5
        assert_same_story(values, [value for _, value in journalled[series]], series)
    for series, said in published.items():
        heard = journalled[series]
        assert len(heard) > 15
        since, till = heard[0][0], heard[-1][0]  # the nodes were there before the gateway and stayed after it
        assert [(at, value) for at, value in said if at is not None and since <= at <= till] == heard, series


def test_a_taken_port_is_named_a_second_demo_is_refused_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Demo(tmp_path / "demo", "--console", str(port)) as demo:
            demo.await_words("Ctrl-C ends it")
            assert re.search(rf'^{port} is in use by ".+" \(pid {os.getpid()}\); console at http://127.0.0.1:\d+ instead\.$', demo.printed,
                             re.MULTILINE)
            console = int(re.findall(r"Console   http://127.0.0.1:(\d+)", demo.printed)[0])
            broker = int(re.findall(r"mosquitto at 127.0.0.1:(\d+)", demo.printed)[0])
            assert answers(console)
            second = Demo(tmp_path / "demo", "--for", "1")
            assert second.process.wait(20) == 69
            assert "another demo runs in" in second.printed
            began = time.monotonic()
            assert demo.end() == 0
            assert time.monotonic() - began < 12
    assert not answers(console)
    assert not answers(broker)
    assert "Ended. Journal" in demo.printed


def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    servers.need("setpriv", "util-linux")
    with Demo(tmp_path / "demo", "--console", str(servers.free_port())) as demo:
        demo.await_words("Ctrl-C ends it")
        console = int(re.findall(r"Console   http://127.0.0.1:(\d+)", demo.printed)[0])
        broker = int(re.findall(r"mosquitto at 127.0.0.1:(\d+)", demo.printed)[0])
        demo.end(signal.SIGKILL)
    until(lambda: not answers(console) and not answers(broker), 20)


def test_a_gateway_that_cannot_start_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "journal").write_text("in the way")
    with Demo(tmp_path / "demo", "--for", "1", "--console", str(servers.free_port())) as demo:
        assert demo.process.wait(40) == 69
    assert "ecosentry demo: the gateway has ended with" in demo.printed


def test_the_demo_site_is_a_right_site_file_with_the_addresses_that_were_found(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(demo_site(FOUND, 8099))
    site = load_site(path).site
    assert {name: line.kind for name, line in site.lines.items()} == {"rs485": "serial", "meter": "tcp", "nodes": "mqtt"}
    assert len(site.devices) == 7
    assert site.console.listen == "127.0.0.1:8099"
    assert site.lines["nodes"].common.where == "demo broker: no redelivery"
    options = [line.options.model_dump() for line in site.lines.values()]
    assert (options[0]["port"], options[1]["port"], options[2]["url"]) == ("/nowhere/rs485", 1502, "mqtt://127.0.0.1:1999")


def test_an_ended_alert_is_one_line_with_how_long_it_was() -> None:
    message = {"type": "alert.ended", "data": {"at": "2026-11-21T10:23:22.137+08:00", "since": "2026-11-21T10:22:02+08:00", "colour": "yellow",
                                               "what": "river/water/ammonia_nitrogen 0.38 back from 1.0 mg/L"}}
    assert re.fullmatch(r"\d\d:23:22  ENDED    yellow  river/water/ammonia_nitrogen 0.38 back from 1.0 mg/L, after 1 min 20 s", alert_line(message))
