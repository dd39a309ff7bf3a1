"""Masters and slaves that are not ours agree with our driver and our simulated devices on every type and word order."""

import asyncio
import ctypes
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import IO

import modbus_devices
import pytest

from config.device import Profile
from config.series import Reason
from drivers.codecs.modbus_write import Write
from drivers.decode import ORDERS
from drivers.lines import serial, tcp
from drivers.order import Order, Outcome
from drivers.simulated.modbus import ProfileSource, SimulatedDevice, TableSource
from drivers.simulated.modbus_pty import SerialBus
from drivers.simulated.modbus_tcp import TcpServer
from gateway.clock import SystemClock

pytestmark = pytest.mark.server
VALUES = {"u16": 54321, "s16": -12345, "u32": 3_141_592_653, "s32": -123_456, "u64": 9_007_199_254_740_991, "s64": -9_007_199_254_740_991,
          "f32": 25.1, "f64": 123.456}
CODES = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt install {program}")


def registers_of(kind: str, order: str) -> list[int]:
    """By struct and the definition of the orders alone."""
    packed = struct.pack(">" + CODES[kind], VALUES[kind])
    words = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    words = words[::-1] if order in ("CDAB", "DCBA") else words
    return [int.from_bytes(word[::-1] if order in ("BADC", "DCBA") else word) for word in words]


def every_type() -> tuple[Profile, dict[str, float], list[int]]:
    """A profile with every type in every order, its values, and its registers by struct."""
    rows, values, registers = {}, {}, []
    for kind in CODES:
        for order in ORDERS:
            name = f"{kind}_{order.lower()}"
            rows[name] = {"register": len(registers), "type": kind, "order": order}
            values[name] = float(VALUES[kind])
            registers += registers_of(kind, order)
    return modbus_devices.profile(rows), values, registers


def mbpoll(path: Path, *arguments: str) -> list[str]:
    """What mbpoll prints for each register it reads."""
    need("mbpoll")
    command = ["mbpoll", "-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", "-1", "-0", "-o", "1", *arguments, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("kind", CODES)
def test_mbpoll_reads_our_simulated_device(kind):
    of, values, registers = every_type()
    source = ProfileSource(of, values.__getitem__)
    with SerialBus([SimulatedDevice(1, source, turnaround_s=0)]) as bus:
        first = of.rows[f"{kind}_abcd"].first
        count = 4 * struct.calcsize(CODES[kind]) // 2
        read = mbpoll(bus.path, "-r", str(first), "-c", str(count), "-t", "4:hex")
    assert [int(word, 16) for word in read] == registers[first : first + count]
    assert source.last == {name: value for name, value in values.items() if name.startswith(kind)}


@pytest.mark.parametrize(("name", "form", "value"), [("s32_abcd", "4:int", -123456), ("s32_cdab", "4:int", -123456),
                                                     ("f32_abcd", "4:float", 25.1), ("f32_cdab", "4:float", 25.1)])
def test_mbpoll_understands_our_word_orders(name, form, value):
    of, values, _ = every_type()
    with SerialBus([SimulatedDevice(1, ProfileSource(of, values.__getitem__), turnaround_s=0)]) as bus:
        big = ["-B"] if name.endswith("abcd") else []
        read = mbpoll(bus.path, "-r", str(of.rows[name].first), "-c", "1", "-t", form, *big)
    assert float(read[0]) == value


@contextmanager
def libmodbus_slave(folder: Path, registers: list[int], said: list[IO[str]] | None = None) -> Iterator[Path]:
    """libmodbus answers as unit 1 at the other end of the given path; `said` gets what it prints."""
    need("socat")
    try:
        ctypes.CDLL("libmodbus.so.5")
    except OSError:
        pytest.skip("libmodbus is not installed: apt install libmodbus5")
    ours, theirs = folder / "ours", folder / "theirs"
    with subprocess.Popen(["socat", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"]) as pair:
        try:
            until = time.monotonic() + 5
            while not (ours.exists() and theirs.exists()):
                assert time.monotonic() < until
                time.sleep(0.01)
            held = b"".join(value.to_bytes(2) for value in registers).hex()
            command = [sys.executable, str(Path(__file__).with_name("libmodbus_slave.py")), str(theirs), "1", held]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as slave:
                try:
                    assert slave.stdout is not None
                    assert slave.stdout.readline() == "ready\n"
                    if said is not None:
                        said.append(slave.stdout)
                    yield ours
                finally:
                    slave.kill()
        finally:
            pair.terminate()


@pytest.mark.parametrize("function", [3, 4])
def test_our_driver_reads_libmodbus(tmp_path, function):
    of, values, registers = every_type()
    with libmodbus_slave(tmp_path, registers) as path:
        options = serial.Options(port=str(path), baudrate=9600)
        line = serial.Line("bus", options, str)
        wire = line.open(Event(), SystemClock())
        driver = modbus_devices.driver(of, options, function=function)
        try:
            batch = driver.poll(driver.groups()[0], wire)
        finally:
            line.close()
    assert batch.raw.tolist() == list(values.values())
    assert set(batch.reason.tolist()) == {Reason.NORMAL}


def test_libmodbus_declines_what_it_does_not_have_and_we_split(tmp_path):
    of = modbus_devices.profile({"a": {"register": 0}, "b": {"register": 9}})
    with libmodbus_slave(tmp_path, [7] * 4) as path:
        options = serial.Options(port=str(path), baudrate=9600)
        line = serial.Line("bus", options, str)
        wire = line.open(Event(), SystemClock())
        driver = modbus_devices.driver(of, options)
        try:
            batch = driver.poll(driver.groups()[0], wire)
        finally:
            line.close()
    assert batch.raw[0] == 7.0
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.DEVICE]


COMMANDS = {
    "coil": {"what": "one coil", "function": 5, "register": 3, "value": 1},
    "register": {"what": "one register", "function": 6, "register": 2, "type": "s16", "decimals": 1, "range": [-50.0, 50.0]},
    "coils": {"what": "coils", "function": 15, "register": 1, "value": [1, 0, 1, 1, 0]},
    "registers": {"what": "a float", "function": 16, "register": 4, "type": "f32", "order": "CDAB", "range": [0.0, 100.0]},
}
ORDERED = {Order("coil"): ("function 5 coils 00010000 ", 0), Order("register", -12.5): ("function 6 ", 0xFF83 << 80),
           Order("coils"): ("function 15 coils 01011000 ", 0), Order("registers", 35.4): ("function 16 ", 0x999A_420D << 32)}
"""What libmodbus holds afterwards: coils, and registers beside those that were 7; by hand."""


@pytest.mark.parametrize("order", ORDERED, ids=lambda order: order.verb)
def test_libmodbus_carries_out_what_our_driver_writes(tmp_path, order):
    of = modbus_devices.profile({"a": {"register": 0}}, commands=COMMANDS)
    said: list[IO[str]] = []
    with libmodbus_slave(tmp_path, [0] * 8, said) as path:
        options = serial.Options(port=str(path), baudrate=9600)
        line = serial.Line("bus", options, str)
        wire = line.open(Event(), SystemClock())
        try:
            assert modbus_devices.driver(of, options, may_obey=True).obey(order, wire) == Outcome("done", "confirmed by the device")
        finally:
            line.close()
        held = said[0].readline()
    words, registers = ORDERED[order]
    assert held.startswith(words)
    assert int(held.split()[-1], 16) == registers


def test_libmodbus_declines_an_order_and_nothing_is_changed(tmp_path):
    of = modbus_devices.profile({"a": {"register": 0}}, commands={"x": COMMANDS["coil"] | {"register": 8}})
    said: list[IO[str]] = []
    with libmodbus_slave(tmp_path, [0] * 8, said) as path:
        options = serial.Options(port=str(path), baudrate=9600)
        line = serial.Line("bus", options, str)
        wire = line.open(Event(), SystemClock())
        try:
            outcome = modbus_devices.driver(of, options, may_obey=True).obey(Order("x"), wire)
        finally:
            line.close()
        assert "coils 00000000 " in said[0].readline()
    assert outcome == Outcome("failed", "the device answers exception 2 (illegal register): does the profile fit this model?")


@contextmanager
def pymodbus_server(registers: list[int]) -> Iterator[int]:
    """pymodbus serves the registers as unit 1 over TCP; gives the port."""
    from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
    from pymodbus.server import ModbusTcpServer

    block = ModbusSequentialDataBlock(1, registers)
    context = ModbusServerContext(devices={1: ModbusDeviceContext(hr=block, ir=block)}, single=False)
    loop, port, ready = asyncio.new_event_loop(), [0], Event()

    async def serve() -> None:
        server = ModbusTcpServer(context, address=("127.0.0.1", 0))
        task = asyncio.create_task(server.serve_forever())
        while getattr(server, "transport", None) is None or not server.transport.sockets:
            await asyncio.sleep(0.01)
        port[0] = server.transport.sockets[0].getsockname()[1]
        ready.set()
        await ended.wait()
        await server.shutdown()
        await asyncio.gather(task, return_exceptions=True)

    ended = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_our_driver_reads_pymodbus_over_tcp():
    of, values, registers = every_type()
    with pymodbus_server(registers) as port:
        options = tcp.Options(host="127.0.0.1", port=port)
        line = tcp.Line("meter", options, str)
        wire = line.open(Event(), SystemClock())
        driver = modbus_devices.driver(of, options, address=1)
        try:
            batch = driver.poll(driver.groups()[0], wire)
        finally:
            line.close()
    assert batch.raw.tolist() == list(values.values())


def test_pymodbus_reads_our_simulated_tcp_device():
    from pymodbus.client import ModbusTcpClient

    of, values, registers = every_type()
    coils = SimulatedDevice(2, TableSource({}, {0: 1, 1: 0, 2: 1}))
    with TcpServer([SimulatedDevice(1, ProfileSource(of, values.__getitem__)), coils]) as server:
        client = ModbusTcpClient("127.0.0.1", port=server.port)
        assert client.connect()
        try:
            assert client.read_holding_registers(0, count=len(registers), device_id=1).registers == registers
            assert client.read_coils(0, count=3, device_id=2).bits[:3] == [True, False, True]
            assert client.read_input_registers(0, count=1, device_id=1).isError() is False
            assert client.read_holding_registers(0, count=1, device_id=2).exception_code == 2
        finally:
            client.close()


def test_pymodbus_writes_to_our_simulated_device():
    from pymodbus.client import ModbusTcpClient

    source = TableSource(dict.fromkeys(range(8), 0), dict.fromkeys(range(8), 0))
    written: list[Write] = []
    with TcpServer([SimulatedDevice(1, source, obeyed=written.append)]) as server:
        client = ModbusTcpClient("127.0.0.1", port=server.port)
        assert client.connect()
        try:
            assert not client.write_coil(3, True, device_id=1).isError()
            assert not client.write_register(2, 0xFF83, device_id=1).isError()
            assert not client.write_coils(4, [True, False, True], device_id=1).isError()
            assert not client.write_registers(4, [1, 2, 3], device_id=1).isError()
            assert client.write_register(8, 1, device_id=1).exception_code == 2
            assert client.read_holding_registers(0, count=8, device_id=1).registers == [0, 0, 0xFF83, 0, 1, 2, 3, 0]
            assert client.read_coils(0, count=8, device_id=1).bits == [False, False, False, True, True, False, True, False]
        finally:
            client.close()
    assert [(write.function, write.first) for write in written] == [(5, 3), (6, 2), (15, 4), (16, 4)]
