"""A whole daemon in a thread of this process, so that a test can look into its parts while it runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.alone import alone
from gateway.building import load_site
from gateway.daemon import Daemon


@contextmanager
def running(site: Path) -> Iterator[Daemon]:
    """The daemon of a site file, its journal beside the file. Raises AssertionError if it does not end when it is told to."""
    with alone(site.parent / "journal") as journal:
        daemon, stop = Daemon(load_site(site), journal), threading.Event()
        worker = threading.Thread(target=daemon.run, args=(stop,))
        worker.start()
        try:
            yield daemon
        finally:
            stop.set()
            worker.join(10)
            assert not worker.is_alive(), "the daemon did not end"
