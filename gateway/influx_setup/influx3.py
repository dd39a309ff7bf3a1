"""InfluxDB 3: the database. Retention is set when it is made; nothing copies means. Written after the public API reference."""

from collections.abc import Mapping

from config.errors import Halted
from gateway.influx_setup.plan import Kept, Plan, Step, how_long
from gateway.influx_setup.server import Server

_PATH = "/api/v3/configure/database"


def plan(server: Server, version: str, kept: Kept) -> Plan:
    """What is to be done. Raises Unavailable or Halted."""
    database = server.options.bucket
    found = Plan(f"InfluxDB {version} at {server.options.url}, database {database}")
    status, answer = server.call("GET", _PATH, {"format": "json"}, wanted="list the databases", bearer=True)
    if status == 404 or not isinstance(answer, list):
        raise Halted(f"{server.options.url} does not list its databases at {_PATH}: make the database {database} with the server's own tools")
    is_there = database in [value for row in answer if isinstance(row, dict) for value in row.values()]
    if not is_there:
        body = {"db": database, **({"retention_period": f"{kept.raw_s}s"} if kept.raw_s else {})}
        what = f"make the database {database}, which keeps its rows {how_long(kept.raw_s)}"
        found.steps.append(Step(what, f"influxdb3 delete database {database}", lambda: _make(server, body, what)))
    if kept.raw_s:
        found.notes.append("InfluxDB 3 runs no tasks of its own, so means are kept as long as readings, not longer")
    if kept.raw_s and is_there:
        found.notes.append(f"how long {database} keeps its rows was set when it was made, and is not changed")
    return found


def _make(server: Server, body: Mapping[str, object], what: str) -> None:
    if server.call("POST", _PATH, body=body, wanted=what, bearer=True)[0] == 404:
        raise Halted(f"{server.options.url} answers 404 when asked to {what}")
