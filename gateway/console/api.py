"""The JSON API of the console, /api/v0/: what the view knows, behind strict checks of everything that is asked."""

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.console.asking import Asking
from gateway.console.assets import packed
from gateway.console.plain import alert, live, point
from gateway.strict_json import encode
from gateway.view import Point, View

MOST_POINTS = 2000
MOST_CHARTS = 64
MOST_ROWS = 20_000
MOST_ALERTS = 200
_LATEST_NS = 2**63 - 1
_HOUR_NS = 3_600_000_000_000


class Api:
    """One method a page; each reads the view once."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def routes(self) -> list[Route]:
        """Where the pages are."""
        pages = {"status": self.status, "live": self.live, "chart": self.chart, "alerts": self.alerts}
        return [Route(f"/api/v0/{name}", page) for name, page in pages.items()]

    async def status(self, request: Request) -> Response:
        """The object that `ecosentry status --json` prints."""
        _parameters(request, ())
        return answer(request, await self._asking.ask(lambda view: view.status()))

    async def live(self, request: Request) -> Response:
        """The newest row of every series."""
        _parameters(request, ())
        rows = await self._asking.ask(lambda view: view.live())
        return answer(request, {"format": 1, "now": str(time.time_ns()), "live": [live(row) for row in rows]})

    async def alerts(self, request: Request) -> Response:
        """Firing alerts, worst first, then the newest ended ones."""
        most = _whole(_parameters(request, ("most",)), "most", 1, MOST_ALERTS, 50)
        rows = await self._asking.ask(lambda view: view.alerts(most))
        return answer(request, {"format": 1, "now": str(time.time_ns()), "alerts": [alert(row) for row in rows]})

    async def chart(self, request: Request) -> Response:
        """Rows of one or several series in (since, until]."""
        given = _parameters(request, ("series", "since", "until", "most"))
        wanted = _series(given)
        now = time.time_ns()
        until = _instant(given, "until", now)
        since = _instant(given, "since", max(until - 6 * _HOUR_NS, 0))
        if since >= until:
            raise HTTPException(400, "since is not before until")
        most = _whole(given, "most", 2, MOST_POINTS, min(600, MOST_ROWS // len(wanted)))
        if most * len(wanted) > MOST_ROWS:
            raise HTTPException(400, f"{len(wanted)} series of {most} points are more than {MOST_ROWS}: ask for fewer, or lower most")
        known = {row["id"] for row in await self._asking.ask(lambda view: view.live())}
        if unknown := [key for key in wanted if key not in known]:
            raise HTTPException(404, f"there is no series {unknown[0]}; /api/v0/live lists them by id")
        charts = []
        for key in wanted:  # one question each, so that the stream gets its turn between them
            rows = await self._asking.ask(_chart(key, since, until, most))
            charts.append({"series": key, "points": [point(row) for row in rows]})
        return answer(request, {"format": 1, "since": str(since), "until": str(until), "columns": ["at", "value", "flag"], "charts": charts})


def answer(request: Request, what: object) -> Response:
    """JSON, compressed for whoever can take it: many stations hang on a thin line."""
    body, headers = packed(encode(what), request.headers.get("accept-encoding", ""))
    return Response(body, 200, {"cache-control": "no-store", **headers}, "application/json")


def _chart(key: int, since: int, until: int, most: int) -> Callable[[View], list[Point]]:
    return lambda view: view.chart(key, since, until, most)


def _parameters(request: Request, known: Iterable[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name not in known:
            raise HTTPException(400, f"unknown parameter {name[:40]!r}; known here: {', '.join(known) or 'none'}")
        if name in given:
            raise HTTPException(400, f"{name} is given twice")
        given[name] = text
    return given


def _whole(given: dict[str, str], name: str, low: int, high: int, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise HTTPException(400, f"{name} = {text[:40]!r} is not a whole number from {low} to {high}")
    return int(text)


def _series(given: dict[str, str]) -> list[int]:
    text = given.get("series", "")
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise HTTPException(400, f"series = {text[:40]!r} is not an id, or several with commas between; /api/v0/live lists them")
    wanted = [int(one) for one in text.split(",")]
    if len(wanted) > MOST_CHARTS or len(set(wanted)) < len(wanted):
        raise HTTPException(400, f"series names an id twice, or more than {MOST_CHARTS}")
    return wanted


def _instant(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,19}", text) and int(text) <= _LATEST_NS:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and 1970 <= moment.year < 2262:
            return max(int(moment.replace(microsecond=0).timestamp()), 0) * 1_000_000_000 + moment.microsecond * 1000
    except ValueError:
        pass
    raise HTTPException(400, f"{name} = {text[:40]!r} is neither UTC nanoseconds nor a time with offset such as 2026-11-21T08:00:00+08:00")
