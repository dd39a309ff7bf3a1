"""Notes of those who deliver onwards: how far a sink has come, what it refused, what a recipient got."""

from dataclasses import dataclass

from gateway.journal.writer import Writer


@dataclass(frozen=True, slots=True)
class SinkMoved:
    """All rows up to `n` are dealt with: accepted by the store, or set aside with its words."""

    sink: str
    n: int
    sent: int
    skipped: int = 0
    thinned: int = 0
    """Rows that were no longer there when their turn came."""
    refused: tuple[tuple[int, int, str], ...] = ()
    """(n, when UTC ns, the store's words) of rows that it will never take."""

    def write(self, writer: Writer) -> None:
        """Move the position; never backwards."""
        writer.db.execute(
            "UPDATE sink SET n = ?, sent = sent + ?, skipped = skipped + ?, thinned = thinned + ?, refused = refused + ? WHERE name = ? AND n < ?",
            (self.n, self.sent, self.skipped, self.thinned, len(self.refused), self.sink, self.n))
        writer.db.executemany("INSERT OR IGNORE INTO refused VALUES (?,?,?,?)", [(self.sink, *r) for r in self.refused])


@dataclass(frozen=True, slots=True)
class SinkSays:
    """The state of a sink in words: ok, unavailable, halted."""

    sink: str
    state: str
    words: str

    def write(self, writer: Writer) -> None:
        """Keep the words."""
        writer.db.execute("UPDATE sink SET state = ?, words = ? WHERE name = ?", (self.state, self.words[:500], self.sink))


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a message: told, waiting for its next try, or dead."""

    id: int
    state: str
    due: int
    tries: int
    words: str

    def write(self, writer: Writer) -> None:
        """Keep the outcome."""
        writer.db.execute("UPDATE outbox SET state = ?, due = ?, tries = ?, words = ? WHERE id = ?",
                          (self.state, self.due, self.tries, self.words[:500], self.id))


def sign_on(writer: Writer, sinks: tuple[str, ...]) -> None:
    """Sinks of the site file that the journal does not know yet start at its beginning."""
    writer.db.executemany("INSERT OR IGNORE INTO sink VALUES (?,0,0,0,0,0,'new','')", [(name,) for name in sinks])
