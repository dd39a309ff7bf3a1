"""Connections to far sides under one deadline: the name, the connection, TLS and every byte together.

Socket timeouts bound one wait, so a server that gives a byte a second holds a thread for ever, and looking up a name
has no timeout at all. An `Errand` bounds the sum, and another thread can end it at once.
"""

import contextlib
import errno
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from config.errors import Halted, Unavailable

_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
_NO_COMMON_TLS = {"WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_SHARED_CIPHER",
                  "SSLV3_ALERT_HANDSHAKE_FAILURE", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


class Forbidden(OSError):
    """The address is one that we do not go to; the text says why."""


class Errand:
    """The time left for one piece of work with a far side, and the way to end it from another thread."""

    def __init__(self) -> None:
        self._deadline = 0.0
        self._ended = threading.Event()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def begin(self, deadline: float) -> None:
        """Everything from now on has to be done by `deadline` (time.monotonic())."""
        self._deadline = deadline

    def left(self) -> float:
        """Seconds left, more than 0. Raises TimeoutError or ConnectionAbortedError when there are none."""
        if self._ended.is_set():
            raise ConnectionAbortedError("ended from our side")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def watch(self, s: socket.socket) -> None:
        """Shut this socket down too when the errand is ended."""
        self._sockets.add(s)
        if self._ended.is_set():
            _shut(s)

    def end(self) -> None:
        """End for good, soon: what waits on a socket wakes up. For any thread."""
        self._ended.set()
        for s in list(self._sockets):
            _shut(s)


def dial(host: str, port: int, errand: Errand, near_only: bool = False) -> socket.socket:
    """A connected TCP socket with TCP_NODELAY. Tries every address of the name, none longer than its share of the time.

    `near_only` refuses addresses of the public internet. Raises OSError, also for a name that is not known.
    """
    addresses = _addresses(host, port, errand)
    if near_only:
        far = [a[4][0] for a in addresses if _is_public(str(a[4][0]))]
        if far:
            raise Forbidden(f"{host} is on the public internet ({far[0]}) and would be reached in the clear: write https://")
    failure: OSError = OSError(f"{host} has no address")
    for i, (family, kind, protocol, _, address) in enumerate(addresses):
        s = socket.socket(family, kind, protocol)
        try:
            errand.watch(s)
            s.settimeout(errand.left() / (len(addresses) - i))
            s.connect(address)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(errand.left())
        except OSError as error:
            s.close()
            failure = error
        else:
            return s
    errand.left()  # if the time is over or we were ended, say that
    raise failure


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """Certificates and host names are checked, TLS 1.2 or later, against the system's authorities or `ca_file` alone.

    Raises Halted if that file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise Halted(f"ca_file {ca_file} cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_loopback(host: str) -> bool:
    """Is this the box itself, by its name alone?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Is this an address already, so that no name has to be looked up?"""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def in_words(error: Exception, where: str) -> Unavailable | Halted:
    """What a failed connection means for the caller, in words for people. `where` is host:port."""
    match error:
        case Forbidden():
            return Halted(str(error))
        case ssl.SSLCertVerificationError():
            return Halted(f"{where} shows a certificate that is not trusted: {error.verify_message}; "
                          "nothing is sent until it is right (own authority: ca_file)")
        case ssl.SSLError() if error.reason in _NO_COMMON_TLS:
            return Halted(f"{where} does not speak TLS 1.2 or later ({error.reason}); nothing is sent in the clear instead")
        case ssl.SSLError():
            return Unavailable(f"TLS with {where} broke off ({error.reason or error})")
        case socket.gaierror():
            return Unavailable(f"the name in {where} cannot be looked up: no network, no DNS, or misspelt")
        case TimeoutError():
            return Unavailable(f"no answer from {where} in time")
        case ConnectionRefusedError():
            return Unavailable(f"{where} refuses the connection: is the server running?")
        case ConnectionAbortedError():
            return Unavailable(f"the connection to {where} was ended")
        case ConnectionError():
            return Unavailable(f"{where} closed the connection in the middle")
        case OSError() if error.errno in _NO_WAY:
            return Unavailable(f"there is no way to {where}: {error.strerror}")
        case _:
            return Unavailable(f"{where}: {str(error) or type(error).__name__}")


Found = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]


def _addresses(host: str, port: int, errand: Errand) -> Found:
    if is_address(host):
        return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: queue.SimpleQueue[Found | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else socket.gaierror(str(error)))

    threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
    while True:
        try:
            answer = answers.get(timeout=min(errand.left(), 0.1))
        except queue.Empty:
            continue
        if isinstance(answer, OSError):
            raise answer
        return answer


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_global)


def _shut(s: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected yet, or gone
        s.shutdown(socket.SHUT_RDWR)
