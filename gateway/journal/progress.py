"""Notes of those who deliver onwards: how far a sink has come, what it refused, what a recipient got."""

from dataclasses import dataclass

from gateway.journal.records import HOW_MOVED, OWED
from gateway.journal.writer import Writer
from gateway.spelling import in_one_line

_KEPT_DAYS = 31


@dataclass(frozen=True, slots=True)
class SinkMoved:
    """All rows after `after` up to `n` are dealt with: accepted by the store, set aside with its words, or owed to it."""

    sink: str
    after: int
    n: int
    sent: int
    skipped: int = 0
    thinned: int = 0
    """Rows that were no longer there when their turn came."""
    refused: tuple[tuple[int, int, str], ...] = ()
    """(n, when UTC ns, the store's words) of rows that it will never take."""
    owed: tuple[tuple[int, int], ...] = ()
    """[from, to) of the rows among them that let newer ones go first."""

    def write(self, writer: Writer) -> None:
        """Move the position, from `after` only: what was said before counts once."""
        moved = writer.db.execute("UPDATE sink SET n = ?, sent = sent + ?, skipped = skipped + ?, thinned = thinned + ? WHERE name = ? AND n = ?",
                                  (self.n, self.sent, self.skipped, self.thinned, self.sink, self.after)).rowcount
        if moved:
            for low, high in self.owed:
                if not writer.db.execute("UPDATE owed SET n_to = ? WHERE sink = ? AND n_to = ?", (high, self.sink, low)).rowcount:
                    writer.db.execute("INSERT INTO owed VALUES (?,?,?)", (self.sink, low, high))
            _set_aside(writer, self.sink, self.refused)


@dataclass(frozen=True, slots=True)
class BacklogMoved:
    """Of the rows that a sink is owed, those from `n_from` up to `n` are dealt with."""

    sink: str
    n_from: int
    """The first number of a range of the table `owed`."""
    n: int
    sent: int
    skipped: int = 0
    thinned: int = 0
    refused: tuple[tuple[int, int, str], ...] = ()

    def write(self, writer: Writer) -> None:
        """Shorten the range; what was said before counts once."""
        found = writer.db.execute("DELETE FROM owed WHERE sink = ? AND n_from = ? RETURNING n_to", (self.sink, self.n_from)).fetchone()
        if not found:
            return
        if self.n + 1 < found[0]:
            writer.db.execute("INSERT INTO owed VALUES (?,?,?)", (self.sink, self.n + 1, found[0]))
        writer.db.execute("UPDATE sink SET sent = sent + ?, skipped = skipped + ?, thinned = thinned + ? WHERE name = ?",
                          (self.sent, self.skipped, self.thinned, self.sink))
        _set_aside(writer, self.sink, self.refused)


def _set_aside(writer: Writer, sink: str, refused: tuple[tuple[int, int, str], ...]) -> None:
    writer.db.executemany("INSERT INTO refused VALUES (?,?,?,?)", [(sink, n, at, in_one_line(words)) for n, at, words in refused])
    writer.db.execute("UPDATE sink SET refused = refused + ? WHERE name = ?", (len(refused), sink))


@dataclass(frozen=True, slots=True)
class Crossed:
    """So many bytes more have crossed the uplink for a sink on that day (ordinal of the local date)."""

    sink: str
    day: int
    bytes: int

    def write(self, writer: Writer) -> None:
        """Add them; a month is kept, counted in days that there are: one of a clock that was wrong throws none away."""
        writer.db.execute("INSERT INTO traffic VALUES (?,?,?) ON CONFLICT(sink, day) DO UPDATE SET bytes = bytes + excluded.bytes",
                          (self.sink, self.day, self.bytes))
        writer.db.execute("DELETE FROM traffic WHERE sink = ? AND day NOT IN (SELECT day FROM traffic WHERE sink = ? ORDER BY day DESC LIMIT ?)",
                          (self.sink, self.sink, _KEPT_DAYS))


@dataclass(frozen=True, slots=True)
class SinkSays:
    """The state of a sink in words: ok, unavailable, halted, spent."""

    sink: str
    state: str
    words: str
    alert: str = ""
    """The technical alert that this is; empty = none, and one that fires ends. The core raises it with the same commit."""

    def write(self, writer: Writer) -> None:
        """Keep the words."""
        writer.db.execute("UPDATE sink SET state = ?, words = ? WHERE name = ?", (self.state, in_one_line(self.words), self.sink))


FULL, THINNED, MOVED = "journal_full", "journal_thinned", "journal_moved"
"""Alerts of the journal itself: it cannot be written; old readings make room."""


@dataclass(frozen=True, slots=True)
class JournalSays:
    """The journal itself has something to tell: a technical alert, or its end. The core raises it with the same commit."""

    alert: str
    words: str
    """Empty = it is over."""

    def write(self, writer: Writer) -> None:
        """The alert is all."""


def how_moved(writer: Writer) -> str:
    """What became of a journal whose files were moved under the daemon before this start; told once, then it is empty."""
    found = writer.db.execute("DELETE FROM meta WHERE key = ? RETURNING value", (HOW_MOVED,)).fetchall()
    return str(found[0][0]) if found else ""


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
                                      (at, in_one_line(words), self.sink, n)).rowcount for n, at, words in self.refused)
        writer.db.execute("UPDATE sink SET sent = sent + ?, skipped = skipped + ?, thinned = thinned + ?, refused = refused + ? WHERE name = ?",
                          (*gone.values(), again, self.sink))
        _owe(writer, self.sink, -sum(gone.values()) - again)

    def _take(self, writer: Writer, ns: tuple[int, ...]) -> int:
        return sum(writer.db.execute("DELETE FROM refused WHERE sink = ? AND n = ? AND words IS NULL", (self.sink, n)).rowcount for n in ns)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of the newest row that a sink refused and that is still set aside."""

    at: int
    """UTC ns."""
    words: str


def refusals(writer: Writer, sink: str) -> Refusal | None:
    """None = nothing is set aside."""
    found = writer.db.execute("SELECT at, words FROM refused WHERE sink = ? AND words IS NOT NULL ORDER BY n DESC LIMIT 1", (sink,)).fetchone()
    return Refusal(*found) if found else None


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
                          (self.state, self.due, self.tries, in_one_line(self.words), self.id))


def sign_on(writer: Writer, sinks: tuple[str, ...]) -> None:
    """Sinks of the site file that the journal does not know yet start at its beginning."""
    writer.db.executemany("INSERT OR IGNORE INTO sink VALUES (?,0,0,0,0,0,'new','')", [(name,) for name in sinks])
