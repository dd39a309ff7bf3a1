"""Real servers for tests, each in its own folder on its own free port of 127.0.0.1; never the packaged service.

    with servers.Mosquitto(tmp_path / "mosquitto") as broker: ...   broker.port, broker.url
    broker.kill(); broker.start()                                   same port, same folder: what a crash leaves behind

`ScriptedServer` is the far side for what a real server cannot be made to say: it answers HTTP from a list.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import pytest
from scripted import Answer as Answer
from scripted import Request as Request
from scripted import ScriptedServer as ScriptedServer

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def need(program: str, package: str = "") -> str:
    """Its path; skips the test, naming what to install, where it is absent (Debian keeps servers in /usr/sbin)."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {program}: apt-get install {package or program}")
    return found


def free_port() -> int:
    """A port that nobody has now. Someone may take it before you do: be ready to ask again."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def http(
    url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, timeout: float = 10
) -> tuple[int, bytes]:
    """One request, whatever the status; POST where there is a body. Raises OSError where there is no answer."""
    try:
        with _DIRECT.open(urllib.request.Request(url, body, dict(headers or {})), timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def basic(user: str, word: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


class Server:
    """A program under test conditions: starts ready, stops politely or at once, starts again where it was."""

    program: ClassVar[str]
    package: ClassVar[str] = ""

    def __init__(self, folder: Path | str | None = None) -> None:
        self._own_folder = folder is None
        self.folder = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix=f"{self.program}-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = need(self.program, self.package)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Writes its configuration and gives the command line."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Does it answer? May raise OSError for no."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote to stderr in all its lives."""
        return (self.folder / "stderr.txt").read_text("utf-8", "replace")

    def start(self, within_s: float = 20) -> Self:
        """Start and wait until it answers; the first start looks for another port if this one was taken meanwhile."""
        fixed = self.port != 0
        for _ in range(3):
            if not fixed:
                self.port = free_port()
            with (self.folder / "stderr.txt").open("ab") as errors:
                self.process = subprocess.Popen(
                    self.command(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, cwd=self.folder)
            end = time.monotonic() + within_s
            while time.monotonic() < end and self.process.poll() is None:
                try:
                    if self.is_ready() and self.process.poll() is None:
                        return self
                except OSError:
                    pass
                time.sleep(0.01)
            self.kill()
        raise RuntimeError(f"{self.program} does not start: {self.log[-2000:]}")

    def stop(self, within_s: float = 10) -> None:
        """SIGTERM and wait; it may save what it holds."""
        self._end(signal.SIGTERM, within_s)

    def kill(self) -> None:
        """SIGKILL and wait: a crash."""
        self._end(signal.SIGKILL, 10)

    def _end(self, how: signal.Signals, within_s: float) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Mosquitto(Server):
    """MQTT 3.1.1 and 5 with persistence. `users` = {} lets anybody in; `more` is added to mosquitto.conf as it is."""

    program = "mosquitto"

    def __init__(
        self, folder: Path | str | None = None, *, max_inflight: int = 1000, users: Mapping[str, str] | None = None,
        more: str = "",
    ) -> None:
        super().__init__(folder)
        self.max_inflight = max_inflight
        self.users = dict(users or {})
        self.more = more

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        passwords = self.folder / "passwords"
        if self.users:
            passwords.write_text("".join(f"{user}:{word}\n" for user, word in self.users.items()))
            scramble = [need("mosquitto_passwd", "mosquitto"), "-U", str(passwords)]
            subprocess.run(scramble, check=True, capture_output=True)
            passwords.chmod(0o600)
        conf = [
            f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if self.users else 'true'}",
            "persistence true", f"persistence_location {self.folder}/",
            "autosave_interval 1", "autosave_on_changes true",
            "max_queued_messages 0", f"max_inflight_messages {self.max_inflight}", self.more,
        ]
        if self.users:
            conf.append(f"password_file {passwords}")
        if os.geteuid() == 0:
            conf.append("user root")  # else it drops to `mosquitto` and cannot write its folder
        (self.folder / "mosquitto.conf").write_text("\n".join(conf) + "\n")
        return [self.path, "-c", str(self.folder / "mosquitto.conf")]

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """One point as InfluxDB gives it back; fields that it does not have are left out."""

    tags: dict[str, str]
    at_ns: int
    fields: dict[str, object]


class InfluxDB1(Server):
    """InfluxDB 1.6.7 as Debian has it: `/write?db=`, `/query`. With `users` = {"admin": "word"} it asks for a login."""

    program = "influxd"
    package = "influxdb"

    def __init__(
        self, folder: Path | str | None = None, *, databases: Iterable[str] = ("eco",),
        users: Mapping[str, str] | None = None, max_body: int = 25_000_000, max_values_per_tag: int = 0,
    ) -> None:
        super().__init__(folder)
        self.databases = tuple(databases)
        self.users = dict(users or {})
        self.max_body = max_body
        self.max_values_per_tag = max_values_per_tag

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        d = self.folder
        (d / "influxdb.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
            f'[meta]\n dir = "{d}/meta"\n'
            f'[data]\n dir = "{d}/data"\n wal-dir = "{d}/wal"\n'
            f" max-values-per-tag = {self.max_values_per_tag}\n max-series-per-database = 0\n"
            f'[http]\n bind-address = "127.0.0.1:{self.port}"\n log-enabled = false\n'
            f" max-body-size = {self.max_body}\n"
            f" auth-enabled = {'true' if self.users else 'false'}\n"
        )
        return [self.path, "-config", str(d / "influxdb.conf")]

    def is_ready(self) -> bool:
        return http(f"{self.url}/ping", timeout=1)[0] == 204

    def start(self, within_s: float = 20) -> Self:
        """Start, and make the users and databases that are not there yet."""
        super().start(within_s)
        try:
            for user, word in self.users.items():
                self.query(f"CREATE USER \"{user}\" WITH PASSWORD '{word}' WITH ALL PRIVILEGES", wants_error=True)
            for database in self.databases:
                self.query(f'CREATE DATABASE "{database}"')
        except BaseException:
            self.kill()
            raise
        return self

    def query(self, q: str, database: str = "", *, wants_error: bool = False) -> list[dict[str, object]]:
        """The series of one InfluxQL statement; times are ns."""
        form = urllib.parse.urlencode({"q": q, "epoch": "ns", "db": database}).encode()
        login = {}
        if self.users:
            login["Authorization"] = basic(*next(iter(self.users.items())))
        status, body = http(f"{self.url}/query", form, login, timeout=60)
        answer = json.loads(body)
        result = answer.get("results", [answer])[0]
        if "error" in result or status != 200:
            if wants_error:
                return []
            raise AssertionError(f"{q}: {status} {result}")
        return list(result.get("series", []))

    def points(self, measurement: str, database: str = "eco") -> list[StoredPoint]:
        """Every point of one measurement, by series and time."""
        name = measurement.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        found = []
        for series in self.query(f'SELECT * FROM "{name}" GROUP BY *', database):
            columns: list[str] = series["columns"]  # type: ignore[assignment]
            tags = {k: v for k, v in series.get("tags", {}).items() if v != ""}  # type: ignore[attr-defined]
            for row in series["values"]:  # type: ignore[attr-defined]
                fields = {k: v for k, v in zip(columns[1:], row[1:], strict=True) if v is not None}
                found.append(StoredPoint(tags, row[0], fields))
        return found

    def measurements(self, database: str = "eco") -> list[str]:
        """Their names."""
        return [row[0] for series in self.query("SHOW MEASUREMENTS", database) for row in series["values"]]  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """One time series as VictoriaMetrics exports it: `metric["__name__"]` is measurement_field."""

    metric: dict[str, str]
    at_ms: list[int]
    values: list[float]


class VictoriaMetrics(Server):
    """VictoriaMetrics: InfluxDB's `/api/v2/write`, read back by export. It says 204 to anything, keeps doubles."""

    program = "victoria-metrics"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [self.path, f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={self.folder}/data",
                "-retentionPeriod=100y", "-loggerLevel=ERROR"]

    def is_ready(self) -> bool:
        return http(f"{self.url}/health", timeout=1)[0] == 200

    def export(self, match: str = '{__name__!=""}') -> list[StoredSamples]:
        """Every sample stored so far (it makes them visible first)."""
        http(f"{self.url}/internal/force_flush")
        status, body = http(f"{self.url}/api/v1/export?" + urllib.parse.urlencode({"match": match}), timeout=60)
        assert status == 200, body
        rows = (json.loads(line) for line in body.splitlines())
        return [StoredSamples(row["metric"], row["timestamps"], row["values"]) for row in rows]
