"""InfluxDB 1.x: the database, its retention policies, and the continuous queries that copy means to those that live longer.

Our hourly and daily means are written as points of their own, so nothing is computed again: a continuous query copies them. It has to
aggregate over `GROUP BY time()`, and puts its points at the beginning of each slice; so the slice is 15 minutes, on which every hour and
day of every time zone begins, and a point keeps its time.
"""

import re

from config.errors import Halted
from gateway.influx_setup.plan import COPY_DAYS, FIELDS, Kept, Plan, Step, how_long
from gateway.influx_setup.quoting import name
from gateway.influx_setup.server import Server

EVERY = "1h"
"""So often new means are copied."""
_PARTS = re.compile(r"(\d+)(ns|us|µs|ms|s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def plan(server: Server, version: str, kept: Kept, *, copy: bool) -> Plan:
    """What is to be done. `copy`: copy all means that are there once more. Raises Unavailable or Halted."""
    database = server.options.database
    found = Plan(f"InfluxDB {version or '1.x'} at {server.options.url}, database {database}")
    there = _policies(server)
    policies = {"autogen": (0, True)} if there is None else there
    if there is None:
        found.steps.append(_step(server, f"make the database {database}", f"CREATE DATABASE {name(database)}", f"DROP DATABASE {name(database)}"))
    found.steps += _grant(server)
    raw = next((policy for policy, (_, is_default) in policies.items() if is_default), "")
    if not kept.raw_s:
        return found
    if not raw or raw in ("hourly", "daily"):
        said = f"the default retention policy {raw}" if raw else "no default retention policy"
        raise Halted(f'database {database} has {said}; make another one the default:  ALTER RETENTION POLICY "autogen" ON {name(database)} DEFAULT')
    queries = _queries(server)
    for policy, seconds, periods in kept.copies:
        found.steps += _policy(server, policy, seconds, policies)
        if copy or (there is not None and policy not in there):
            found.steps.append(_copy(server, raw, policy, periods))
        found.steps += _query(server, raw, policy, periods, queries)
    found.steps += _shorten(server, raw, kept.raw_s, policies[raw][0], deletes=there is not None)
    return found


def _grant(server: Server) -> list[Step]:
    """The right to write, for the sink's own user, if another one sets up."""
    user, database = server.options.user, server.options.database
    if not user or server.is_own_login:
        return []
    admins = {str(row[0]): bool(row[1]) for row in _values(server, "SHOW USERS")}
    if user not in admins:
        raise Halted(f"{server.options.url} has no user {user}; make it:  CREATE USER {name(user)} WITH PASSWORD '…'")
    rights = {str(row[0]): str(row[1]) for row in _values(server, f"SHOW GRANTS FOR {name(user)}")}
    if admins[user] or rights.get(database) in ("WRITE", "ALL PRIVILEGES"):
        return []
    right = "ALL" if rights.get(database) == "READ" else "WRITE"
    return [_step(server, f"let {user} write", f"GRANT {right} ON {name(database)} TO {name(user)}",
                  f"REVOKE WRITE ON {name(database)} FROM {name(user)}")]


def _step(server: Server, what: str, statement: str, undo: str) -> Step:
    return Step(f"{what}:  {statement}", undo, lambda: _say(server, statement))


def _say(server: Server, *statements: str) -> None:
    for statement in statements:
        server.influxql(statement, changes=True)


def _policies(server: Server) -> dict[str, tuple[int, bool]] | None:
    """By name how long it keeps and whether it is the default; None if there is no such database."""
    database = server.options.database
    if database not in [str(row[0]) for row in _values(server, "SHOW DATABASES")]:
        return None
    return {str(row[0]): (_seconds(str(row[1])), bool(row[4])) for row in _values(server, f"SHOW RETENTION POLICIES ON {name(database)}")}


def _queries(server: Server) -> dict[str, str]:
    """The continuous queries of our database by name."""
    for series in server.influxql("SHOW CONTINUOUS QUERIES"):
        if series.get("name") == server.options.database:
            return {str(row[0]): str(row[1]) for row in _rows(series)}
    return {}


def _values(server: Server, statement: str) -> list[list[object]]:
    return [row for series in server.influxql(statement) for row in _rows(series)]


def _rows(series: object) -> list[list[object]]:
    values = series.get("values", []) if isinstance(series, dict) else []
    return [row for row in values if isinstance(row, list)]


def _seconds(text: str) -> int:
    """Of a length as the server writes it.

    >>> _seconds("2160h0m0s"), _seconds("0s")
    (7776000, 0)
    """
    return sum(int(count) * _SECONDS.get(unit, 0) for count, unit in _PARTS.findall(text))


def _length(seconds: int) -> str:
    return f"{seconds}s" if seconds else "INF"


def _policy(server: Server, policy: str, seconds: int, policies: dict[str, tuple[int, bool]]) -> list[Step]:
    on = f"RETENTION POLICY {name(policy)} ON {name(server.options.database)}"
    if policy not in policies:
        return [_step(server, f"keep {policy} means {how_long(seconds)}", f"CREATE {on} DURATION {_length(seconds)} REPLICATION 1", f"DROP {on}")]
    before = policies[policy][0]
    if before == seconds:
        return []
    return [_step(server, f"keep {policy} means {how_long(seconds)}, not {how_long(before)}", f"ALTER {on} DURATION {_length(seconds)}",
                  f"ALTER {on} DURATION {_length(before)}")]


def _between(server: Server, raw: str, policy: str, periods: str) -> str:
    database = name(server.options.database)
    return f'INTO {database}.{name(policy)}.:MEASUREMENT FROM {database}.{name(raw)}./.*/ WHERE "period" =~ /{periods}/'


def _copy(server: Server, raw: str, policy: str, periods: str) -> Step:
    statement = f"SELECT * {_between(server, raw, policy, periods)} GROUP BY *"
    return _step(server, f"copy the {policy} means that are there", statement, "(with the retention policy)")


def _query(server: Server, raw: str, policy: str, periods: str, queries: dict[str, str]) -> list[Step]:
    database, query = name(server.options.database), f"ecosentry_{policy}"
    fields = ", ".join(f'last("{field}") AS "{field}"' for field in FIELDS)
    statement = (f"CREATE CONTINUOUS QUERY {name(query)} ON {database} RESAMPLE EVERY {EVERY} FOR {COPY_DAYS}d "
                 f"BEGIN SELECT {fields} {_between(server, raw, policy, periods)} GROUP BY time(15m), * END")
    if query in queries and _bare(queries[query]) == _bare(statement):
        return []
    drop = f"DROP CONTINUOUS QUERY {name(query)} ON {database}"
    what = f"copy new {policy} means every hour"
    if query not in queries:
        return [_step(server, what, statement, drop)]
    return [Step(f"{what}, by another query than now:  {statement}", f"{drop}; {queries[query]}", lambda: _say(server, drop, statement))]


def _bare(statement: str) -> str:
    """The server gives a statement back with quotes only where it needs them."""
    return re.sub(r'["\\\s]', "", statement)


def _shorten(server: Server, raw: str, seconds: int, before: int, *, deletes: bool) -> list[Step]:
    if before == seconds:
        return []
    on = f"RETENTION POLICY {name(raw)} ON {name(server.options.database)}"
    gone = deletes and (not before or seconds < before)
    what = f"keep everything else {how_long(seconds)}, not {how_long(before)}" + (" (THE SERVER DELETES WHAT IS OLDER)" if gone else "")
    undo = f"ALTER {on} DURATION {_length(before)}" + (", but what was deleted does not come back" if gone else "")
    return [_step(server, what, f"ALTER {on} DURATION {_length(seconds)}", undo)]
