"""Far sides for scans: buses that answer only at their own baud rate, and the command run against them."""

import io
import time
from pathlib import Path

import modbus_devices

from drivers.driver import Wire
from drivers.job import Gap, Job, Plain, Progress
from drivers.simulated.modbus import ProfileSource, RegisterSource, SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from gateway.scanning.scan_command import Ways, run_scan
from gateway.scanning.wish import Wish

SOIL = {"soil_moisture": 32.1, "soil_temperature": -10.1, "soil_ec": 412.0, "soil_ph": 7.2, "soil_nitrogen": 10.0, "soil_phosphorus": 20.0,
        "soil_potassium": 30.0}


class RecognisableSoil:
    """A soil probe that keeps its own address in register 0x07D0, as its profile says, and knows no other registers."""

    def __init__(self, address: int) -> None:
        self.values = ProfileSource(modbus_devices.packaged("cwt_soil_7in1"), SOIL.__getitem__, holes="decline")
        self.more = TableSource({0x07D0: address})

    def read(self, function: int, first: int, count: int) -> list[int]:
        return (self.more if first >= 0x07D0 else self.values).read(function, first, count)


class Deaf(SerialBus):
    """A bus whose devices answer only when the port is opened at their baud rate (a pty shows no parity); else they see noise."""

    def __init__(self, devices: list[SimulatedDevice], link: Path, baudrate: int = 9600) -> None:
        super().__init__(devices, link)
        self.at = baudrate
        self.heard = 0
        """Bytes that came from our side at any setting."""

    def _hear(self, request: bytes, now: float) -> None:
        self.heard += len(request)
        if self.baudrate == self.at:
            super()._hear(request, now)


def device(address: int, source: RegisterSource) -> SimulatedDevice:
    return SimulatedDevice(address, source, turnaround_s=0.001)


def scan(name: str, site: Path, wish: Wish, ways: Ways | None = None) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_scan(name, site, wish, ways or Ways(), out, err)
    return code, out.getvalue(), err.getvalue()


def driven(job: Job, wire: Wire, told: list[Progress] | None = None) -> Plain:
    """The result of a job, with the line to itself."""
    work = job.work()
    try:
        progress = next(work)
        while True:
            if told is not None:
                told.append(progress)
            if progress.pause_s:
                time.sleep(min(progress.pause_s, 0.01))
            progress = work.send(Gap(wire, 1.0))
    except StopIteration as end:
        result: Plain = end.value
        return result
