"""Takes what nodes push: one thread, a bounded number of connections, an answer when the journal has it and not before."""

import logging
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from threading import Event

from drivers.driver import Report
from drivers.lines._dial import keep_alive
from drivers.lines._listening import Network, Pace, Place, is_let_in, listener, neighbourhood
from drivers.lines._push_again import Unheard
from drivers.lines._push_visit import Head, Post, Refusal, Visit
from drivers.lines._receipts import MqttReceipt, Receipts

log = logging.getLogger("ecosentry.line")
_SLICE_S = 0.2
_MOST_VISITS = 64
_MOST_A_PEER = 16
_PATIENCE_S = 2.0
"""A node posts within this: so long it does not give way to others of its own address."""
_MOST_OWED = 256
"""So many messages may wait for the journal, also of connections that are gone."""
_LEAVING_S = 1.5
"""So long receipts that are still owed are waited for when the daemon stops."""
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_OFTEN = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PushServer:
    """Serves one line until it is stopped."""

    def __init__(
        self, at: Place, networks: tuple[Network, ...], pace: Pace, most_body: int, receipts: Receipts, report: Report,
        allow: Callable[[str, Head], Refusal | None], take: Callable[[Post], MqttReceipt | Refusal],
    ) -> None:
        """`take` hands a message over and gives the receipt that is owed for it, or why it cannot be taken."""
        self._at, self._networks, self._pace, self._most_body = at, networks, pace, most_body
        self._receipts, self._report, self._allow, self._take = receipts, report, allow, take
        self._visits: dict[int, Visit] = {}
        self._owed: dict[int, tuple[MqttReceipt, Visit, Refusal | None]] = {}
        """By identity of the receipt: who waits for it, and what is said when it is there (None: 200)."""
        self._unheard = Unheard()
        self.verdicts: dict[int, Refusal] = {}
        """By identity of the receipt: what is said instead of 200 once it is released."""

    def repeats(self, peer: str, digest: bytes) -> int | None:
        """The number of the message of that node that is repeated, because it may not have our answer; None = it is a new one."""
        return self._unheard.number((peer, digest), list(self._visits.values()))

    def run(self, stop: Event) -> None:
        """Until `stop` is set. Raises LineError if the address cannot be listened at."""
        ear = listener(self._at)
        self._report.opened()
        try:
            while not stop.is_set():
                self._turn(ear)
                self._report.alive(time.monotonic_ns())
        finally:
            ear.close()
            self._leave()

    def _leave(self) -> None:
        """No more is heard; those who wait for the journal get their answer if it comes soon."""
        until = time.monotonic() + _LEAVING_S
        for visit in [visit for visit in self._visits.values() if visit.state != "waiting"]:
            visit.close()
        self._sweep()
        while any(visit.state == "waiting" for visit in self._visits.values()) and time.monotonic() < until:
            select.select([self._receipts.ear], [], [], _SLICE_S)
            self._release(is_last=True)
            self._sweep()
        for visit in self._visits.values():
            visit.close()
        self._visits.clear()
        self._owed.clear()

    def _turn(self, ear: socket.socket) -> None:
        poll = select.poll()
        poll.register(ear, select.POLLIN)
        poll.register(self._receipts.ear, select.POLLIN)
        for number, visit in self._visits.items():
            poll.register(number, 0 if visit.state == "waiting" else select.POLLIN)
        ready = dict(poll.poll(1000 * _SLICE_S))
        self._release()
        for number in ready.keys() & self._visits.keys():
            self._hear(self._visits[number], ready[number])
        self._sweep()  # before the number of one that has gone is given to a newcomer
        if ear.fileno() in ready:
            self._accept(ear)
        now = time.monotonic()
        for visit in list(self._visits.values()):
            if visit.state != "gone" and visit.until_s < now:
                visit.expire()
        self._sweep()

    def _hear(self, visit: Visit, ready: int) -> None:
        if visit.state == "waiting":
            if ready & (select.POLLHUP | select.POLLERR):  # gone for good; one that only says no more still gets its answer
                self._report.count("gone")
                visit.close()
            return
        self._serve(visit, visit.read())

    def _serve(self, visit: Visit, post: Post | None) -> None:
        while post is not None:
            taken = Refusal(503, "too much waits for the journal; send it again", (("retry-after", "60"),)) \
                if self._receipts.owed >= _MOST_OWED else self._take(post)
            if isinstance(taken, MqttReceipt):
                visit.taken = taken
                self._owed[id(taken)] = (taken, visit, self.verdicts.pop(id(taken), None))
                return
            visit.answer(taken)
            post = visit.go_on()

    def _release(self, *, is_last: bool = False) -> None:
        for receipt in self._receipts.take_all():
            _, visit, verdict = self._owed.pop(id(receipt), (None, None, None))
            if visit is not None and visit.state == "waiting":
                visit.answer(verdict, is_last=is_last)
                self._serve(visit, visit.go_on())

    def _accept(self, ear: socket.socket) -> None:
        try:
            wire, address = ear.accept()
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("listening at %s: %s", self._at, error.strerror or error)
            time.sleep(_SLICE_S)
            return
        peer = neighbourhood(str(address[0]))
        wire.setblocking(False)
        if not is_let_in(str(address[0]), self._networks):
            self._turn_away(wire, "foreign", b"")
        elif not self._makes_room(peer):
            self._turn_away(wire, "busy", _BUSY)
        elif not self._pace.allows(peer):
            self._turn_away(wire, "too often", _OFTEN)
        else:
            keep_alive(wire)
            self._visits[wire.fileno()] = Visit(wire, peer, self._allow, self._most_body)

    def _makes_room(self, peer: str) -> bool:
        """A place for one more of this address: silent connections are never held against a newcomer.

        Whoever has said nothing for longest, of the address that has most such, is let go; of one that has all it may have itself,
        one that has had time to speak. False = there is none.
        """
        is_crowded = Counter(visit.peer for visit in self._visits.values())[peer] >= _MOST_A_PEER
        if not is_crowded and len(self._visits) < _MOST_VISITS:
            return True
        silent = [visit for visit in self._visits.values() if visit.state == "reading"]
        if is_crowded:
            silent = [visit for visit in silent if visit.peer == peer and visit.silent_s > _PATIENCE_S]
        else:
            most = Counter(visit.peer for visit in silent)
            silent = [visit for visit in silent if most[visit.peer] == max(most.values())]
        if not silent:
            return False
        self._report.count("busy")
        max(silent, key=lambda visit: visit.silent_s).close()
        self._sweep()
        return True

    def _turn_away(self, wire: socket.socket, cause: str, words: bytes) -> None:
        self._report.count(cause)
        try:
            if words:
                wire.send(words)
                wire.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        wire.close()

    def _sweep(self) -> None:
        gone = [number for number, visit in self._visits.items() if visit.state == "gone"]
        for number in gone:
            self._unheard.ended(self._visits.pop(number))
