"""Every frame of the collection through the driver that meets it on a line: what a device says is read, what others say is no value."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import field_devices
import field_vectors
import modbus_devices
import mqtt_devices
import pytest
from field_devices import Sps30
from field_vectors import ROWS, frame_of
from virtual import VirtualClock, VirtualWire

from config.errors import DeviceError
from config.series import Reason
from drivers.codecs import modbus_device, nmea, plantower, sds011
from drivers.driver import Asked, Converses, Heard, Told, finish
from drivers.protocols.frames import Row as FrameRow
from drivers.reading import Batch

Respond = Callable[[bytes], bytes | None]
READ_BY_DRIVERS = {"dlt645", "ezo", "mhz19", "modbus_rtu", "nmea0183", "plantower", "sdi12", "sds011", "shdlc", "sparkplug_b", "tasmota", "ttn_v3",
                   "zigbee2mqtt"}


def rows_of(*protocols: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [row for row in ROWS if row["protocol"] in protocols], ids=lambda row: row["id"])


def test_only_what_no_driver_meets_is_left_to_the_codecs():
    assert {row["protocol"] for row in ROWS} - READ_BY_DRIVERS == {"sm4"}, "it is the cipher of an uplink that this version does not have"


def is_answer(row: dict) -> bool:
    return row["direction"].split("->")[0] in ("sensor", "meter", "device")


def good(batches: Iterable[Batch]) -> dict[str, float]:
    """What is taken for good, by quantity and channel."""
    return {f"{batch.series[which].quantity}:{batch.series[which].channel}".rstrip(":"): float(value) for batch in batches
            for which, value, reason in zip(batch.which, batch.raw, batch.reason, strict=True) if reason == Reason.NORMAL}


def polled(driver: Asked, respond: Respond) -> tuple[dict[str, float], list[bytes]]:
    """What one poll takes for good, and what it asked."""
    wire = VirtualWire(VirtualClock(), lambda request: None if (answer := respond(request)) is None else (0.01, answer))
    found: dict[str, float] = {}
    for group in driver.groups():
        with suppress(DeviceError):
            found |= good([finish(driver.poll(group, wire), wire)])
    return found, [request for _, request in wire.sent]


def profile_file(folder: Path, protocol: str, quantities: str) -> Path:
    path = folder / "acme.toml"
    path.write_text('maker = "a"\nmodel = "b"\nmedium = "water"\nsource = "the frame itself"\nverified = "S"\ninterval = "1 min"\n'
                    f'protocol = "{protocol}"\n[quantities]\n{quantities}\n', "utf-8")
    return path


# ── asked ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@rows_of("modbus_rtu")
def test_modbus(row):
    frame, expected = frame_of(row), row["expected"]
    if not is_answer(row):
        if frame[1] == 3:  # what it asks of registers a driver asks byte for byte
            question = modbus_device.read_question(frame[0], frame[1:-2])
            if question.unit <= 247:
                places = {f"soil_moisture:{place}": {"register": place} for place in (question.first, question.first + question.count - 1)}
                assert polled(modbus_devices.driver(modbus_devices.profile(places), address=question.unit), lambda _: None)[1][0] == frame
        probe = modbus_devices.driver(modbus_devices.profile({"ph": {"register": 0}}))
        assert polled(probe, lambda _: frame)[0] == {}
        return
    if frame[1] == 1:
        quantities = {"coils": {"register": 0, "function": 1, "type": "bit"}}
    else:
        quantities = {name: {"register": place, "type": "s16", "decimals": 0 if name in ("raw", "ec_us_cm") else 1}
                      for place, name in enumerate(expected)}
    assert polled(modbus_devices.driver(modbus_devices.profile(quantities), address=frame[0]), lambda _: frame)[0] == expected


@rows_of("dlt645")
def test_dlt645(row):
    frame = frame_of(row)
    assert polled(field_devices.asked("dlt645_2007", address="161"), lambda _: frame)[0] == {}, "no question of another is an answer"
    if field_vectors.is_damaged(row):
        return
    is_old = row["kind"].startswith("1997")
    driver = field_devices.asked("dlt645_1997" if is_old else "dlt645_2007", address=row["expected"]["address"].replace("A", "1"))
    asked = [request.lstrip(b"\xfe") for request in polled(driver, lambda request: None if is_old else field_devices.meter(
        request, row["expected"]["address"]))[1]]
    driven = "read total" in row["kind"] or "read phase" in row["kind"] or "9010" in row["kind"]
    assert (frame.lstrip(b"\xfe") in asked) == driven


@rows_of("mhz19")
def test_mhz19(row):
    frame = frame_of(row)
    found, asked = polled(field_devices.asked("winsen_mhz19"), lambda _: frame)
    assert found == ({"co2": row["expected"]["co2_ppm"]} if "co2_ppm" in row["expected"] else {})
    assert (frame in asked) == (row["kind"] == "read CO2")


@rows_of("ezo")
def test_ezo(row):
    found, asked = polled(field_devices.asked("atlas_ezo_ph"), lambda _: frame_of(row))
    assert found == {}
    assert set(asked) == {frame_of(row)}


@rows_of("shdlc")
def test_shdlc(row):
    frame = frame_of(row)
    found, _ = polled(field_devices.asked("sensirion_sps30"), lambda _: frame)
    floats = dict(zip(row["expected"].get("names", ()), row["expected"].get("floats", ()), strict=True))
    assert found == pytest.approx({quantity: floats[name] for quantity, name in (("pm1", "mc1p0"), ("pm2_5", "mc2p5"), ("pm10", "mc10p0")) if floats},
                                  abs=1e-6)
    idle = Sps30(started=False)
    starts = row["kind"].endswith("start ack")
    _, asked = polled(field_devices.asked("sensirion_sps30"), lambda request: frame if starts and idle.started else idle(request))
    assert (frame in asked) == (row["id"] in ("sps-mosi-0", "sps-mosi-2")), "it starts a sensor that does not measure with these bytes"


@rows_of("sdi12")
def test_sdi12(row, tmp_path):
    frame, expected = frame_of(row), row["expected"]
    if not is_answer(row) and "recorder->" in row["direction"]:
        body = expected["command"].rstrip("!")
        if body[:1] not in ("M", "C", "R"):  # A, I and a bare address are said by `scan`, D9 behind nine other answers
            assert polled(sdi12_driver(tmp_path, "M", 1), lambda _: frame)[0] == {}
            return
        assert polled(sdi12_driver(tmp_path, body, 1, expected["address"]), lambda _: None)[1][0] == frame
        return
    if "n_values" in expected:
        ask, count = ("C" if len(frame) == 8 else "M"), expected["n_values"]
        written = [f"+{number}.5" for number in range(count)]
        found, asked = polled(sdi12_driver(tmp_path, ask, count), sdi12_sensor({ask: frame}, written))
        assert found == {f"soil_moisture:{number}": number - 0.5 for number in range(1, count + 1)}
        assert asked[0] == f"0{ask}!".encode()
        return
    written = expected.get("values", ["+1"])
    is_checked = "crc" in expected or field_vectors.is_damaged(row)
    ask = "MC" if is_checked else "M"
    ready = b"0000%d\r\n" % max(1, len(written))
    found, _ = polled(sdi12_driver(tmp_path, ask, max(1, len(written))), lambda request: ready if request == f"0{ask}!".encode() else frame)
    is_read = "values" in expected
    assert found == {f"soil_moisture:{place}": float(text) for place, text in enumerate(written, 1) if is_read}


def sdi12_driver(folder: Path, ask: str, count: int, address: str = "0") -> Asked:
    lines = [f'"soil_moisture:{number}" = {{ ask = "{ask}", value = {number}, unit = "%" }}' for number in range(1, count + 1)]
    return field_devices.asked(profile_file(folder, "sdi12", "\n".join(lines)), address=address)


def sdi12_sensor(ready: dict[str, bytes], written: list[str]) -> Respond:
    def answer(request: bytes) -> bytes | None:
        body = request[1:-1].decode()
        if body in ready:
            return ready[body]
        page = int(body[1:])
        return b"0" + "".join(written[8 * page : 8 * page + 8]).encode() + b"\r\n" if body[0] == "D" else None

    return answer


# ── heard ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def streamed(driver: Told, *pieces: bytes) -> list[Batch]:
    driver.begin()  # type: ignore[attr-defined]
    clock, found = VirtualClock(), []
    for piece in (b"\r\n", *pieces):
        clock.go_on(0.1)
        found += list(driver.hear(Heard("", piece, clock.now())))
    return found


@rows_of("plantower", "sds011")
def test_particle_sensors(row):
    name = "plantower_pms5003" if row["protocol"] == "plantower" else "nova_sds011"
    driver, expected = field_devices.streamed(name), row["expected"]
    rows = {quantity: one for quantity, one in field_devices.profile(name).rows.items() if isinstance(one, FrameRow)}
    is_read = not field_vectors.is_damaged(row) and any(one.field in expected for one in rows.values())
    assert good(streamed(driver, frame_of(row))) == {quantity: expected[one.field] * float(one.scale) for quantity, one in rows.items() if is_read}
    trouble = driver.trouble()
    assert (trouble is not None and trouble.cause == "noise") == field_vectors.is_damaged(row)
    words = {plantower.SLEEP, sds011.mode(awake=False, id_=0xA160), sds011.mode(awake=True, id_=0xA160)}
    assert (frame_of(row) in words) == (row["kind"] in ("sleep", "work") or row["id"] == "pms-cmd-sleep")


@rows_of("nmea0183")
def test_nmea(row, tmp_path):
    """Each field that is a number, by a profile that asks for it."""
    expected = row["expected"]
    name = nmea.read(frame_of(row)).name
    assert name == expected["talker"] + expected["sentence"].rstrip(",")
    numbers = {place: text for place, text in enumerate(expected["fields"], 1) if text.replace(".", "", 1).removeprefix("-").isdigit()}
    lines = [f'"soil_moisture:{place}" = {{ sentence = "{name}", field = {place}, unit = "%" }}' for place in numbers or {1: ""}]
    driver = field_devices.streamed(profile_file(tmp_path, "nmea", "\n".join(lines)))
    assert good(streamed(driver, frame_of(row))) == {f"soil_moisture:{place}": float(text) for place, text in numbers.items()}
    spoilt = frame_of(row).replace(b"*", b"0*", 1)
    assert good(streamed(driver, spoilt)) == {} or frame_of(row)[-4:-2] == b"00"


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@rows_of("tasmota", "zigbee2mqtt", "ttn_v3")
def test_messages(row, tmp_path):
    cases = {
        "tas-0": ("tasmota_bme280", {"air_temperature": 20.7, "relative_humidity": 24.4, "dew_point": -0.4, "air_pressure": 1013.4}),
        "tas-2": ('air_temperature = { path = "$.ZbReceived.0x1067.Temperature" }\nrelative_humidity = { path = "$.ZbReceived.0x1067.Humidity" }',
                  {"air_temperature": 19.04, "relative_humidity": 70.89}),
        "z2m-0": ("zigbee2mqtt_climate", {"air_temperature": 23.5, "relative_humidity": 46.08, "air_pressure": 915.5}),
        "ttn-0": ('air_temperature = { path = "$.uplink_message.decoded_payload.temperature" }', {"air_temperature": 1.0})}
    of, wanted = cases[row["id"]]
    driver = field_devices.told(profile_file(tmp_path, "mqtt_json", of) if "{" in of else of, line="mqtt", topic="yard/node")
    assert good(driver.hear(mqtt_devices.heard(frame_of(row), "yard/node"))) == wanted


@rows_of("sparkplug_b")
def test_sparkplug(row):
    group, node = row["expected"]["topic"].split("/")[1::2]
    driver = field_devices.told("sparkplug_b", line="mqtt", group=group, node=node)
    assert isinstance(driver, Converses)
    heard = mqtt_devices.heard(frame_of(row), row["expected"]["topic"])
    assert driver.replies(heard.stamp), "before its birth it is asked for it"
    assert list(driver.hear(heard)) == []
    assert driver.replies(type(heard.stamp)("boot", heard.stamp.mono_ns + 10**12, heard.stamp.utc_ns)) == (), "it was understood as the birth"
