"""What the contract suites need to know of a plug-in: which there are, and how to give one its surroundings."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import gateway.channels
import gateway.sinks
from config.errors import Halted
from config.site import Site, Station
from gateway.contracts import Surroundings

SECRETS = {"token": "tok-5up3r-s3cret", "password": "pw-5up3r-s3cret", "hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
           "old-hook": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
QINGHE = Station(name="清河断面", latitude=30.2741, longitude=120.1551, area="330106", time_zone="Asia/Shanghai")


def kinds(package: ModuleType) -> set[str]:
    """Every plug-in of a folder: its files without a leading underscore."""
    return {path.stem for folder in package.__path__ for path in Path(folder).glob("*.py") if not path.stem.startswith("_")}


SINKS, CHANNELS = kinds(gateway.sinks), kinds(gateway.channels)


def secret(secrets: Mapping[str, str]) -> Callable[[str], str]:
    def found(name: str) -> str:
        if name not in secrets:
            raise Halted(f"there is no secret {name}")
        return secrets[name]

    return found


def around(name: str = "far", address: str = "", secrets: Mapping[str, str] = SECRETS) -> Surroundings:
    return Surroundings(name, Site(stations={"qinghe": QINGHE}), secret(secrets), "0.1", "5eed" * 8, address)


def make(folder: str, kind: str, options: Mapping[str, object], **more: object):
    """A sink or channel as the daemon makes it."""
    module = importlib.import_module(f"gateway.{folder}.{kind}")
    made = module.Sink if folder == "sinks" else module.Channel
    return made(module.Options.model_validate(options), around(**more))
