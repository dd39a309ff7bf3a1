"""What Home Assistant's MQTT discovery is told of a series, so that it shows up there by itself.

Device class and unit come from the vocabulary, and only where they are sure. A value that failed its tests or is missing makes the
entity unavailable, and so does silence (`expire_after`): a box that is dead cannot say so itself.
"""

import hashlib
import json
import re

from config.quantity import Quantity, vocabulary
from config.series import Series
from config.site import Site
from gateway.broker import Message

_STATE_CLASS = {"level": "measurement", "sound": "measurement", "counter": "total_increasing"}
"""How Home Assistant makes statistics; none for angles, states, and amounts of which each reading is a part."""
_UNITS = {"dB(A)": "dBA", "1": ""}
_VALID = "{{ 'online' if value_json.flag in (1, 2, 3) else 'offline' }}"


def discovery(series: Series, topic: str, site: Site, prefix: str, expire_after_s: int, version: str) -> Message | None:
    """The message that announces a measured series; None for what is no such thing or not in the vocabulary."""
    known = vocabulary().get(series.quantity)
    if known is None or series.statistic:
        return None
    identity = _identity(series)
    station = site.stations.get(series.station)
    body: dict[str, object] = {
        "name": known.en + (f" {series.channel}" if series.channel else ""), "unique_id": f"ecosentry_{identity}", "state_topic": topic,
        "value_template": "{{ value_json.value }}", "availability_topic": topic, "availability_template": _VALID, "expire_after": expire_after_s,
        **_about(known),
        "device": {"identifiers": [f"ecosentry_{series.station}_{series.device}"],
                   "name": f"{(station.name if station else '') or series.station} {series.device}"},
        "origin": {"name": "EcoSentry", "sw_version": version},
    }
    return Message(f"{prefix}/sensor/ecosentry/{identity}/config", json.dumps(body).encode(), True)


def _about(known: Quantity) -> dict[str, object]:
    found: dict[str, object] = {"suggested_display_precision": known.decimals}
    if unit := _UNITS.get(known.unit, known.unit):
        found["unit_of_measurement"] = unit
    if known.home_assistant:
        found["device_class"] = known.home_assistant
    if known.behaves in _STATE_CLASS:
        found["state_class"] = _STATE_CLASS[known.behaves]
    return found


def _identity(series: Series) -> str:
    """A name of letters, digits, _ and - that no other series has."""
    digest = hashlib.sha256("\0".join(series[:4]).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return "_".join(re.sub(r"[^a-zA-Z0-9_-]", "_", part)[:64] for part in (*series[:3], digest))
