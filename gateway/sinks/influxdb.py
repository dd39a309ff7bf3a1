"""InfluxDB, and what speaks its write API: `/api/v2/write` of 2.x, 3.x and VictoriaMetrics, `/write` of 1.x.

Sending is safe to repeat: a point is overwritten by itself. What is written is described in docs/influxdb.md; when
the answer means keep, set aside or ask a human is decided here, in one table. A refusal is believed only if it is
InfluxDB's own: a proxy that says 400 to everything must not make us set readings aside.
"""

import logging
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Self
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from pydantic import Field, field_validator, model_validator

from config.errors import Halted, Refused, Unavailable
from config.site import Secret
from config.table import Table
from config.units import Duration, Size
from gateway.contracts import Rows, Surroundings
from gateway.dial import is_loopback
from gateway.exchange import Answer, Exchange
from gateway.sinks._line_protocol import Encoder, levels, station_line
from gateway.sinks._write_service import Carrier, Writes, write_service

_log = logging.getLogger(__name__)
_DAY_NS = 86_400_000_000_000
_CODES = ("invalid", "unprocessable entity", "empty value", "conflict")
"""`code` of the API of 2.x beside 400 and 422 for points that it will not take."""
_NO_POINTS = "writing requires points"
"""What 2.x and 3.x say of a write without any, once they have seen the rest."""
_DAYS = 1 << 17  # more days than int64 ns can count


class Options(Table):
    """Keys of `[sinks.NAME]` with kind = "influxdb". With `org` it is 2.x or 3.x, with `database` 1.x."""

    url: str
    """Where it answers: "https://influx.example.org:8086"; a path before /write belongs here too."""
    org: str = ""
    bucket: str = ""
    token: Secret | None = None
    database: str = ""
    user: str = ""
    password: Secret | None = None
    allow_plain_password: bool = False
    """Without TLS a password or token can be read by anyone on the way; needed for http:// beyond this box."""
    ca_file: str = ""
    """Certificate authority of your own, PEM; left out = the system's."""
    timeout: Duration = 30.0
    """For one send, all of it together."""
    gzip: bool = True
    max_body: Annotated[Size, Field(ge=10_000)] = 5_000_000
    """Longest body before compression; more is sent in several requests."""
    confirm_after: Annotated[Duration, Field(ge=1, le=3600)] | None = None
    """For servers that acknowledge before data are on disk: so old a row must be before it counts as sent."""
    keep: Annotated[Duration, Field(ge=7 * 86400)] | None = None
    """How long the server keeps readings, once `ecosentry influx setup` has told it so; left out = as the server has it."""
    keep_hourly: Annotated[Duration, Field(ge=7 * 86400)] | None = None
    """With keep: how long it keeps hourly means, in a place of their own; left out = for ever."""
    keep_daily: Annotated[Duration, Field(ge=7 * 86400)] | None = None
    """The same for daily means."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError('is not an address of a web server; write "https://HOST:8086"')
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("holds more than an address; write user and password as keys of their own, and no ?…")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if bool(self.org) == bool(self.database):
            raise ValueError("needs either org and bucket (InfluxDB 2.x, 3.x) or database (1.x)")
        if self.org and not self.bucket:
            raise ValueError("needs bucket beside org")
        if self.org and (self.user or self.password):
            raise ValueError("has user or password, which belong to 1.x; with org write token")
        if self.database and (self.bucket or self.token):
            raise ValueError("has bucket or token, which belong to 2.x and 3.x; with database write user and password")
        if self.password and not self.user:
            raise ValueError("has a password without a user")
        parts = urlsplit(self.url)
        if (self.token or self.password) and parts.scheme == "http" and not (self.allow_plain_password or is_loopback(parts.hostname or "")):
            raise ValueError("would send the secret in the clear; write https:// or allow_plain_password = true")
        if self.ca_file and parts.scheme == "http":
            raise ValueError("ca_file needs https://")
        return self

    @model_validator(mode="after")
    def _keeps_means_longer(self) -> Self:
        for key, kept in (("keep_hourly", self.keep_hourly), ("keep_daily", self.keep_daily)):
            if kept is not None and (self.keep is None or kept < self.keep):
                raise ValueError(f'has {key} without a keep that is shorter; write how long readings are kept, keep = "90 d"')
        return self


class Sink:
    """Writes rows to one database or bucket; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._around = around
        self._encoder = Encoder(level_of=levels(around.site.stations))
        self._exchange = Exchange(f"EcoSentry/{around.version}", options.ca_file)
        self.traffic = self._exchange.traffic
        self.in_order = False
        self.unsure_s = options.confirm_after or 0.0
        self._authorization = ""
        self._deadline = 0.0
        self._carrier = Carrier(self._post)
        self._service: Writes | None = None
        self._described: set[tuple[str, int]] = set()
        """(station, UTC day) whose station point has been sent."""

    def send(self, rows: Rows, deadline: float) -> None:
        """Store all rows; return = InfluxDB said 204. Raises Unavailable, Refused or Halted."""
        if not len(rows):
            return
        self._deadline = min(deadline, time.monotonic() + self._options.timeout)
        for body in _bodies(self._encoder.lines(rows), self._options.max_body):
            self._judge(self._write(body), alone=len(rows) == 1)
        self._describe_stations(rows)

    def check(self, deadline: float) -> str:
        """Sends a write without a point: that is refused exactly when the login, the name or the right is missing."""
        self._deadline = min(deadline, time.monotonic() + self._options.timeout)
        answer = self._write(b"")
        if not (answer.status == 400 and (_is_influxdb(answer) or _NO_POINTS in answer.words)):
            self._judge(answer)
        where = f"database {self._options.database}" if self._options.database else f"bucket {self._options.bucket}"
        version = answer.headers.get("x-influxdb-version", "")
        return f"{self._options.url} takes writes to {where}" + (f" (InfluxDB {version})" if version else "")

    def close(self) -> None:
        """Let go; a send that runs ends soon with Unavailable."""
        self._exchange.close()

    def _write(self, body: bytes) -> Answer:
        options = self._options
        if options.gzip and body:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # gzip -1: a tenth of the CPU of -9 for 15 % more bytes
            body = packer.compress(body) + packer.flush()
            encoding = "gzip"
        else:
            encoding = "identity"
        if options.database:
            headers = {"Content-Type": "text/plain; charset=utf-8"} | ({"Content-Encoding": "gzip"} if encoding == "gzip" else {})
            return self._post("/write", [("db", options.database), ("precision", "ns")], headers, body)
        if self._service is None:
            self._service = write_service(self._carrier)
        self._service.post_write(options.org, options.bucket, body, precision="ns", content_encoding=encoding)
        assert self._carrier.answer is not None, "WriteService did not send"
        return self._carrier.answer

    def _post(self, path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], body: bytes) -> Answer:
        url = f"{self._options.url}{path}?{urlencode(query, quote_via=quote)}"
        return self._exchange.request("POST", url, self._deadline, body, {**headers, **self._login()})

    def _login(self) -> dict[str, str]:
        options = self._options
        if not self._authorization:
            if options.token:
                self._authorization = f"Token {self._secret(options.token)}"
            elif options.user:
                word = self._secret(options.password) if options.password else ""
                self._authorization = "Basic " + b64encode(f"{options.user}:{word}".encode()).decode()
        return {"Authorization": self._authorization} if self._authorization else {}

    def _secret(self, name: Secret) -> str:
        word = self._around.secret(name.secret)
        if not word.isprintable() or not word.isascii():
            raise Halted(f"the secret {name.secret} holds characters that cannot be sent in a header")
        return word

    def _judge(self, answer: Answer, alone: bool = False) -> None:
        """Nothing for 204, and only for 204; else the error that tells the courier what to do."""
        status, words = answer.status, answer.words
        if status == 204:
            return
        said = f"{status}: {words}" if words else str(status)
        if status in (400, 422):
            if _is_influxdb(answer):
                raise Refused(words or said)
            raise Unavailable(f"{self._options.url} answers {said}, which is not InfluxDB's answer; is that the right address?")
        if status == 413 and not alone:
            raise Refused(f"the request is too large for the server ({said}); set max_body below its limit")
        if status == 429 or status >= 500 or status == 408:
            raise Unavailable(f"InfluxDB answers {said}", answer.retry_after_s())
        if 200 <= status < 300:
            raise Unavailable(f"{self._options.url} answers {status} where InfluxDB says 204: a log-in page of the network, "
                              "or not an InfluxDB")
        if status in (401, 403):
            self._authorization = ""  # the secret may be put right while we run
        raise Halted(self._what_to_do(answer, said))

    def _what_to_do(self, answer: Answer, said: str) -> str:
        options = self._options
        key, secret = ("password", options.password) if options.database else ("token", options.token)
        named = f'the secret "{secret.secret}"' if secret else f"{key} (none is given)"
        place = f'database "{options.database}"' if options.database else f'bucket "{options.bucket}" of org "{options.org}"'
        match answer.status:
            case 401:
                return f"InfluxDB does not accept the login ({said}); check {named}"
            case 403:
                return f"InfluxDB does not let this login write to {place} ({said}); give it the right to"
            case 404 if options.database:
                return f"InfluxDB has no {place} ({said}); make it:  ecosentry influx setup  (or CREATE DATABASE {options.database})"
            case 404:
                return (f"InfluxDB has no {place} ({said}); make it,  ecosentry influx setup,  or correct the names. InfluxDB 1.x does not know "
                        "/api/v2/write: for it write database instead of org and bucket")
            case status if 300 <= status < 400:
                return (f"{options.url} sends us on to {answer.headers.get('location', 'nowhere')!r}, which is not followed; "
                        "if that is right, write it as url")
            case _:
                return f"InfluxDB answers {said}; nothing is sent until that is put right"

    def _describe_stations(self, rows: Rows) -> None:
        """Sends what is known of each station once a day of its data; that it is refused holds no reading back."""
        keys = np.unique(rows.which * np.int64(_DAYS) + rows.at // _DAY_NS).tolist()
        used = {(rows.series[key // _DAYS].station, key % _DAYS) for key in keys}
        new = sorted(used - self._described)
        stations = self._around.site.stations
        lines = [line for name, day in new if name in stations and (line := station_line(name, stations[name], day * _DAY_NS))]
        try:
            for body in _bodies(lines, self._options.max_body):
                self._judge(self._write(body))
        except Refused as error:
            _log.warning("sink %s: the points of measurement station are refused: %s", self._around.name, error)
        except (Unavailable, Halted):
            return  # the readings are stored; the next send tries this again
        self._described |= used
        if len(self._described) > 10_000:
            self._described = set(new)


def _bodies(lines: list[str], most: int) -> list[bytes]:
    """The lines as few bodies of at most `most` bytes; a single longer line is a body of its own."""
    body = "\n".join(lines).encode()
    if len(body) <= most or len(lines) <= 1:
        return [body] if lines else []
    half = len(lines) // 2
    return _bodies(lines[:half], most) + _bodies(lines[half:], most)


def _is_influxdb(answer: Answer) -> bool:
    """By its headers (1.x and 2.x have them in every answer), or by exactly what 2.x and 3.x say of points: proxies say message and error too."""
    said = answer.said
    return any(name.startswith("x-influxdb-") for name in answer.headers) or _names_lines(said) or (
        said.get("code") in _CODES and isinstance(said.get("message"), str) and said.keys() <= {"code", "message", "op", "err", "line"})


def _names_lines(said: Mapping[str, object]) -> bool:
    """What 3.x says of a partial write: which lines, and what is wrong with each."""
    lines = said.get("data")
    return said.keys() == {"error", "data"} and isinstance(lines, list) and bool(lines) and all(
        isinstance(line, dict) and {"line_number", "error_message"} <= line.keys() for line in lines)
