"""Fixtures that many tests share (a real server each, in a folder of its own, ended with the test) and the order of the files."""

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import servers
from hypothesis.internal.conjecture import providers

hypothesis.settings.register_profile("busy machine", parent=hypothesis.settings(), deadline=None)  # how long an example takes is no promise
hypothesis.settings.load_profile("busy machine")
# Else examples are mixed with constants of whichever of our modules happen to be loaded: a property that fails among others would not fail alone.
if hasattr(providers, "_get_local_constants"):
    NO_CONSTANTS = type(providers._local_constants)()
    providers._get_local_constants = lambda: NO_CONSTANTS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that may take long begin first, or one of two processes would be alone with them at the end."""
    longest: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0), mark.args[0] if mark and mark.args else 0)
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT to this process is KeyboardInterrupt, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[servers.Mosquitto]:
    with servers.Mosquitto(tmp_path / "mosquitto") as server:
        yield server


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[servers.InfluxDB1]:
    """With an empty database `eco`."""
    with servers.InfluxDB1(tmp_path / "influxdb") as server:
        yield server


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[servers.VictoriaMetrics]:
    with servers.VictoriaMetrics(tmp_path / "victoria") as server:
        yield server
