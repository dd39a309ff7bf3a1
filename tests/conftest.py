"""Fixtures that many tests share: a real server each, in a folder of its own, ended with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers


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
