"""A control socket that answers as a running daemon would, for commands that ask one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gateway.control import ControlServer, Word, ask


@contextmanager
def answering(socket: Path, words: Mapping[str, Word]) -> Iterator[None]:
    """The socket, served while the context lasts."""
    stop = threading.Event()
    server = threading.Thread(target=ControlServer(socket, {**words, "there": lambda asked: True}).run, args=(stop,))
    server.start()
    try:
        while ask(socket, "there") is None:
            pass
        yield
    finally:
        stop.set()
        server.join()
