"""Age and size limits: what goes first when the journal has had its time or its room; and what is sealed leaves `live.db`.

Age: events and rows older than `keep` go, sealed files whole. Size: long before the limit sealed files are thinned by the sealer, step by
step (thinning.py). What it cannot reach in time goes here: measured rows first, then means; gaps and daily values stay. What a sink had
not got by then is counted as thinned. Nothing goes that the state still needs to be rebuilt.
"""

import json
import time

from gateway.journal.archiving import drop
from gateway.journal.records import KEPT_FROM
from gateway.journal.room import FULL_AT
from gateway.journal.thinning import Step, fineness
from gateway.journal.writer import Writer

_CHUNK = 20_000
_CLEARED_AT_ONCE = 1_000
_CLEARING_S = 0.01
"""So long is a commit held up at most by rows that are sealed leaving `live.db`."""
_FREE_PAGES, _GIVEN_BACK = 4_000, 256


def in_use(writer: Writer) -> int:
    """Bytes in use, without free pages; sealed files count."""
    pages, free, size = (writer.db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size) + _sealed(writer, "sum(size)")


def _sealed(writer: Writer, what: str) -> int:
    return int(writer.db.execute(f"SELECT coalesce({what}, 0) FROM archive").fetchone()[0])


def clear(writer: Writer) -> int:
    """Delete a portion of the rows and events that lie in sealed files by now; gives how many rows. Returns soon, see _CLEARING_S."""
    began, gone = time.monotonic(), 0
    end, last = _sealed(writer, "max(n_to)"), _sealed(writer, "max(event_to)")
    while time.monotonic() - began < _CLEARING_S:
        n, event = writer.db.execute("SELECT (SELECT min(n) FROM hot), (SELECT min(id) FROM event)").fetchone()
        rows = n is not None and n < end
        if rows:
            gone += writer.db.execute("DELETE FROM hot WHERE n < ?", (min(n + _CLEARED_AT_ONCE, end),)).rowcount
        elif event is not None and event <= last:
            writer.db.execute("DELETE FROM event WHERE id <= ?", (min(event + _CLEARED_AT_ONCE, last),))
        else:
            _give_back(writer)
            break
    return gone


def _give_back(writer: Writer) -> None:
    """Free pages are used again; what was a burst goes back to the disk."""
    pages, free = (writer.db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count"))
    if free > _FREE_PAGES and free > pages // 2:
        writer.db.execute(f"PRAGMA incremental_vacuum({_GIVEN_BACK})").fetchall()


def _needed_from(writer: Writer) -> int:
    """The first row that a restart steps again."""
    found = writer.db.execute(
        "SELECT n_from FROM event WHERE id > (SELECT coalesce(max(event), 0) FROM checkpoint) ORDER BY id LIMIT 1").fetchone()
    return int(found[0]) if found else writer.next_n


def expire(writer: Writer, before_ns: int) -> int:
    """Delete a portion of the events and rows that came before `before_ns`, sealed files whole; gives the number of rows."""
    if _sealed(writer, "count(*)"):
        first, last, newest = writer.db.execute(
            "SELECT event_from, event_to, min(now_to, now_from + 86400000000000) FROM archive ORDER BY event_from LIMIT 1").fetchone()
        return drop(writer, int(first), int(last), "expired") if newest < before_ns else 0
    last = writer.db.execute("SELECT id, n_from + rows + derived FROM event WHERE id < (SELECT min(id) FROM event) + 2000 AND now < ? "
                             "ORDER BY id DESC LIMIT 1", (before_ns,)).fetchone()
    if not last:
        return 0
    end = min(int(last[1]), _needed_from(writer))
    gone = writer.db.execute("DELETE FROM hot WHERE n < ?", (end,)).rowcount
    writer.db.execute("DELETE FROM event WHERE id <= ? AND n_from < ?", (last[0], end))
    writer.meta(KEPT_FROM, int(writer.db.execute("SELECT coalesce(min(id), ?) FROM event", (last[0] + 1,)).fetchone()[0]))
    writer.count({"expired": gone})
    return int(gone)


def thin(writer: Writer, max_size: int) -> int:
    """If the journal nears `max_size` bytes, delete a portion of its oldest live rows, measured ones first; gives how many.

    While there are sealed files, the sealer thins them first; this is for what it cannot reach in time.
    """
    if in_use(writer) < (max_size if _sealed(writer, "count(*)") else FULL_AT * max_size):
        return 0
    bound = min(_needed_from(writer), writer.next_n - 1)
    border = _sealed(writer, "max(n_to)")
    start = max(border - 1, int((writer.db.execute("SELECT value FROM meta WHERE key = 'thinned_to'").fetchone() or (0,))[0]))
    first = writer.db.execute("SELECT min(n) FROM hot WHERE n > ?", (start,)).fetchone()[0]
    if first is not None and first < bound:
        end = min(first + _CHUNK, bound)
        gone = writer.db.execute("DELETE FROM hot WHERE n >= ? AND n < ? AND series IN (SELECT id FROM series WHERE statistic = '')",
                                 (first, end)).rowcount
        writer.meta("thinned_to", end - 1)
    else:
        coarse = "series NOT IN (SELECT value FROM json_each(?))"
        spared = json.dumps([i for i, series in enumerate(writer.series) if fineness(series) == Step.LAST])
        oldest = writer.db.execute(f"SELECT n FROM hot WHERE n >= ? AND {coarse} ORDER BY n LIMIT 1", (border, spared)).fetchone()
        end = border if oldest is None else min(oldest[0] + _CHUNK, bound)
        gone = writer.db.execute(f"DELETE FROM hot WHERE n >= ? AND n < ? AND {coarse}", (border, end, spared)).rowcount
    writer.count({"thinned": gone, "thinned.live": gone})
    return int(gone)
