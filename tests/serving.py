"""Runs a console in a thread of its own, as the daemon does, for tests."""

import threading
import time

from canned_view import CannedView

from gateway.console.server import ConsoleServer


class Served:
    """A console under test; `stop()` gives the seconds it took to end."""

    def __init__(self, view: CannedView, listen: str = "127.0.0.1:0") -> None:
        self.view = view
        self.server = ConsoleServer(view, listen, "0.1.0")
        self._stop = threading.Event()
        self.errors: list[BaseException] = []
        """What `run` raised."""
        self.thread = threading.Thread()

    def _run(self) -> None:
        try:
            self.server.run(self._stop)
        except (OSError, ValueError) as error:
            self.errors.append(error)

    def start(self) -> str:
        self._stop.clear()
        self.thread = threading.Thread(target=self._run, name="console")
        self.thread.start()
        assert self.server.bound.wait(10), self.errors
        return self.server.address

    def stop(self) -> float:
        began = time.monotonic()
        self._stop.set()
        if self.thread.ident:
            self.thread.join(10)
        assert not self.thread.is_alive()
        return time.monotonic() - began
