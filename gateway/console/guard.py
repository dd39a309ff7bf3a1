"""What every request must pass before it reaches a page, and what every answer carries.

The console has no accounts yet: who reaches the port may read. So it must not be reachable through the back of a
browser: a page of another site may neither ask for our answers (no CORS, no cross-site requests to the API) nor get at
them under a name of its own that it points at 127.0.0.1 (DNS rebinding: the Host header must be a name we answer to).
"""

import ipaddress

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.strict_json import encode

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_QUERY = 2000
LONGEST_HEAD = 16_384
"""Bytes of all headers, and of a head that is still coming."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_CARRIED = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]


def refusal(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    """An answer that says what was wrong with the request."""
    return Response(encode({"error": words}), status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def host_name(host: str) -> str:
    """The name in a Host header or an address to listen on, without its port, in lower case."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] if ":" in host else host
    return name.removesuffix(".")


class Guard:
    """The outermost layer: method, Host, origin and length are checked here, and nowhere else."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """`host` is the name or address that the console listens on; a wildcard answers to every literal address."""
        self._app = app
        self._names = LOOPBACK | {host_name(f"[{host}]" if ":" in host else host)}
        self._any_address = host in {"0.0.0.0", "::"}  # noqa: S104  (compared, not bound)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request itself or lets it pass; either way with the headers that every answer carries."""
        if scope["type"] != "http":
            return

        async def carry(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_CARRIED]}
            await send(message)

        await (self._refused(scope) or self._app)(scope, receive, carry)

    def _refused(self, scope: Scope) -> Response | None:
        headers = {bytes(key): bytes(text).decode("latin-1") for key, text in scope["headers"]}
        if not self._answers_to(host_name(headers.get(b"host", ""))):
            return refusal(421, "This is not a name of this console. Use http://127.0.0.1 or http://localhost with its port.")
        if scope["method"] != "GET":
            return refusal(405, "The console only answers GET.", {"allow": "GET"})
        if scope["path"].startswith("/api/") and headers.get(b"sec-fetch-site", "none") == "cross-site":
            return refusal(403, "The page of another site may not read this console.")
        if len(scope["query_string"]) > LONGEST_QUERY:
            return refusal(414, f"The query is longer than {LONGEST_QUERY} bytes.")
        if sum(len(key) + len(text) for key, text in scope["headers"]) > LONGEST_HEAD:
            return refusal(431, f"The headers are longer than {LONGEST_HEAD} bytes.")
        return None

    def _answers_to(self, name: str) -> bool:
        if name in self._names:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
