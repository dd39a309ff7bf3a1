"""A TCP connection for a line: looking up the name, connecting, TLS and a dead peer are all bounded, and end when `stop` is set."""

import errno
import select
import socket
import ssl
import time
from queue import Empty, SimpleQueue
from threading import Event, Thread

from config.errors import LineError

_SLICE_S = 0.1
_DEAD_PEER_MS = 20_000
"""Bytes that are not acknowledged for so long mean that the other side is gone."""

Address = tuple[int, tuple[str | int | bytes, ...]]
"""Family and socket address."""


def dial(host: str, port: int, within_s: float, stop: Event) -> socket.socket:
    """An open, non-blocking connection to the first address that answers. Raises LineError with the cause."""
    deadline = time.monotonic() + within_s
    why = ""
    for address in _addresses(host, port, deadline, stop):
        try:
            return _connected(address, deadline, stop)
        except OSError as error:
            why = error.strerror or str(error)
    raise LineError(f"{host} port {port}: {why or 'no address'}")


def secured(wire: socket.socket, trust: ssl.SSLContext, host: str, within_s: float, stop: Event) -> ssl.SSLSocket:
    """TLS over a connection, which is its own from now on; non-blocking. Raises OSError of ssl with the cause, LineError if time is over."""
    deadline = time.monotonic() + within_s
    wire.setblocking(False)
    found = trust.wrap_socket(wire, server_hostname=host, do_handshake_on_connect=False)
    poll = select.poll()
    try:
        while not stop.is_set() and time.monotonic() < deadline:
            try:
                found.do_handshake()
            except ssl.SSLWantReadError:
                poll.register(found, select.POLLIN)
            except ssl.SSLWantWriteError:
                poll.register(found, select.POLLOUT)
            else:
                return found
            poll.poll(1000 * _SLICE_S)
    except BaseException:
        found.close()
        raise
    found.close()
    raise LineError(f"{host} takes the connection and does not go on with TLS: is it another port?")


def keep_alive(wire: socket.socket) -> None:
    """Let the system notice that the other side of a TCP connection is gone, and send small frames at once."""
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, figure in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", _DEAD_PEER_MS)):
        if hasattr(socket, option):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), figure)


def _addresses(host: str, port: int, deadline: float, stop: Event) -> list[Address]:
    """Where the host is. The resolver cannot be interrupted, so it works in a thread that may be left behind."""
    found: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look() -> None:
        try:
            found.put([(row[0], row[4]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except OSError as error:
            found.put(error)

    Thread(target=look, name=f"look-up {host}", daemon=True).start()
    while not stop.is_set() and time.monotonic() < deadline:
        try:
            result = found.get(timeout=_SLICE_S)
        except Empty:
            continue
        if isinstance(result, OSError):
            raise LineError(f"{host} is not known: {result.strerror or result}") from result
        return result
    raise LineError(f"{host}: the name server does not answer")


def _connected(address: Address, deadline: float, stop: Event) -> socket.socket:
    """A connection, or OSError with the cause."""
    family, place = address
    wire = socket.socket(family, socket.SOCK_STREAM)
    try:
        wire.setblocking(False)
        keep_alive(wire)
        code = wire.connect_ex(place)
        poll = select.poll()
        poll.register(wire, select.POLLOUT)
        while code == errno.EINPROGRESS and not stop.is_set() and time.monotonic() < deadline:
            if poll.poll(1000 * _SLICE_S):
                code = wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "does not answer" if code == errno.EINPROGRESS else errno.errorcode.get(code, str(code)))
    except BaseException:
        wire.close()
        raise
    return wire
