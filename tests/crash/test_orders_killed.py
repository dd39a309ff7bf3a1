"""Orders through the real daemon to a device on a real pty: given while polling goes on, and with the daemon killed in the middle."""

import contextlib
import io
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from config.reading_profile import load_profile
from drivers.codecs.modbus_write import Write
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from gateway.cli import parser
from gateway.plugins import Plugins

pytestmark = pytest.mark.crash
SITE = """
[stations.river]
[lines.cabinet]
kind = "serial"
port = "{tty}"
listen_first = "0 s"
[devices]
probe = {{ line = "cabinet", address = 1, profile = "sim_water_probe", interval = "200 ms", orders = true }}
other = {{ line = "cabinet", address = 2, profile = "sim_water_probe", interval = "200 ms" }}
[console]
enabled = false
"""


@pytest.fixture(autouse=True)
def without_systemd(monkeypatch):
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)


class Bench:
    """Two simulated probes on a pty, a daemon that reads them, and the command."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site.toml"
        self.site.write_text(SITE.format(tty=folder / "tty"))
        self.folder = folder
        self.written: list[Write] = []
        self.obeyed = Event()
        source = ProfileSource(load_profile("sim_water_probe", Plugins()), lambda _: 7.0)
        self.devices = [SimulatedDevice(address, source, turnaround_s=0, obeyed=self._obey) for address in (1, 2)]
        self.bus = SerialBus(self.devices, folder / "tty")

    def _obey(self, write: Write) -> None:
        self.written.append(write)
        self.obeyed.set()

    @contextlib.contextmanager
    def daemon(self):
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(self.words("run"), stderr=log, stdout=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gateway.cli", "--site", str(self.site), *words]

    def order(self, *words: str, patience: bool = True) -> tuple[int, str, str]:
        """The command's code, stdout and stderr; tried again while no daemon answers yet."""
        return self.command("order", *words, patience=patience)

    def command(self, *words: str, patience: bool = True) -> tuple[int, str, str]:
        """The same for any word."""
        until = time.monotonic() + 30
        args = parser().parse_args(["--site", str(self.site), *words])
        while True:
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                code = args.run(args)
            if code != 69 or not patience or time.monotonic() > until:
                return code, out.getvalue(), err.getvalue()
            time.sleep(0.1)

    def journalled(self) -> list[tuple[str, str, str]]:
        """(verb, state, by), oldest first, by a witness of the file."""
        with closing(sqlite3.connect(f"file:{self.folder}/journal/live.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT verb, state, by FROM orders ORDER BY id").fetchall()


def test_an_order_is_given_by_the_command_and_polling_goes_on(tmp_path):
    bench = Bench(tmp_path)
    with bench.bus, bench.daemon():
        code, out, err = bench.order("probe", "clean", "--by", "li.wei")
        assert (code, out) == (0, "order 1: done: confirmed by the device\n"), err
        assert "start the wiper" in err
        before = bench.devices[1].requests
        code, out, _ = bench.order("probe", "ph_offset", "0.25", "--json")
        assert code == 0, "it waits until the wiper has settled"
        assert json.loads(out)["order"]["state"] == "done"
        assert bench.devices[1].requests - before >= 6, "for 2 s the other was read on"
        assert [(w.unit, w.function, w.first, w.values) for w in bench.written] == [(1, 5, 16, (1,)), (1, 16, 0x22, (0x3E80, 0))]

        assert bench.order("other", "clean", patience=False)[0] == 2, "the site file does not allow it"
        assert "unless the site file allows it" in bench.order("other", "clean")[2]
        assert bench.order("probe", "ph_offset", "2", patience=False)[0] == 2
        code, _, err = bench.order("probe", "zero", "--dry-run")
        assert code == 0
        assert "nothing was sent" in err
        code, out, _ = bench.order("probe")
        assert code == 0
        assert "-1 to 1" in out
        code, out, _ = bench.order()
        assert code == 0
        assert "li.wei" in out
        assert len(bench.written) == 2

        bench.devices[1].faults.silent = True
        until = time.monotonic() + 20
        while "given up" not in (seen := bench.command("status", "other"))[1] and time.monotonic() < until:
            time.sleep(0.2)
        assert seen[0] == 1
        assert "no answer: power, wires A and B, address?" in seen[1]
        assert "next in" in seen[1]
        assert bench.command("status", "probe")[0] == 0
        assert bench.command("status", "prob")[:2] == (2, "no device prob in the site file that runs; did you mean probe?\n")
    assert bench.journalled()[0] == ("clean", "done", "li.wei")
    code, _, err = bench.order("probe", "clean", patience=False)
    assert code == 69
    assert "orders go through it" in err


def test_killed_between_sending_and_the_answer_an_order_is_unknown_and_never_sent_again(tmp_path):
    bench = Bench(tmp_path)
    with bench.bus:
        with bench.daemon() as process:
            assert bench.order("probe", "zero")[0] == 0
            bench.obeyed.clear()
            given = subprocess.Popen(bench.words("order", "probe", "clean"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            bench.devices[0].obeyed = lambda write: (process.kill(), bench._obey(write))
            assert bench.obeyed.wait(20)
            given.wait(20)
            process.wait(10)
        assert [state for _, state, _ in bench.journalled()] == ["done", "started"], "it was on disk before it was sent"
        before = bench.devices[0].requests
        with bench.daemon():
            until = time.monotonic() + 30
            while bench.devices[0].requests - before < 10:
                assert time.monotonic() < until
                time.sleep(0.1)
            code, out, _ = bench.order("--json")
        assert code == 0
        newest = json.loads(out)["orders"][0]
        assert newest["state"] == "unknown"
        assert "it is not sent again" in newest["words"]
        assert len(bench.written) == 2, "carried out once, and after ten more polls not again"
