"""A port to listen on: the one that was asked for, or the next free one."""

import contextlib
import errno
import os
import socket
from pathlib import Path

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


def user_of(port: int) -> str:
    """Who listens on that port, for people: ` by "node-red" (pid 611)`; empty where Linux does not let us see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text("ascii").splitlines()[1:]]
            inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_leads_to(link) in inodes for link in (folder / "fd").iterdir()):
                return f' by "{(folder / "comm").read_text().strip()}" (pid {folder.name})'
    return ""


def _leads_to(link: Path) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(link)  # noqa: PTH115  (a socket is no path)
    return ""
