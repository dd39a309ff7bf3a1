"""An edge node and a reader of Sparkplug B that share nothing with ours: payloads by Google's protobuf, made from the table in the specification."""

import itertools
import time
from collections.abc import Mapping

import paho.mqtt.client as paho
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto
_TYPES = {"u32": F.TYPE_UINT32, "u64": F.TYPE_UINT64, "f": F.TYPE_FLOAT, "d": F.TYPE_DOUBLE, "b": F.TYPE_BOOL, "s": F.TYPE_STRING, "y": F.TYPE_BYTES}
_SCHEMA: Mapping[str, tuple[tuple[str, int, str], ...]] = {  # specification 3.0.0, 6.4.1: name, number, type ("*" = repeated)
    "Value": (("type", 1, "u32"), ("is_null", 2, "b"), ("int_value", 3, "u32"), ("long_value", 4, "u64"), ("string_value", 8, "s")),
    "Set": (("keys", 1, "s*"), ("values", 2, "Value*")),
    "Metric": (("name", 1, "s"), ("alias", 2, "u64"), ("timestamp", 3, "u64"), ("datatype", 4, "u32"), ("is_historical", 5, "b"),
               ("is_transient", 6, "b"), ("is_null", 7, "b"), ("properties", 9, "Set"), ("int_value", 10, "u32"), ("long_value", 11, "u64"),
               ("float_value", 12, "f"), ("double_value", 13, "d"), ("boolean_value", 14, "b"), ("string_value", 15, "s"), ("bytes_value", 16, "y")),
    "Payload": (("timestamp", 1, "u64"), ("metrics", 2, "Metric*"), ("seq", 3, "u64"), ("uuid", 4, "s"), ("body", 5, "y")),
}


def _classes():
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="s", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            one = message.field.add(name=field, number=number, label=F.LABEL_REPEATED if kind[-1] == "*" else F.LABEL_OPTIONAL)
            bare = kind.rstrip("*")
            if bare in _TYPES:
                one.type = _TYPES[bare]
            else:
                one.type, one.type_name = F.TYPE_MESSAGE, f".s.{bare}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"s.{name}")) for name in _SCHEMA}


CLASSES = _classes()
INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = range(1, 13)


def metric(name=None, value=None, datatype=None, alias=None, timestamp=None, *, historical=False, null=False, quality=None, with_type=True,
           as_double=False):
    """A metric as an edge node encodes it: signed integers as the unsigned field of the same bits; `as_double` as one that is mistaken does."""
    m = CLASSES["Metric"]()
    for field, content in (("name", name), ("alias", alias), ("timestamp", timestamp)):
        if content is not None:
            setattr(m, field, content)
    if datatype is not None and with_type:
        m.datatype = datatype
    if historical:
        m.is_historical = True
    if quality is not None:
        m.properties.keys.append("Quality")
        m.properties.values.add(type=INT32, int_value=quality)
    if null:
        m.is_null = True
    elif datatype in (INT64, UINT64):
        m.long_value = value % 2**64
    elif as_double:
        m.double_value = value
    elif datatype == FLOAT:
        m.float_value = value
    elif datatype == DOUBLE:
        m.double_value = value
    elif datatype == BOOLEAN:
        m.boolean_value = value
    elif datatype == STRING:
        m.string_value = value
    elif value is not None:
        m.int_value = value % 2**32
    return m


def payload(metrics=(), seq=None, timestamp=None) -> bytes:
    p = CLASSES["Payload"]()
    p.metrics.extend(metrics)
    if seq is not None:
        p.seq = seq
    if timestamp is not None:
        p.timestamp = timestamp
    return p.SerializeToString()


def parsed(data: bytes):
    """What Google's protobuf reads in it."""
    p = CLASSES["Payload"]()
    p.ParseFromString(data)
    return p


class EdgeNode:
    """An edge node on a real broker: births, data by alias, its will, and births again when it is told so."""

    def __init__(self, port: int, group: str = "G", node: str = "E", device: str = "D") -> None:
        self.group, self.node, self.device = group, node, device
        self.value, self.rebirths, self.bd_seq = 1.0, 0, 7
        self._seq = itertools.count()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, clean_session=True)
        self.client.will_set(self._topic("NDEATH"), payload([metric("bdSeq", self.bd_seq, INT64)]), qos=1)
        self.client.on_message = self._told
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(f"spBv1.0/{group}/NCMD/{node}", 1)
        self.client.loop_start()

    def _topic(self, verb: str) -> str:
        return f"spBv1.0/{self.group}/{verb}/{self.node}" + (f"/{self.device}" if verb[0] == "D" else "")

    def _told(self, client, userdata, message) -> None:
        assert [m.name for m in parsed(message.payload).metrics] == ["Node Control/Rebirth"]
        self.rebirths += 1
        self.birth()

    def skip(self) -> None:
        """A message that gets lost."""
        next(self._seq)

    def _say(self, verb: str, *metrics) -> None:
        self.client.publish(self._topic(verb), payload(metrics, next(self._seq) % 256, time.time_ns() // 10**6), qos=0)

    def birth(self) -> None:
        self._seq = itertools.count()
        now = time.time_ns() // 10**6
        self._say("NBIRTH", metric("bdSeq", self.bd_seq, INT64, timestamp=now), metric("Node Control/Rebirth", False, BOOLEAN, timestamp=now))
        self._say("DBIRTH", metric("pm10", self.value, DOUBLE, 11, now), metric("Air/PM", self.value, FLOAT, 12, now))

    def data(self, value: float, **more) -> int:
        """One reading by alias; gives its time in ms."""
        self.value, now = value, more.pop("timestamp", time.time_ns() // 10**6)
        self._say("DDATA", metric(None, value, DOUBLE, 11, now, with_type=False, **more))
        return now

    def crash(self) -> None:
        """The connection breaks: the broker speaks the will."""
        self.client.loop_stop()
        self.client.socket().close()

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
