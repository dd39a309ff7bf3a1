"""Bytes that reach the block device in a day of 20 series every 10 s, by `durable_within`.

    sudo python benchmarks/wear.py

The journal lies on an ext4 of its own on a loop device; the kernel counts the sectors that are written to it, journal of
the file system included. Hours pass as fast as the disk allows: so many commits as the day has, in the same proportion.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SERIES, EVERY_S, HOURS = 20, 10, 3
WITHIN_S = {"200 ms": 0.2, "1 s": 1.0, "10 s": 10.0, "60 s": 60.0}
S = 10**9
NOON = 1_795_262_400 * S


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A mounted ext4 and the kernel's count of what was written to its device. Raises CalledProcessError without root."""
    image, place = folder / "image", folder / "mnt"
    place.mkdir()
    image.touch()
    os.truncate(image, 256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["mount", loop, place], check=True, capture_output=True)
        try:
            yield place, Path("/sys/block") / Path(loop).name / "stat"
        finally:
            subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


def _written(stat: Path) -> int:
    os.sync()
    return int(stat.read_text().split()[6]) * 512


def _day(within_s: float) -> int:
    """Bytes a day when readings are committed at least so often; series are read one after another over the 10 s."""
    from config.series import Series
    from config.site import Console, DeviceTable, Journal, Site, SiteDevice, Station
    from config.table import Table
    from drivers.reading import Delivery, Readings, Stamp
    from gateway.core import Core
    from gateway.intake import Intake
    from gateway.journal.progress import SinkMoved, sign_on
    from gateway.journal.writer import Writer
    from gateway.wiring import Expected

    devices = {f"d{i}": SiteDevice(common=DeviceTable(profile="x", line="l", station="river"), options=Table()) for i in range(SERIES)}
    table = [Series("river", f"d{i}", "ammonia_nitrogen") for i in range(SERIES)]
    site = Site(stations={"river": Station()}, devices=devices, console=Console(enabled=False), journal=Journal(durable_within=f"{within_s} s"))

    class Turned:
        utc = NOON

        def now(self) -> Stamp:
            return Stamp("boot", self.utc, self.utc)

    apart_s = max(within_s / 2, within_s - 0.5, EVERY_S / SERIES)
    with tempfile.TemporaryDirectory() as folder, disk(Path(folder)) as (place, stat):
        clock, intake = Turned(), Intake(10**6)
        writer = Writer(place / "journal")
        core = Core(writer, site, [Expected(s, EVERY_S, False) for s in table], clock, intake, lambda: None, "benchmark")
        core.start()
        with writer.transaction():
            sign_on(writer, ("influx",))
        before, kept_ns, spoken = _written(stat), NOON, 0
        hours = HOURS if apart_s >= 5 else HOURS / 6
        for k in range(int(hours * 3600 / apart_s)):
            clock.utc = NOON + round((k + 1) * apart_s * S)
            due = int((k + 1) * apart_s * SERIES / EVERY_S)
            readings = Readings(clock.now())
            for i in range(spoken, due):
                readings.add(table[i % SERIES], 0.3 + i % 7 / 100, ord("N"))
            intake.deliver(Delivery("cabinet", (readings.batch(),)), 0)
            intake.tell(SinkMoved("influx", k, k + 1, due - spoken))
            core.cycle(0.0)
            spoken = due
            if clock.utc - kept_ns >= 300 * S:
                core._keep_state()  # noqa: SLF001 - it goes by the real clock
                kept_ns = clock.utc
        core.stop()
        writer.close()
        return round((_written(stat) - before) * 24 / hours)


def main() -> dict:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    began = time.monotonic()
    found = {f"MB a day, durable_within {name}": _day(within_s) / 1e6 for name, within_s in WITHIN_S.items()}
    return {**found, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:40} {value:10.1f}")
