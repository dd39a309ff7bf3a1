"""The control socket: whatever is said to it is answered in one line of strict JSON, and the next who asks is answered too."""

import json
import socket
from pathlib import Path

from controlled import answering

from gateway.control import ask


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
