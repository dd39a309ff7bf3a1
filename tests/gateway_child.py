"""`ecosentry run SITE`, with marks on a pipe at the moments where a kill hurts most. Used by the kill tests only.

python gateway_child.py SITE FD: each mark is one byte, followed by a moment in which the parent may kill.
  b  taken from the queue, not yet committed      p  committed, receipts not yet released
  s  the store has accepted, position not noted   c  a cycle has ended
"""

import os
import sys
import time

from gateway import core, courier, daemon

pipe = -1
PAUSE_S = float(os.environ.get("MARK_PAUSE_S", "0.003"))


def mark(letter: bytes) -> None:
    os.write(pipe, letter)
    time.sleep(PAUSE_S)


commit, release_and_more, carry = core.Core._commit_event, core.Core._persist, courier.Courier.carry


def marked_commit(self, kind, taken, stamp):
    if taken.rows:
        mark(b"b")
    commit(self, kind, taken, stamp)
    if taken.rows:
        mark(b"p")


def marked_persist(self, kind, taken, stamp):
    release_and_more(self, kind, taken, stamp)
    if taken.rows:
        mark(b"c")


class MarkedSink:
    """The real sink, with a mark when it has sent."""

    def __init__(self, sink):
        self._sink = sink

    def send(self, rows, deadline):
        self._sink.send(rows, deadline)
        mark(b"s")

    def __getattr__(self, name):
        return getattr(self._sink, name)


make = courier.Courier.__init__


def marked_courier(self, name, sink, *rest, **more):
    make(self, name, MarkedSink(sink), *rest, **more)


core.Core._commit_event, core.Core._persist, courier.Courier.__init__ = marked_commit, marked_persist, marked_courier
if __name__ == "__main__":
    import logging

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    pipe = int(sys.argv[2])
    sys.exit(daemon.run(sys.argv[1]))
