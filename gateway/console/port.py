"""A port to listen on: the one that was asked for, or the next free one."""

import errno
import socket

TRIES = 20


def listen(host: str, port: int) -> tuple[socket.socket, int]:
    """A listening socket, and how many ports further on it is. Raises OSError if there is none."""
    for further in range(TRIES + 1):
        try:
            return _bound(host, port + further), further
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"ports {port} to {port + TRIES} of {host} are all in use")


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
