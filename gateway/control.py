"""The control socket: a command asks the running daemon, so nobody has to stop the service to look.

A Unix socket that only the owner and the group may use. One JSON object a line each way:
{"word": "status"} → {"ok": true, "result": …} or {"ok": false, "error": "…"}.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from gateway.strict_json import encode

log = logging.getLogger("ecosentry.control")
_LONGEST = 65536
_PATIENCE_S = 2.0
Word = Callable[[Mapping[str, object]], object]


class DeclinedError(Exception):
    """A word says no, in words for who asked."""


SERVICE_JOURNAL, SERVICE_RUNTIME = Path("/var/lib/ecosentry/journal"), Path("/run/ecosentry")
"""systemd/ecosentry.service: StateDirectory and RuntimeDirectory; who calls the command by hand is not told them."""


def socket_path(journal: Path) -> Path:
    """Where the socket of a daemon lies: $RUNTIME_DIRECTORY if systemd made one, else beside the journal."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not runtime and journal == SERVICE_JOURNAL and SERVICE_RUNTIME.is_dir():
        return SERVICE_RUNTIME / "control.sock"
    return Path(runtime) / "control.sock" if runtime else journal / "control.sock"


class ControlServer:
    """The worker that answers; one connection at a time, each with little patience."""

    def __init__(self, path: Path, words: Mapping[str, Word]) -> None:
        self._path = path
        self._words = dict(words)

    def run(self, stop: Event) -> None:
        """Serve until `stop`."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            before = os.umask(0o117)
            try:
                listener.bind(os.path.relpath(self._path) if len(str(self._path)) > 100 else str(self._path))
            finally:
                os.umask(before)
            listener.listen(4)
            listener.settimeout(0.2)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    self._serve(connection)
        self._path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        try:
            with connection.makefile("rwb") as stream:
                line = stream.readline(_LONGEST)
                stream.write(encode(self._answer(line)) + b"\n")
        except OSError as error:
            log.info("a control connection ended early: %s", error)

    def _answer(self, line: bytes) -> dict[str, object]:
        try:
            asked = json.loads(line)
            word = self._words[asked["word"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "error": f"not understood; words here: {', '.join(sorted(self._words))}"}
        try:
            return {"ok": True, "result": word(asked)}
        except DeclinedError as no:
            return {"ok": False, "error": str(no)}


def ask(path: Path, word: str, **arguments: object) -> object | None:
    """The daemon's answer; None if no daemon listens there. Raises RuntimeError with the daemon's words if it refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5.0)
        try:
            connection.connect(os.path.relpath(path) if len(str(path)) > 100 else str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps({"word": word, **arguments}).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
    if not answer["ok"]:
        raise RuntimeError(answer["error"])
    result: object = answer["result"]
    return result
