"""`ecosentry influx setup`: what it says it does and no more, again is nothing, and means outlive readings at their own times."""

import json
import os
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from far_sides import SECRETS
from servers import Answer, InfluxDB1, Request, ScriptedServer, VictoriaMetrics, http

from gateway.cli import main
from gateway.influx_setup import influx1
from gateway.influx_setup.quoting import flux_text

HOUR, DAY = 3600 * 10**9, 86_400 * 10**9
KEEP = 'keep = "90 d"\nkeep_hourly = "3650 d"\n'


def site(folder: Path, url: str, more: str = "", *, to: str = 'database = "eco"') -> list[str]:
    (folder / "secrets").mkdir(exist_ok=True)
    for name, word in SECRETS.items():
        (folder / "secrets" / name).write_text(word)
        (folder / "secrets" / name).chmod(0o600)
    text = f'[stations.qinghe]\ntime_zone = "Asia/Kolkata"\n[sinks.influx]\nkind = "influxdb"\nurl = "{url}"\n{to}\n{more}'
    (folder / "site.toml").write_text(text)
    return ["--site", str(folder / "site.toml"), "influx", "setup"]


def told(capsys) -> dict[str, object]:
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == 1
    [one] = said["sinks"]
    return one


def policies(server: InfluxDB1, database: str = "eco") -> dict[str, tuple[str, bool]]:
    [series] = server.query(f'SHOW RETENTION POLICIES ON "{database}"')
    return {row[0]: (row[1], row[4]) for row in series["values"]}


def write(server: InfluxDB1, *lines: str, database: str = "eco") -> None:
    assert http(f"{server.url}/write?db={database}", "\n".join(lines).encode())[0] == 204


def held(server: InfluxDB1, policy: str) -> set[tuple[str, int, float | None, int, int | None]]:
    """Every point of a policy: measurement and period, time, value, flag, end."""
    found = set()
    for series in server.query(f'SELECT * FROM "eco"."{policy}"./.*/ GROUP BY *', "eco"):
        for row in series["values"]:
            row = dict(zip(series["columns"], row, strict=True))
            found.add((f"{series['name']} {series['tags']['period']}", row["time"], row.get("value"), row["flag"], row.get("end")))
    return found


def mean(at: int, period: str, value: float | None = 7.5) -> str:
    fields = (f"value={value!r}," if value is not None else "") + f"flag={1 if value is not None else 9}i,end={at + HOUR}i"
    return f"water,device=probe,period={period},quantity=ph,station=qinghe,statistic=mean {fields} {at}"


@pytest.mark.server
def test_means_outlive_readings_at_their_own_times_and_a_second_run_has_nothing_to_do(tmp_path, influx, monkeypatch, capsys):
    monkeypatch.setattr(influx1, "EVERY", "1s")
    argv = site(tmp_path, influx.url, KEEP)
    now = time.time_ns() // HOUR * HOUR
    half = HOUR // 2  # an hour begins at :30 where the station is
    old, late = now - 5 * DAY + half, now - 3 * HOUR + half
    write(influx, mean(old, "1h"), mean(old, "24h", 7.25),
          f"water,device=probe,quantity=ph,station=qinghe,statistic=measured value=1.0,flag=1i {old}")
    assert main([*argv, "--yes", "--json"]) == 0
    first = told(capsys)
    assert first["ok"]
    assert [step["done"] for step in first["steps"]] == [True] * 7
    assert policies(influx) == {"autogen": ("2160h0m0s", True), "hourly": ("87600h0m0s", False), "daily": ("0s", False)}
    write(influx, mean(late, "1h", 8.5), mean(late + HOUR, "1h", None), mean(late, "24h", 8.25), mean(late, "10m", 9.0))
    wanted_hourly = {("water 1h", old, 7.5, 1, old + HOUR), ("water 1h", late, 8.5, 1, late + HOUR),
                     ("water 1h", late + HOUR, None, 9, late + 2 * HOUR)}
    wanted_daily = {("water 24h", old, 7.25, 1, old + HOUR), ("water 24h", late, 8.25, 1, late + HOUR)}
    until = time.monotonic() + 15
    while (held(influx, "hourly"), held(influx, "daily")) != (wanted_hourly, wanted_daily) and time.monotonic() < until:
        time.sleep(0.2)
    assert held(influx, "hourly") == wanted_hourly
    assert held(influx, "daily") == wanted_daily
    assert main([*argv, "--yes", "--json"]) == 0
    assert told(capsys)["steps"] == []
    much_later = now - 20 * DAY + half
    write(influx, mean(much_later, "1h"))
    assert main([*argv, "--yes", "--copy"]) == 0
    assert ("water 1h", much_later, 7.5, 1, much_later + HOUR) in held(influx, "hourly")


@pytest.mark.server
def test_nothing_is_changed_by_a_dry_run_or_without_a_yes_and_everything_can_be_undone(tmp_path, influx, capsys):
    argv = site(tmp_path, influx.url, KEEP, to='database = "new one"')
    assert main([*argv, "--dry-run", "--json"]) == 0
    steps = told(capsys)["steps"]
    assert not [step for step in steps if step["done"]]
    assert main(argv) == 2
    assert "needs --yes" in capsys.readouterr().err
    names = {row[0] for row in influx.query("SHOW DATABASES")[0]["values"]}
    assert "new one" not in names
    assert main([*argv, "--yes", "--json"]) == 0
    undone = told(capsys)["steps"]
    assert policies(influx, "new one").keys() == {"autogen", "hourly", "daily"}
    for step in reversed(undone):
        if not step["undo"].startswith("("):
            influx.query(step["undo"].partition(", but")[0])
    assert {row[0] for row in influx.query("SHOW DATABASES")[0]["values"]} == names


@pytest.mark.server
def test_what_was_changed_by_hand_is_put_right_and_a_shorter_retention_is_said_loudly(tmp_path, influx, capsys):
    argv = site(tmp_path, influx.url, KEEP)
    influx.query('CREATE RETENTION POLICY "hourly" ON "eco" DURATION 30d REPLICATION 1')
    influx.query('CREATE CONTINUOUS QUERY "ecosentry_hourly" ON "eco" BEGIN SELECT mean("value") INTO "x" FROM "water" GROUP BY time(1h) END')
    assert main([*argv, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "THE SERVER DELETES" in said
    assert "by another query than now" in said
    assert main([*argv, "--yes"]) == 0
    assert policies(influx)["hourly"] == ("87600h0m0s", False)
    queries = [row for series in influx.query("SHOW CONTINUOUS QUERIES") for row in series.get("values", [])]
    assert "RESAMPLE" in dict(queries)["ecosentry_hourly"]
    capsys.readouterr()
    assert main([*argv, "--yes", "--json"]) == 0
    assert told(capsys)["steps"] == []


@pytest.mark.server
@pytest.mark.parametrize("database", ['a "quoted" one', 'x"; DROP DATABASE eco; --', "it's", "清河", "a.b"])
def test_a_name_is_that_name_and_nothing_else(tmp_path, influx, database, capsys):
    argv = site(tmp_path, influx.url, KEEP, to=f"database = {json.dumps(database, ensure_ascii=False)}")
    assert main([*argv, "--yes", "--json"]) == 0
    assert told(capsys)["ok"]
    assert {row[0] for row in influx.query("SHOW DATABASES")[0]["values"]} - {"_internal"} == {"eco", database}
    assert main([*argv, "--yes", "--json"]) == 0
    assert told(capsys)["steps"] == []


@pytest.mark.server
def test_a_login_that_only_writes_is_told_so_and_one_that_may_sets_up_for_it(tmp_path, capsys):
    with InfluxDB1(tmp_path / "influx", users={"admin": SECRETS["token"]}, databases=()) as server:
        server.query(f"CREATE USER eco WITH PASSWORD '{SECRETS['password']}'")
        argv = site(tmp_path, server.url, KEEP, to='database = "eco"\nuser = "eco"\npassword = { secret = "password" }')
        assert main([*argv, "--yes"]) == 1
        assert "--secret NAME --user USER" in capsys.readouterr().err
        assert main([*argv, "--yes", "--user", "admin", "--secret", "token"]) == 0
        said = capsys.readouterr().err
        assert "let eco write" in said
        assert "takes writes to database eco" in said
        assert not [word for word in SECRETS.values() if word in said]
        assert main([*argv, "--yes", "--user", "admin", "--secret", "token"]) == 0
        assert "nothing to do" in capsys.readouterr().err


@pytest.mark.server
def test_victoria_metrics_needs_nothing(tmp_path, victoria: VictoriaMetrics, capsys):
    for to in ('database = "eco"', 'org = "epb"\nbucket = "stations"'):
        assert main([*site(tmp_path, victoria.url, KEEP, to=to), "--yes", "--json"]) == 0
        found = told(capsys)
        assert found["steps"] == []
        assert "-retentionPeriod" in found["notes"][0]


class Influx2:
    """The parts of 2.x's API that setting up needs, as its reference has them: orgs, buckets, tasks, query, write."""

    def __init__(self, token: str, *, may_create: bool = True) -> None:
        self.buckets: dict[str, dict[str, object]] = {}
        self.tasks: dict[str, dict[str, object]] = {}
        self.queries: list[str] = []
        self._token, self._may_create = token, may_create

    def answer(self, request: Request) -> Answer:
        url = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/ping":
            return Answer(204, {"X-Influxdb-Version": "v2.7.11", "X-Influxdb-Build": "OSS"})
        if request.headers.get("authorization") != f"Token {self._token}":
            return self._json(401, {"code": "unauthorized", "message": "unauthorized access"})
        if request.method != "GET" and not self._may_create and url.path != "/api/v2/write":
            return self._json(403, {"code": "forbidden", "message": "insufficient permissions"})
        body = json.loads(request.body) if request.body and url.path != "/api/v2/write" else {}
        match request.method, url.path.split("/")[3:]:
            case "GET", ["orgs"]:
                return self._json(200, {"orgs": [{"id": "0a", "name": "epb"}] if query.get("org") == "epb" else []})
            case "POST", ["write"]:
                there = query["bucket"] in self.buckets
                return self._json(400 if there else 404, {"code": "invalid", "message": "writing requires points" if there else "bucket not found"})
            case "POST", ["query"]:
                self.queries.append(body["query"])
                return Answer(200, {"Content-Type": "text/csv"}, b",result,table,_time\r\n,_result,0,12\r\n")
            case method, [kind, *rest] if kind in ("buckets", "tasks"):
                return self._store(method, kind, rest, query, body)
        return self._json(404, {"code": "not found", "message": "path not found"})

    def _store(self, method: str, kind: str, rest: list[str], query: dict[str, str], body: dict[str, object]) -> Answer:
        store = self.buckets if kind == "buckets" else self.tasks
        if method == "GET":
            return self._json(200, {kind: [row for name, row in store.items() if name == query["name"]]})
        if method == "POST":
            name = body.get("name") or str(body["flux"]).split('name: "')[1].split('", every')[0].replace('\\"', '"').replace("\\$", "$")
            store[str(name)] = {**body, "name": name, "id": f"{len(store):x}f"}
            return self._json(201, store[str(name)])
        row = next(row for row in store.values() if row["id"] == rest[0])
        row |= body
        return self._json(200, row)

    @staticmethod
    def _json(status: int, body: object) -> Answer:
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


TO2 = 'org = "epb"\nbucket = "stations"\ntoken = { secret = "token" }'


def test_on_2_x_buckets_and_tasks_are_made_once_and_put_right(tmp_path, capsys):
    far = Influx2(SECRETS["token"])
    with ScriptedServer(by=far.answer) as server:
        argv = site(tmp_path, server.url, KEEP, to=TO2)
        assert main([*argv, "--yes", "--json"]) == 0
        assert told(capsys)["ok"]
        assert {name: row["retentionRules"][0]["everySeconds"] for name, row in far.buckets.items()} == {
            "stations": 90 * 86400, "stations_hourly": 3650 * 86400, "stations_daily": 0}
        assert {row["orgID"] for row in far.buckets.values()} == {"0a"}
        flux = str(far.tasks["ecosentry stations_hourly"]["flux"])
        assert flux.startswith('option task = {name: "ecosentry stations_hourly", every: 1h, offset: 10m}\n')
        assert 'to(bucket: "stations_hourly", org: "epb")' in flux
        assert far.queries == []
        assert main([*argv, "--yes", "--json"]) == 0
        assert told(capsys)["steps"] == []
        far.tasks["ecosentry stations_daily"]["status"] = "inactive"
        far.buckets["stations"]["retentionRules"] = []
        del far.buckets["stations_daily"]
        assert main([*argv, "--yes", "--json"]) == 0
        assert len(told(capsys)["steps"]) == 4
        assert far.tasks["ecosentry stations_daily"]["status"] == "active"
        [query] = far.queries
        assert "range(start: 0)" in query
        assert 'to(bucket: "stations_daily"' in query
        assert main([*argv, "--dry-run", "--json"]) == 0
        assert told(capsys)["steps"] == []


def test_on_2_x_a_token_that_may_not_and_an_org_that_is_not_seen_are_said(tmp_path, capsys):
    for far, to, words in ((Influx2(SECRETS["token"], may_create=False), TO2, "403: insufficient permissions"),
                           (Influx2("another"), TO2, "401: unauthorized access"),
                           (Influx2(SECRETS["token"]), TO2.replace("epb", "elsewhere"), "no org elsewhere")):
        with ScriptedServer(by=far.answer) as server:
            assert main([*site(tmp_path, server.url, to=to), "--yes"]) == 1
            said = capsys.readouterr().err
            assert words in said
            assert "--secret NAME" in said
            assert SECRETS["token"] not in said


def test_a_bucket_s_name_in_flux_is_that_name_and_nothing_else(tmp_path):
    name = 'a"b${r}\\'
    assert flux_text(name) == '"a\\"b\\${r}\\\\"'
    far = Influx2(SECRETS["token"])
    with ScriptedServer(by=far.answer) as server:
        argv = site(tmp_path, server.url, KEEP, to=TO2.replace('"stations"', json.dumps('a"b${r}')))
        assert main([*argv, "--yes"]) == 0
        assert far.buckets.keys() == {'a"b${r}', 'a"b${r}_hourly', 'a"b${r}_daily'}
        assert all('from(bucket: "a\\"b\\${r}")' in str(task["flux"]) for task in far.tasks.values())


def test_on_3_the_database_is_made_with_its_retention_and_left_alone_after_that(tmp_path, capsys):
    made: list[dict[str, object]] = []

    def answer(request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path == "/ping":
            return Answer(200, {"Content-Type": "application/json"}, b'{"version":"3.4.1","revision":"x"}')
        if path == "/api/v2/write":
            return Answer(400, {"Content-Type": "application/json"}, b'{"error":"writing requires points"}')
        assert path == "/api/v3/configure/database"
        assert request.headers["authorization"] == f"Bearer {SECRETS['token']}"
        if request.method == "POST":
            made.append(json.loads(request.body))
            return Answer(200)
        return Answer(200, {"Content-Type": "application/json"}, json.dumps([{"iox::database": one["db"]} for one in made]).encode())

    with ScriptedServer(by=answer) as server:
        argv = site(tmp_path, server.url, KEEP, to=TO2)
        for steps in (1, 0):
            assert main([*argv, "--yes", "--json"]) == 0
            found = told(capsys)
            assert len(found["steps"]) == steps
            assert "no tasks" in found["notes"][0]
    assert made == [{"db": "stations", "retention_period": "7776000s"}]


def test_down_is_69_and_nothing_was_done(tmp_path, capsys):
    with ScriptedServer() as server:
        argv = site(tmp_path, server.url)
    assert main([*argv, "--yes"]) == 69
    assert "refuses the connection" in capsys.readouterr().err


@pytest.mark.server
@pytest.mark.parametrize("generation", ["2", "3"])
def test_a_real_server_of_2_x_or_3_is_set_up(tmp_path, generation, capsys):
    """INFLUX2_URL, INFLUX2_ORG, INFLUX2_TOKEN; INFLUX3_URL, INFLUX3_TOKEN."""
    url = os.environ.get(f"INFLUX{generation}_URL")
    if not url:
        pytest.skip(f"INFLUX{generation}_URL names no server")
    bucket = f"ecosentry-test-{time.time_ns()}"
    argv = site(tmp_path, url, "allow_plain_password = true\n" + (KEEP if generation == "2" else ""),
                to=f'org = "{os.environ.get(f"INFLUX{generation}_ORG", "none")}"\nbucket = "{bucket}"\ntoken = {{ secret = "given" }}')
    (tmp_path / "secrets" / "given").write_text(os.environ.get(f"INFLUX{generation}_TOKEN", ""))
    (tmp_path / "secrets" / "given").chmod(0o600)
    assert main([*argv, "--yes"]) == 0
    assert "takes writes" in capsys.readouterr().err
    assert main([*argv, "--yes"]) == 0
    assert "nothing to do" in capsys.readouterr().err
