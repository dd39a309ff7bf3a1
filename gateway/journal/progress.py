"""Notes of those who deliver onwards: how far a sink has come, what it refused, what a recipient got."""

from dataclasses import dataclass

from gateway.journal.records import OWED
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
class Requeue:
    """What a sink has refused is owed to it again: a row of `refused` without words."""

    sink: str

    def write(self, writer: Writer) -> None:
        """Move its rows from refused to owed."""
        changed = writer.db.execute("UPDATE refused SET words = NULL WHERE sink = ? AND words IS NOT NULL", (self.sink,)).rowcount
        writer.db.execute("UPDATE sink SET refused = refused - ? WHERE name = ?", (changed, self.sink))
        _owe(writer, self.sink, changed)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of rows that were owed; each is counted once, however often this is said."""

    sink: str
    sent: tuple[int, ...]
    refused: tuple[tuple[int, int, str], ...] = ()
    skipped: tuple[int, ...] = ()
    thinned: tuple[int, ...] = ()
    """Rows that are no longer in the journal."""

    def write(self, writer: Writer) -> None:
        """Move them from owed to where they belong."""
        gone = {name: self._take(writer, ns) for name, ns in (("sent", self.sent), ("skipped", self.skipped), ("thinned", self.thinned))}
        again = sum(writer.db.execute("UPDATE refused SET at = ?, words = ? WHERE sink = ? AND n = ? AND words IS NULL",
                                      (at, words, self.sink, n)).rowcount for n, at, words in self.refused)
        writer.db.execute("UPDATE sink SET sent = sent + ?, skipped = skipped + ?, thinned = thinned + ?, refused = refused + ? WHERE name = ?",
                          (*gone.values(), again, self.sink))
        _owe(writer, self.sink, -sum(gone.values()) - again)

    def _take(self, writer: Writer, ns: tuple[int, ...]) -> int:
        return sum(writer.db.execute("DELETE FROM refused WHERE sink = ? AND n = ? AND words IS NULL", (self.sink, n)).rowcount for n in ns)


def _owe(writer: Writer, sink: str, more: int) -> None:
    found = writer.db.execute("SELECT value FROM meta WHERE key = ?", (OWED + sink,)).fetchone()
    writer.meta(OWED + sink, (int(found[0]) if found else 0) + more)


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
