"""How long the daemon takes to be ready, and how much memory it keeps: lines, InfluxDB sink and console, with and without numba.

Nothing answers on the far sides: readiness must not depend on that. `first` compiles the kernels, `next` finds them compiled.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITE = """
[stations.river]
time_zone = "Asia/Shanghai"

[lines.meter]
kind = "tcp"
host = "127.0.0.1"
port = {closed}

[lines.nodes]
kind = "mqtt"
url  = "mqtt://127.0.0.1:{closed}"

[devices]
probe = {{ line = "meter", address = 1, profile = "sim_water_probe" }}
noise = {{ line = "nodes", topic = "river/noise/{{quantity}}", profile = "mqtt_plain" }}

[rules.ammonia]
quantity = "ammonia_nitrogen"
mean     = "1 h"
above    = {{ yellow = "1.0 mg/L", orange = "1.5 mg/L" }}

[sinks.influx]
kind     = "influxdb"
url      = "http://127.0.0.1:{closed}"
database = "ecosentry"

[console]
listen = "127.0.0.1:{console}"
"""
GOAL_MB = {"numba": 190, "python": 75}
SETTLE_S = 10.0


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _until_ready(listener: socket.socket, process: subprocess.Popen[bytes], within_s: float = 110.0) -> float:
    """Seconds until READY=1. Raises RuntimeError if it does not come."""
    began = time.monotonic()
    listener.settimeout(0.2)
    while time.monotonic() - began < within_s and process.poll() is None:
        try:
            if b"READY=1" in listener.recv(4096).splitlines():
                return time.monotonic() - began
        except TimeoutError:
            continue
    raise RuntimeError(f"not ready; exit code {process.poll()}")


def _memory_mb(pid: int) -> dict[str, float]:
    """Resident, and our own share of what is resident, in MB (10^6)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return {name.lower(): round(int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1]) * 1024 / 1e6, 1) for name in ("Rss", "Pss")}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(folder: Path, numba: bool) -> dict[str, object]:
    """One life of the daemon: until ready, until settled, and its end."""
    site = folder / "site.toml"
    site.write_text(SITE.format(closed=_port(), console=_port()), "utf-8")
    address = folder / "notify"
    address.unlink(missing_ok=True)
    environment = {**os.environ, "NOTIFY_SOCKET": str(address), "NUMBA_CACHE_DIR": str(folder / "cache"), "ECOSENTRY_NUMBA": str(int(numba))}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, (folder / "log").open("ab") as log:
        listener.bind(str(address))
        process = subprocess.Popen([sys.executable, "-m", "gateway.cli", "run", str(site)], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, cwd=folder)
        try:
            ready_s = _until_ready(listener, process)
            cpu_s = _cpu_s(process.pid)
            time.sleep(SETTLE_S)
            memory = _memory_mb(process.pid)
            idle_cpu = (_cpu_s(process.pid) - cpu_s) / SETTLE_S
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(20)
            return {"ready_s": round(ready_s, 2), "ready_cpu_s": round(cpu_s, 2), "rss_mb": memory["rss"], "pss_mb": memory["pss"],
                    "idle_cpu_share": round(idle_cpu, 3), "stop_s": round(time.monotonic() - began, 2), "exit_code": code}
        except BaseException:
            process.kill()
            process.wait()
            sys.stderr.write((folder / "log").read_text("utf-8", "replace")[-3000:])
            raise


def main() -> dict:
    found: dict[str, object] = {}
    for engine, numba in (("numba", True), ("python", False)):
        with tempfile.TemporaryDirectory(prefix="startup-") as folder:
            lives = [start(Path(folder), numba) for _ in range(2 if numba else 1)]
        found[engine] = dict(zip(("first", "next"), lives, strict=False)) if numba else lives[0]
        found[f"{engine}_rss_of_goal"] = round(lives[-1]["rss_mb"] / GOAL_MB[engine], 2)
    return found


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
