"""What the journal keeps of alerts and of messages to people; written in the transaction of the readings that caused it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.site import Severity
from gateway.contracts import Notice
from gateway.journal.reader import alert_of
from gateway.journal.writer import Writer

MOST_WAITING = 1000
"""Messages that wait for one recipient; what is grave or fires comes on top."""


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it stands before a transition."""

    id: int
    key: str
    worst: int
    since: int
    entries: int
    """Log entries so far."""
    series: tuple[str, str, str, str]
    """station, device, quantity, channel."""


def alert(writer: Writer, number: int) -> AlertRecord | None:
    """The alert of that number, None if it was never raised."""
    found = writer.db.execute(
        "SELECT id, key, worst, since, (SELECT count(*) FROM alert_log WHERE alert = id), body FROM alert WHERE id = ?", (number,)).fetchone()
    if not found:
        return None
    identity, key, worst, since, entries, body = found
    station, device, quantity, channel = json.loads(body)["series"]
    return AlertRecord(identity, key, worst, since, entries, (station, device, quantity, channel))


def firing(writer: Writer) -> list[int]:
    """Numbers of the alerts that fire."""
    return [int(r[0]) for r in writer.db.execute("SELECT id FROM alert WHERE state = 'firing' ORDER BY id")]


@dataclass(frozen=True, slots=True)
class FiringRecord:
    """An alert that fires."""

    id: int
    rule: str
    severity: int
    since: int


def firing_of(writer: Writer, device: str, below: int, rules: Sequence[str]) -> FiringRecord | None:
    """The alert of that device by one of these rules that fires, of those with numbers below `below`."""
    found = writer.db.execute("SELECT id, rule, severity, since FROM alert WHERE state = 'firing' AND id < ? "
                              f"AND json_extract(body, '$.series[1]') = ? AND rule IN ({','.join('?' * len(rules))})",
                              (below, device, *rules)).fetchone()
    return FiringRecord(*found) if found else None


def firing_by(writer: Writer, rule: str, below: int) -> FiringRecord | None:
    """The alert of that rule that fires, of those with numbers below `below`."""
    found = writer.db.execute("SELECT id, rule, severity, since FROM alert WHERE state = 'firing' AND id < ? AND rule = ?", (below, rule)).fetchone()
    return FiringRecord(*found) if found else None


def lowest(writer: Writer) -> int:
    """The lowest number that an alert ever had; 0 = there is none."""
    return int(writer.db.execute("SELECT coalesce(min(id), 0) FROM alert").fetchone()[0])


def raise_alert(writer: Writer, number: int, day: str, rule: str, series: int, severity: int, since: int, body: Mapping[str, object]) -> str:
    """A new alert; gives what people call it: the day and its number on that day, 1121-3."""
    last = writer.db.execute("SELECT count(*) FROM alert WHERE key LIKE ? AND since > ?", (f"{day}-%", since - 300 * 86400 * 10**9)).fetchone()[0]
    key = f"{day}-{last + 1}"
    writer.db.execute("INSERT INTO alert VALUES (?,?,?,?,'firing',?,?,?,NULL,?)",
                      (number, key, rule, series, severity, severity, since, _text(body)))
    return key


def change_alert(writer: Writer, number: int, severity: int, ended_at: int | None) -> None:
    """The alert has a new severity, or has ended."""
    writer.db.execute('UPDATE alert SET severity = ?, worst = max(worst, ?), state = ?, "until" = ? WHERE id = ?',
                      (severity, severity, "firing" if ended_at is None else "ended", ended_at, number))


def log_alert(writer: Writer, number: int, event: int, at: int, kind: str, severity: int, body: Mapping[str, object]) -> int:
    """One entry of its log, chained by hash to the one before; gives its number in the log."""
    last = writer.db.execute("SELECT no, hash FROM alert_log WHERE alert = ? ORDER BY no DESC LIMIT 1", (number,)).fetchone() or (0, b"")
    words = _text(body, sort_keys=True)
    chained = hashlib.sha256(b"\0".join((bytes(last[1]), f"{number} {last[0] + 1} {event} {at} {kind} {severity}".encode(), words.encode())))
    writer.db.execute("INSERT INTO alert_log VALUES (?,?,?,?,?,?,?,?,?)",
                      (number, last[0] + 1, event, at, kind, severity, words, bytes(last[1]), chained.digest()))
    return int(last[0]) + 1


def raised_at(writer: Writer, number: int, severity: int) -> float | None:
    """The limit that an alert passed when it rose to that severity; None if it did not, or has no figure."""
    found = writer.db.execute("SELECT json_extract(body, '$.limit') FROM alert_log WHERE alert = ? AND severity = ?"
                              " AND kind IN ('alert.raised', 'alert.climbed') ORDER BY no DESC LIMIT 1", (number, severity)).fetchone()
    return float(found[0]) if found and found[0] is not None else None


def post(writer: Writer, recipient: str, notice: Notice) -> None:
    """A message for a recipient; the same message twice is one."""
    body = _text({"at": notice.at_ns, "kind": notice.kind, "subject": notice.subject, "data": notice.data})
    writer.db.execute("INSERT OR IGNORE INTO outbox(recipient, message, due, tries, state, words, body) VALUES (?,?,0,0,'waiting','',?)",
                      (recipient, notice.id, body))
    _bound(writer, recipient)


def _bound(writer: Writer, recipient: str) -> None:
    """Of so many that wait, those of the oldest alert give way that is over, was never orange or red, and of which nothing was told."""
    if writer.db.execute("SELECT count(*) FROM outbox WHERE recipient = ? AND state = 'waiting'", (recipient,)).fetchone()[0] <= MOST_WAITING:
        return
    for number, message in writer.db.execute(
            "SELECT alert.id, message FROM outbox JOIN alert ON alert.key = json_extract(outbox.body, '$.data.alert') WHERE recipient = ? "
            "AND outbox.state = 'waiting' AND json_extract(outbox.body, '$.data.no') = 1 AND alert.state = 'ended' AND worst < ? ORDER BY outbox.id",
            (recipient, int(Severity.ORANGE))):
        begin, of_alert = alert_of(message)
        if of_alert == number:
            writer.db.execute("UPDATE outbox SET state = 'dead', words = ? WHERE recipient = ? AND state = 'waiting' "
                              "AND message >= ? AND message < ?",
                              (f"more than {MOST_WAITING} messages waited", recipient, begin, f"{begin}~"))
            return


def _text(body: Mapping[str, object], sort_keys: bool = False) -> str:
    """As JSON, whatever a stranger's words in it hold."""
    return json.dumps(body, ensure_ascii=False, sort_keys=sort_keys).encode("utf-8", "replace").decode()
