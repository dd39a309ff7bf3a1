"""What people may see of the running house: one read-only face for the console, `status` and the control socket.

Everything is plain data that JSON can carry. Times are UTC ns. Nothing here waits for the core.
"""

from typing import NotRequired, Protocol, TypedDict

LEFT_OUT = "notes_left_out"
"""Counter of notes (a sink's progress, what became of a message or an order) that could not be journalled."""
TOO_OLD = ("hour_too_old", "index_too_old", "hour_ahead")
"""Counted by the step: readings older than every hour that can still be issued again, hours too old for an index or a day, and hours begun anew."""


class Live(TypedDict):
    """The newest row of one series."""

    id: int
    """Series id, the key for `chart`."""
    series: str
    """station/device/quantity…"""
    station: str
    device: str
    quantity: str
    channel: str
    statistic: str
    period_s: int
    medium: str
    unit: str
    decimals: int
    label: dict[str, str]
    """en, zh."""
    at: int
    value: float | None
    """None = MISSING."""
    flag: int
    reason: str
    """One letter, see config.series.Reason."""
    share: float | None
    category: NotRequired[dict[str, str]]
    """en, zh: of a number that a standard gives a name, as in Good."""
    colour: NotRequired[str]
    """Of the category, as the standard has it: a web colour."""
    standard: NotRequired[str]
    """Number of the standard by which it was computed, in the edition of its time; absent for what was measured."""
    verified: NotRequired[str]
    """How far that edition's figures were verified: the marks in it, as in "A M"; M = not verified."""


class Point(TypedDict):
    """One row of a series, for a chart."""

    at: int
    value: float | None
    flag: int


class AlertView(TypedDict):
    """One alert, firing or ended."""

    id: str
    """What people call it: 1121-3."""
    rule: str
    about: str
    """environment or technical."""
    series: str
    state: str
    """firing or ended."""
    colour: str
    """Now, or at the end the worst."""
    since: int
    until: int | None
    value: float | None
    limit: float | None
    unit: str
    what: str
    """One line for people."""
    history: list[dict[str, object]]
    """[{"at", "kind", "colour", "value", "limit"}], oldest first; a fall names the limit of the colour that it left."""


class View(Protocol):
    """Asked by the console and the control socket from their own threads."""

    def status(self) -> dict[str, object]:
        """The object that `ecosentry status --json` prints: lines, devices, sinks, recipients, conservation, journal, clock.

        {"format": 1, "version", "site", "since", "stations": {id: {name, latitude, longitude}},
         "lines": [{name, kind, state, where, words, devices, polls, late, errors}],
         "devices": [{name, station, line, state, retry_s, age_s, words, polls, late, errors, causes}],
         "maintenance": [{station, device, name, kind, since, until, quantities, by, words}]: the windows that are open now,
         "sinks": [{name, kind, state, words, journalled, sent, refused, skipped, thinned, owed, waiting, behind_s,
                    bytes_today, bytes_per_day}],
         "recipients": [{name, waiting, sent, dead, words}],
         "conservation": {received, journalled, duplicate, undecodable, quarantined, held, overwritten, holds: true}, "relayed_gaps": n,
         "too_old": {hour_too_old: readings that renewed no hour, index_too_old: hours that renewed no index or day,
                     hour_ahead: hours of series that were begun while the clock was ahead, and dropped when it was set back},
         "journal": {bytes, limit, rows, events, state, checked}, "clock": {sure, words},
         "gaps": [{series, since, until, seconds, reason, words, filled}], those that go on first (until null), then the newest,
         "notes": [text]}
        """
        ...

    def health(self) -> str:
        """Why the house does not do its work: the journal cannot be written, the core stands, a worker is down; empty = it does. Reads nothing."""
        ...

    def live(self) -> list[Live]:
        """The newest row of every series, by station, medium, device, quantity."""
        ...

    def chart(self, series_id: int, since_ns: int, until_ns: int, most: int) -> list[Point]:
        """Rows of one series in (since, until], oldest first, thinned to at most `most` (keeping extremes and gaps)."""
        ...

    def alerts(self, most: int) -> list[AlertView]:
        """Firing ones first, worst first; then the newest ended ones; at most `most`."""
        ...
