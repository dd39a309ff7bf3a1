"""What is particular to each protocol that asks: waits and fetches of SDI-12, refusals of meters, an SPS30 that was not started."""

import math
from contextlib import suppress
from pathlib import Path

import field_devices
import pytest
from field_devices import Sdi12Sensor, Sps30
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError
from config.series import Reason
from drivers.codecs import dlt645, sdi12, shdlc
from drivers.driver import Asked, Pause, finish

PROBE = Path(__file__).parent / "cases/sdi12_probe/sdi12_probe.toml"
VALUES = [23.45, -1.5, 87.3, 1013.2, 7.01]


def probe_with(tmp_path: Path, ask: str) -> Asked:
    """The probe of the tests, asked in another way."""
    text = PROBE.read_text("utf-8").replace('"MC"', f'"{ask}"')
    (tmp_path / "probe.toml").write_text(text, "utf-8")
    return field_devices.asked(tmp_path / "probe.toml")


class Bench:
    """A virtual wire with an SDI-12 sensor that sends its service request after `service_s`."""

    def __init__(self, sensor: Sdi12Sensor, service_s: float | None = None) -> None:
        self.sensor, self.service_s = sensor, service_s
        self.wire = VirtualWire(VirtualClock(), self.respond)

    def respond(self, request: bytes) -> tuple[float, bytes] | None:
        answer = self.sensor(request)
        if answer and request[1:2] in b"MV" and self.service_s is not None:
            at_ns = self.wire.virtual.mono_ns + round((0.02 + self.service_s) * 1e9)
            self.wire.pending.append((at_ns, self.sensor.address.encode() + sdi12.END))
        return None if answer is None else (0.02, answer)

    @property
    def took_s(self) -> float:
        return (self.wire.virtual.mono_ns - VirtualClock().mono_ns) / 1e9

    @property
    def commands(self) -> list[str]:
        return [data.decode() for _, data in self.wire.sent]

    def poll(self, driver: Asked) -> list[float]:
        return [float(value) for value in finish(driver.poll(driver.groups()[0], self.wire), self.wire).raw]


@pytest.mark.parametrize("ask", ["M", "MC", "C", "CC", "V", "M1", "CC9"])
def test_a_measurement_is_started_and_fetched_until_all_values_are_there(tmp_path, ask):
    bench = Bench(Sdi12Sensor())
    assert bench.poll(probe_with(tmp_path, ask)) == VALUES
    assert bench.commands == [f"0{ask}!", "0D0!", "0D1!"]


@pytest.mark.parametrize("ask", ["R0", "RC3"])
def test_continuous_values_need_no_measurement(tmp_path, ask):
    bench = Bench(Sdi12Sensor())
    assert bench.poll(probe_with(tmp_path, ask)) == VALUES
    assert bench.commands == [f"0{ask}!"]


def test_a_service_request_ends_the_wait_early(tmp_path):
    early, late = Bench(Sdi12Sensor(ready_s=20), service_s=3.0), Bench(Sdi12Sensor(ready_s=20))
    assert early.poll(probe_with(tmp_path, "MC")) == VALUES
    assert 3.0 < early.took_s < 4.0
    assert late.poll(probe_with(tmp_path, "MC")) == VALUES
    assert 20.0 < late.took_s < 22.0


def test_after_a_concurrent_measurement_nothing_is_asked_before_its_time(tmp_path):
    bench = Bench(Sdi12Sensor(ready_s=7))
    assert bench.poll(probe_with(tmp_path, "CC")) == VALUES
    assert bench.wire.sent[1][0] - bench.wire.sent[0][0] >= 7e9


def test_while_concurrent_measurements_go_on_the_line_is_free_for_the_others(tmp_path):
    wire = VirtualWire(VirtualClock(), lambda request: next(((0.02, said) for sensor in sensors if (said := sensor(request))), None))
    sensors = [Sdi12Sensor(address, ready_s=20) for address in "012"]
    text = PROBE.read_text("utf-8").replace('"MC"', '"C"')
    (tmp_path / "probe.toml").write_text(text, "utf-8")
    drivers = [field_devices.asked(tmp_path / "probe.toml", address=address) for address in "012"]
    pauses = [driver.poll(driver.groups()[0], wire) for driver in drivers]
    assert [pause.for_s for pause in pauses if isinstance(pause, Pause)] == [20, 20, 20]
    assert [data for _, data in wire.sent] == [b"0C!", b"1C!", b"2C!"]
    wire.virtual.go_on(20)
    for pause in pauses:
        assert pause.then(wire).raw.tolist() == VALUES
    assert (wire.virtual.mono_ns - VirtualClock().mono_ns) / 1e9 < 22, "three measurements in the time of one"


def test_a_concurrent_measurement_that_is_gone_when_it_is_fetched_costs_its_own_values_only(tmp_path):
    sensor = Sdi12Sensor(ready_s=5)
    text = PROBE.read_text("utf-8").replace('"MC"', '"C"').replace('soil_ph          = { ask = "C", value = 5', 'soil_ph = { ask = "R0", value = 5')
    (tmp_path / "probe.toml").write_text(text, "utf-8")
    driver, wire = field_devices.asked(tmp_path / "probe.toml"), VirtualWire(VirtualClock(), lambda request: (0.02, sensor(request) or b""))
    pause = driver.poll(driver.groups()[0], wire)
    values, sensor.values = sensor.values, ("",)
    assert isinstance(pause, Pause)

    def revived(request: bytes) -> tuple[float, bytes]:
        sensor.values = values if request[1:2] == b"R" else ("",)
        return 0.02, sensor(request) or b""

    wire.respond = revived
    batch = pause.then(wire)
    assert batch.raw[-1] == VALUES[-1]
    assert batch.reason.tolist() == [Reason.DEVICE] * 4 + [Reason.NORMAL]


def test_the_only_sensor_of_a_line_is_asked_for_its_address(tmp_path):
    bench, driver = Bench(Sdi12Sensor("7")), field_devices.asked(PROBE, address="?")
    ask = bench.sensor

    def respond(request: bytes) -> tuple[float, bytes] | None:
        said = sdi12.answer("7", "") if request == b"?!" else ask(request)
        return None if said is None else (0.02, said)

    bench.wire.respond = respond
    assert bench.poll(driver) == VALUES
    assert bench.poll(driver) == VALUES
    assert bench.commands == ["?!", "7MC!", "7D0!", "7D1!", "7MC!", "7D0!", "7D1!"]


def test_a_sensor_that_wants_too_long_is_not_waited_for(tmp_path):
    bench = Bench(Sdi12Sensor(ready_s=600))
    with pytest.raises(DeviceError, match="600 s") as error:
        bench.poll(probe_with(tmp_path, "M"))
    assert error.value.cause == "busy"
    assert bench.took_s < 2


@pytest.mark.parametrize("ask", ["M", "MC", "C2"])
def test_values_before_which_others_were_lost_are_not_taken_for_the_first_ones(tmp_path, ask):
    """The rest of 0+10+20.5+30 begins with its address and a sign more than once."""
    lines = [f'"soil_moisture:{number}" = {{ ask = "{ask}", value = {number}, unit = "%" }}' for number in (1, 2)]
    path = tmp_path / "acme.toml"
    path.write_text('maker = "a"\nmodel = "b"\nmedium = "soil"\nsource = "a page of the maker"\nverified = "S"\ninterval = "1 min"\n'
                    'protocol = "sdi12"\n[quantities]\n' + "\n".join(lines), "utf-8")
    for cut in range(1, 16):
        sensor = Sdi12Sensor()
        sensor.values = ("+10", "+20.5", "+30")
        driver, bench, lost = field_devices.asked(path), Bench(sensor), [cut]

        def answer(request, respond=bench.respond, lost=lost):
            said = respond(request)
            return (said[0], said[1][lost.pop():]) if said and lost and request[1:2] == b"D" else said

        bench.wire.respond = answer
        with suppress(DeviceError):
            good = finish(driver.poll(driver.groups()[0], bench.wire), bench.wire)
            assert [value for value, reason in zip(good.raw, good.reason, strict=True) if reason == Reason.NORMAL] in ([10.0, 20.5], []), cut
        assert bench.poll(driver) == [10.0, 20.5]


def test_a_measurement_that_gives_fewer_values_leaves_the_rest_missing():
    sensor = Sdi12Sensor()
    sensor.values = sensor.values[:2]
    driver, bench = field_devices.asked(PROBE), Bench(sensor)
    batch = driver.poll(driver.groups()[0], bench.wire)
    assert batch.raw[:2].tolist() == VALUES[:2]
    assert all(math.isnan(value) for value in batch.raw[2:])
    assert batch.reason.tolist() == [Reason.NORMAL] * 2 + [Reason.FAULT] * 3


@pytest.mark.parametrize(("code", "reasons"), [("+0", "NNNNN"), ("+13", "NNNDD"), ("-1", "NNNDD"), ("+0.0", "NNNNN")])
def test_an_error_code_beside_the_values_flags_those_that_it_is_about_and_keeps_them(tmp_path, code, reasons):
    sensor, path = Sdi12Sensor(), tmp_path / "probe.toml"
    text = PROBE.read_text("utf-8").replace('value = 4, unit = "hPa"', 'value = 4, fault = 6, unit = "hPa"')
    path.write_text(text.replace("value = 5, missing = [-999]", "value = 5, fault = 6"), "utf-8")
    sensor.values = (*sensor.values, code)
    driver, bench = field_devices.asked(path), Bench(sensor)
    batch = driver.poll(driver.groups()[0], bench.wire)
    assert batch.raw.tolist() == VALUES
    assert bytes(batch.reason).decode() == reasons


def test_a_value_whose_error_code_does_not_come_is_not_believed(tmp_path):
    path = tmp_path / "probe.toml"
    path.write_text(PROBE.read_text("utf-8").replace('value = 1, unit = "°C"', 'value = 1, fault = 6, unit = "°C"'), "utf-8")
    driver, bench = field_devices.asked(path), Bench(Sdi12Sensor())
    batch = driver.poll(driver.groups()[0], bench.wire)
    assert math.isnan(batch.raw[0])
    assert (batch.raw[1:].tolist(), bytes(batch.reason)) == (VALUES[1:], b"DNNNN")


def test_a_number_that_means_no_value_is_missing():
    sensor = Sdi12Sensor()
    sensor.values = (*sensor.values[:4], "-999")
    assert math.isnan(Bench(sensor).poll(field_devices.asked(PROBE))[4])


@pytest.mark.parametrize("values", [(), ("",)])
def test_a_measurement_that_was_broken_off_is_told(values):
    sensor = Sdi12Sensor()
    sensor.values = values
    with pytest.raises(DeviceError) as error:
        Bench(sensor).poll(field_devices.asked(PROBE))
    assert error.value.cause in ("busy", "exception")


def test_a_crc_that_does_not_fit_is_fetched_again_and_costs_only_its_own_values():
    sensor, spoil = Sdi12Sensor(), [True]

    def answer(request: bytes) -> tuple[float, bytes] | None:
        said = sensor(request) or b""
        if request == b"0D1!" and spoil:
            return 0.02, said.replace(b"+1013.2", b"+1013.3")
        return 0.02, said

    driver, wire = field_devices.asked(PROBE), VirtualWire(VirtualClock(), answer)
    batch = driver.poll(driver.groups()[0], wire)
    assert batch.raw[:3].tolist() == VALUES[:3]
    assert batch.reason.tolist() == [Reason.NORMAL] * 3 + [Reason.COMMUNICATION] * 2
    assert [data for _, data in wire.sent].count(b"0D1!") == 2
    spoil.clear()
    assert driver.poll(driver.groups()[0], wire).raw.tolist() == VALUES


def test_the_sensor_says_who_it_is():
    who = sdi12.read_identity(Sdi12Sensor()(b"0I!") or b"")
    assert (who.vendor, who.model, who.sensor_version) == ("ECOSENTR", "PROBE1", "100")


def test_a_silent_sensor_is_woken_a_second_time():
    sensor, asleep = Sdi12Sensor(), [True]

    def answer(request: bytes) -> tuple[float, bytes] | None:
        if asleep.pop() if asleep else False:
            return None
        return 0.02, sensor(request) or b""

    driver = field_devices.asked(PROBE)
    assert driver.poll(driver.groups()[0], VirtualWire(VirtualClock(), answer)).raw.tolist() == VALUES


@pytest.mark.parametrize("address", ["01", "-", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        field_devices.asked(PROBE, address=address)


# ── meters ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_item_that_a_meter_does_not_have_costs_only_its_own_values():
    def without_current(request: bytes) -> tuple[float, bytes] | None:
        if dlt645.read(request).item == "02020100":
            return 0.05, dlt645.build(dlt645.Frame("000000000161", 0xD1, b"\x02"))
        return 0.05, field_devices.meter(request) or b""

    driver = field_devices.asked("dlt645_2007", address="161")
    batch = driver.poll(driver.groups()[0], VirtualWire(VirtualClock(), without_current))
    assert batch.raw[:2].tolist() == [1234.56, 223.3]
    assert math.isnan(batch.raw[2])
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.NORMAL, Reason.DEVICE]


def test_a_meter_that_falls_silent_is_not_asked_for_the_rest():
    sent: list[bytes] = []

    def half(request: bytes) -> tuple[float, bytes] | None:
        sent.append(request)
        return (0.05, field_devices.meter(request) or b"") if len(sent) == 1 else None

    driver = field_devices.asked("dlt645_2007", address="161")
    batch = driver.poll(driver.groups()[0], VirtualWire(VirtualClock(), half))
    assert len(sent) == 2
    assert batch.raw[0] == 1234.56
    assert batch.reason.tolist() == [Reason.NORMAL, Reason.COMMUNICATION, Reason.COMMUNICATION]


def test_rows_of_one_item_are_read_with_one_request(tmp_path):
    text = (field_devices.PACKAGED / "dlt645_2007.toml").read_text("utf-8").split("[quantities]")[0]
    keys = 'item = "0201FF00", size = 2, decimals = 1, unit = "V"'
    rows = "".join(f'"voltage:{phase}" = {{ {keys}, at = {2 * at} }}\n' for at, phase in enumerate("abc"))
    (tmp_path / "meter.toml").write_text(text + "[quantities]\n" + rows, "utf-8")
    data = b"".join(dlt645.to_bcd(volts, 2, 1) for volts in (223.1, 0.0, 225.3))
    wire = VirtualWire(VirtualClock(), lambda request: (0.05, dlt645.build(
        dlt645.Frame("000000000161", 0x91, dlt645.item_bytes("0201FF00") + data[:4] + b"\xff\xff"))))
    driver = field_devices.asked(tmp_path / "meter.toml")
    batch = driver.poll(driver.groups()[0], wire)
    assert len(wire.sent) == 1
    assert str(batch.raw.tolist()) == "[223.1, 0.0, nan]"
    assert [series.channel for series in batch.series] == ["a", "b", "c"]


def test_two_meters_share_a_line_and_are_never_mixed_up():
    meters = {"000000000161": 223.3, "000000000262": 111.1}

    def line(request: bytes) -> tuple[float, bytes] | None:
        frame = dlt645.read(request)
        return 0.05, field_devices.meter(request, frame.address, meters[frame.address]) or b""

    wire = VirtualWire(VirtualClock(), line)
    for address, volts in meters.items():
        driver = field_devices.asked("dlt645_2007", name=f"m{address}", address=address)
        assert driver.poll(driver.groups()[0], wire).raw[1] == volts


# ── SPS30, EZO ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("echoes", [False, True])
def test_a_particle_sensor_that_is_not_measuring_is_started(echoes):
    sensor = Sps30(started=False)
    wire = VirtualWire(VirtualClock(), lambda request: (0.01, (request if echoes else b"") + (sensor(request) or b"")))
    driver = field_devices.asked("sensirion_sps30")
    with pytest.raises(DeviceError, match="has been started") as error:
        driver.poll(driver.groups()[0], wire)
    assert error.value.cause == "busy"
    assert wire.sent[1][1] == bytes.fromhex("7e 00 00 02 01 03 f9 7e")  # the datasheet's own bytes
    assert driver.poll(driver.groups()[0], wire).raw[0] == 0.0390643


def test_a_particle_sensor_without_new_values_is_asked_again_a_second_later():
    sensor, empty = Sps30(), [True]

    def answer(request: bytes) -> tuple[float, bytes]:
        if empty:
            empty.pop()
            return 0.01, shdlc.build(shdlc.Frame(0, shdlc.READ, b"", 0))
        return 0.01, sensor(request) or b""

    driver, wire = field_devices.asked("sensirion_sps30"), VirtualWire(VirtualClock(), answer)
    assert driver.poll(driver.groups()[0], wire).raw[0] == 0.0390643
    assert wire.sent[1][0] - wire.sent[0][0] > 1e9


def test_an_error_of_the_particle_sensor_is_told_in_words():
    wire = VirtualWire(VirtualClock(), lambda request: (0.01, shdlc.build(shdlc.Frame(0, shdlc.READ, b"", 0x28))))
    driver = field_devices.asked("sensirion_sps30")
    with pytest.raises(DeviceError, match="out of range") as error:
        driver.poll(driver.groups()[0], wire)
    assert error.value.cause == "exception"


def test_a_circuit_in_continuous_mode_is_read_too():
    wire = VirtualWire(VirtualClock(), lambda request: (0.9, b"*OK\r7.010\r"))
    wire.pending = [(wire.virtual.mono_ns, b"6.9")]
    driver = field_devices.asked("atlas_ezo_ph")
    assert driver.poll(driver.groups()[0], wire).raw.tolist() == [7.01]


class Talker(VirtualWire):
    """A circuit that writes a line every second by itself and answers R 0.9 s later; we hear it from a moment on that we do not choose."""

    def __init__(self, opened_s: float, character_s: float, burst_s: float) -> None:
        """Its bytes leave one by one and arrive `burst_s` apart."""
        super().__init__(VirtualClock(), lambda request: None)
        self.character_s, self.burst_s = character_s, burst_s
        self.busy: list[tuple[float, float]] = []
        for second in range(60):
            self.say(second + 1.0)
        opened_ns = self.virtual.mono_ns + round((1.0 + opened_s) * 1e9)
        self.virtual.go_on(1.0 + opened_s)
        self.pending = [one for one in self.pending if one[0] >= opened_ns]

    def say(self, at_s: float, words: bytes = b"1413\r") -> None:
        start, takes_s = VirtualClock().mono_ns / 1e9, len(words) * self.character_s
        for begins, ends in sorted(self.busy):  # one line after the other
            at_s = ends if begins < at_s + takes_s and at_s < ends else at_s
        self.busy.append((at_s, at_s + takes_s))
        for place, byte in enumerate(words):
            arrives_s = at_s + place * self.character_s
            if self.burst_s:
                arrives_s = math.ceil(arrives_s / self.burst_s) * self.burst_s
            self.pending.append((round((start + arrives_s) * 1e9), bytes((byte,))))
        self.pending.sort(key=lambda one: one[0])

    def send(self, data: bytes) -> None:
        super().send(data)
        self.say((self.virtual.mono_ns - VirtualClock().mono_ns) / 1e9 + 0.9, b"1413\r*OK\r")


@pytest.mark.parametrize(("character_s", "burst_s"), [(0.001, 0.0), (0.001, 0.016), (0.033, 0.0), (0.001, 0.3)])
def test_the_rest_of_a_line_that_began_before_we_listened_is_no_value(character_s, burst_s):
    """A port that is opened, or a poll that begins, at any byte of a circuit that writes by itself."""
    for phase in range(-2, 14):
        driver, wire = field_devices.asked("atlas_ezo_ec"), Talker(phase * character_s / 2, character_s, burst_s)
        for number in range(5):
            with suppress(DeviceError):
                assert driver.poll(driver.groups()[0], wire).raw.tolist() == [1413.0], (phase, number)
            wire.virtual.go_on(1.0 + (1.0 - wire.virtual.mono_ns / 1e9 % 1.0) + number * character_s)
        assert driver.poll(driver.groups()[0], wire).raw.tolist() == [1413.0]


def test_a_line_that_is_not_written_as_the_circuit_writes_is_a_torn_one():
    for torn, said in ((b"60\r", 7.0), (b"560\r", 7.0), (b".560\r", 7.0), (b"9.56\r", 7.0), (b"9.560\r", 9.56)):
        driver, answers = field_devices.asked("atlas_ezo_ph"), iter((b"1.000\r", torn, b"7.000\r"))
        wire = VirtualWire(VirtualClock(), lambda request, answers=answers: (0.9, next(answers)))
        assert driver.poll(driver.groups()[0], wire).raw.tolist() == [said]


@pytest.mark.parametrize(("said", "cause"), [(b"*ER\r", "exception"), (b"*UV\r", "busy"), (b"pH?\r", "noise")])
def test_what_a_circuit_says_instead_of_a_value(said, cause):
    driver = field_devices.asked("atlas_ezo_ph")
    with pytest.raises(DeviceError) as error:
        driver.poll(driver.groups()[0], VirtualWire(VirtualClock(), lambda request: (0.3, said)))
    assert error.value.cause == cause


@pytest.mark.parametrize(("profile", "device", "place"), [
    ("dlt645_2007", field_devices.meter, 18), ("sensirion_sps30", Sps30(), 3), ("winsen_mhz19", field_devices.co2, 3), (PROBE, Sdi12Sensor(), 3),
    ("atlas_ezo_ph", field_devices.circuit, 3)])
def test_a_spoilt_answer_is_asked_for_again_at_once(profile, device, place):
    """It costs its own time on the line, not the whole wait for an answer; only where answers do not say what was asked it is waited for."""
    spoil = [True]

    def answer(request: bytes) -> tuple[float, bytes]:
        said = bytearray(device(request) or b"")
        if spoil:
            spoil.pop()
            said[place] ^= 0x44
        return 0.01, bytes(said)

    options = {"address": "161"} if profile == "dlt645_2007" else {}
    driver, wire = field_devices.asked(profile, **options), VirtualWire(VirtualClock(), answer)
    assert not math.isnan(driver.poll(driver.groups()[0], wire).raw[0])
    assert wire.sent[1][1] == wire.sent[0][1]
    passes_s = 2.0 if profile == PROBE else 0.15
    assert (wire.sent[1][0] - wire.sent[0][0]) / 1e9 < passes_s
