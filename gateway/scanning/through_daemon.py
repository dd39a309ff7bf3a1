"""A job that the running daemon does between its polls: begun, followed and, on Ctrl-C, cancelled through its control socket."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from drivers.job import Plain
from gateway.control import ask
from gateway.scanning.progress import ProgressLine

_LOOK_S = 0.2
_WAITS = "waiting for a moment when no poll is due"
_STOPPED = "it has stopped; the same again looks at the port itself"


class NoVisitError(Exception):
    """The daemon does not do it, in its words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a visit."""

    result: Plain
    elapsed_s: float


def visit(
    socket: Path, line: str, job: str, arguments: Mapping[str, object], within_s: float, line_shown: ProgressLine, found: list[Plain],
) -> Outcome:
    """The visit's result. What it finds is added to `found` as it goes on.

    Raises NoVisitError with the reason, KeyboardInterrupt after cancelling.
    """
    try:
        begun = ask(socket, "visit", **{**arguments, "line": line, "job": job, "within_s": within_s})
    except RuntimeError as no:
        raise NoVisitError(str(no)) from no
    if begun is None:
        raise NoVisitError(_STOPPED)
    number = cast("Mapping[str, str]", begun)["id"]
    try:
        return _follow(socket, number, line_shown, found)
    except KeyboardInterrupt:
        with suppress(RuntimeError):  # it may have ended just now
            ask(socket, "cancel", id=number)
        raise


def _follow(socket: Path, number: str, line_shown: ProgressLine, found: list[Plain]) -> Outcome:
    since = 0
    while True:
        try:
            seen = ask(socket, "visits", id=number, since=since)
        except RuntimeError as no:
            raise NoVisitError(str(no)) from no
        if seen is None:
            raise NoVisitError(_STOPPED)
        view = cast("dict[str, object]", seen)
        since = cast("int", view["next"])
        found += cast("list[Plain]", view["found"])
        line_shown.found = len(found)
        if view["state"] == "done":
            return Outcome(cast("Plain", view["result"]), cast("float", view["elapsed_s"]))
        if view["state"] in ("failed", "cancelled"):
            raise NoVisitError(str(view["words"]))
        line_shown.tell(cast("int", view["done"]), cast("int", view["of"]), str(view["words"] or _WAITS), cast("float | None", view["remaining_s"]))
        time.sleep(_LOOK_S)
