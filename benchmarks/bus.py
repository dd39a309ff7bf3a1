"""How near to its physical limit a serial bus is driven: ours beside minimalmodbus, pymodbus and libmodbus on the same paced line.

    python benchmarks/bus.py

The far end is a process of its own whose answers leave at the baud rate; its clock says how long the line was busy, and whether
a request ever came before 3.5 characters of silence. The limit is request + turnaround + answer + silence for every exchange.
"""

import contextlib
import ctypes
import ctypes.util
import itertools
import json
import operator
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from _paced_line import first_in_line, silence_s  # noqa: E402

PATIENCE_S = 0.5
WORKS = {"9600": (9600, 32, 0.005, (10,)), "115200": (115200, 16, 0.002, (4, 10, 30))}
"""Baud rate, devices, turnaround, registers of each group."""
WARM_S = 1.5
"""Every device is asked once before anything counts."""
STALL = 5
"""A cycle so many times its limit is told apart: the machine stood still, or a master waited for its time-out."""
Run = Callable[[float], None]
"""Asks everybody in turn for so many seconds."""


@contextlib.contextmanager
def line(baud: int, devices: int, turnaround_s: float, *dead: int) -> Iterator[tuple[Path, dict]]:
    """A paced line; what its far end saw is in the dictionary afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        link, seen = Path(folder) / "tty", {}
        far = subprocess.Popen([sys.executable, HERE / "_paced_line.py", link, str(baud), str(devices), str(turnaround_s), *map(str, dead)],
                               stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
        assert far.stdout is not None
        try:
            far.stdout.readline()
            yield link, seen
        finally:
            far.terminate()
            seen.update(json.loads(far.stdout.readline() or "{}"))
            far.wait()


def limit_s(baud: int, turnaround_s: float, registers: int) -> float:
    """The least time of one exchange on the wire."""
    return (8 + 5 + 2 * registers) * 10 / baud + turnaround_s + silence_s(baud)


def _driver(unit: int, registers: int, baud: int, link: Path) -> object:
    from config.device import Profile, ProfileFile
    from drivers.driver import Device
    from drivers.lines import serial
    from drivers.protocols import modbus

    rows = {f"soil_moisture:r{i}": {"register": i, "decimals": 1, "unit": "%"} for i in range(registers)}
    file = ProfileFile.model_validate({"maker": "any", "model": "any", "medium": "soil", "protocol": "modbus", "source": "benchmark",
                                       "verified": "S", "interval": "1 s", "quantities": rows})
    profile = Profile(name="any", path="", packaged=True, file=file, rows={name: modbus.Row.model_validate(row) for name, row in rows.items()},
                      timing=modbus.Timing.model_validate({"answer": "500 ms", "turnaround": "5 ms"}))
    options = serial.Options(port=str(link), baudrate=baud)
    return modbus.Driver(Device("st", f"d{unit}_{registers}", profile, modbus.Options(address=unit), options, 0.01))


@contextlib.contextmanager
def ours(link: Path, baud: int, devices: int, groups: tuple[int, ...]) -> Iterator[Run]:
    """The poller, as the daemon runs it, asked for more than fits; several groups of an address are several devices of the site."""
    from drivers.lines.serial import Line, Options
    from gateway.clock import SystemClock
    from gateway.health import LineHealth
    from gateway.poller import Poller

    drivers = {f"d{unit}_{registers}": _driver(unit, registers, baud, link) for unit in range(1, devices + 1) for registers in groups}
    health = LineHealth("bus", "serial", dict.fromkeys(drivers, "st"))
    wired = Line("bus", Options(port=str(link), baudrate=baud, listen_first="0 s"), str)
    poller = Poller("bus", wired, drivers, SystemClock(), lambda delivery, wait_s: True, health)  # type: ignore[arg-type]

    def run(seconds: float) -> None:
        stop = threading.Event()
        worker = threading.Thread(target=poller.run, args=(stop,))
        worker.start()
        time.sleep(seconds)
        stop.set()
        worker.join()

    yield run


@contextlib.contextmanager
def by_minimalmodbus(link: Path, baud: int, devices: int, groups: tuple[int, ...]) -> Iterator[Run]:
    """Its own pace: it keeps the silence itself."""
    import minimalmodbus

    masters = [minimalmodbus.Instrument(str(link), unit) for unit in range(1, devices + 1)]
    for master in masters:
        master.serial.baudrate, master.serial.timeout = baud, PATIENCE_S + 0.1
    yield _around(lambda unit, registers: masters[unit - 1].read_registers(0, registers), devices, groups)
    masters[0].serial.close()


@contextlib.contextmanager
def by_pymodbus(link: Path, baud: int, devices: int, groups: tuple[int, ...]) -> Iterator[Run]:
    """The synchronous client."""
    from pymodbus.client import ModbusSerialClient

    client = ModbusSerialClient(str(link), baudrate=baud, timeout=PATIENCE_S + 0.1, retries=0)
    client.connect()
    yield _around(lambda unit, registers: client.read_holding_registers(0, count=registers, device_id=unit), devices, groups)
    client.close()


@contextlib.contextmanager
def by_libmodbus(link: Path, baud: int, devices: int, groups: tuple[int, ...]) -> Iterator[Run]:
    """The C library through ctypes; it leaves the silence between frames to its caller."""
    name = ctypes.util.find_library("modbus")
    if name is None:
        raise FileNotFoundError("libmodbus5 is not installed")
    library = ctypes.CDLL(name)
    library.modbus_new_rtu.restype = ctypes.c_void_p
    library.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char, ctypes.c_int, ctypes.c_int]
    more = {"modbus_set_slave": [ctypes.c_int], "modbus_read_registers": [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]}
    for function in ("modbus_connect", "modbus_close", "modbus_free", "modbus_set_slave", "modbus_read_registers"):
        getattr(library, function).argtypes = [ctypes.c_void_p, *more.get(function, [])]
    context = library.modbus_new_rtu(os.fsencode(link), baud, b"N", 8, 1)
    library.modbus_connect(context)
    room = (ctypes.c_uint16 * 128)()

    def read(unit: int, registers: int) -> None:
        library.modbus_set_slave(context, unit)
        library.modbus_read_registers(context, 0, registers, room)

    yield _around(read, devices, groups)
    library.modbus_close(context)
    library.modbus_free(context)


def _around(read: Callable[[int, int], object], devices: int, groups: tuple[int, ...]) -> Run:
    def run(seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for unit in range(1, devices + 1):
                for registers in groups:
                    with contextlib.suppress(OSError):
                        read(unit, registers)

    return run


def sleeps() -> int:
    """How often this process has gone to sleep, by the kernel's count; to be woken is most of what an exchange costs a small box."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


MASTERS = {"ours": ours, "minimalmodbus": by_minimalmodbus, "pymodbus": by_pymodbus, "libmodbus": by_libmodbus}


def drive(name: str, work: str, seconds: float) -> dict[str, float]:
    """One master on one line: how much longer than the limit, how often too early, CPU time an exchange."""
    baud, devices, turnaround_s, groups = WORKS[work]
    with line(baud, devices, turnaround_s) as (link, seen), MASTERS[name](link, baud, devices, groups) as run:
        marks: list[tuple[float, float, int]] = []
        timer = threading.Timer(WARM_S, lambda: marks.append((time.monotonic(), time.process_time(), sleeps())))
        timer.start()
        run(WARM_S + seconds)
        timer.join()
        [(began, before, slept)] = marks
        spent, slept = time.process_time() - before, sleeps() - slept
    asked = [row for row in seen["exchanges"] if row[0] >= began]
    nominal = [limit_s(baud, turnaround_s, registers) for _, _, registers, _ in asked[:-1]]
    least = [free - came + silence_s(baud) for came, _, _, free in asked[:-1]]
    cycles = [later[0] - now[0] for now, later in itertools.pairwise(asked)]
    smooth = [(cycle, best) for cycle, best in zip(cycles, least, strict=True) if cycle < STALL * best]
    return {"cycle_to_limit": sum(cycle for cycle, _ in smooth) / sum(best for _, best in smooth), "stalls": len(cycles) - len(smooth),
            "cycle_to_limit_with_stalls": sum(cycles) / sum(least), "median_to_limit": statistics.median(map(operator.truediv, cycles, least)),
            "silence_broken": seen["early"], "exchanges": len(asked), "line_late_itself": sum(least) / sum(nominal) - 1,
            "cpu_us_per_exchange": spent / len(asked) * 1e6, "sleeps_per_exchange": slept / len(asked)}


def dead(seconds: float) -> dict[str, float]:
    """One of 32 devices dies: the mean cycle in steady state, and how long after its return it is read again."""
    baud, devices, turnaround_s, groups = WORKS["9600"]
    with line(baud, devices, turnaround_s, 7) as (link, seen):
        mark = link.with_suffix(".dead")
        with ours(link, baud, devices, groups) as run:
            worker = threading.Thread(target=run, args=(3 * seconds,))
            worker.start()
        began = time.monotonic()
        time.sleep(seconds)
        mark.touch()
        died = time.monotonic()
        time.sleep(seconds)
        mark.unlink()
        back = time.monotonic()
        worker.join()
    turns = [at for at, unit, _, _ in seen["exchanges"] if unit == 1]
    healthy = statistics.mean(b - a for a, b in itertools.pairwise(turns) if began + seconds / 2 < a and b < died)
    steady = statistics.mean(b - a for a, b in itertools.pairwise(turns) if died + seconds / 2 < a and b < back)
    again = [at for at, unit, _, _ in seen["exchanges"] if unit == 7 and at > back]
    return {"cycle_with_one_dead_to_healthy": steady / healthy, "asked_again_after_s": again[0] - back}


def main() -> dict:
    """Every master on both lines, and ours with a dead device."""
    found: dict[str, dict] = {"before_other_work": first_in_line()}
    for work in WORKS:
        found[work] = {name: drive(name, work, 5.0) for name in MASTERS}
        found[work]["cpu_to_minimalmodbus"] = found[work]["ours"]["cpu_us_per_exchange"] / found[work]["minimalmodbus"]["cpu_us_per_exchange"]
    found["one_of_32_dead"] = dead(15.0)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(drive(sys.argv[1], sys.argv[2], 6.0), indent=1))
    else:
        print(json.dumps(main(), indent=1))
