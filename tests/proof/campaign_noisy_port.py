"""Damaged answers of every protocol that asks, through a real pty: none becomes a wrong value more often than its checksum allows,
and the next good answer is read.

What `campaign_noise` shows in memory a million times is shown here with everything between: port, waiting, retries, late answers.
"""

import threading
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event

import field_devices
from contract.test_asked import KINDS_ASKED, Kind
from proof.campaign_noise import damaged
from proof.campaigns import Step, Tally

from config.errors import DeviceError
from config.series import Reason
from drivers.driver import Asked, finish
from drivers.lines import serial
from gateway.clock import SystemClock
from gateway.plugins import KINDS

PROMISE = "On a noisy port no protocol gives a wrong value more often than its checksum cannot tell, and it reads on afterwards."
STEPS = 40
EACH = 5
"""Damaged answers of each protocol a step: 200 in all."""
LONGEST_S = 60
PROVES = ("drivers/protocols/*.py", "drivers/codecs/*.py", "drivers/lines/_wire.py", "drivers/lines/serial.py", "tests/proof/campaign_noisy_port.py")
ON_A_PORT = {name: kind for name, kind in KINDS_ASKED.items() if kind.line == "serial"}
FIGURES = {"frames_each": 0, **{f"{name}_wrong": 0 for name in ON_A_PORT}}


class Spoiler:
    """A device whose answers are damaged while it `spoils`."""

    def __init__(self, kind: Kind, chance: Random) -> None:
        self.device, self.chance, self.spoils, self.count = kind.device(), chance, True, 0

    def __call__(self, request: bytes) -> bytes | None:
        answer = self.device(request)
        if not answer or not self.spoils:
            return answer
        self.count += 1
        return damaged(answer, self.chance)


def impatient(kind: Kind) -> Asked:
    """The driver, with a short wait for its answers: the far side is near."""
    made = field_devices.device(kind.profile, framing=kind.framing, **kind.options)
    timing = made.profile.timing.model_copy(update={"answer": 0.1})
    driver = KINDS.driver(made.profile.file.protocol)(replace(made, profile=made.profile.model_copy(update={"timing": timing})))
    assert isinstance(driver, Asked)
    return driver


def bother(kind: Kind, folder: Path, chance: Random) -> int:
    """`EACH` damaged answers, then a good one; gives how many wrong values were taken."""
    spoiler, driver, wrong = Spoiler(kind, chance), impatient(kind), 0
    with field_devices.FarEnd(folder / "port", spoiler) as far:
        line = serial.Line("bus", serial.Options(port=str(far.link), baudrate=115200, framing=kind.framing), str)
        wire = line.open(Event(), SystemClock())
        while spoiler.count < EACH:
            wrong += any(value not in kind.values for value in read(driver, wire))
        spoiler.spoils = False
        good = [read(driver, wire) for _ in range(2)]
        assert kind.values in good, good
        line.close()
    return wrong


def read(driver: Asked, wire: object) -> list[float]:
    try:
        batch = finish(driver.poll(driver.groups()[0], wire), wire)
    except DeviceError:
        return []
    return [float(value) for value, reason in zip(batch.raw, batch.reason, strict=True) if reason == Reason.NORMAL]


def step(at: Step, tally: Tally) -> None:
    found: dict[str, int] = {}

    def work(name: str, kind: Kind, seed: int) -> None:
        folder = at.folder / name
        folder.mkdir()
        found[name] = bother(kind, folder, Random(seed))

    threads = [threading.Thread(target=work, args=(name, kind, at.random.getrandbits(32))) for name, kind in ON_A_PORT.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.keys() == ON_A_PORT.keys(), f"no good answer was read afterwards: {ON_A_PORT.keys() - found.keys()}"
    tally.count("frames_each", EACH)
    for name, kind in ON_A_PORT.items():
        tally.count(f"{name}_wrong", found[name])
        if kind.residual is not None:
            mean = int(tally.figures["frames_each"]) * kind.residual * 2
            assert int(tally.figures[f"{name}_wrong"]) <= mean + 3.1 * mean**0.5 + 3, name
