"""Sessions at MQTT brokers: a broker throws out whoever is there when another client comes with the same client id."""

from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from config.table import Table

_DEFAULT = {"mqtt": 1883, "mqtts": 8883}
_HERE = {"localhost", "127.0.0.1", "::1"}


@runtime_checkable
class BrokerClient(Protocol):
    """A table that names a broker and how we are called there."""

    @property
    def url(self) -> str:
        """mqtt:// or mqtts://, host, port."""
        ...

    @property
    def client_id(self) -> str:
        """Empty = one that nobody else has is made up."""
        ...


def session_clash(mine: BrokerClient, other: Table) -> tuple[str, str] | None:
    """See config.kinds.Neighbour: the same client id at the same broker; None = they do not meet."""
    if not isinstance(other, BrokerClient) or not mine.client_id or mine.client_id != other.client_id or _broker(mine) != _broker(other):
        return None
    return f'has client_id = "{mine.client_id}" at the same broker too: each would throw out the other', \
        "give each a client_id of its own, or leave it out"


def _broker(client: BrokerClient) -> tuple[str, int]:
    """Host and port; with and without TLS a broker is one, at the usual ports."""
    parts = urlsplit(client.url)
    host, port = (parts.hostname or "").lower(), parts.port or _DEFAULT.get(parts.scheme, 0)
    return "localhost" if host in _HERE else host, 1883 if port == 8883 else port
