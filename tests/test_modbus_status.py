"""What a Modbus instrument says of itself goes with its values: zero and span gas, cleaning and faults are no measurement."""

from collections.abc import Mapping

import modbus_devices
import pytest
from house import AMMONIA, House, site
from virtual import VirtualClock, VirtualWire

from config.device import Profile
from config.errors import ConfigError
from config.find import Found
from config.reading_profile import read_profile
from config.series import Flag
from drivers.codecs.modbus import Question, seal
from drivers.driver import Heard, Overhears
from drivers.overheard import payload, topic
from drivers.reading import Batch, Delivery, Stamp
from drivers.simulated.modbus import SimulatedDevice, TableSource
from gateway.gap_ledger import gaps_between
from gateway.plugins import KINDS

ANALYSER = """
maker = "Test"
model = "analyser"
medium = "water"
protocol = "modbus"
source = "made for this test: an analyser with a mode register and a fault bit"
verified = "S"
interval = "10 s"
[quantities]
ammonia_nitrogen = { register = 0, decimals = 2, unit = "mg/L" }
cod = { register = 1, unit = "mg/L" }
turbidity = { register = 2, unit = "NTU", interval = "60 s" }
[status.mode]
register = 0x0030
means = { 0 = "N", 1 = "C", 0x02 = "M", 3 = "F" }
other = "D"
[status.lamp]
register = 0x0031
bit = 3
means = { 1 = "D" }
of = ["cod"]
"""


def analyser(text: str = ANALYSER) -> Profile:
    return read_profile(Found("analyser", "analyser.toml", False, text.encode()), KINDS)


class Bench:
    """The driver, and the instrument with these registers; a register that it has not is declined."""

    def __init__(self, registers: Mapping[int, int] = {}) -> None:
        self.registers = {0: 50, 1: 30, 2: 7, 0x30: 0, 0x31: 0} | dict(registers)
        self.driver = modbus_devices.driver(analyser(), interval_s=10.0)

    def respond(self, request: bytes) -> tuple[float, bytes] | None:
        device = SimulatedDevice(1, TableSource(self.registers, {}))
        reply = device.reply(request[1:-2], lambda unit, pdu: seal(bytes([unit]) + pdu))
        return (0.01, reply.frame) if reply else None

    def poll(self, group: int = 0, clock: VirtualClock | None = None) -> Batch:
        return self.driver.poll(self.driver.groups()[group], VirtualWire(clock or VirtualClock(), self.respond))

    def says(self, group: int = 0) -> tuple[dict[str, float], str]:
        batch = self.poll(group)
        return {s.quantity: float(v) for s, v in zip(batch.series, batch.raw, strict=True)}, bytes(batch.reason).decode()


@pytest.mark.parametrize(("mode", "letters"), [(0, "NN"), (1, "CC"), (2, "MM"), (3, "FF"), (9, "DD")])
def test_values_are_kept_and_carry_what_the_instrument_says_of_itself(mode, letters):
    assert Bench({0x30: mode}).says() == ({"ammonia_nitrogen": 0.5, "cod": 30.0}, letters)


def test_a_bit_can_be_about_some_of_the_values_and_the_first_word_that_says_something_counts():
    assert Bench({0x31: 0b1000}).says()[1] == "ND"
    assert Bench({0x31: 0b0111}).says()[1] == "NN"
    assert Bench({0x30: 1, 0x31: 0b1000}).says()[1] == "CC"


def test_every_register_group_reads_the_status_of_its_own_values():
    bench = Bench({0x30: 2})
    assert [[series.quantity for series in group.series] for group in bench.driver.groups()] == [["ammonia_nitrogen", "cod"], ["turbidity"]]
    assert bench.says(1) == ({"turbidity": 7.0}, "M")


def test_values_whose_status_did_not_come_are_not_believed():
    bench = Bench()
    del bench.registers[0x30]
    assert bench.says() == ({"ammonia_nitrogen": 0.5, "cod": 30.0}, "BB")


def test_calibration_is_in_no_mean_and_the_ledger_says_so(tmp_path):
    house = House(tmp_path / "journal", site())
    bench = Bench()
    for k in range(361):
        house.clock.forward(10)
        bench.registers |= {0: 900 if 100 <= k < 160 else 50, 0x30: 1 if 100 <= k < 160 else 0}
        found = bench.poll()
        series = tuple(s._replace(station="river") for s in found.series)
        stamp = house.clock.now()
        batch = Batch(series, found.which, found.at * 0 + stamp.utc_ns, found.span, found.raw, found.reason, stamp)
        house.intake.deliver(Delivery("l", (batch,)), 0)
        house.turn()
    house.clock.forward(10)
    house.turn()
    with house.reader() as reader:
        table = reader.series()
        rows = reader.rows_of_series(table.index(AMMONIA), 0, 2**62, 1000)
        mean = reader.rows_of_series(table.index(AMMONIA._replace(statistic="mean", period_s=3600)), 0, 2**62, 10)
        gaps = gaps_between(reader, 0, 2**62, [table.index(AMMONIA)])
    house.kill()
    assert [flag for flag, value in zip(rows.flag.tolist(), rows.value.tolist(), strict=True) if value == 9.0] == [Flag.FAIL] * 60
    assert mean.value.tolist() == [0.5]
    assert [(gap.words, round((gap.until - gap.since) / 1e9)) for gap in gaps] == [("calibration", 610)]


def test_read_along_the_status_that_was_heard_last_counts():
    driver = Bench().driver
    assert isinstance(driver, Overhears)
    told = driver.overheard()
    stamp = Stamp("b", 0, 0)

    def hear(first: int, *registers: int) -> str:
        batches = told.hear(Heard(topic(Question(1, 3, first, len(registers))), payload(registers), stamp))
        return "".join(bytes(batch.reason).decode() for batch in batches)

    assert hear(0, 50, 30) == "NN"
    assert hear(0x30, 1, 0) == ""
    assert hear(0, 50, 30) == "CC"
    assert hear(0x30, 0, 8) == ""
    assert hear(0, 50, 30) == "ND"


@pytest.mark.parametrize(("old", "new", "words"), [
    ('1 = "C"', '1 = "X"', "status.mode"), ("bit = 3", "bit = 30", "status.lamp"), ('means = { 1 = "D" }', "means = {}", "status.lamp"),
    ("[status.lamp]", '[status."the lamp"]', "is written in a-z"),
    ('protocol = "modbus"', 'protocol = "nmea"', "[status] is nothing that nmea knows")])
def test_a_status_that_cannot_be_is_refused_with_its_place(old, new, words):
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        analyser(ANALYSER.replace(old, new))


def test_a_status_of_a_row_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"status\.lamp of analyser is about codd"):
        modbus_devices.driver(analyser(ANALYSER.replace('["cod"]', '["codd"]')))
