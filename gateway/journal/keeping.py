"""Age and size limits: what goes first when the journal has had its time or its room.

Age: events and rows older than `keep` go. Size: long before the limit the oldest measured rows go, whose hourly means
stay; when none are left, the oldest means. What a sink had not got by then is counted as thinned. Nothing goes that the
state still needs to be rebuilt.
"""

from gateway.journal.writer import Writer

_CHUNK = 20_000
_FULL_AT = 0.9
"""Share of the limit at which thinning begins."""


def in_use(writer: Writer) -> int:
    """Bytes in use, without free pages."""
    pages, free, size = (writer.db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size)


def _needed_from(writer: Writer) -> int:
    """The first row that a restart steps again."""
    found = writer.db.execute(
        "SELECT n_from FROM event WHERE id > (SELECT coalesce(max(event), 0) FROM checkpoint) ORDER BY id LIMIT 1").fetchone()
    return int(found[0]) if found else writer.next_n


def expire(writer: Writer, before_ns: int) -> int:
    """Delete a portion of the events and rows that came before `before_ns`; gives the number of rows."""
    last = writer.db.execute("SELECT id, n_from + rows + derived FROM event WHERE id < (SELECT min(id) FROM event) + 2000 AND now < ? "
                             "ORDER BY id DESC LIMIT 1", (before_ns,)).fetchone()
    if not last:
        return 0
    end = min(int(last[1]), _needed_from(writer))
    gone = writer.db.execute("DELETE FROM hot WHERE n < ?", (end,)).rowcount
    writer.db.execute("DELETE FROM event WHERE id <= ? AND n_from < ?", (last[0], end))
    writer.count({"expired": gone})
    return int(gone)


def thin(writer: Writer, max_size: int) -> int:
    """If the journal nears `max_size` bytes, delete a portion of its oldest rows, measured ones first; gives how many."""
    if in_use(writer) < _FULL_AT * max_size:
        return 0
    bound = min(_needed_from(writer), writer.next_n - 1)
    start = int((writer.db.execute("SELECT value FROM meta WHERE key = 'thinned_to'").fetchone() or (0,))[0])
    first = writer.db.execute("SELECT min(n) FROM hot WHERE n > ?", (start,)).fetchone()[0]
    if first is not None and first < bound:
        end = min(first + _CHUNK, bound)
        gone = writer.db.execute("DELETE FROM hot WHERE n >= ? AND n < ? AND series IN (SELECT id FROM series WHERE statistic = '')",
                                 (first, end)).rowcount
        writer.meta("thinned_to", end - 1)
    else:
        oldest = writer.db.execute("SELECT min(n) FROM hot").fetchone()[0]
        gone = writer.db.execute("DELETE FROM hot WHERE n < ?", (min(oldest + _CHUNK, bound),)).rowcount if oldest is not None else 0
    writer.count({"thinned": gone})
    return int(gone)
