"""The errors that change what a caller does. Anything else that is raised is a bug."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where, what, and what to do about it. Lines and columns count from 1."""

    file: str
    what: str
    repair: str = ""
    line: int = 0
    column: int = 0
    length: int = 1
    """How many characters the caret underlines."""
    source: str = ""
    """The text of the line, for the caret."""


class ConfigError(Exception):
    """What is declared is wrong: refuse to start (exit 78). Carries every problem found, not just the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.file}:{p.line} {p.what}" + (f" → {p.repair}" if p.repair else "") for p in problems))


class LineError(Exception):
    """The wire is gone or unusable: close it and open it again with back-off."""


class DeviceError(Exception):
    """One device gave nothing usable: mark its values missing and go on with the next.

    `cause` is one word for counters and breakers: silent, short, noise, exception, wrong, late, busy (it is alive, and asked again soon).
    `likely` says what is probably behind it, where more is known than the cause.
    """

    def __init__(self, message: str, cause: str = "silent", likely: str = "") -> None:
        self.cause = cause
        self.likely = likely
        super().__init__(message)


class Undecodable(Exception):
    """A message that no driver can read: set it aside, acknowledge it, count it."""


class Unavailable(Exception):
    """The receiver cannot take it now: keep everything and try again, not before `after_s` if that is given."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        self.after_s = after_s
        super().__init__(message)


class Refused(Exception):
    """The receiver will never take this: set it aside with the receiver's own words."""


class Halted(Exception):
    """The receiver needs a human first (wrong token, unknown database): keep everything, say so, try now and then."""


class Gone(Exception):
    """The recipient has told us never to send again (HTTP 410): stop, keep what is waiting, say so."""
