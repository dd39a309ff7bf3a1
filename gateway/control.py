"""The control socket: a command asks the running daemon, so nobody has to stop the service to look.

A Unix socket that only the owner and the group may use. One JSON object a line each way:
{"word": "status"} → {"ok": true, "result": …} or {"ok": false, "error": "…"}.
"""

import json
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from gateway.strict_json import encode

log = logging.getLogger("ecosentry.control")
_LONGEST = 65536
_PATIENCE_S = 2.0
"""For a whole line, and for reading the answer."""
_WAIT_S = 5.0
_SLICE_S = 0.2
_MOST_CALLERS = 16
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


class _Caller:
    """One connection: what it has said so far, what it is still owed, and until when it may take to do the one or the other."""

    def __init__(self, wire: socket.socket) -> None:
        wire.setblocking(False)
        self.wire = wire
        self.heard = b""
        self.owed: bytes | None = None
        """None = its line is not whole yet; empty = it has all, or is gone."""
        self.until_s = time.monotonic() + _PATIENCE_S

    def hear(self) -> bytes | None:
        """Its line once it is whole, or as long as a line may be, or nothing more comes."""
        try:
            more = self.wire.recv(_LONGEST)
        except BlockingIOError:
            return None
        except OSError as error:
            self._end(error)
            return None
        self.heard += more
        line, end, _ = self.heard.partition(b"\n")
        if end or len(self.heard) >= _LONGEST or (not more and self.heard):
            return line
        if not more:
            self.owed = b""
        return None

    def owe(self, answer: bytes) -> None:
        """This is its answer; from now on it may take as long to read it."""
        self.owed, self.until_s = answer, time.monotonic() + _PATIENCE_S
        self.give()

    def give(self) -> None:
        """As much of the answer as it takes now."""
        try:
            self.owed = (self.owed or b"")[self.wire.send(self.owed or b""):]
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> None:
        log.info("a control connection ended early: %s", error)
        self.owed = b""


class ControlServer:
    """The worker that answers: many may speak at a time, each with one deadline for its line; words are done one after another."""

    def __init__(self, path: Path, words: Mapping[str, Word]) -> None:
        self._path = path
        self._words = dict(words)
        self._callers: dict[int, _Caller] = {}

    def run(self, stop: Event) -> None:
        """Serve until `stop`."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            before = os.umask(0o117)
            try:
                listener.bind(os.path.relpath(self._path) if len(str(self._path)) > 100 else str(self._path))
            finally:
                os.umask(before)
            listener.listen(_MOST_CALLERS)
            listener.setblocking(False)
            try:
                while not stop.is_set():
                    self._turn(listener)
            finally:
                for caller in self._callers.values():
                    caller.wire.close()
                self._callers.clear()
        self._path.unlink(missing_ok=True)

    def _turn(self, listener: socket.socket) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        for number, caller in self._callers.items():
            poll.register(number, select.POLLIN if caller.owed is None else select.POLLOUT)
        ready = {number for number, _ in poll.poll(1000 * _SLICE_S)}
        late = [caller for number, caller in self._callers.items() if number not in ready and caller.until_s < time.monotonic()]
        for number in ready & self._callers.keys():
            self._serve(self._callers[number])
        for caller in late:
            log.info("a control connection took longer than %.0f s", _PATIENCE_S)
            caller.owed = b""
        self._sweep()
        if listener.fileno() in ready:
            self._accept(listener)

    def _serve(self, caller: _Caller) -> None:
        if caller.owed is not None:
            caller.give()
        elif caller.until_s < time.monotonic():
            caller.owed = b""  # it drips
        elif (line := caller.hear()) is not None:
            caller.owe(encode(self._answer(line)) + b"\n")

    def _accept(self, listener: socket.socket) -> None:
        """One more; of too many, who has been here longest without a whole line goes."""
        try:
            wire, _ = listener.accept()
        except OSError as error:
            log.info("a control connection did not come about: %s", error)
            return
        if len(self._callers) >= _MOST_CALLERS:
            oldest = min(self._callers.values(), key=lambda caller: (caller.owed is not None, caller.until_s))
            oldest.owed = b""
            self._sweep()
        self._callers[wire.fileno()] = _Caller(wire)

    def _sweep(self) -> None:
        for number in [number for number, caller in self._callers.items() if caller.owed == b""]:
            self._callers.pop(number).wire.close()

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


def _connect(connection: socket.socket, path: Path) -> None:
    """Raises OSError; TimeoutError if for so long there is not even room to wait."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            connection.connect(os.path.relpath(path) if len(str(path)) > 100 else str(path))
        except BlockingIOError as error:  # as many are waiting as may
            if time.monotonic() > until:
                raise TimeoutError from error
            time.sleep(0.05)
        else:
            return


class NoAnswer(RuntimeError):
    """A daemon is there and says nothing: whether it heard the word is not known."""


def ask(path: Path, word: str, **arguments: object) -> object | None:
    """The daemon's answer; None if no daemon listens there. Raises RuntimeError with the daemon's words if it refuses, and NoAnswer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_WAIT_S)
        try:
            _connect(connection, path)
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"word": word, **arguments}).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except (ConnectionError, ValueError) as error:
            raise NoAnswer(f"the daemon broke off without an answer; its log says why ({path})") from error
        except TimeoutError as error:
            raise NoAnswer(f"the daemon did not answer within {_WAIT_S:.0f} s ({path})") from error
    if not answer["ok"]:
        raise RuntimeError(answer["error"])
    result: object = answer["result"]
    return result
