"""How long the console waits for who connects, and who goes when there is no place left.

uvicorn waits for ever for the rest of a request. Here a head, and a body that nobody asked for, has one deadline, which no byte renews.
"""

import asyncio
from collections import Counter
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from drivers.lines._listening import neighbourhood

MOST_CONNECTIONS = 64
MOST_OF_ONE = 16
"""So many one address keeps when others find no place."""
REQUEST_S = 10.0


class Patience(H11Protocol):
    """One connection to the console."""

    _until: asyncio.TimerHandle | None = None
    began_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Come in; if that is one too many, another may have to go."""
        super().connection_made(transport)
        self.began_s = self.loop.time()
        self._wait()
        if len(self.connections) >= MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: it is waited for as long as one is owed."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def peer(self) -> str:
        """Whose it is."""
        return neighbourhood(self.client[0]) if self.client else ""

    @property
    def owes(self) -> bool:
        """A request was begun, or none yet; nothing is being answered."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _wait(self) -> None:
        if not self.owes:
            self._wait_no_more()
        elif self._until is None:
            self._until = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _make_room(self) -> None:
        """The oldest of the address that has most requests unsaid goes; if all are answered, of one that has more than its share."""
        others = [one for one in cast("set[Patience]", self.connections) if one is not self]
        everyone = Counter(one.peer for one in others)
        pool = [one for one in others if one.owes] or [one for one in others if everyone[one.peer] > MOST_OF_ONE and one.peer != self.peer]
        if pool:
            most = Counter(one.peer for one in pool)
            oldest = min(pool, key=lambda one: (-most[one.peer], one.began_s))
            self.connections.discard(oldest)
            oldest.transport.abort()
