"""What every sink that publishes to a broker does alike: one kept connection, one deadline, made anew when it was let go."""

import time
from collections.abc import Sequence
from threading import Lock

from config.errors import Refused, Unavailable
from config.series import Series
from gateway.broker import Broker, BrokerTable, Message, Visit
from gateway.contracts import Rows, Surroundings

_KEEPALIVE_S = 300
_IDLE_S = 200.0
"""After so long without a row the connection is made anew: nobody has kept it alive."""


class Publishing:
    """Publishes to one broker over one kept connection; one thread, `close` from any. A subclass says what is published."""

    def __init__(self, options: BrokerTable, around: Surroundings, keepalive_s: int = _KEEPALIVE_S) -> None:
        self._around = around
        self._timeout_s = options.timeout
        self._broker = Broker(options, around.secret, keepalive_s)
        self.traffic = self._broker.traffic
        self.in_order = True
        self.unsure_s = 0.0
        self._table: tuple[Series, ...] = ()
        self._busy = Lock()
        self._visit: Visit | None = None
        self._used = self._until = 0.0
        self._acknowledged = 0

    def send(self, rows: Rows, deadline: float) -> None:
        """Publish all rows; return = each was acknowledged. Raises Unavailable, Halted or Refused."""
        with self._busy:
            self._until = min(deadline, time.monotonic() + self._timeout_s)
            self._broker.errand.begin(self._until)
            self._learn(rows.series)
            kept = self._visit is not None and not self.traffic.has_moved() and time.monotonic() - self._used < _IDLE_S
            try:
                self._publish(rows, kept)
            except Unavailable as error:
                if self._acknowledged and len(rows) > 1 and time.monotonic() >= self._until:  # it takes them, but slowly
                    raise Refused(f"{error}: only {self._acknowledged} of {len(rows)} rows; they are sent in smaller portions") from error
                if not kept:
                    raise
                self._publish(rows, False)  # the broker had let go of us while there was nothing to say
            self._used = time.monotonic()
            self._sent(rows)

    def check(self, deadline: float) -> str:
        """Connects and logs in. Whether publishing is allowed shows with the first row."""
        with self._busy:
            self._broker.errand.begin(min(deadline, time.monotonic() + self._timeout_s))
            self._broker.connect().leave()
        return f"{self._broker.where} lets us in and takes writes, as far as it says (MQTT {self._broker.version})"

    def close(self) -> None:
        """Let go; a send that runs ends soon with Unavailable."""
        self._broker.errand.end()
        with self._busy:
            self._leave()

    def _leave(self) -> None:
        if self._visit is not None:
            self._visit.leave()
        self._visit = None
        self._left()

    def _publish(self, rows: Rows, kept: bool) -> None:
        if not kept:
            self._leave()
        done, self._acknowledged = False, 0
        try:
            if self._visit is None:
                self._visit = self._connect()
            self._say(self._visit, rows)
            done = True
        finally:
            if not done:
                self._acknowledged = self._visit.acknowledged if self._visit else 0
                self._leave()

    def _learn(self, table: tuple[Series, ...]) -> None:
        if table is self._table:
            return
        if table[: len(self._table)] != self._table:  # another journal
            self._table = ()
            self._forget()
        new = table[len(self._table) :]
        self._table = table
        self._met(new)

    # ── what a subclass says ─────────────────────────────────────────────────────────────────────────────────────────
    def _connect(self) -> Visit:
        """A connection that is logged in."""
        return self._broker.connect()

    def _say(self, visit: Visit, rows: Rows) -> None:
        """Publish the rows over this connection, and whatever has to go before them."""
        visit.publish(self._messages(rows))

    def _messages(self, rows: Rows) -> Sequence[Message]:
        """The rows as messages."""
        raise NotImplementedError

    def _sent(self, rows: Rows) -> None:
        """The broker has all of them."""

    def _left(self) -> None:
        """The connection is gone."""

    def _met(self, series: tuple[Series, ...]) -> None:
        """Series that were not there before."""

    def _forget(self) -> None:
        """It is another journal from now on."""
