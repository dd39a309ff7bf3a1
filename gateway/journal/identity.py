"""Which journal it is: an id that goes into sealed files, into what is handed on to another gateway, and into the ids of messages.

Arrival numbers and alerts are numbered within an id. Where numbers may be given again (something was lost behind them, or a backup
goes on) the journal takes a new id, so that nobody takes what is new for what he knows. Files with a former id are still its own.
"""

import json
import logging
import sqlite3
import uuid
from collections.abc import Iterable

log = logging.getLogger("ecosentry.journal")
_ID, _FORMER, _COPY = "journal_id", "former_ids", "is_copy"
_MOST = 1000


def _word(db: sqlite3.Connection, key: str) -> object:
    found = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return found[0] if found else None


def own_ids(db: sqlite3.Connection) -> list[str]:
    """The ids that this journal has had, the present one last."""
    former = _word(db, _FORMER)
    return [*(json.loads(former) if isinstance(former, str) else ()), str(_word(db, _ID))]


def remember(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Files with these ids are ours too."""
    now = own_ids(db)
    former = list(dict.fromkeys([*ids, *now[:-1]]))
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_FORMER, json.dumps([one for one in former if one != now[-1]][-_MOST:])))


def renew(db: sqlite3.Connection, why: str) -> None:
    """From now on numbers are counted within a new id."""
    former = own_ids(db)[-1]
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_ID, uuid.uuid4().hex))
    remember(db, [former])
    log.warning("the journal goes on under the id %s, so far %s: %s", own_ids(db)[-1], former, why)


def mark_copy(db: sqlite3.Connection) -> None:
    """This is a backup: who goes on with it may give numbers that were given already."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?,1)", (_COPY,))


def settle_copy(db: sqlite3.Connection) -> None:
    """A backup that is written to becomes a journal with an id of its own. Raises sqlite3.Error."""
    if _word(db, _COPY) is None:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        renew(db, "it was restored from a backup")
        db.execute("DELETE FROM meta WHERE key = ?", (_COPY,))
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
