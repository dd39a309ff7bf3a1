"""Listens at one address for all lines that modems connect to there, asks each who it is, and shows it to its door.

One thread an address. It ends when every line that has joined was stopped. A stranger costs a descriptor, a few hundred bytes
and half a minute at most; who comes too often, or under an unknown name, has to wait. The places of strangers can be filled by
anybody, so they are never held against a newcomer: whoever has waited longest, of the address that has most, gives way.
"""

import logging
import selectors
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from drivers.codecs.calling import LONGEST, Registration, Sieve
from drivers.lines._dial import keep_alive
from drivers.lines._door import Call, Door
from drivers.lines._listening import Network, Pace, Place, is_let_in, listener, neighbourhood

log = logging.getLogger("ecosentry.line")
_SLICE_S = 0.2
_REGISTER_S = 30.0
_MOST_UNKNOWN, _MOST_OF_ONE = 64, 8
"""Connections that have not said who they are, at once: in all, and from one address, behind which a whole fleet may be."""
_PATIENCE_S = 2.0
"""A modem says who it is within this: so long nobody gives way to others of its own address."""
_MOST_BYTES = 4 * LONGEST
_BURST, _PER_S = 30.0, 0.5
_UNKNOWN_PRICE = 5.0
"""What an unknown registration costs its address, in connections."""
_TELL_EVERY_S = 60.0


@dataclass(slots=True)
class Subscriber:
    """A line, and by what its modem is known."""

    door: Door
    registration: Registration | None
    """None: whoever connects; then it is alone at its address."""
    heartbeats: Sieve
    networks: tuple[Network, ...]
    stop: Event


@dataclass(slots=True)
class _Unknown:
    peer: str
    crowd: str
    since_s: float
    came: bytes = b""


@dataclass(slots=True)
class Switchboard:
    """One listening thread."""

    at: Place
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    turned_away: int = 0
    """Connections that were refused: too many, unknown, or from elsewhere."""
    _unknown: dict[socket.socket, _Unknown] = field(default_factory=dict)
    """Who has waited longest comes first."""
    _pace: Pace = field(default_factory=lambda: Pace(_BURST, _PER_S))
    _told_s: float = -_TELL_EVERY_S

    def run(self, ear: socket.socket) -> None:
        """Until nobody is left who subscribes."""
        with ear, selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ)
            try:
                while self._has_subscribers():
                    for key, _ in selector.select(_SLICE_S):
                        if key.fileobj is ear:
                            self._accept(ear, selector)
                        elif isinstance(key.fileobj, socket.socket):
                            self._hear(key.fileobj, selector)
                    self._give_up(selector)
            finally:
                for wire in self._unknown:
                    wire.close()
                self._unknown.clear()
                for subscriber in self.subscribers.values():
                    subscriber.door.shut()

    def _has_subscribers(self) -> bool:
        with _LOCK:
            for name, subscriber in list(self.subscribers.items()):
                if subscriber.stop.is_set():
                    subscriber.door.shut()
                    del self.subscribers[name]
            if not self.subscribers and _BOARDS.get(self.at) is self:
                del _BOARDS[self.at]
            return bool(self.subscribers)

    def _accept(self, ear: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            wire, address = ear.accept()
        except BlockingIOError:
            return
        except OSError as error:  # out of descriptors: those who wait keep their place
            log.warning("listening at %s: %s", self.at, error.strerror or error)
            time.sleep(_SLICE_S)
            return
        peer = str(address[0])
        crowd = neighbourhood(peer)
        allowed = any(is_let_in(peer, subscriber.networks) for subscriber in list(self.subscribers.values()))
        if not allowed or not self._pace.allows(crowd) or not self._makes_room(crowd, selector):
            self._turn_away(wire, peer, "comes too often" if allowed else "is not of an allowed network")
            return
        wire.setblocking(False)
        keep_alive(wire)
        self._unknown[wire] = _Unknown(peer, crowd, time.monotonic())
        selector.register(wire, selectors.EVENT_READ)
        self._recognise(wire, selector)

    def _makes_room(self, crowd: str, selector: selectors.BaseSelector) -> bool:
        """A place for one more of this crowd; False = it has all that it may have, and they have just come."""
        waiting = Counter(stranger.crowd for stranger in self._unknown.values())
        is_crowded = waiting[crowd] >= _MOST_OF_ONE
        if not is_crowded and len(self._unknown) < _MOST_UNKNOWN:
            return True
        fullest = crowd if is_crowded else max(waiting, key=waiting.__getitem__)
        oldest = next(wire for wire, stranger in self._unknown.items() if stranger.crowd == fullest)
        has_had_time = time.monotonic() - self._unknown[oldest].since_s > _PATIENCE_S
        if is_crowded and not has_had_time:
            return False
        self._end(oldest, selector, "and had to give way: too many wait", _UNKNOWN_PRICE if has_had_time else 0.0)
        return True

    def _hear(self, wire: socket.socket, selector: selectors.BaseSelector) -> None:
        stranger = self._unknown.get(wire)
        if stranger is None:  # gave way to a newcomer in this same round
            return
        try:
            came = wire.recv(_MOST_BYTES - len(stranger.came))
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            self._forget(wire, selector)
            wire.close()
            return
        stranger.came += came
        self._recognise(wire, selector)

    def _recognise(self, wire: socket.socket, selector: selectors.BaseSelector) -> None:
        """Whose modem it is, if what came says so already."""
        stranger = self._unknown[wire]
        may_become = False
        for subscriber in list(self.subscribers.values()):
            if not is_let_in(stranger.peer, subscriber.networks):
                continue
            came = _without_leading(subscriber.heartbeats, stranger.came) if subscriber.registration else stranger.came
            length = subscriber.registration.length(came) if subscriber.registration else 0
            if length > 0 or subscriber.registration is None:
                self._forget(wire, selector)
                log.info("line %s: a modem has connected from %s", subscriber.door.name, stranger.peer)
                subscriber.door.offer(Call(wire, stranger.peer, came[length:].lstrip(b"\r\n") if length else came))
                return
            may_become |= length == 0 or subscriber.heartbeats.is_begun(stranger.came)
        if not may_become or len(stranger.came) >= _MOST_BYTES:
            self._forget(wire, selector)
            self._pace.fine(stranger.crowd, _UNKNOWN_PRICE)
            self._turn_away(wire, stranger.peer, f"registers as {_shown(stranger.came)}, which no line does")

    def _give_up(self, selector: selectors.BaseSelector) -> None:
        late = time.monotonic() - _REGISTER_S
        for wire in [wire for wire, stranger in self._unknown.items() if stranger.since_s < late]:
            self._end(wire, selector, f"in {_REGISTER_S:.0f} s and not registered", _UNKNOWN_PRICE)

    def _end(self, wire: socket.socket, selector: selectors.BaseSelector, why: str, price: float) -> None:
        stranger = self._forget(wire, selector)
        self._pace.fine(stranger.crowd, price)
        what = f"has said {_shown(stranger.came)} only" if stranger.came else "has said nothing"
        self._turn_away(wire, stranger.peer, f"{what} {why}")

    def _forget(self, wire: socket.socket, selector: selectors.BaseSelector) -> _Unknown:
        selector.unregister(wire)
        return self._unknown.pop(wire)

    def _turn_away(self, wire: socket.socket, peer: str, why: str) -> None:
        wire.close()
        self.turned_away += 1
        for subscriber in list(self.subscribers.values()):
            subscriber.door.strangers = f"{peer} {why}"
        if time.monotonic() - self._told_s >= _TELL_EVERY_S:
            self._told_s = time.monotonic()
            log.warning("listening at %s: %s %s (%d turned away so far)", self.at, peer, why, self.turned_away)


_BOARDS: dict[Place, Switchboard] = {}
"""One for each address that is listened at."""
_LOCK = Lock()


def subscribe(at: Place, subscriber: Subscriber) -> None:
    """Let the modems of a line in from now on, until its `stop` is set. Raises LineError if the address cannot be listened at."""
    name = subscriber.door.name
    with _LOCK:
        board = _BOARDS.get(at)
        if board is None:
            ear = listener(at)
            board = _BOARDS[at] = Switchboard(at, {name: subscriber})
            Thread(target=_run, args=(board, ear), name=f"listening at {at}", daemon=True).start()
        elif board.subscribers.get(name) is not subscriber:
            board.subscribers[name] = subscriber


def _run(board: Switchboard, ear: socket.socket) -> None:
    try:
        board.run(ear)
    finally:
        with _LOCK, suppress(KeyError):
            if _BOARDS.get(board.at) is board:  # it failed: the next opening of a line begins anew
                del _BOARDS[board.at]


def _without_leading(heartbeats: Sieve, came: bytes) -> bytes:
    """What came without heartbeats before the registration."""
    return heartbeats.without(came).lstrip(b"\r\n") if came else came


def _shown(came: bytes) -> str:
    head = came[:32]
    text = f'"{head.decode("ascii")}"' if head.isascii() and head.decode("ascii").isprintable() else f"hex:{head.hex(' ').upper()}"
    return text + (" …" if len(came) > len(head) else "")
