"""The door of one line that modems connect to: the newest connection waits behind it until the line takes it.

The thread that listens offers, the line's thread takes. A socket is closed by the line's thread alone, or under the door's
lock while nobody has taken it: a descriptor is never closed under somebody's hands.

Whether a connection that gave way was still alive is seen from how it takes our farewell: a modem that lives says goodbye, one that
has lost its connection says nothing, one that was switched off and on does not know it any more. So two modems that take turns are
told from one that comes again, also behind one address.
"""

import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Event

_SLICE_S = 0.1
_QUARREL_S = 600.0
_RETURNS = 2
_CHANGES, _CHANGES_S = 6, 60.0
_LIVED = 6
_MOST_CHANGES = 32
_GONE = 7
"""TCP_CLOSE (Linux, include/net/tcp_states.h): over, by both sides or by one."""
_HEARD_AT = 56
"""Where tcp_info has tcpi_last_ack_recv (include/uapi/linux/tcp.h), milliseconds."""
_SAID_GOODBYE = {5, 6}
"""TCP_FIN_WAIT2, TCP_TIME_WAIT: the other side has acknowledged our end."""


@dataclass(slots=True)
class Call:
    """One connection of a modem that has registered."""

    wire: socket.socket
    peer: str
    """Its address."""
    rest: bytes = b""
    """What came behind the registration."""
    since_s: float = field(default_factory=time.monotonic)

    def is_open(self) -> bool:
        """Nothing is known of its end."""
        try:
            return self.wire.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


@dataclass(slots=True)
class _Change:
    """A connection that was not known to be over gave way to another."""

    old: str
    new: str
    ghost: socket.socket | None
    """The one that gave way, shut down, until it has shown whether somebody was there."""
    at_s: float = field(default_factory=time.monotonic)
    lived: bool = False

    def look(self) -> None:
        """Has the other side taken our farewell?"""
        if self.ghost is None:
            return
        state, heard_s, is_error = _end_of(self.ghost)
        self.lived = state in _SAID_GOODBYE or (state == _GONE and (not is_error or heard_s > self.at_s))
        if self.lived or state == _GONE:
            self.lay()

    def lay(self) -> None:
        """Nothing more is to be learned from it."""
        if self.ghost is not None:
            self.ghost.close()
            self.ghost = None


def _end_of(wire: socket.socket) -> tuple[int, float, bool]:
    """What TCP knows of a connection that we have ended: state, when the other side was heard last (monotonic s), whether it broke."""
    try:
        known = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _HEARD_AT + 4)
        heard_ms: int = struct.unpack_from("I", known, _HEARD_AT)[0]
        return known[0], time.monotonic() - heard_ms / 1000, wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    except (OSError, struct.error):  # no TCP: nothing is known
        return _GONE, 0.0, True


class Door:
    """The newest connection of one line; the one before it is ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.strangers = ""
        """Whom the listening thread did not know lately, for people."""
        self._waiting: Call | None = None
        self._inside: Call | None = None
        self._changed = Condition()
        self._changes: deque[_Change] = deque()

    def offer(self, call: Call) -> None:
        """From the listening thread: a modem has registered. Whoever was connected gives way."""
        with self._changed:
            old = self._waiting or self._inside
            if old is not None and old.is_open():
                self._note(old, call)
            if self._waiting is not None:
                _end(self._waiting.wire)
                self._waiting.wire.close()
            self._waiting = call
            self._end_inside()
            self._changed.notify_all()

    def _note(self, old: Call, new: Call) -> None:
        ghost = None
        with suppress(OSError):  # out of descriptors: that somebody changed is known all the same
            ghost = old.wire.dup()
        self._changes.append(_Change(old.peer, new.peer, ghost))
        while len(self._changes) > _MOST_CHANGES:
            self._changes.popleft().lay()

    def _end_inside(self) -> None:
        if self._inside is not None:
            _end(self._inside.wire)

    @property
    def has_newer(self) -> bool:
        """Somebody waits."""
        return self._waiting is not None

    def take(self, within_s: float, stop: Event) -> Call | None:
        """The connection that waits, once there is one; from now on it is the line's. The one before is closed."""
        until = time.monotonic() + within_s
        with self._changed:
            while True:
                if self._waiting is not None and not self._waiting.is_open():
                    self._waiting.wire.close()
                    self._waiting = None
                if self._waiting is not None:
                    self._close_inside()
                    self._inside, self._waiting = self._waiting, None
                    return self._inside
                rest_s = until - time.monotonic()
                if rest_s <= 0 or stop.is_set():
                    return None
                self._changed.wait(min(rest_s, _SLICE_S))

    def leave(self) -> None:
        """From the line's thread: its connection is ended."""
        with self._changed:
            self._close_inside()

    def _close_inside(self) -> None:
        if self._inside is not None:
            self._inside.wire.close()
            self._inside = None

    def shut(self) -> None:
        """From the listening thread: nobody listens any more."""
        with self._changed:
            if self._waiting is not None:
                self._waiting.wire.close()
                self._waiting = None
            self._end_inside()
            for change in self._changes:
                change.lay()

    def quarrel(self) -> str:
        """Who take turns with one registration, in words; empty = nobody. What is read then may come from either.

        Within ten minutes twice back to an address that had given way, or six changes of a connection behind which somebody still
        was; or six of any within a minute. A modem that lost its connection and gets other addresses from its network does none.
        """
        now = time.monotonic()
        with self._changed:
            for change in self._changes:
                change.look()
            changes = [change for change in self._changes if now - change.at_s < _QUARREL_S]
        returns = sum(later.new != later.old and later.new in {before.old for before in changes[:place]} for place, later in enumerate(changes))
        quick = sum(now - change.at_s < _CHANGES_S for change in changes)
        if returns < _RETURNS and quick < _CHANGES and sum(change.lived for change in changes) < _LIVED:
            return ""
        peers = list(dict.fromkeys(peer for change in changes for peer in (change.old, change.new)))
        return (f"two modems register alike and take turns ({', '.join(peers[:3])}): give each a registration of its own; if it is one,"
                " set it to one connection to one server")


def _end(wire: socket.socket) -> None:
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)
