"""The fields of JSON messages that are met often, for people and for tests: Tasmota, Zigbee2MQTT, The Things Stack v3."""

import base64

from config.errors import Undecodable
from drivers.codecs import strict_json
from drivers.codecs.frame import NotAFrame
from drivers.codecs.json_path import Absent, JsonPath
from drivers.codecs.strict_json import Bad, Json

Fields = dict[str, object]


def tasmota(data: bytes) -> Fields:
    """Readings by sensor and name; of a bridged Zigbee device its name, temperature and humidity. Raises NotAFrame."""
    message = _object(data)
    bridged = message.get("ZbReceived")
    if isinstance(bridged, dict) and bridged:
        name, inner = next(iter(bridged.items()))
        values = inner if isinstance(inner, dict) else {}
        return {"device": name, **{key.lower(): value for key, value in values.items() if _is_number(value)}}
    readings = {f"{sensor}.{name}": value for sensor, inner in message.items() if isinstance(inner, dict)
                for name, value in inner.items() if _is_number(value)}
    return {"time_local": _plain(message.get("Time")), "readings": readings}


def zigbee2mqtt(data: bytes) -> Fields:
    """The numbers of a flat object. Raises NotAFrame."""
    return {key: value for key, value in _object(data).items() if _is_number(value)}


def ttn_v3(data: bytes) -> Fields:
    """Device, counters, payload and time of an uplink; what The Things Stack left out is None. Raises NotAFrame."""
    message = _object(data)
    if not isinstance(message.get("uplink_message"), dict):
        raise NotAFrame("no uplink message", "wrong")
    payload = _at(message, "$.uplink_message.frm_payload")
    try:
        payload_hex = base64.b64decode(payload, validate=True).hex() if isinstance(payload, str) else None
    except ValueError:  # what is no base64, and what is not even ASCII
        raise NotAFrame("its payload is no base64", "wrong") from None
    return {
        "device_id": _at(message, "$.end_device_ids.device_id"), "f_cnt": _at(message, "$.uplink_message.f_cnt"),
        "f_port": _at(message, "$.uplink_message.f_port"), "frm_payload_hex": payload_hex,
        "decoded": _at(message, "$.uplink_message.decoded_payload"),
        "time": _at(message, "$.uplink_message.settings.time") or _at(message, "$.uplink_message.received_at")}


def _object(data: bytes) -> dict[str, Json]:
    try:
        message = strict_json.read(data)
    except Undecodable as error:
        raise NotAFrame(str(error), "wrong") from None
    if not isinstance(message, dict):
        raise NotAFrame("not an object", "wrong")
    return message


def _at(message: Json, path: str) -> object:
    found = JsonPath.read(path).find(message)
    return None if isinstance(found, Absent) else _plain(found)


def _plain(value: Json) -> object:
    """The value without what cannot be one: None in its place."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, Bad) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
