"""The demo's own site as a test runs it: simulator and gateway as processes, plus a webhook receiver, all with witnesses."""

import base64
import json
import math
import os
import select
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from scripted import Answer, ScriptedServer
from servers import free_port

from drivers.simulated.ledger import Entry, read_ledger
from gateway.demo import demo_site

KEY = "whsec_" + base64.b64encode(b"a key of the tests, 32 bytes long").decode()
HOOK = """
[channels.hook]
kind = "webhook"
url  = "{url}"
key  = {{ secret = "hook" }}
[subscriptions.bureau]
to    = ["hook"]
about = "all"
"""


class DemoHouse:
    """Starts on entering; `close` ends the gateway as an operator would and gives its exit code."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder, self._seed = folder, seed
        self.told: list[dict[str, object]] = []
        """Alerts as MQTT brought them."""

    def __enter__(self) -> Self:
        self._simulator = subprocess.Popen(
            [sys.executable, "-m", "drivers.simulated", str(self.folder / "simulated"), "--seed", str(self._seed), "--leash"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert select.select([self._simulator.stdout], [], [], 30)[0], "the simulated site does not start"
        self.addresses = json.loads(self._simulator.stdout.readline())
        self.hook = ScriptedServer(by=lambda request: Answer(204))
        self.hook.start()
        self.console = f"http://127.0.0.1:{(port := free_port())}"
        secret = self.folder / "secrets" / "hook"
        secret.parent.mkdir()
        secret.touch(0o600)
        secret.write_text(KEY)
        self.site = self.folder / "site.toml"
        self.site.write_text(demo_site(self.addresses, port) + HOOK.format(url=self.hook.url + "/alerts"), "utf-8")
        self._listen()
        self.began = time.monotonic()
        with (self.folder / "gateway.log").open("ab") as log:
            self.gateway = subprocess.Popen([sys.executable, "-m", "gateway.cli", "run", str(self.site)], stdout=log, stderr=log,
                                            env={k: v for k, v in os.environ.items() if k not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY")})
        self.wait(lambda: self.get("healthz") is not None, 60)
        return self

    def _listen(self) -> None:
        _, _, port = self.addresses["mqtt"].rpartition(":")
        self._mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="test-listener")
        self._mqtt.on_message = lambda client, userdata, message: self.told.append(json.loads(message.payload))
        self._mqtt.username_pw_set("listener", "x")
        self._mqtt.connect("127.0.0.1", int(port))
        self._mqtt.subscribe("ecosentry/#", 1)
        self._mqtt.loop_start()

    def get(self, path: str) -> object | None:
        """What the console's API says; None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.console}/{path}", timeout=5) as answer:
                body = answer.read()
        except OSError:
            return None
        return json.loads(body) if body[:1] in (b"{", b"[") else {}

    def live(self) -> dict[str, dict[str, object]]:
        """The newest row of every series, by name."""
        found = self.get("api/v0/live")
        return {row["series"]: row for row in found["live"]} if found else {}

    def alerts(self) -> list[dict[str, object]]:
        """Alerts as the console's API shows them."""
        return (self.get("api/v0/alerts") or {"alerts": []})["alerts"]

    @staticmethod
    def wait(holds, within_s: float) -> None:
        """Until it is so."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.2)

    def silence(self, device: str) -> None:
        """Pull the plug of a simulated device."""
        (Path(self.addresses["silent"]) / device).touch()

    def speak(self, device: str) -> None:
        """Put the plug back."""
        (Path(self.addresses["silent"]) / device).unlink()

    def ledger(self) -> list[Entry]:
        """What the simulated devices said, by their own account."""
        return list(read_ledger(Path(self.addresses["ledger"])))

    def journal(self, *, missing_too: bool = False) -> list[tuple[str, int, float]]:
        """(series, at, raw) of everything measured, read from the file by the test itself; MISSING rows are NaN."""
        db = sqlite3.connect(f"{(self.folder / 'journal' / 'live.db').as_uri()}?mode=ro", uri=True)
        try:
            found = db.execute("SELECT station || '/' || device || '/' || quantity, at, raw FROM hot JOIN series ON series.id = hot.series "
                               "WHERE statistic = '' ORDER BY n").fetchall()
            return [(series, at, math.nan if raw is None else raw) for series, at, raw in found if missing_too or raw is not None]
        finally:
            db.close()

    def close(self) -> int:
        """SIGTERM to the gateway; its exit code."""
        self.gateway.terminate()
        return self.gateway.wait(15)

    def __exit__(self, *_: object) -> None:
        if self.gateway.poll() is None:
            self.gateway.kill()
            self.gateway.wait()
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
        self.hook.stop()
        self._simulator.stdin.close()
        self._simulator.wait(15)
        self._simulator.stdout.close()
