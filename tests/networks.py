"""Two network namespaces with a wire between them and no way out: what is cut here cannot take another road.

    with Network() as net:
        net.far.do(server.start)               # runs in the far namespace, and so does every process that it starts
        net.near.do(lambda: Life(site, log))
        net.drop(); net.reset(); net.unplug(); net.throttle("8kbit"); net.mend()
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import pytest
from servers import InfluxDB1, free_port, http, need

NEAR, FAR = "10.231.7.1", "10.231.7.2"
_WIRE = "wire0"
_CLONE_NEWNET = 0x40000000
Result = TypeVar("Result")


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


class Namespace:
    """A network namespace with a thread that lives in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        _run("ip", "netns", "add", name)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open("rb") as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def do(self, work: Callable[[], Result]) -> Result:
        """What `work` gives there. Sockets that it opens and processes that it starts belong to the namespace."""
        return self._thread.submit(work).result(120)

    def run(self, *words: str) -> None:
        """A command in it. Raises AssertionError with its words if it fails."""
        self.do(lambda: _run(*words))

    def close(self) -> None:
        """Let go; processes that still run there keep it until they end."""
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


class Network:
    """`near` is the gateway's side, `far` the server's; each fault lasts until `mend`."""

    def __init__(self) -> None:
        need("ip", "iproute2")
        need("tc", "iproute2")
        need("iptables")
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        self._open: list[Namespace] = []
        try:
            self.near, self.far = self._namespace("near"), self._namespace("far")
            _run("ip", "link", "add", _WIRE, "netns", self.near.name, "type", "veth", "peer", "name", _WIRE, "netns", self.far.name)
            for side, address in ((self.near, NEAR), (self.far, FAR)):
                _run("ip", "-n", side.name, "addr", "add", f"{address}/30", "dev", _WIRE)
                _run("ip", "-n", side.name, "link", "set", _WIRE, "up")
                _run("ip", "-n", side.name, "link", "set", "lo", "up")
        except AssertionError as error:
            self.close()
            pytest.skip(f"this machine gives no network namespaces: {error}")

    def _namespace(self, side: str) -> Namespace:
        made = Namespace(f"ecosentry{os.getpid()}{side}")
        self._open.append(made)
        return made

    def drop(self) -> None:
        """Everything that arrives at the far side is swallowed."""
        self.far.run("iptables", "-A", "INPUT", "-j", "DROP")

    def reset(self) -> None:
        """Every connection is refused or reset."""
        self.far.run("iptables", "-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def unplug(self) -> None:
        """The wire is pulled on the near side."""
        _run("ip", "-n", self.near.name, "link", "set", _WIRE, "down")

    def throttle(self, rate: str) -> None:
        """What leaves the near side does so at this rate."""
        _run("tc", "-n", self.near.name, "qdisc", "add", "dev", _WIRE, "root", "tbf", "rate", rate, "burst", "1600", "latency", "2s")

    def mend(self) -> None:
        """All is well again."""
        self.far.run("iptables", "-F")
        subprocess.run(["tc", "-n", self.near.name, "qdisc", "del", "dev", _WIRE, "root"], capture_output=True, check=False)
        _run("ip", "-n", self.near.name, "link", "set", _WIRE, "up")

    def close(self) -> None:
        """Both namespaces go, and the wire with them."""
        for side in self._open:
            side.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FarInflux(InfluxDB1):
    """InfluxDB 1.6.7 at the far end of a network. Its methods are called here; they work over there."""

    def __init__(self, folder: Path, network: Network) -> None:
        super().__init__(folder)
        self._network = network

    @property
    def url(self) -> str:
        return f"http://{FAR}:{self.port}"

    def command(self) -> list[str]:
        found = super().command()
        conf = self.folder / "influxdb.conf"
        conf.write_text(conf.read_text().replace(f'"127.0.0.1:{self.port}"', f'"{FAR}:{self.port}"'))
        return found

    def is_ready(self) -> bool:
        return http(f"{self.url}/ping", timeout=1)[0] == 204

    def start(self, within_s: float = 20) -> Self:
        self.port = self.port or free_port()
        self._network.far.do(lambda: InfluxDB1.start(self, within_s))
        return self

    def points(self, measurement: str, database: str = "eco") -> list:
        return self._network.far.do(lambda: InfluxDB1.points(self, measurement, database))
