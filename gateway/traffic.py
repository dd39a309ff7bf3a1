"""What crosses the uplink for one sink or channel: bytes as the kernel counts them, and over which interface they go.

A data plan bills IP packets: the headers of TCP and IP, TLS, retransmissions and bare acknowledgements count too. The kernel knows
all of that for a connection (TCP_INFO), so nothing is estimated but name look-ups, failed tries and the last farewell.
"""

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path
from weakref import WeakKeyDictionary

_INFO_BYTES = 256
_ACKED, _RECEIVED, _SEGMENTS, _SENT = 120, 128, 136, 200
"""Places in `struct tcp_info` (linux/tcp.h); bytes sent with their repetitions since Linux 4.19."""
_TIMESTAMPS = 1
_FAREWELL = 3 * 52
_LOOK_UP = 300
_TRY = 120
"""A look-up of a name; a connection that did not come about."""
_SIOCGIFADDR = 0x8915


class Traffic:
    """A counter for one thread; connections report to it, and it says where they go."""

    def __init__(self) -> None:
        self.bytes = 0
        """In both directions, from the start of the process."""
        self.connections = 0
        """How many have come about: another number means that the far side may have been started anew."""
        self.local = ""
        """Our address on the newest connection."""
        self._peer: tuple[str, int] | None = None
        self._known: WeakKeyDictionary[socket.socket, int] = WeakKeyDictionary()

    def opened(self, connection: socket.socket) -> None:
        """A new connection; from now on it is counted by `note`."""
        self.connections += 1
        self.bytes += _FAREWELL
        with contextlib.suppress(OSError):
            self.local = str(connection.getsockname()[0])
            self._peer = connection.getpeername()[:2]
        self.note(connection)

    def note(self, connection: socket.socket) -> None:
        """Count what has crossed over this connection since the last time."""
        try:
            crossed = _crossed(connection)
        except OSError:
            return  # it is closed: what it carried since the last time is lost to the count
        self.bytes += crossed - self._known.get(connection, 0)
        self._known[connection] = crossed

    def tried(self, named: bool) -> None:
        """A connection did not come about, or a name was looked up."""
        self.bytes += _LOOK_UP if named else _TRY

    def has_moved(self) -> bool:
        """The way to the far side is another now than the connection goes: a cheaper uplink may be back."""
        if self._peer is None:
            return False
        now = _way_to(*self._peer)
        return now not in ("", self.local)

    def interface(self) -> str:
        """Over which interface a new connection would go; empty = nobody knows (no way, or no connection yet)."""
        return interface_of(_way_to(*self._peer)) if self._peer else ""


def _crossed(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    sent = struct.unpack_from("Q", info, _SENT if len(info) >= _SENT + 8 else _ACKED)[0]
    received, = struct.unpack_from("Q", info, _RECEIVED)
    segments = sum(struct.unpack_from("II", info, _SEGMENTS))
    header = (40 if connection.family == socket.AF_INET6 else 20) + (32 if info[5] & _TIMESTAMPS else 20)
    return int(sent + received + segments * header)


def _way_to(host: str, port: int) -> str:
    """Our address towards that one, by the kernel's routes of this moment; nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def interface_of(address: str) -> str:
    """The interface that has this address; empty if none has it as its first."""
    if not address:
        return ""
    if ":" in address:
        wanted = ipaddress.IPv6Address(address.partition("%")[0]).packed.hex()
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/net/if_inet6").read_text("ascii").splitlines():
                if line.startswith(wanted):
                    return line.split()[-1]
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                found = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", name[:15].encode()))
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return ""
