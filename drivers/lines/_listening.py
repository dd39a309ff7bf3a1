"""What lines that are connected to have in common: where they listen, whom they let in, and how fast strangers may come."""

import errno
import ipaddress
import socket
import time
from collections import OrderedDict
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from config.errors import LineError
from config.selector import Names

_MOST_STRANGERS = 1000
_BACKLOG = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Place(NamedTuple):
    """An address of this machine and a port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def overlaps(self, other: "Place") -> bool:
        """They cannot both be listened at: the same port, and one of the addresses takes in the other."""
        return self.port == other.port and (self.host == other.host or any(ipaddress.ip_address(p.host).is_unspecified for p in (self, other)))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place(listen: str) -> Place:
    """Where to listen. Raises ValueError.

    >>> place("127.0.0.1:8899"), str(place("[::]:80"))
    (Place(host='127.0.0.1', port=8899), '[::]:80')
    """
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]"))
        found = Place(str(address), int(port))
    except ValueError:
        raise ValueError('is not an address of this box and a port; as in "127.0.0.1:8899", or "0.0.0.0:8899" for all its addresses') from None
    if not 1 <= found.port <= 65535:
        raise ValueError(f"has port {found.port}; 1 to 65535 are possible")
    return found


def _is_place(listen: str) -> str:
    place(listen)
    return listen


def networks(written: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks as they are written: 10.8.0.0/16, or one address. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(one, strict=False) for one in written)
    except ValueError as error:
        raise ValueError(f'{error}; write as in "10.8.0.0/16" or "10.8.0.17"') from None


def _are_networks(written: tuple[str, ...]) -> tuple[str, ...]:
    networks(written)
    return written


Listen = Annotated[str, Field(max_length=80), AfterValidator(_is_place)]
"""HOST:PORT."""
Networks = Annotated[Names, AfterValidator(_are_networks)]
"""Addresses from which connections are taken; none given = all."""


def is_let_in(peer: str, allowed: tuple[Network, ...]) -> bool:
    """Is this address among them? An empty list lets in everyone."""
    return not allowed or any(_address(peer) in network for network in allowed)


def neighbourhood(peer: str) -> str:
    """What one owner of addresses counts as: an IPv4 address, or the /64 of an IPv6 address, in which anyone has addresses without end.

    >>> neighbourhood("::ffff:10.8.0.17"), neighbourhood("2001:db8::7")
    ('10.8.0.17', '2001:db8::/64')
    """
    address = _address(peer)
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(peer.partition("%")[0])
    return address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else address


def listener(at: Place) -> socket.socket:
    """A non-blocking listening socket. Raises LineError with the cause."""
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((at.host, at.port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        words = {errno.EADDRINUSE: "is in use by another program", errno.EADDRNOTAVAIL: "is not an address of this box",
                 errno.EACCES: "may not be listened at by this user: ports below 1024 belong to root"}
        raise LineError(f"{at} {words.get(error.errno or 0, error.strerror or str(error))}") from error
    return made


class Pace:
    """How often somebody may come: a bucket of tokens for each address, bounded in number; the oldest are forgotten."""

    def __init__(self, burst: float, per_s: float) -> None:
        """`burst` at once, and `per_s` from then on."""
        self._burst, self._per_s = burst, per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, who: str, price: float = 1.0) -> bool:
        """Takes the price if it is there."""
        left = self._now(who)
        if left < price:
            return False
        self._keep(who, left - price)
        return True

    def fine(self, who: str, price: float) -> None:
        """Takes it in any case, down to nothing."""
        self._keep(who, max(0.0, self._now(who) - price))

    def _now(self, who: str) -> float:
        left, at = self._left.get(who, (self._burst, 0.0))
        return min(self._burst, left + (time.monotonic() - at) * self._per_s)

    def _keep(self, who: str, left: float) -> None:
        self._left[who] = (left, time.monotonic())
        self._left.move_to_end(who)
        while len(self._left) > _MOST_STRANGERS:
            self._left.popitem(last=False)
