"""The broker of the simulated site: Mosquitto in a folder of its own where the machine has it, else the embedded one."""

import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

FIRST_PORT = 18830
_READY_S = 15.0
_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
max_inflight_messages 1000
"""


class NoBroker(Exception):
    """Neither of the two is installed, or it does not start."""


class SiteBroker:
    """Runs a real broker on 127.0.0.1 until it is closed; never the machine's own service or port."""

    def __init__(self, folder: Path, kind: Literal["auto", "mosquitto", "amqtt"] = "auto") -> None:
        """`auto`: Mosquitto if it is there."""
        self.folder = folder
        self._program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        self.kind: Literal["mosquitto", "amqtt"] = "mosquitto" if kind == "mosquitto" or (kind == "auto" and self._program) else "amqtt"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For clients on this machine."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def words(self) -> str:
        """One line for people."""
        if self.kind == "mosquitto":
            return f"mosquitto at 127.0.0.1:{self.port}"
        return f"mosquitto is not installed: a small embedded broker at 127.0.0.1:{self.port} does for the demo (demo broker: no redelivery)"

    def start(self) -> None:
        """Start and wait until it answers; on the same port as before if it was started before. Raises NoBroker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for port in [self.port] if self.port else _free_ports():
            self.port = port
            with (self.folder / "broker.log").open("ab") as log:
                self._process = subprocess.Popen(leashed(self._command()), stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - our own words
            if self._is_up():
                return
            self.close()
        raise NoBroker(f"the broker does not start; its words are in {self.folder / 'broker.log'}")

    def close(self) -> None:
        """End it politely, so that it saves what it holds."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _command(self) -> list[str]:
        if self.kind == "amqtt":
            if find_spec("amqtt") is None:
                raise NoBroker("no MQTT broker here: sudo apt install mosquitto, or pip install 'ecosentry[demo]'")
            return [sys.executable, "-m", "drivers.simulated.embedded_broker", str(self.port)]
        if self._program is None:
            raise NoBroker("mosquitto is not installed: sudo apt install mosquitto")
        conf = self.folder / "mosquitto.conf"
        as_root = "user root\n" if os.geteuid() == 0 else ""  # else it becomes `mosquitto`, which cannot write here
        conf.write_text(_CONF.format(port=self.port, folder=self.folder.absolute()) + as_root)
        return [self._program, "-c", str(conf)]

    def _is_up(self) -> bool:
        until = time.monotonic() + _READY_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self._process.poll() is None
        return False


def leashed(command: list[str]) -> list[str]:
    """The command so that it ends when the thread that started it is gone, however that came (util-linux; else as it is)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *command] if setpriv else command


def _free_ports() -> list[int]:
    """Some ports that nobody listens on now; someone may still be faster."""
    free = []
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == 5:
            break
    return free
