"""The far end of a paced RS-485 line, in a process of its own: python _paced_line.py LINK BAUD DEVICES TURNAROUND DEAD…

Every address 1 … DEVICES answers functions 3 and 4, register r holds 100 × address + r; bytes leave at the baud rate after the
turnaround, no byte sooner than its stop bit and none bundled. `DEAD` addresses stay silent while the file LINK.dead exists. SIGTERM ends
it with one line of JSON: for each request when its first byte came, whom it asks, for how many registers, and when the line was free
again, on this process's monotonic clock; how often silence was too short, and the shortest. Where it was late itself the line was
busy for so much longer: that is charged to no master.
"""

import ctypes
import gc
import json
import os
import select
import signal
import struct
import sys
import time
import tty
from contextlib import suppress
from pathlib import Path

from drivers.codecs.modbus import is_sealed, seal

SLACK_S = 0.0002
"""Ends a sleep early; the rest is spent looking at the clock, for bytes must leave in time."""
OPEN_EYES_S = 0.002
_PR_SET_TIMERSLACK = 29


def first_in_line() -> bool:
    """Ask the kernel to run this process before others (SCHED_FIFO), so that their work is not measured; False if it may not."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


def silence_s(baud: int) -> float:
    """3.5 characters of ten bits up to 19200 baud, 1.75 ms above (Modbus over Serial Line V1.02, 2.5.1.1)."""
    return 35 / baud if baud <= 19200 else 0.00175


class FarEnd:
    """Hears requests and answers them in time."""

    def __init__(self, link: Path, baud: int, devices: int, turnaround_s: float, dead: set[int]) -> None:
        self.link, self.devices, self.turnaround_s, self.dead = link, devices, turnaround_s, dead
        self.character_s, self.silence_s = 10 / baud, silence_s(baud)
        self.far, near = os.openpty()
        tty.setraw(near)
        os.set_blocking(self.far, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(near))
        self.poll = select.poll()
        self.poll.register(self.far, select.POLLIN)
        self.exchanges: list[tuple[float, int, int, float]] = []
        self.shortest_s = float("inf")
        self.early = 0
        self.ended = 0.0

    def run(self) -> None:
        """Serve until SIGTERM."""
        got = b""
        while True:
            if not self.await_bytes():
                got = b""
                continue
            came = time.monotonic()
            with suppress(BlockingIOError):
                got += os.read(self.far, 4096)
            if len(got) >= 8:
                request, got = got[:8], b""
                self.hear(request, came)

    def await_bytes(self) -> bool:
        """Asleep until a master may speak (who speaks before is seen at once), then with open eyes for a while, then asleep again."""
        allowed = self.ended + self.silence_s
        asleep = allowed - SLACK_S - time.monotonic()
        if asleep > 0 and self.poll.poll(1000 * asleep):
            return True
        while time.monotonic() < allowed + OPEN_EYES_S:
            if self.poll.poll(0):
                return True
        return bool(self.poll.poll(500))

    def hear(self, request: bytes, came: float) -> None:
        """One request: count what it did to the silence, and answer."""
        self.early += came - self.ended < self.silence_s
        self.shortest_s = min(self.shortest_s, came - self.ended)
        self.ended = came + len(request) * self.character_s
        unit, function, first, count = struct.unpack(">BBHH", request[:6])
        if not is_sealed(request):
            return
        if 1 <= unit <= self.devices and not (unit in self.dead and self.link.with_suffix(".dead").exists()):
            values = b"".join(((100 * unit + first + i) & 0xFFFF).to_bytes(2) for i in range(count))
            self.speak(seal(bytes([unit, function, 2 * count]) + values), self.ended + self.turnaround_s)
        self.exchanges.append((came, unit, count, self.ended))

    def speak(self, frame: bytes, begins: float) -> None:
        """Each byte leaves when its last bit would; one that was late makes the next one late."""
        due = begins
        for place in range(len(frame)):
            due += self.character_s
            while (rest := due - time.monotonic()) > 0:
                if rest > SLACK_S:
                    time.sleep(rest - SLACK_S)
            self.ended = time.monotonic()
            os.write(self.far, frame[place : place + 1])
            if self.ended - due > self.character_s / 4:
                due = self.ended


def main() -> None:
    """See the module."""
    link, baud, devices, turnaround_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    gc.disable()
    first_in_line()
    far = FarEnd(link, baud, devices, turnaround_s, set(map(int, sys.argv[5:])))

    def told(*_: object) -> None:
        json.dump({"exchanges": far.exchanges, "early": far.early, "shortest_s": far.shortest_s}, sys.stdout)
        sys.stdout.flush()
        os._exit(0)

    signal.signal(signal.SIGTERM, told)
    print("ready", flush=True)
    far.run()


if __name__ == "__main__":
    main()
