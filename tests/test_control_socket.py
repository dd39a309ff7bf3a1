"""The control socket: whatever is said to it is answered in one line of strict JSON, and the next who asks is answered too."""

import contextlib
import io
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from controlled import answering

from gateway.control import NoAnswer, ask, socket_path
from gateway.journal.writer import Writer
from gateway.status import run_status


def said(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(line + b"\n")
        with connection.makefile("rb") as stream:
            return stream.readline()


SAID = [
    (b"", None), (b"\xff", None), (b"[" * 60_000, None), (b'{"word":' * 7000, None), (b'{"word": ["say"]}', None), (b"[]", None), (b"1e999", None),
    (b'{"word": "say", "what": "\\ud800"}', "\ud800"), (b'{"word": "say", "what": NaN}', None), (b'{"word": "say", "what": "\xc3\xa9"}', "é")]


def test_whatever_is_said_there_is_an_answer_and_the_next_is_answered_too(tmp_path):
    path = tmp_path / "c.sock"
    with answering(path, {"say": lambda asked: asked["what"]}):
        for line, answer in SAID:
            found = json.loads(said(path, line))
            assert found.get("result") == answer, line[:40]
            assert found["ok"] or "words here: say, there" in found["error"]
            assert ask(path, "there") is True, line[:40]


def test_nobody_who_drips_is_silent_or_does_not_read_keeps_the_others_out(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.control._PATIENCE_S", 0.6)
    path, gone = tmp_path / "c.sock", []

    def caller(first: bytes):
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        wire.connect(str(path))
        wire.sendall(first)
        return wire

    def drip(wire):
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 10:
                wire.sendall(b"x")
                time.sleep(0.05)
        gone.append(time.monotonic() - began)

    with answering(path, {"long": lambda _: "x" * 1_000_000}), contextlib.ExitStack() as wires:
        for first in (b"", b'{"word":', b'{"word": "long"}\n', b"x") * 10:  # forty, of whom sixteen may stay
            wires.enter_context(contextlib.closing(caller(first)))
        dripping = wires.enter_context(contextlib.closing(caller(b"x")))
        dripper = threading.Thread(target=drip, args=(dripping,))
        dripper.start()
        began = time.monotonic()
        assert ask(path, "there") is True
        assert time.monotonic() - began < 0.5, "others were waited for"
        assert ask(path, "long") == "x" * 1_000_000
        dripper.join(12)
        assert len(gone) == 1
        assert gone[0] < 3, "each byte bought a dripper more time"


SITE = """
[stations.river]
[lines.nodes]
kind = "mqtt"
url = "mqtt://127.0.0.1:1"
[devices.node]
profile = "mqtt_plain"
line = "nodes"
topic = "node/{quantity}"
quantities = ["ph"]
"""


def test_a_daemon_that_says_nothing_is_said_to_and_status_reads_the_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.control._WAIT_S", 0.2)
    (tmp_path / "site.toml").write_text(SITE)
    Writer(tmp_path / "journal").close()
    path = socket_path(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mute:
        mute.bind(str(path))
        mute.listen(0)
        for _ in range(3):  # the last finds no room even to wait
            out = io.StringIO()
            with pytest.raises(NoAnswer, match="did not answer within"):
                ask(path, "status")
        assert run_status(tmp_path / "site.toml", as_json=False, out=out) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "rude.sock"))
        listener.listen(1)
        rude = threading.Thread(target=lambda: listener.accept()[0].close())
        rude.start()
        with pytest.raises(NoAnswer, match="broke off"):
            ask(tmp_path / "rude.sock", "status")
        rude.join()
    assert "did not answer within" in out.getvalue()
    assert "this is what the journal holds" in out.getvalue()
