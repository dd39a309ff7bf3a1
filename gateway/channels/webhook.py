"""Alerts by HTTP POST to an address of the recipient, signed after the Standard Webhooks specification.

The body is the same at every try; the time stamp and with it the signature are new, because a receiver takes nothing
older than five minutes. Everything but 2xx and 410 is tried again: the specification leaves it to the sender's
schedule when to give up, and a receiver that is being repaired answers 404 or 401 too.
"""

import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from config.errors import ConfigError, Gone, Halted, Problem, Refused, Unavailable
from config.site import Secret
from config.table import Table
from config.units import Duration
from gateway.channels._document import document
from gateway.channels._signature import BadKey, key_bytes, sign
from gateway.contracts import Notice, Surroundings
from gateway.exchange import Answer, Exchange


class Options(Table):
    """Keys of `[channels.NAME]` with kind = "webhook"."""

    key: Secret | Annotated[tuple[Secret, ...], Field(min_length=1, max_length=5)]
    """The shared key, `whsec_…`; while it is being changed a list: [new, old]."""
    url: str = ""
    """For recipients that are this channel's name alone; else the address stands in the subscription: NAME:https://…"""
    ca_file: str = ""
    """Certificate authority of your own, PEM; left out = the system's."""
    timeout: Duration = 15.0

    @field_validator("url")
    @classmethod
    def _can_be_posted_to(cls, url: str) -> str:
        if url and (wrong := _what_is_wrong(url)):
            raise ValueError(wrong)
        return url


class Channel:
    """Posts to one address; one thread, `close` from any."""

    def __init__(self, options: Options, around: Surroundings, utc_s: Callable[[], float] = time.time) -> None:
        self._options = options
        self._around = around
        self._utc_s = utc_s
        self._url = around.address or options.url
        if wrong := _what_is_wrong(self._url):
            raise ConfigError([Problem("", f'channel {around.name}: the address "{self._url}" {wrong}')])
        self._exchange = Exchange(f"EcoSentry/{around.version}", options.ca_file, near_only=True)

    def tell(self, notice: Notice, deadline: float) -> None:
        """POST the notice; return = the receiver said 2xx. Raises Unavailable, Gone, Refused or Halted."""
        body = document(notice)
        keys = self._keys()
        try:
            headers = sign(keys, notice.id, int(self._utc_s()), body)
        except ValueError as error:
            raise Refused(str(error)) from error
        deadline = min(deadline, time.monotonic() + self._options.timeout)
        headers |= {"Content-Type": "application/json"}
        self._judge(self._exchange.request("POST", self._url, deadline, body, headers))

    def check(self, deadline: float) -> str:
        """Reads the keys and asks the receiver's server for its headers (HEAD); it cannot prove that it takes our key."""
        self._keys()
        answer = self._exchange.request("HEAD", self._url, min(deadline, time.monotonic() + self._options.timeout))
        if answer.status == 410:
            self._judge(answer)
        if answer.status >= 500:
            raise Unavailable(f"{self._place} answers {answer.status}", answer.retry_after_s())
        return f"{self._place} answers; the key is well formed (whether it is the receiver's shows with the first message)"

    def close(self) -> None:
        """Let go; a try that runs ends soon with Unavailable."""
        self._exchange.close()

    @property
    def _place(self) -> str:
        """Without its path: the path of a webhook is often a secret."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    def _keys(self) -> list[bytes]:
        named = self._options.key if isinstance(self._options.key, tuple) else (self._options.key,)
        keys = []
        for name in named:
            try:
                keys.append(key_bytes(self._around.secret(name.secret)))
            except BadKey as error:
                raise Halted(f'the secret "{name.secret}" {error}') from error
        return keys

    def _judge(self, answer: Answer) -> None:
        status = answer.status
        if 200 <= status < 300:
            return
        said = f"{status}: {answer.words[:200]}" if answer.words else str(status)
        if status == 410:
            raise Gone(f"{self._place} says that this address is gone for good ({said})")
        if 300 <= status < 400:
            place = urlsplit(answer.headers.get("location", "")).netloc or "another path"
            raise Unavailable(f"{self._place} sends us on to {place} ({status}), which is not followed: ask for the right address")
        if status in (401, 403):
            said += "; does the receiver have the same key, and the right time?"
        raise Unavailable(f"{self._place} answers {said}", answer.retry_after_s())


def _what_is_wrong(url: str) -> str:
    """Why nothing can be posted there; empty if it can. Where http leads is looked at when it is dialled."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"cannot be read: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return 'is not the address of a webhook; write "https://HOST/PATH"'
    if parts.username or parts.password:
        return "holds a password; a webhook is proved by its signature"
    if parts.fragment or any(c <= " " or c == "\x7f" for c in url):
        return "holds characters that no address has"
    return ""
