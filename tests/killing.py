"""Lives and deaths of a gateway process, and what its sources say that they sent: the harness of the kill tests."""

import collections
import contextlib
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as mqtt

CHILD = Path(__file__).with_name("gateway_child.py")
NURSERY = CHILD.with_name("gateway_nursery.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHILD.parents[1])}
WHOLE_STARTS = 5
"""Where lives come from a nursery, every so many-th is a start of its own all the same."""
PHASES = {b"b": "before the commit", b"p": "between commit and PUBACK", b"s": "between POST and cursor", b"c": "after a cycle"}


class Publisher:
    """A node that publishes readings with their own time at QoS 1 and keeps its own ledger of what the broker has taken."""

    def __init__(self, port: int, topic: str, per_second: float = 100.0, client_id: str = "node", start: int = 0) -> None:
        self.ledger: dict[int, float] = {}
        """time ns → value, once the broker has acknowledged it."""
        self._waiting: dict[int, tuple[int, float]] = {}
        self._early: set[int] = set()
        """Acknowledged before `publish` returned."""
        self._topic, self._pause_s, self._n = topic, 1.0 / per_second, start
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._client.max_inflight_messages_set(0)
        self._client.on_publish = self._published
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _published(self, client, userdata, mid, code, properties):
        with self._lock:
            if mid in self._waiting:
                at, value = self._waiting.pop(mid)
                self.ledger[at] = value
            else:
                self._early.add(mid)

    def _run(self) -> None:
        newest = 0
        while not self._stop.wait(self._pause_s):
            self._n += 1
            at, value = max(time.time_ns() // 10**6, newest + 1), round(40 + self._n % 10007 / 1000, 3)
            newest = at
            info = self._client.publish(self._topic, f'{{"t": {at}, "laeq": {value}}}', qos=1)
            with self._lock:  # never around publish: paho holds a lock of its own while it calls _published
                if info.mid in self._early:
                    self._early.remove(info.mid)
                    self.ledger[at * 10**6] = value
                else:
                    self._waiting[info.mid] = (at * 10**6, value)

    def end(self) -> dict[int, float]:
        """Stop, wait for the broker's last acknowledgement, give the ledger."""
        self._stop.set()
        self._thread.join()
        deadline = time.monotonic() + 60
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not self._waiting, f"the broker did not acknowledge {len(self._waiting)} messages; connected: {self._client.is_connected()}"
        self._client.disconnect()
        self._client.loop_stop()
        return self.ledger


class CommandLinePublisher:
    """A person at a shell: `mosquitto_pub` once a message, QoS 1, each with its own time; its exit code is the ledger's witness."""

    def __init__(self, port: int, topic: str) -> None:
        self.ledger: dict[int, float] = {}
        self._port, self._topic, self._stop = port, topic, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        n = 0
        while not self._stop.wait(0.1):
            n += 1
            at, value = time.time_ns() // 10**6, round(20 + n % 10007 / 1000, 3)
            words = ["mosquitto_pub", "-p", str(self._port), "-q", "1", "-t", self._topic, "-m", f'{{"t": {at}, "laeq": {value}}}']
            if subprocess.run(words, check=False, timeout=20).returncode == 0:
                self.ledger[at * 10**6] = value

    def end(self) -> dict[int, float]:
        """Stop; give the ledger."""
        self._stop.set()
        self._thread.join()
        return self.ledger


class Nursery:
    """Gives lives that need no loading; see gateway_nursery.py. One at a time."""

    def __init__(self, site: Path, log: Path) -> None:
        self._wire, theirs = socket.socketpair()
        with log.open("ab") as err, theirs:
            self._process = subprocess.Popen([sys.executable, str(NURSERY), str(site), str(theirs.fileno())], pass_fds=[theirs.fileno()],
                                             stderr=err, stdout=err, env=ENVIRONMENT, cwd=site.parent)
        self.said(60)

    def said(self, within_s: float) -> int:
        """The next number from there. Raises TimeoutError."""
        self._wire.settimeout(within_s)
        return int(struct.unpack("!q", self._wire.recv(8, socket.MSG_WAITALL))[0])

    def bear(self, marks: int, log: int) -> "Born":
        """A new life, which writes to these descriptors."""
        socket.send_fds(self._wire, [b"+"], [marks, log])
        return Born(self, self.said(20))

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()
        self._process.wait(20)


class Born:
    """A process of the nursery, as `Popen` would show it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, None while it lives."""
        with contextlib.suppress(TimeoutError):
            return self.wait(0.001)
        return None

    def wait(self, timeout: float) -> int:
        """Its exit code; a signal's number is negative. Raises TimeoutError."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(self._nursery.said(timeout))
        return self._code

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Life:
    """One life of the gateway: started, watched through its marks, killed or ended. With a nursery it begins loaded."""

    def __init__(self, site: Path, log: Path, child: Path = CHILD, nursery: Nursery | None = None) -> None:
        self._read, write = os.pipe()
        with log.open("ab") as err:
            self.process = nursery.bear(write, err.fileno()) if nursery else subprocess.Popen(
                [sys.executable, str(child), str(site), str(write)], pass_fds=[write], stderr=err, stdout=err, env=ENVIRONMENT, cwd=site.parent)
        os.close(write)
        self.marks: collections.Counter[str] = collections.Counter()

    def until(self, letter: bytes, count: int, within_s: float = 60.0) -> None:
        """Wait for the `count`-th mark of a kind. Raises AssertionError if the process dies or nothing comes."""
        deadline = time.monotonic() + within_s
        while count > 0:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no mark {PHASES[letter]} within {within_s} s; so far {dict(self.marks)}"
            found = os.read(self._read, 1)
            assert found, f"the gateway died by itself with code {self.process.wait(5)}"
            self.marks[PHASES[found]] += 1
            count -= found == letter

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(10)
        os.close(self._read)

    def end(self) -> int:
        """SIGTERM; gives the exit code. Marks are read on, or the pipe would fill."""
        self.process.terminate()
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self._read], [], [], 0.05)[0] and not os.read(self._read, 4096):
                break
        code = self.process.wait(10)
        os.close(self._read)
        return code


class Drain:
    """Reads the marks of a life that is left alone for a while."""

    def __init__(self, life: Life) -> None:
        self._life, self._stop = life, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            if select.select([self._life._read], [], [], 0.05)[0] and not os.read(self._life._read, 4096):
                return

    def __enter__(self) -> "Drain":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def kill_often(site: Path, kills: int, seed: int, log: Path, child: Path = CHILD, nursery: Nursery | None = None) -> collections.Counter[str]:
    """So many lives, each killed at a mark drawn by chance; gives how often each phase was hit."""
    chance = random.Random(seed)
    hit: collections.Counter[str] = collections.Counter()
    letters = list(PHASES)
    for k in range(kills):
        letter = letters[k % 3] if k % 4 else chance.choice(letters)
        life = Life(site, log, child, nursery if k % WHOLE_STARTS else None)
        try:
            life.until(b"p", 1)  # every life commits something before it may die
            life.until(letter, chance.randint(1, 6))
        finally:
            life.kill()
        hit[PHASES[letter]] += 1
    return hit
