"""The words of the control socket by which people say that they are at an instrument, and that they are done.

{"word": "maintain", "device": D, "kind": "maintenance" | "zero" | "span" | "calibration", "seconds": 2700, "by": NAME, "note": TEXT} opens a
window from now on; {"word": "maintained", "device": D} ends it. Both answer with the windows of the device that are open then.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from config.maintenance import REASONS
from config.site import Site
from drivers.reading import Clock, Stamp
from gateway.control import DeclinedError, Word
from gateway.intake import Note
from gateway.journal.maintenance import KEY, ByHand, WorkBegins, WorkEnds, recalled
from gateway.journal.reader import Reader
from gateway.open_windows import open_windows

log = logging.getLogger(__name__)
LONGEST_S = 30 * 86400.0
_JOURNAL_S = 1.5
_LONGEST_TEXT = 200


class Maintaining:
    """Opens and ends windows by hand; each is on disk before who asked is told so."""

    def __init__(self, folder: Path, site: Site, clock: Clock, tell: Callable[[Note], None]) -> None:
        """`tell` brings notes to the journal."""
        self._folder, self._site, self._clock, self._tell = folder, site, clock, tell

    def words(self) -> dict[str, Word]:
        """For the control socket."""
        return {"maintain": self.begin, "maintained": self.end}

    def begin(self, asked: Mapping[str, object]) -> object:
        """Open a window. Raises DeclinedError."""
        device, stamp = self._device(asked), self._now()
        kind, seconds = str(asked.get("kind", "maintenance")), asked.get("seconds")
        if kind not in REASONS:
            raise DeclinedError(f"there is no kind {kind[:40]} of maintenance; there is {', '.join(REASONS)}")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= LONGEST_S:
            raise DeclinedError("for must be 1 s to 30 d")
        by, note = (str(asked.get(key, ""))[:_LONGEST_TEXT] for key in ("by", "note"))
        window = ByHand(device, kind, stamp.utc_ns, stamp.utc_ns + round(seconds * 1e9), by, note)
        self._kept(lambda then: WorkBegins(window, then))
        log.info("%s: %s for %g s, by %s%s", device, kind, seconds, by or "nobody", f": {note}" if note else "")
        return self._open(device, stamp)

    def end(self, asked: Mapping[str, object]) -> object:
        """End the window of a device that somebody opened. Raises DeclinedError."""
        device, stamp = self._device(asked), self._now()
        with Reader(self._folder) as reader:
            mine = [one for one in recalled(reader.meta(KEY)) if one.device == device and not one.name and one.since <= stamp.utc_ns < one.until]
        if not mine:
            planned = next((f"; what is planned ends by itself: {one['words']}" for one in self._open(device, stamp)), "")
            raise DeclinedError(f"{device}: nobody has begun any work that goes on{planned}")
        self._kept(lambda then: WorkEnds(device, stamp.utc_ns, then))
        log.info("%s: %s ended", device, mine[-1].kind)
        return self._open(device, stamp)

    def _device(self, asked: Mapping[str, object]) -> str:
        device = str(asked.get("device"))[:80]
        if device not in self._site.devices:
            raise DeclinedError(f"no device {device} in the site file that runs; there is {', '.join(self._site.devices)}")
        return device

    def _now(self) -> Stamp:
        stamp = self._clock.now()
        if not stamp.sure:
            raise DeclinedError("the clock is not yet true, so nobody knows which readings would be meant: ecosentry status")
        return stamp

    def _kept(self, make: Callable[[Callable[[], None]], Note]) -> None:
        kept = Event()
        self._tell(make(kept.set))
        if not kept.wait(_JOURNAL_S):
            raise DeclinedError("the journal cannot be written just now; it counts as soon as it can: ecosentry maintain shows it then")

    def _open(self, device: str, stamp: Stamp) -> list[dict[str, object]]:
        with Reader(self._folder) as reader:
            found = open_windows(self._site, reader.series(), recalled(reader.meta(KEY)), stamp.utc_ns)
        return [one.plain() for one in found if one.device == device]
