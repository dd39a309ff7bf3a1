"""Lives of a gateway without the second of CPU that loading takes: everything is imported once, each life is a fork of that.

python gateway_nursery.py SITE FD: for each byte on the socket FD, which brings a pipe for marks and a log with it, it says the number of
the new process, and when that has ended its wait status; both are 8 bytes. A fork shares no thread, connection or open file with the
lives before: what it knows of them is in the journal only, as after a start of its own.
"""

import os
import socket
import struct
import sys
import threading
from pathlib import Path

import gateway_child

from gateway import daemon
from gateway.building import Builder, load_site
from gateway.checking.check import prove
from gateway.step import warm_up


def load(site: str) -> None:
    """All that a life of this site will import or compile. Nothing is opened."""
    file = load_site(Path(site))
    prove(file)
    build = Builder(file)
    for name in file.site.sinks:
        build.sink(name, "nobody").close()
    warm_up()
    assert threading.active_count() == 1, "a fork would lose these threads"


def main() -> None:
    site, wire = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    load(site)
    wire.sendall(struct.pack("!q", 0))
    while True:
        asked, fds, *_ = socket.recv_fds(wire, 1, 2)
        if not asked:
            return
        pid = os.fork()
        if pid == 0:
            wire.close()
            gateway_child.pipe = fds[0]
            os.dup2(fds[1], 1)
            os.dup2(fds[1], 2)
            code = 70
            try:
                code = daemon.run(site)
            finally:
                os._exit(code)
        for fd in fds:
            os.close(fd)
        wire.sendall(struct.pack("!q", pid))
        wire.sendall(struct.pack("!q", os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
