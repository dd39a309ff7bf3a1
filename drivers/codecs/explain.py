"""One frame in words: the fields of a message of any known protocol, for people and for tests. See `explain`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.codecs import dlt645, explain_json, ezo, mhz19, modbus, nmea, plantower, sdi12, sds011, shdlc, sm4, sparkplug, ultrasonic
from drivers.codecs.frame import NotAFrame, hexed
from drivers.codecs.register_layout import RegisterLayout

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known beside a frame and does not stand in it."""

    topic: str = ""
    """Where a message was published."""
    layout: RegisterLayout | None = None
    """What the registers of a Modbus answer mean."""
    key: bytes = b""
    """Of what is encrypted with SM4: 16 bytes."""


def explain(protocol: str, data: bytes, beside: Beside | None = None) -> Fields:
    """The fields of one frame. Raises NotAFrame, or KeyError for a protocol that is not in `PROTOCOLS`.

    >>> explain("mhz19", bytes.fromhex("ff8602604700 0000d1"))
    {'co2_ppm': 608, 'temp_c': 31}
    """
    if beside is None:
        return PROTOCOLS[protocol](data)
    found = _sm4(data, beside.key) if protocol == "sm4" else PROTOCOLS[protocol](data)
    registers = found.get("registers")
    if beside.layout is not None and isinstance(registers, list):
        found |= beside.layout.values(registers)
    return {"topic": beside.topic, **found} if beside.topic else found


def _plantower(data: bytes) -> Fields:
    if len(data) == 7:
        code, value = plantower.read_command(data)
        words = {(0xE1, 0): "passive mode", (0xE1, 1): "active mode", (0xE2, 0): "read", (0xE4, 0): "sleep", (0xE4, 1): "wake"}
        return {"cmd": words.get((code, value), f"{code:02X} {value}")}
    return {**plantower.read(data), "checksum": int.from_bytes(data[-2:]), "checksum_calc": sum(data[:-2])}


def _sds011(data: bytes) -> Fields:
    frame = sds011.read(data)
    body, found = frame.body, {"id": f"{frame.id:04X}"}
    if frame.kind == sds011.DATA:
        return {**sds011.values(frame), **found}
    if frame.kind == sds011.COMMAND:
        asked: Fields = {"action": frame.action, "set": bool(body[1]), **found}
        return {**asked, "new_id": body[11:13].hex().upper()} if frame.action == sds011.SET_ID else asked
    said: dict[int, Fields] = {
        sds011.MODE: {"mode": "query" if body[2] else "active"}, sds011.SLEEP: {"state": "work" if body[2] else "sleep"},
        sds011.PERIOD: {"period_min": body[2]}, sds011.VERSION: {"version": ".".join(map(str, body[1:4]))}}
    return {**said.get(frame.action, {}), **found}


def _ultrasonic(data: bytes) -> Fields:
    return {**ultrasonic.read(data)}


def _shdlc(data: bytes) -> Fields:
    """An answer where it can be one, else a request; what could be both is no answer that declines and yet brings data."""
    try:
        frame = shdlc.read_answer(data)
        if frame.has_failed and frame.data:
            frame = shdlc.read_request(data)
    except NotAFrame:
        frame = shdlc.read_request(data)
    found: Fields = {"adr": frame.address, "cmd": frame.command, "data": frame.data.hex()}
    if frame.state is not None:
        found["state"] = frame.state
    if frame.state is not None and frame.command == shdlc.READ and len(frame.data) == 4 * len(shdlc.SPS30_FIELDS):
        found |= {"floats": [round(value, 6) for value in shdlc.floats(frame.data)], "names": list(shdlc.SPS30_FIELDS)}
    return found


def _mhz19(data: bytes) -> Fields:
    if len(data) != mhz19.SIZE or data[:1] != b"\xff":
        raise NotAFrame(f"not nine bytes that begin with FF: {hexed(data)}")
    if mhz19.checksum(data) != data[8]:
        raise NotAFrame("the checksum does not fit")
    if data[1] == 0x01:
        return {"command": f"{data[2]:02X}", "data": data[3:8].hex()}
    return {**mhz19.values(data[2:8])} if data[1] == mhz19.READ else {"answer": f"{data[1]:02X}", "data": data[2:8].hex()}


def _nmea(data: bytes) -> Fields:
    sentence = nmea.read(data)
    body = data[1 : data.rindex(b"*")].decode("ascii")
    return {"talker": body[:2], "sentence": body[2:5], "fields": list(sentence.fields), "checksum": sentence.checksum}


def _dlt645(data: bytes) -> Fields:
    frame = dlt645.read(data)
    found: Fields = {"address": frame.address, "control": f"0x{frame.control:02X}", "data_minus_33": frame.data.hex(" ")}
    if frame.item:
        found["di"] = frame.item
    if frame.is_answer and frame.control & dlt645.ERROR:
        found["refusal"] = dlt645.refusal(frame)
    return found


def _sdi12(data: bytes) -> Fields:
    if data.endswith(b"!"):
        asked = sdi12.read_command(data)
        return {"address": asked.address, "command": asked.body + "!"}
    line = sdi12.line_of(data)
    if len(line) in (5, 6) and line[1:].isdigit():
        ready = sdi12.read_ready(data, len(line) - 4)
        return {"address": ready.address, "ready_s": ready.ready_s, "n_values": ready.count}
    if len(line) > 1 and line[1:2].isdigit():
        who = sdi12.read_identity(data)
        return {"address": who.address, "version": who.version, "vendor": who.vendor, "model": who.model, "sensor_version": who.sensor_version,
                "optional": who.optional}
    checked = sdi12.has_crc(data)
    values = sdi12.read_values(data, crc=checked)
    found: Fields = {"address": values.address, "values": list(values.values)}
    return {**found, "crc": line[-3:].decode(), "crc16": f"0x{sdi12.crc16(line[:-3]):04X}"} if checked else found


def _modbus(data: bytes) -> Fields:
    if not modbus.is_sealed(data):
        raise NotAFrame("the checksum does not fit" if len(data) >= 4 else f"too short: {hexed(data)}", "noise" if len(data) >= 4 else "short")
    unit, function, rest = data[0], data[1], data[2:-2]
    found: Fields = {"unit": unit, "function": function & 0x7F}
    if function & 0x80:
        return {**found, "exception": rest[0] if rest else None}
    if function in modbus.READ_FUNCTIONS and rest and rest[0] == len(rest) - 1:
        if function in modbus.BIT_FUNCTIONS:
            return {**found, "bits": rest[1:].hex(), "coils": int.from_bytes(rest[1:], "little")}
        words = [int.from_bytes(rest[at : at + 2]) for at in range(1, len(rest), 2)]
        return {**found, "registers": words, **({"raw": words[0]} if len(words) == 1 else {})}
    if len(rest) == 4:
        second = "count" if function in modbus.READ_FUNCTIONS else "value"
        return {**found, "first": int.from_bytes(rest[:2]), second: int.from_bytes(rest[2:])}
    return {**found, "data": rest.hex()}


def _ezo(data: bytes) -> Fields:
    text = data.strip(b"\r\n")
    if text == b"R":
        return {"cmd": "single reading"}
    line = ezo.read(text)
    return {"code": line.code} if line.code else {"reply": list(line.reply)} if line.reply else {"values": [float(value) for value in line.values]}


def _sparkplug(data: bytes) -> Fields:
    payload = sparkplug.read(data)
    found: Fields = {"timestamp": payload.timestamp_ms, "seq": payload.seq, "metrics": sparkplug.shown(payload.metrics)}
    return found | ({"historical": True} if any(metric.is_historical for metric in payload.metrics) else {})


def _sm4(data: bytes, key: bytes = b"") -> Fields:
    if not key:
        raise NotAFrame("it is encrypted, and its key is not given", "wrong")
    if len(data) == sm4.BLOCK:
        return {"key": key.hex(), "cipher": sm4.encrypt(data, key).hex()}
    return sm4.read_segment(data, key)


PROTOCOLS: Mapping[str, Callable[[bytes], Fields]] = {
    "dlt645": _dlt645, "ezo": _ezo, "mhz19": _mhz19, "modbus_rtu": _modbus, "nmea0183": _nmea, "plantower": _plantower, "sdi12": _sdi12,
    "sds011": _sds011, "shdlc": _shdlc, "sm4": _sm4, "sparkplug": _sparkplug, "sparkplug_b": _sparkplug,
    "tasmota": explain_json.tasmota, "ttn_v3": explain_json.ttn_v3, "ultrasonic": _ultrasonic, "zigbee2mqtt": explain_json.zigbee2mqtt}
"""By the name that `explain` takes."""
MESSAGES = frozenset({"sparkplug", "sparkplug_b", "tasmota", "ttn_v3", "zigbee2mqtt"})
"""Those of them that are published under a topic."""
