"""One HTTP request at a time with a deadline over all of it; never follows a redirect, never weakens TLS.

Shared by the sinks and channels that speak HTTP. What an answer means is theirs; what went wrong on the way is said
here once, as Unavailable or Halted in words for people, never with a header or a secret in it.
"""

import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from config.errors import Halted, Unavailable
from gateway.dial import Errand, dial, in_words, is_address, tls_context
from gateway.spelling import in_one_line
from gateway.traffic import Traffic

LONGEST_ANSWER = 65_536
"""Bytes of an answer's body that are read."""
LONGEST_RETRY_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most LONGEST_ANSWER."""

    @property
    def said(self) -> dict[str, object]:
        """The body as a JSON object; empty if it is something else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):  # nested tens of thousands deep
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def words(self) -> str:
        """The server's own words in one line: `error` or `message` of JSON, else the text without its tags."""
        told = self.said.get("error") or self.said.get("message")
        text = str(told) if told else re.sub(r"<[^>]*>", " ", self.body.decode("utf-8", "replace"))
        return in_one_line(re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip())

    def retry_after_s(self) -> float | None:
        """Retry-After in seconds, in both of its forms, at most 10 minutes; None if it is absent or unreadable.

        A date is compared with the server's own Date, because our clock may be wrong.
        """
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:12]), LONGEST_RETRY_AFTER_S)
        try:
            then = parsedate_to_datetime(text).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
        try:
            now = parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError, OSError):
            now = time.time()
        return min(max(then - now, 0.0), LONGEST_RETRY_AFTER_S)


class Exchange:
    """Requests to one server over one kept connection, for one thread; `close` is for any thread."""

    def __init__(self, user_agent: str, ca_file: str = "", near_only: bool = False) -> None:
        self.traffic = Traffic()
        self._errand = Errand()
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._near_only = near_only
        self._pool: urllib3.PoolManager | None = None

    def request(
        self, method: str, url: str, deadline: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send and read the answer, whatever its status. Raises Unavailable or Halted if there is none."""
        parts = urlsplit(url)
        where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        if self._pool is None:
            self._pool = self._new_pool(parts.scheme)
        if self.traffic.has_moved():
            self._pool.clear()  # a connection keeps to the interface that it was made over
        self._errand.begin(deadline)
        try:
            self._errand.left()
            response = self._pool.request(
                method, url, body=body, headers={"User-Agent": self._user_agent, **(headers or {})},
                redirect=False, retries=False, preload_content=False, decode_content=False, timeout=None,
            )
            return _read(response)
        except urllib3.exceptions.LocationParseError as error:
            raise Halted(f"{url} is not an address that can be reached: {error}") from error
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise self._cause(error, where) from error

    def close(self) -> None:
        """End what runs, at once, and let go of the connection. Final."""
        self._errand.end()
        if self._pool is not None:
            self._pool.clear()

    def _cause(self, error: Exception, where: str) -> Unavailable | Halted:
        try:
            self._errand.left()
        except OSError as over:
            return in_words(over, where)
        root = _root(error)
        if isinstance(root, http.client.RemoteDisconnected):  # also a ConnectionResetError
            return Unavailable(f"{where} closed the connection without an answer")
        if isinstance(root, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead):
            return Unavailable(f"{where} closed the connection in the middle of its answer")
        if isinstance(root, http.client.HTTPException | urllib3.exceptions.HTTPError):
            return Unavailable(f"{where} does not answer in HTTP ({type(root).__name__})")
        return in_words(root, where)

    def _new_pool(self, scheme: str) -> urllib3.PoolManager:
        errand, traffic, near_only = self._errand, self.traffic, self._near_only

        def connect(host: str, port: int, near_only: bool = False) -> socket.socket:
            if not is_address(host):
                traffic.tried(named=True)
            try:
                return dial(host, port, errand, near_only)
            except OSError:
                traffic.tried(named=False)
                raise

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _Socket.over(connect(self._dns_host, self.port, near_only), errand, traffic)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return connect(self._dns_host, self.port)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        context = None
        if scheme == "https":
            context = tls_context(self._ca_file)
            context.sslsocket_class = type("SecureSocket", (_SecureSocket,), {"errand": errand, "traffic": traffic})
        pool = urllib3.PoolManager(num_pools=1, maxsize=1, ssl_context=context)
        pool.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
        return pool


class _Socket(socket.socket):
    """Waits no longer than its errand has left, whoever set its timeout."""

    errand: Errand
    traffic: Traffic

    @classmethod
    def over(cls, connected: socket.socket, errand: Errand, traffic: Traffic) -> "_Socket":
        timeout = connected.gettimeout()
        s = cls(connected.family, connected.type, connected.proto, connected.detach())
        s.settimeout(timeout)
        s.errand, s.traffic = errand, traffic
        errand.watch(s)
        traffic.opened(s)
        return s

    def recv_into(self, *where: Any) -> int:  # noqa: ANN401
        self.settimeout(self.errand.left())
        try:
            return super().recv_into(*where)
        finally:
            self.traffic.note(self)

    def sendall(self, *what: Any) -> None:  # noqa: ANN401
        self.settimeout(self.errand.left())
        try:
            return super().sendall(*what)
        finally:
            self.traffic.note(self)


class _SecureSocket(ssl.SSLSocket):
    """The same over TLS. Made by an SSLContext, so its errand is an attribute of a class made for one exchange."""

    errand: Errand
    traffic: Traffic

    def do_handshake(self, block: bool = False) -> None:
        self.errand.watch(self)
        self.traffic.opened(self)
        self.settimeout(self.errand.left())
        try:
            super().do_handshake(block)
        finally:
            self.traffic.note(self)

    def recv_into(self, *where: Any) -> int:  # noqa: ANN401
        self.settimeout(self.errand.left())
        try:
            return super().recv_into(*where)
        finally:
            self.traffic.note(self)

    def send(self, *what: Any) -> int:  # noqa: ANN401
        self.settimeout(self.errand.left())
        try:
            return super().send(*what)
        finally:
            self.traffic.note(self)


def _read(response: urllib3.BaseHTTPResponse) -> Answer:
    body = response.read(LONGEST_ANSWER)
    if len(body) < LONGEST_ANSWER:
        response.release_conn()
    else:
        response.close()
    return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, body)


def _root(error: Exception) -> Exception:
    """urllib3 wraps what happened, sometimes twice; this is what happened."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return TimeoutError(str(error))
    for inner in (*error.args, error.__cause__):
        if isinstance(inner, Exception):
            return _root(inner)
    return error
