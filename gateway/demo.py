"""`ecosentry demo`: a simulated site and the gateway that reads it, as two processes in one folder; no set-up.

The gateway is the ordinary daemon on an ordinary site file. This process starts both, prints what happens, and ends both.
"""

import argparse
import fcntl
import getpass
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from drivers.simulated.broker import leashed
from gateway.exit_codes import Exit
from gateway.port_owner import port_owner

_SITE_READY_S = 20.0
_CONSOLE_READY_S = 120.0
_PORTS = 50
_WORDS = {"alert.raised": "FIRING", "alert.climbed": "CLIMBED", "alert.fell": "FELL", "alert.ended": "ENDED", "alert.withdrawn": "WITHDRAWN"}


class DemoError(Exception):
    """The demo cannot go on; one sentence for people."""


def run_demo(args: argparse.Namespace) -> int:
    """Run until Ctrl-C or for `args.seconds`; 0, or 69 with a sentence why it did not work."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # also where a shell has told its children to ignore Ctrl-C
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as parts:
            _demo(args, parts)
    except KeyboardInterrupt:
        print(flush=True)
    except DemoError as error:
        print(f"ecosentry demo: {error}", file=sys.stderr)
        return Exit.UNAVAILABLE
    folder = Path(args.folder)
    _say(f"Ended. Journal {folder / 'journal'}   ledger of the simulated devices {folder / 'simulated/ledger.csv'}   log {folder / 'gateway.log'}")
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(args: argparse.Namespace, parts: ExitStack) -> None:
    folder = Path(args.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    parts.enter_context(_alone(folder))
    simulator = parts.enter_context(_process(
        [sys.executable, "-m", "drivers.simulated", str(folder / "simulated"), "--seed", str(args.seed), "--speed", f"{args.speed:g}", "--leash"],
        folder / "simulated.log", stdout=subprocess.PIPE))
    found = _addresses(simulator, folder / "simulated.log")
    _say(f"Simulated: RS-485 line with 4 devices, Modbus TCP meter, 2 MQTT nodes; Beijing air 2015 (UCI 501, CC BY 4.0) at {args.speed:g}×")
    port = _console_port(args.console)
    site = folder / "site.toml"
    site.write_text(demo_site(found, port), "utf-8")
    alerts: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    parts.enter_context(_listening(str(found["mqtt"]), alerts.put))
    daemon = parts.enter_context(_process([sys.executable, "-m", "gateway.cli", "run", str(site)], folder / "gateway.log"))
    _await_console(daemon, port, folder / "gateway.log")
    _say(f"Console   http://127.0.0.1:{port}")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        _say(f"          no screen here? on your computer:  ssh -L {port}:127.0.0.1:{port} {_me()}  then open the address above")
    _say(f"MQTT      {found['words']}")
    _say(f"Pull a plug:  touch {_near(folder)}/simulated/silent/noise   and back:  rm {_near(folder)}/simulated/silent/noise")
    _say("Ctrl-C ends it; nothing was installed outside this folder.")
    _watch(alerts, {"the gateway": daemon, "the simulated site": simulator}, args.seconds, folder)


def _say(line: str) -> None:
    print(line, flush=True)


def demo_site(found: Mapping[str, object], console_port: int) -> str:
    """The packaged site file of the demo with the addresses that were found free."""
    text = files("config").joinpath("sites/demo.toml").read_text("utf-8")
    broker = "mosquitto" if found["broker"] == "mosquitto" else "demo broker: no redelivery"
    for packaged, real in (("simulated/rs485", str(found["serial"])), ("= 5020", f"= {found['tcp_port']}"),
                           ("mqtt://127.0.0.1:18830", str(found["mqtt"])), ("127.0.0.1:8080", f"127.0.0.1:{console_port}"),
                           ("broker of the demo", broker)):
        assert packaged in text, packaged
        text = text.replace(packaged, real)
    return text


@contextmanager
def _alone(folder: Path) -> Any:  # noqa: ANN401
    with (folder / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo runs in {folder}; give this one its own:  --folder other-demo") from None
        yield


@contextmanager
def _process(command: list[str], log: Path, stdout: int | None = None) -> Any:  # noqa: ANN401
    """A part of the demo, not reached by Ctrl-C itself; ends with us, whatever happens to us."""
    around = {name: value for name, value in os.environ.items() if name not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET")}
    with log.open("ab") as words:
        process = subprocess.Popen(  # noqa: S603 - our own words
            leashed(command), stdin=subprocess.PIPE, stdout=stdout or words, stderr=words, env=around, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _addresses(simulator: "subprocess.Popen[bytes]", log: Path) -> dict[str, object]:
    """What the simulated site says of itself when it is ready."""
    assert simulator.stdout is not None
    if select.select([simulator.stdout], [], [], _SITE_READY_S)[0] and (line := simulator.stdout.readline()):
        found: dict[str, object] = json.loads(line)
        return found
    raise DemoError(f"the simulated site does not start: {_last_words(log)}")


def _console_port(wanted: int) -> int:
    """The wanted port, or the next free one, saying who has it."""
    for port in range(wanted, wanted + _PORTS):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port != wanted:
            _say(f"{wanted} is in use by {port_owner(wanted)}; console at http://127.0.0.1:{port} instead.")
        return port
    raise DemoError(f"no port from {wanted} to {wanted + _PORTS - 1} is free; choose another:  --console PORT")


def _await_console(daemon: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    began, told = time.monotonic(), False
    while time.monotonic() - began < _CONSOLE_READY_S:
        if daemon.poll() is not None:
            raise DemoError(f"the gateway has ended with {daemon.returncode}: {_last_words(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if not told and time.monotonic() - began > 5:
                told = True
                _say("          the first start compiles the kernels, once: up to a minute …")
            time.sleep(0.1)
        else:
            return
    raise DemoError(f"the console does not answer: {_last_words(log)}")


@contextmanager
def _listening(url: str, heard: Callable[[Mapping[str, Any]], None]) -> Any:  # noqa: ANN401
    """The alerts as any subscriber gets them from the broker."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="demo-screen", clean_session=True)
    client.username_pw_set("screen")
    client.on_connect = lambda c, *_: c.subscribe("ecosentry/+/alerts", 1)
    client.on_message = lambda _, __, message: heard(json.loads(message.payload))
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    client.connect(host, int(port), keepalive=30)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _watch(
    alerts: "queue.SimpleQueue[Mapping[str, Any]]", parts: Mapping[str, "subprocess.Popen[bytes]"], seconds: float | None, folder: Path,
) -> None:
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    while time.monotonic() < until:
        with suppress(queue.Empty):
            _say(alert_line(alerts.get(timeout=min(0.5, max(0.01, until - time.monotonic())))))
        for name, process in parts.items():
            if process.poll() is not None:
                log = folder / ("gateway.log" if "gateway" in name else "simulated.log")
                raise DemoError(f"{name} has ended with {process.returncode}: {_last_words(log)}")


def alert_line(message: Mapping[str, Any]) -> str:
    """One message of the alert topic as one line of the screen, in this machine's time."""
    data = message["data"]
    at = datetime.fromisoformat(data["at"])
    kind = str(message["type"])
    what = data["what"]
    if kind == "alert.ended":
        seconds = round((at - datetime.fromisoformat(data["since"])).total_seconds())
        what = f"{what}, after {seconds // 60} min {seconds % 60} s"
    return f"{at.astimezone():%H:%M:%S}  {_WORDS.get(kind, kind):8} {data['colour']:7} {what}"


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    return f"{lines[-1]}   (all of it: {log})" if lines else f"it said nothing; see {log}"


def _me() -> str:
    """user@host, as one would write it on another computer."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    return f"{getpass.getuser()}@{connection[2] if len(connection) == 4 else socket.gethostname()}"


def _near(folder: Path) -> str:
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)
