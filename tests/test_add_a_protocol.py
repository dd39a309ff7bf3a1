"""The protocol that the guide writes down works as it stands there."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from virtual import VirtualClock, VirtualWire

from config.device import Profile, ProfileFile
from config.errors import DeviceError
from drivers.driver import Asked, Device

PAGE = Path(__file__).parent.parent / "docs/add_a_protocol.md"


@pytest.fixture
def written() -> SimpleNamespace:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, object] = {"__name__": "level_gauge"}
    exec(compile(code[1], str(PAGE), "exec"), names)
    return SimpleNamespace(**names)


def gauge(written: SimpleNamespace) -> Asked:
    file = ProfileFile(maker="test", model="gauge", medium="water", protocol="level_gauge", source="test", verified="S", interval="1 s",
                       quantities={"water_level": {"unit": "m"}})
    profile = Profile(name="gauge", path="", packaged=False, file=file, rows={"water_level": written.Row(unit="m")})
    return written.Driver(Device("st", "gauge", profile, written.Options(), written.Options(), 1.0))


def wire(answer: bytes | None) -> VirtualWire:
    respond: Callable[[bytes], tuple[float, bytes] | None] = lambda request: None if answer is None else (0.05, answer)  # noqa: E731
    return VirtualWire(VirtualClock(), respond)


def test_it_reads_a_good_answer(written):
    driver = gauge(written)
    assert isinstance(driver, Asked)
    batch = driver.poll(driver.groups()[0], wire(b"L=1.234*5B\r\n"))
    assert batch.raw.tolist() == [1.234]
    assert str(batch.series[0]) == "st/gauge/water_level"


@pytest.mark.parametrize(("answer", "cause"), [(None, "silent"), (b"L=1.2", "short"), (b"L=1.235*5B\r\n", "noise"), (b"L=x*09\r\n", "wrong"),
                                              (b"L=nan*10\r\n", "wrong")])
def test_it_refuses_everything_else_with_its_cause(written, answer, cause):
    driver = gauge(written)
    with pytest.raises(DeviceError) as error:
        driver.poll(driver.groups()[0], wire(answer))
    assert error.value.cause == cause
