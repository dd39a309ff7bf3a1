"""A whole simulated site that speaks the real protocols: an RS-485 line, a Modbus TCP meter and MQTT nodes.

The gateway reads it through its ordinary drivers and cannot tell the difference. `config/sites/demo.toml` is its site file.
"""

import threading
import time
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from config.device import Profile, ProfileFile
from drivers.codecs.modbus import Question
from drivers.codecs.modbus_write import Write
from drivers.protocols.modbus import Command, Row
from drivers.simulated.broker import SiteBroker
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus import ProfileSource, SimulatedDevice
from drivers.simulated.modbus_pty import SerialBus
from drivers.simulated.modbus_tcp import TcpServer
from drivers.simulated.nodes import Node
from drivers.simulated.world import EPISODES, Episode, World

_LOOK_S = 0.25
BAUDRATE = 9600


class Place(NamedTuple):
    """A device of the site."""

    station: str
    name: str
    profile: str
    address: int


RTU = (Place("river", "water", "sim_water_probe", 1), Place("field", "soil", "cwt_soil_7in1", 2),
       Place("street", "air", "sim_air_station", 3), Place("street", "noise", "sim_noise_meter", 4))
METER = Place("street", "meter", "sim_energy_meter", 1)
NODES: dict[str, tuple[str, str, dict[str, int]]] = {
    "leaf": ("field", "field/leaf", {"leaf_wetness": 0, "leaf_temperature": 1, "air_temperature": 1, "relative_humidity": 0}),
    "corner": ("street", "street/corner", {"laeq": 1, "lamax": 1, "l90": 1}),
}
"""MQTT nodes: name → station, topic, quantity → decimals."""


def packaged_profile(name: str) -> Profile:
    """A shipped Modbus profile."""
    path = files("config").joinpath("devices", f"{name}.toml")
    file = ProfileFile.model_validate(tomllib.loads(path.read_text("utf-8")))
    rows = {key: Row.model_validate(row) for key, row in file.quantities.items()}
    commands = {key: Command.model_validate(command) for key, command in file.commands.items()}
    return Profile(name=name, path=str(path), packaged=True, file=file, rows=rows, commands=commands)


class SimulatedSite:
    """Runs until it is closed. Everything of it lies in one folder."""

    def __init__(
        self, folder: Path, seed: int = 1, speed: float = 60.0, episodes: tuple[Episode, ...] = EPISODES, every_s: float = 2.0,
        broker: Literal["auto", "mosquitto", "amqtt"] = "auto", paced: bool = True,
    ) -> None:
        """`speed`: how fast recorded time passes. `every_s`: the nodes' interval. `paced`: the serial line takes its time."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.plugs = folder / "silent"
        """A file in here named like a device silences it: people and tests pull the plug with touch and rm."""
        self.plugs.mkdir(exist_ok=True)
        for left_over in self.plugs.iterdir():
            left_over.unlink()
        self.ledger = Ledger(folder / "ledger.csv")
        self.world = World(seed, speed, episodes)
        self.broker = SiteBroker(folder / "broker", broker)
        self._began = time.monotonic()
        self._asked_first: float | None = None
        self._devices = {place.name: self._device(place) for place in (*RTU, METER)}
        self.bus = SerialBus([self._devices[place.name] for place in RTU], link=folder / "rs485", paced_baud=BAUDRATE if paced else 0)
        self.server = TcpServer([self._devices[METER.name]])
        self._every_s = every_s
        self.nodes: dict[str, Node] = {}
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._watch_plugs, name="plugs", daemon=True)

    def start(self) -> None:
        """Plug everything in. Raises NoBroker."""
        self.broker.start()
        self.bus.plug()
        self.server.start()
        for name, (station, topic, decimals) in NODES.items():
            series = {quantity: f"{station}/{name}/{quantity}" for quantity in decimals}
            self.nodes[name] = Node(name, topic, series, decimals, self._now, self.ledger, self.broker.port, self._every_s)
            self.nodes[name].start()
        self._watch.start()

    def close(self) -> None:
        """Take everything away."""
        self._stop.set()
        if self._watch.ident is not None:
            self._watch.join()
        for node in self.nodes.values():
            node.close()
        self.bus.unplug()
        self.server.close()
        self.broker.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every device that can be silenced."""
        return (*self._devices, *NODES)

    def silence(self, device: str) -> None:
        """Pull its plug. KeyError if there is no such device."""
        self._set_silent(device, silent=True)
        (self.plugs / device).touch()

    def speak(self, device: str) -> None:
        """Plug it in again."""
        (self.plugs / device).unlink(missing_ok=True)
        self._set_silent(device, silent=False)

    def addresses(self) -> dict[str, object]:
        """Where it can be reached, for JSON."""
        return {"serial": str(self.bus.path.absolute()), "baudrate": BAUDRATE, "tcp_port": self.server.port, "mqtt": self.broker.url,
                "broker": self.broker.kind, "words": self.broker.words, "ledger": str(self.ledger.path.absolute()),
                "silent": str(self.plugs.absolute())}

    def _set_silent(self, device: str, *, silent: bool) -> None:
        if device in NODES:
            if device in self.nodes:
                self.nodes[device].silent = silent
        else:
            self._devices[device].faults.silent = silent

    def _watch_plugs(self) -> None:
        while not self._stop.wait(_LOOK_S):
            pulled = {entry.name for entry in self.plugs.iterdir()}
            for device in self.names:
                self._set_silent(device, silent=device in pulled)

    def _now(self, quantity: str) -> float:
        """The world's value now. Episodes are counted from the first question on, so that nobody misses them."""
        now = time.monotonic()
        episode_s = now - self._asked_first if self._asked_first is not None else 0.0
        return self.world.value(quantity, now - self._began, episode_s)

    def _device(self, place: Place) -> SimulatedDevice:
        source = ProfileSource(packaged_profile(place.profile), self._now)
        return SimulatedDevice(place.address, source, answered=self._witness(place, source), obeyed=self._witness_of_orders(place))

    def _witness(self, place: Place, source: ProfileSource) -> Callable[[Question, list[int]], None]:
        count = 0

        def answered(question: Question, registers: list[int]) -> None:
            nonlocal count
            if self._asked_first is None:
                self._asked_first = time.monotonic()
            self.ledger.said("answered", count, {f"{place.station}/{place.name}/{quantity}": value for quantity, value in source.last.items()})
            count += 1

        return answered

    def _witness_of_orders(self, place: Place) -> Callable[[Write], None]:
        count = 0

        def obeyed(write: Write) -> None:
            nonlocal count
            self.ledger.said("obeyed", count, {f"{place.station}/{place.name}/function {write.function} register {write.first + at}": float(value)
                                               for at, value in enumerate(write.values)})
            count += 1

        return obeyed
