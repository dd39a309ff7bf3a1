"""One InfluxDB as it is set up: questions and changes over HTTP with a login of their own, every answer judged in one place."""

import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from config.errors import Halted, Unavailable
from gateway.contracts import Surroundings
from gateway.dial import is_loopback
from gateway.exchange import Answer, Exchange
from gateway.sinks.influxdb import Options

_LOOK_S, _CHANGE_S = 20.0, 600.0
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Login:
    """Who sets up, if it is not the sink's own login."""

    user: str = ""
    """1.x only."""
    secret: str = ""
    """Name of the secret that holds password or token."""


class Server:
    """One connection; one thread. Every call raises Unavailable or Halted, in words without a secret."""

    def __init__(self, options: Options, around: Surroundings, login: Login) -> None:
        self.options = options
        self._around = around
        self._login = login
        self._exchange = Exchange(f"EcoSentry/{around.version}", options.ca_file)
        parts = urlsplit(options.url)
        if login.secret and parts.scheme == "http" and not (options.allow_plain_password or is_loopback(parts.hostname or "")):
            raise Halted("would send the secret in the clear; write https:// or allow_plain_password = true")

    @property
    def is_own_login(self) -> bool:
        """Does the sink's own login set up?"""
        return self._login.user in ("", self.options.user)

    def close(self) -> None:
        """Let go of the connection."""
        self._exchange.close()

    def version(self) -> str:
        """As it says at /ping, "1.6.7", "2.7.11", "3.4.1"; empty if it does not."""
        answer = self._send("GET", "/ping", {}, None, {}, _LOOK_S)
        told = answer.headers.get("x-influxdb-version", "") or str(answer.said.get("version", ""))
        return told.removeprefix("v")[:40]

    def is_victoria_metrics(self) -> bool:
        """It takes the writes of InfluxDB and has nothing to set up."""
        answer = self._send("GET", "/api/v1/status/buildinfo", {}, None, {}, _LOOK_S)
        return answer.status == 200 and answer.said.get("status") == "success"

    def influxql(self, statement: str, *, changes: bool = False) -> list[Mapping[str, object]]:
        """The series of one statement of 1.x's language."""
        body = urlencode({"q": statement}).encode()
        answer = self._send("POST", "/query", {}, body, {"Content-Type": "application/x-www-form-urlencoded"}, _CHANGE_S if changes else _LOOK_S)
        self._judge(answer, f"say: {statement[:80]}")
        results = answer.said.get("results")
        first = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else {}
        if answer.status != 200 or "error" in first or "results" not in answer.said:
            raise Halted(f"{self.options.url} answers {str(first.get('error') or answer.words)[:300]} to: {statement}")
        return [one for one in first.get("series", []) if isinstance(one, dict)]

    def call(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, object] | None = None, *,
             wanted: str, bearer: bool = False) -> tuple[int, object]:
        """Status (2xx or 404) and JSON of one request to the API of 2.x or 3.x; `wanted` says for people what it was for."""
        octets = None if body is None else json.dumps(body).encode()
        answer = self._send(method, path, query or {}, octets, _JSON, _LOOK_S if method == "GET" else _CHANGE_S, "Bearer" if bearer else "Token")
        self._judge(answer, wanted)
        if not (200 <= answer.status < 300 or answer.status == 404):
            raise Halted(f"{self.options.url} answers {answer.status}: {answer.words} when asked to {wanted}")
        try:
            return answer.status, json.loads(answer.body) if answer.body else None
        except ValueError:
            if answer.status == 404 or path.endswith("/query"):
                return answer.status, None
            raise Halted(f"{self.options.url} answers something that is not JSON when asked to {wanted}: is that an InfluxDB?") from None

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, headers: Mapping[str, str], within_s: float,
        scheme: str = "Token",
    ) -> Answer:
        url = f"{self.options.url}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        login = self._authorization(scheme)
        return self._exchange.request(method, url, time.monotonic() + within_s, body, {**headers, **({"Authorization": login} if login else {})})

    def _authorization(self, scheme: str) -> str:
        options, login = self.options, self._login
        if options.org:
            name = login.secret or (options.token.secret if options.token else "")
            return f"{scheme} {self._secret(name)}" if name else ""
        user = login.user or options.user
        if not user:
            return ""
        name = login.secret or (options.password.secret if options.password and not login.user else "")
        return "Basic " + b64encode(f"{user}:{self._secret(name) if name else ''}".encode()).decode()

    def _secret(self, name: str) -> str:
        word = self._around.secret(name)
        if not word.isprintable() or not word.isascii():
            raise Halted(f"the secret {name} holds characters that cannot be sent in a header")
        return word

    def _judge(self, answer: Answer, wanted: str) -> None:
        if answer.status in (401, 403):
            raise Halted(f"{self.options.url} does not let this login {wanted} ({answer.status}: {answer.words}); a login that only writes cannot "
                         "set up: lay the secret of one that may beside the others and name it, --secret NAME"
                         + ("" if self.options.org else " --user USER"))
        if answer.status in (408, 429) or answer.status >= 500:
            raise Unavailable(f"{self.options.url} answers {answer.status}: {answer.words}", answer.retry_after_s())
