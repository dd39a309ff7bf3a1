"""InfluxDB 2.x: the bucket, two more for hourly and daily means, and the tasks that copy them there. Written after the public API reference.

Our hourly and daily means are written as points of their own, so a task computes nothing: it copies them, each at its own time.
"""

from collections.abc import Mapping
from urllib.parse import quote

from config.errors import Halted
from gateway.influx_setup.plan import COPY_DAYS, Kept, Plan, Step, how_long
from gateway.influx_setup.quoting import flux_text
from gateway.influx_setup.server import Server

_BUCKETS, _TASKS = "/api/v2/buckets", "/api/v2/tasks"


def plan(server: Server, version: str, kept: Kept, *, copy: bool) -> Plan:
    """What is to be done. `copy`: copy all means that are there once more. Raises Unavailable or Halted."""
    options = server.options
    found = Plan(f"InfluxDB {version or '2.x'} at {options.url}, org {options.org}, bucket {options.bucket}")
    org = _org(server)
    raw = _bucket(server, options.bucket)
    if raw is None:
        found.steps.append(_make(server, org, options.bucket, kept.raw_s))
    for kind, seconds, periods in kept.copies:
        bucket = f"{options.bucket}_{kind}"
        there = _bucket(server, bucket)
        if there is None:
            found.steps.append(_make(server, org, bucket, seconds))
        elif (before := _keeps(there)) != seconds:
            found.steps.append(_change(server, there, bucket, seconds, before))
        if copy or (there is None and raw is not None):
            found.steps.append(_copy(server, bucket, periods))
        found.steps += _task(server, org, bucket, periods)
    if raw is not None and kept.raw_s and (before := _keeps(raw)) != kept.raw_s:
        found.steps.append(_change(server, raw, options.bucket, kept.raw_s, before))
    return found


def _listed(answer: object, key: str) -> list[Mapping[str, object]]:
    rows = answer.get(key, []) if isinstance(answer, dict) else []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _org(server: Server) -> str:
    """The id of our organisation."""
    wanted = server.options.org
    _, answer = server.call("GET", "/api/v2/orgs", {"org": wanted}, wanted=f"see the org {wanted}")
    for row in _listed(answer, "orgs"):
        if row.get("name") == wanted:
            return str(row.get("id"))
    raise Halted(f"{server.options.url} has no org {wanted} that this token may see: correct org, or give the token of an owner, --secret NAME")


def _bucket(server: Server, bucket: str) -> Mapping[str, object] | None:
    _, answer = server.call("GET", _BUCKETS, {"org": server.options.org, "name": bucket}, wanted=f"see the bucket {bucket}")
    return next((row for row in _listed(answer, "buckets") if row.get("name") == bucket), None)


def _keeps(bucket: Mapping[str, object]) -> int:
    rules = bucket.get("retentionRules")
    first = rules[0] if isinstance(rules, list) and rules and isinstance(rules[0], dict) else {}
    seconds = first.get("everySeconds", 0)
    return seconds if isinstance(seconds, int) else 0


def _rules(seconds: int) -> list[dict[str, object]]:
    return [{"type": "expire", "everySeconds": seconds}]


def _do(server: Server, method: str, path: str, body: Mapping[str, object], wanted: str) -> None:
    status, _ = server.call(method, path, body=body, wanted=wanted)
    if status == 404:
        raise Halted(f"{server.options.url} answers 404 when asked to {wanted}: changed by somebody meanwhile? Run the same again")


def _make(server: Server, org: str, bucket: str, seconds: int) -> Step:
    what = f"make the bucket {bucket}, which keeps its rows {how_long(seconds)}"
    body = {"orgID": org, "name": bucket, "description": "made by ecosentry influx setup", "retentionRules": _rules(seconds)}
    return Step(what, f"influx bucket delete --org {server.options.org} --name {bucket}", lambda: _do(server, "POST", _BUCKETS, body, what))


def _change(server: Server, there: Mapping[str, object], bucket: str, seconds: int, before: int) -> Step:
    path = f"{_BUCKETS}/{quote(str(there.get('id')), safe='')}"
    gone = bool(seconds) and (not before or seconds < before)
    what = f"keep the bucket {bucket} {how_long(seconds)}, not {how_long(before)}" + (" (THE SERVER DELETES WHAT IS OLDER)" if gone else "")
    undo = f"influx bucket update --id {there.get('id')} --retention {before}s" + (", but what was deleted does not come back" if gone else "")
    return Step(what, undo, lambda: _do(server, "PATCH", path, {"retentionRules": _rules(seconds)}, what))


def _rows(server: Server, bucket: str, periods: str, start: str) -> str:
    options = server.options
    return (f"from(bucket: {flux_text(options.bucket)})\n  |> range(start: {start})\n"
            f"  |> filter(fn: (r) => exists r.period and r.period =~ /{periods}/)\n"
            f"  |> to(bucket: {flux_text(bucket)}, org: {flux_text(options.org)})\n")


def _copy(server: Server, bucket: str, periods: str) -> Step:
    what = f"copy the means that are there into {bucket}"
    query = _rows(server, bucket, periods, "0") + '  |> group()\n  |> count(column: "_time")\n'
    body = {"query": query, "type": "flux"}
    return Step(what, "(with the bucket)", lambda: _query(server, body, what))


def _query(server: Server, body: Mapping[str, object], what: str) -> None:
    server.call("POST", "/api/v2/query", {"org": server.options.org}, body, wanted=what)


def _task(server: Server, org: str, bucket: str, periods: str) -> list[Step]:
    task = f"ecosentry {bucket}"
    flux = (f"option task = {{name: {flux_text(task)}, every: 1h, offset: 10m}}\n\n" + _rows(server, bucket, periods, f"-{COPY_DAYS}d"))
    _, answer = server.call("GET", _TASKS, {"org": server.options.org, "name": task}, wanted=f"see the task {task}")
    there = next((row for row in _listed(answer, "tasks") if row.get("name") == task), None)
    if there is None:
        what = f'make the task "{task}", which copies new means every hour'
        body: Mapping[str, object] = {"orgID": org, "flux": flux, "status": "active"}
        return [Step(what, f'influx task list, then influx task delete --id ID  ("{task}")', lambda: _do(server, "POST", _TASKS, body, what))]
    if there.get("flux") == flux and there.get("status") == "active":
        return []
    path, changed = f"{_TASKS}/{quote(str(there.get('id')), safe='')}", f'set the task "{task}" right'
    return [Step(changed, f"influx task delete --id {there.get('id')}",
                 lambda: _do(server, "PATCH", path, {"flux": flux, "status": "active"}, changed))]
