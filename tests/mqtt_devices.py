"""MQTT drivers and a journal that only remembers, for tests."""

import threading
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from waiting import until

from config.device import Profile, ProfileFile
from config.table import Table
from drivers.driver import Device, Heard
from drivers.lines import mqtt
from drivers.protocols import mqtt_json
from drivers.reading import Clock, Delivery, Stamp

NOW_NS = 1_795_132_800_000_000_000
"""2026-11-20T00:00:00Z."""


def profile(rows: Mapping[str, Mapping[str, object]], name: str = "test") -> Profile:
    file = ProfileFile.model_validate({
        "maker": "test", "model": name, "medium": "any", "protocol": "mqtt_json", "source": "test", "verified": "S",
        "interval": "60 s", "quantities": {key: dict(row) for key, row in rows.items()}})
    return checked(name, file)


def packaged(name: str) -> Profile:
    path = Path(str(files("config"))) / "devices" / f"{name}.toml"
    return checked(name, ProfileFile.model_validate(tomllib.loads(path.read_text("utf-8"))))


def checked(name: str, file: ProfileFile) -> Profile:
    rows: dict[str, Table] = {key: mqtt_json.Row.model_validate(row) for key, row in file.quantities.items()}
    return Profile(name=name, path="", packaged=True, file=file, rows=rows)


def driver(of: Profile, topic: str, name: str = "node", interval_s: float = 60.0, **options: object) -> mqtt_json.Driver:
    own = mqtt_json.Options.model_validate({"topic": topic} | options)
    return mqtt_json.Driver(Device("yard", name, of, own, mqtt.Options(url="mqtt://127.0.0.1"), interval_s))


def heard(payload: bytes | str, topic: str = "a", utc_ns: int = NOW_NS, *, retained: bool = False) -> Heard:
    return Heard(topic, payload.encode() if isinstance(payload, str) else payload, Stamp("boot", 0, utc_ns), retained)


class RealClock:
    def now(self) -> Stamp:
        return Stamp("boot", time.monotonic_ns(), time.time_ns() // 1_000_000 * 1_000_000)


class Journal:
    """Takes deliveries like the core: keeps them, releases when told to."""

    def __init__(self, *, releases: bool = True, full: bool = False) -> None:
        self.deliveries: list[Delivery] = []
        self.releases = releases
        self.full = full
        self._lock = threading.Lock()

    def __call__(self, delivery: Delivery, wait_s: float) -> bool:
        assert wait_s == 0
        with self._lock:
            if self.full and delivery.receipt is None:
                return False
            self.deliveries.append(delivery)
        if self.releases and delivery.receipt:
            delivery.receipt.release()
        return True

    @property
    def values(self) -> list[float]:
        with self._lock:
            return [float(v) for d in self.deliveries for b in d.batches for v in b.raw]

    @property
    def again(self) -> list[bool]:
        with self._lock:
            return [d.receipt.again for d in self.deliveries if d.receipt]

    def commit(self) -> None:
        """Release everything, from this thread."""
        with self._lock:
            for delivery in self.deliveries:
                if delivery.receipt:
                    delivery.receipt.release()


class Notebook:
    """A Report that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []
        self.counts: Counter[str] = Counter()
        self.turns = 0

    def opened(self, words: str = "") -> None:
        self.said.append(("opened", words))

    def lost(self, words: str) -> None:
        self.said.append(("lost", words))

    def answered(self, device: str, mono_ns: int, words: str = "") -> None:
        self.counts[f"answered {device}"] += 1
        if words:
            self.said.append(("answered", device, words))

    def failed(self, device: str, cause: str, words: str) -> None:
        self.said.append(("failed", device, cause, words))

    def count(self, cause: str, times: int = 1) -> None:
        self.counts[cause] += times

    def withheld(self, device: str, trouble: object) -> None:
        pass

    def noted(self, words: str) -> None:
        self.said.append(("noted", words))

    def alive(self, mono_ns: int) -> None:
        self.turns += 1

    def times(self, kind: str) -> int:
        return sum(1 for entry in self.said if entry[0] == kind)


class Running:
    """A line in its own thread; leaves politely, or is cut off as by a crash."""

    def __init__(
        self, line: mqtt.Line, drivers: Mapping[str, mqtt_json.Driver], journal: Journal, notebook: Notebook | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.line, self.journal, self.notebook = line, journal, notebook or Notebook()
        self.stop = threading.Event()
        self.error: BaseException | None = None

        def work() -> None:
            try:
                line.run(drivers, journal, self.stop, clock or RealClock(), self.notebook)
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.error = error

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def up(self, times: int = 1) -> "Running":
        until(lambda: self.notebook.times("opened") >= times)
        return self

    def __enter__(self) -> "Running":
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, within_s: float = 6) -> float:
        began = time.monotonic()
        self.stop.set()
        self.thread.join(within_s)
        assert not self.thread.is_alive(), "the line did not end"
        return time.monotonic() - began
