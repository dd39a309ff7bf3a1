"""The door of one line that modems connect to: the newest connection waits behind it until the line takes it.

The thread that listens offers, the line's thread takes. A socket is closed by the line's thread alone, or under the door's
lock while nobody has taken it: a descriptor is never closed under somebody's hands.
"""

import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Event

_SLICE_S = 0.1
_QUARREL_S = 600.0
_RETURNS = 2
_CHANGES, _CHANGES_S = 6, 60.0


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


class Door:
    """The newest connection of one line; the one before it is ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.strangers = ""
        """Whom the listening thread did not know lately, for people."""
        self._waiting: Call | None = None
        self._inside: Call | None = None
        self._changed = Condition()
        self._hands: deque[tuple[float, str, str]] = deque(maxlen=32)
        """When a connection that still lived gave way to another: monotonic s, the old peer, the new one."""

    def offer(self, call: Call) -> None:
        """From the listening thread: a modem has registered. Whoever was connected gives way."""
        with self._changed:
            old = self._waiting or self._inside
            if old is not None and old.is_open():
                self._hands.append((time.monotonic(), old.peer, call.peer))
            if self._waiting is not None:
                self._waiting.wire.close()
            self._waiting = call
            self._end_inside()
            self._changed.notify_all()

    def _end_inside(self) -> None:
        if self._inside is not None:
            with suppress(OSError):
                self._inside.wire.shutdown(socket.SHUT_RDWR)

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

    def quarrel(self) -> str:
        """Who take turns with one registration, in words; empty = nobody. What is read then may come from either.

        Twice back to an address that had given way, or six changes within a minute; a modem that lost its connection and
        gets other addresses from its network does neither.
        """
        now = time.monotonic()
        with self._changed:
            hands = [hand for hand in self._hands if now - hand[0] < _QUARREL_S]
        returns = sum(new != old and new in {before for _, before, _ in hands[:place]} for place, (_, old, new) in enumerate(hands))
        if returns < _RETURNS and sum(now - at < _CHANGES_S for at, *_ in hands) < _CHANGES:
            return ""
        peers = list(dict.fromkeys(peer for _, old, new in hands for peer in (old, new)))
        return f"two modems register alike and take turns ({', '.join(peers[:3])}): give each a registration of its own"
