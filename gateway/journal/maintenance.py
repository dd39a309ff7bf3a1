"""Work on instruments that somebody announces by hand: kept in the journal, so that every start and every redo knows of it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from gateway.journal.writer import Writer
from gateway.spelling import in_one_line

KEY = "maintenance"
"""Of the table `meta`."""
_MOST, _KEPT_NS = 64, 31 * 86_400 * 10**9
"""So many are known, the newest; one that ended is forgotten after so long: what comes later than that counts."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """A window that somebody opened. Times are UTC ns."""

    device: str
    kind: str
    """See config.maintenance.Kind."""
    since: int
    until: int
    by: str
    note: str = ""
    name: str = ""
    """Of the planned window that goes on, for its end could not be brought about; "" = somebody opened it."""


def recalled(written: object) -> tuple[ByHand, ...]:
    """The windows as they stand in the journal, oldest first; `written` is what is kept under KEY."""
    return tuple(ByHand(**one) for one in json.loads(written)) if isinstance(written, str) else ()


def known(writer: Writer) -> tuple[ByHand, ...]:
    """Those that the journal knows."""
    found = writer.db.execute("SELECT value FROM meta WHERE key = ?", (KEY,)).fetchone()
    return recalled(found[0] if found else None)


@dataclass(frozen=True, slots=True)
class WorkBegins:
    """A device is worked on from now on. One window of a device is open at a time, beside planned ones that go on."""

    window: ByHand
    then: Callable[[], None]

    def write(self, writer: Writer) -> None:
        """See Note. A window of the same that is open ends where the new one begins."""
        before = _closed(known(writer), self.window.device, self.window.since, self.window.name)
        window = replace(self.window, by=in_one_line(self.window.by), note=in_one_line(self.window.note))
        _keep(writer, (*before, window), window.since)

    def kept(self) -> None:
        """See Awaited."""
        self.then()


@dataclass(frozen=True, slots=True)
class WorkEnds:
    """The work on a device is over."""

    device: str
    at: int
    then: Callable[[], None]

    def write(self, writer: Writer) -> None:
        """See Note."""
        _keep(writer, _closed(known(writer), self.device, self.at), self.at)

    def kept(self) -> None:
        """See Awaited."""
        self.then()


def _closed(windows: tuple[ByHand, ...], device: str, at: int, name: str = "") -> tuple[ByHand, ...]:
    """With those of a device and a name ended at `at`; one that began no earlier is as if it had not been."""
    found = []
    for one in windows:
        if (one.device, one.name) != (device, name) or one.until <= at:
            found.append(one)
        elif one.since < at:
            found.append(replace(one, until=at))
    return tuple(found)


def _keep(writer: Writer, windows: tuple[ByHand, ...], now: int) -> None:
    fresh = [asdict(one) for one in windows if one.until > now - _KEPT_NS][-_MOST:]
    writer.meta(KEY, json.dumps(fresh, ensure_ascii=False, separators=(",", ":")))
