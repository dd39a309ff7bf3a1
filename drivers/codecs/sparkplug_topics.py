"""Sparkplug B: topics, and the payloads that are no readings: death, rebirth, the state of a host.

Source: Eclipse Sparkplug specification 3.0.0, chapters 4 (topics), 5 (behaviour) and 6 (payloads).
"""

import json
from typing import NamedTuple

from drivers.codecs.sparkplug import BOOLEAN, INT64, Metric, Payload, read, write

NAMESPACE = "spBv1.0"
BD_SEQ, REBIRTH = "bdSeq", "Node Control/Rebirth"


class Place(NamedTuple):
    """What a topic says: spBv1.0/group/verb/node[/device]."""

    group: str
    verb: str
    node: str
    device: str


def place(topic: str) -> Place | None:
    """What a topic says; None if it is no topic of an edge node.

    >>> place("spBv1.0/river/DDATA/box/probe")
    Place(group='river', verb='DDATA', node='box', device='probe')
    """
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != NAMESPACE or not all(levels) or (levels[2][:1] == "D") != (len(levels) == 5):
        return None
    return Place(levels[1], levels[2], levels[3], levels[4] if len(levels) == 5 else "")


def topic(group: str, verb: str, node: str, device: str = "") -> str:
    """The topic of a message."""
    return "/".join((NAMESPACE, group, verb, node, *([device] if device else [])))


def rebirth_request(now_ms: int) -> bytes:
    """The payload of an NCMD that asks an edge node for its births (6.4.21)."""
    return write(Payload((Metric(REBIRTH, timestamp_ms=now_ms, datatype=BOOLEAN, value=True),), now_ms))


def asks_for_rebirth(data: bytes) -> bool:
    """Is this NCMD a request for the births? Raises NotAFrame."""
    found = read(data).find(REBIRTH)
    return found is not None and found.value is True


def death(bd_seq: int) -> bytes:
    """The payload of an NDEATH: bdSeq and nothing else, no sequence number."""
    return write(Payload((Metric(BD_SEQ, datatype=INT64, value=bd_seq),)))


def state_topic(host: str) -> str:
    """Where a host application says whether it is there."""
    return f"{NAMESPACE}/STATE/{host}"


def state(is_online: bool, now_ms: int) -> bytes:
    """What it says there."""
    return json.dumps({"online": is_online, "timestamp": now_ms}).encode()


def is_online(data: bytes) -> bool:
    """What a host says of itself; anything unreadable is no."""
    try:
        found = json.loads(data[:1000])
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("online") is True
