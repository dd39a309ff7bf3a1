"""A job that the running daemon does between its polls: begun, followed and, on Ctrl-C, cancelled through its control socket."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from drivers.job import Plain
from gateway.control import ask
from gateway.scanning.progress import ProgressLine

_LOOK_S = 0.2


class NoVisitError(Exception):
    """The daemon does not do it, in its words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a visit."""

    result: Plain
    elapsed_s: float


def visit(socket: Path, line: str, job: str, arguments: Mapping[str, object], within_s: float, line_shown: ProgressLine) -> Outcome | None:
    """The visit's result; None if no daemon runs. Raises NoVisitError with the reason, KeyboardInterrupt after cancelling."""
    try:
        begun = ask(socket, "visit", **{**arguments, "line": line, "job": job, "within_s": within_s})
    except RuntimeError as no:
        raise NoVisitError(str(no)) from no
    if begun is None:
        return None
    number = cast("Mapping[str, str]", begun)["id"]
    try:
        return _follow(socket, number, line_shown)
    except KeyboardInterrupt:
        ask(socket, "cancel", id=number)
        raise


def _follow(socket: Path, number: str, line_shown: ProgressLine) -> Outcome:
    since = 0
    while True:
        try:
            seen = ask(socket, "visits", id=number, since=since)
        except RuntimeError as no:
            raise NoVisitError(str(no)) from no
        if seen is None:
            raise NoVisitError("the daemon has stopped")
        view = cast("dict[str, object]", seen)
        since = cast("int", view["next"])
        line_shown.found += len(cast("list[object]", view["found"]))
        if view["state"] == "done":
            return Outcome(cast("Plain", view["result"]), cast("float", view["elapsed_s"]))
        if view["state"] in ("failed", "cancelled"):
            raise NoVisitError(str(view["words"]))
        line_shown.tell(cast("int", view["done"]), cast("int", view["of"]), str(view["words"]), cast("float | None", view["remaining_s"]))
        time.sleep(_LOOK_S)
