"""MQTT messages that are a number, a JSON object of values, or a list of such objects; quantities by name, path or topic.

Pure: bytes in, batches or `Undecodable` out, whatever the bytes are. One bad value among good ones is MISSING with the
reason `d`, an element of a list without one is left out and counted; a message without any good value is set aside whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import field_validator

from config.errors import Undecodable
from config.quantity import vocabulary
from config.series import Series
from config.table import Table
from config.units import Duration
from drivers.codecs import strict_json
from drivers.codecs.json_path import ABSENT, Absent, JsonPath
from drivers.codecs.own_time import own_time_ns
from drivers.codecs.strict_json import Json, shown
from drivers.codecs.topic_template import Named, TopicTemplate
from drivers.driver import Device, Heard
from drivers.lines import _topics
from drivers.protocols._json_shape import Place, Shape
from drivers.protocols._named import MOST_CHANNELS, NamedRow, Quantities
from drivers.reading import Batch, Readings

_MS = 1_000_000
_NONE = (0, "")
LINES = frozenset({"mqtt", "http"})
"""Kinds of line that it works on."""
_FARTHEST_NS = 3600 * 1000 * _MS
"""So far our stamps may run ahead of the clock where many readings of one series come at once: a message of 16 MB has less than an hour's."""
_SET_BACK_NS = 1000 * _MS
_MOST_SHAPES = 256
"""So many are remembered; then the memory starts anew."""
_OLD_INTERVALS = 2
"""A kept ("retained") message that is older than so many intervals is no reading."""


class Options(Table):
    """Keys of such a device in the site file, beside those that all devices have."""

    topic: str
    """A topic, a filter with + and #, or one with {quantity} or {channel} in a level."""
    time: str | None = None
    """Path of the source's own time, left out = the profile's, else "t"; a message without it is stamped when it is heard."""
    period: Duration = 0.0
    """Each value describes an interval of this length, which ends at its time; left out = an instant."""
    quantities: Quantities = ()
    """Where topic or keys name the quantity: only these, and these are missed when they stay away; left out = any."""

    @field_validator("topic")
    @classmethod
    def _is_topic(cls, topic: str) -> str:
        template = TopicTemplate(topic)
        fault = template.fault or _topics.fault(template.filter)
        if fault:
            raise ValueError(fault)
        return topic

    @field_validator("time")
    @classmethod
    def _is_time_path(cls, path: str | None) -> str | None:
        if path is not None:
            _one_value(path)
        return path


class Row(NamedRow):
    """One quantity of a profile: where it lies in the message. The row "*" stands for every quantity that is named."""

    path: str = ""
    """Left out = the key that is called like the quantity."""

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        JsonPath.read(path)
        return path


@dataclass(frozen=True, slots=True)
class _Own:
    """A quantity of the profile."""

    quantity: str
    channel: str
    row: Row
    path: JsonPath


class Driver:
    """See Told and Skips."""

    def __init__(self, device: Device) -> None:
        """Raises ValueError if topic and rows cannot work together."""
        options = device.options
        if not isinstance(options, Options):
            raise ValueError(f"device {device.name}: mqtt_json needs a topic")
        self._device, self._options = device, options
        self._template = TopicTemplate(options.topic)
        self._time_key = options.time or str(device.profile.file.default.get("time", "t"))
        self._time = _one_value(self._time_key)
        self._time_only = self._time.only_key
        self._span_ns = round(options.period * 1e9)
        self._old_ns = round(_OLD_INTERVALS * device.interval_s * 1e9)
        rows = {name: row for name, row in device.profile.rows.items() if isinstance(row, Row)}
        self._any = rows.pop("*", None)
        self._any_path = JsonPath.read(self._any.path) if self._any else JsonPath(())
        self._own = [_own(*name.partition(":")[::2], row) for name, row in rows.items()]
        self._reads_lists = any(own.path.steps and isinstance(own.path.steps[0], int) for own in self._own)
        self._known = frozenset(options.quantities or vocabulary()) - {own.quantity for own in self._own}
        self._shapes: dict[tuple[Named, tuple[str, ...]], Shape] = {}
        """By what the topic names and the keys that are taken; keys are names of the vocabulary, so these are short."""
        self._newest: dict[Series, int] = {}
        self._heard_ns = 0
        self._channels: set[str] = set()
        self._skipped = _NONE
        self._check(device)

    def _check(self, device: Device) -> None:
        named = "quantity" in self._template.places
        if self._any is None and not self._own:
            raise ValueError(f"device {device.name}: the profile {device.profile.name} has no quantities")
        if self._any is not None and not named and not self._any_path.is_wild:
            raise ValueError(f"device {device.name}: nothing says which quantity it is; write {{quantity}} into topic")
        if self._any is not None and named and self._any_path.is_wild:
            raise ValueError(f"device {device.name}: {device.profile.name} takes quantities from keys; leave {{quantity}} out of topic")

    @property
    def topics(self) -> tuple[str, ...]:
        """See Told."""
        return (self._template.filter,)

    def wants(self, heard: Heard) -> bool:
        """See Told."""
        return self._template.names(heard.topic) is not None

    def expected(self) -> tuple[tuple[Series, float], ...]:
        """See Told: the profile's own quantities, and those of `quantities`; none where the topic names channels."""
        if "channel" in self._template.places:
            return ()
        known = [(own.quantity, own.channel) for own in self._own]
        if self._any is not None:
            known += [(quantity, "") for quantity in self._options.quantities]
        return tuple((self._device.series(*name), self._device.interval_s) for name in dict.fromkeys(known))

    def hear(self, heard: Heard) -> Iterable[Batch]:
        """See Told. Nothing at all comes out of a retained message whose time is old or not known."""
        named = self._template.names(heard.topic)
        if named is None:
            raise Undecodable("not a topic of this device")
        if heard.stamp.utc_ns < self._heard_ns - _SET_BACK_NS:  # the clock was: nothing is to follow what it said before
            self._newest.clear()
        self._heard_ns = heard.stamp.utc_ns
        message = strict_json.read(heard.payload)
        parts = message if isinstance(message, list) and not self._reads_lists else [message]
        if not parts:
            raise Undecodable("an empty list")
        by_clock: dict[bool, Readings] = {}
        if len(parts) == 1:
            self._part(parts[0], named, heard, by_clock)
        else:
            self._list(parts, named, heard, by_clock)
        return [readings.batch() for readings in by_clock.values()]

    def _list(self, parts: list[Json], named: Named, heard: Heard, by_clock: dict[bool, Readings]) -> None:
        """Every element for itself: one that cannot be read costs no other. Raises Undecodable if none could be."""
        faults = []
        for number, part in enumerate(parts):
            try:
                self._part(part, named, heard, by_clock)
            except Undecodable as error:
                faults.append(f"element {number}: {error}")
        if len(faults) == len(parts):
            raise Undecodable(faults[0])
        if faults:
            self._skipped = (self._skipped[0] + len(faults), faults[-1])

    def skipped(self) -> tuple[int, str]:
        """See Skips."""
        skipped, self._skipped = self._skipped, _NONE
        return skipped

    def _know_channel(self, channel: str) -> None:
        """Topics can be made up by anyone: their number is bounded, for series are kept for ever."""
        if channel and channel not in self._channels:
            if len(self._channels) >= MOST_CHANNELS:
                raise Undecodable(f"names more than {MOST_CHANNELS} channels; {shown(channel)} is not taken")
            self._channels.add(channel)

    def _shape(self, message: Json, named: Named) -> Shape:
        """How to read a message that looks like this. Raises Undecodable if nothing of it is ours."""
        keys = self._keys(message) if self._any is not None and not named.quantity else ()
        shape = self._shapes.get((named, keys))
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            places = self._of_topic(named.quantity) if named.quantity else self._own + self._of_keys(keys)
            shape = self._shapes[named, keys] = Shape([self._place(own, named.channel) for own in places])
        return shape

    def _place(self, own: _Own, channel: str) -> Place:
        series = self._device.series(own.quantity, channel or own.channel)
        return Place(series, own.path, None if own.row.is_plain else own.row.value)

    def _of_topic(self, quantity: str) -> list[_Own]:
        """Where to look in a message whose topic names its quantity."""
        found = [own for own in self._own if own.quantity == quantity]
        if found:
            return found
        if self._any is None:
            raise Undecodable(f"{shown(quantity)} is not a quantity of the profile {self._device.profile.name}")
        if quantity not in vocabulary():
            raise Undecodable(f"{shown(quantity)} is not a quantity of the vocabulary")
        if self._options.quantities and quantity not in self._options.quantities:
            raise Undecodable(f"{quantity} is not among this device's quantities")
        return [_Own(quantity, "", self._any, self._any_path)]

    def _keys(self, message: Json) -> tuple[str, ...]:
        """Every key that is a name of the vocabulary; others (sequence, battery …) are not ours."""
        table = self._any_path.find(message)
        if not isinstance(table, dict):
            raise Undecodable(f"not an object: {shown(message)}")
        keys = tuple(filter(self._known.__contains__, table))
        if not keys and not self._own:
            met = ", ".join(shown(key) for key in list(table)[:5])
            raise Undecodable(f"no key is a quantity of the vocabulary; it has {met or 'no keys'}")
        return keys

    def _of_keys(self, keys: Iterable[str]) -> list[_Own]:
        return [_Own(key, "", self._any, self._any_path.key(key)) for key in keys] if self._any is not None else []

    def _part(self, message: Json, named: Named, heard: Heard, by_clock: dict[bool, Readings]) -> None:
        """One message, or one element of a list, into the readings with their own time (True) or those stamped by us."""
        found = self._shape(message, named).look(message)
        at_ns = self._own_time(message)
        if heard.retained and (at_ns is None or (heard.stamp.sure and heard.stamp.utc_ns - at_ns > self._old_ns)):
            return
        self._know_channel(named.channel)
        is_own = at_ns is not None
        readings = by_clock.get(is_own)
        if readings is None:
            readings = by_clock[is_own] = Readings(heard.stamp, own_time=is_own)
        at = [self._stamped(series, heard) for series in found.series] if at_ns is None else [at_ns] * len(found.raw)
        readings.extend(found.series, at, self._span_ns, found.raw, found.reason)

    def _own_time(self, message: Json) -> int | None:
        if not isinstance(message, dict):
            return None
        written = message.get(self._time_only, ABSENT) if self._time_only else self._time.find(message)
        if isinstance(written, Absent) or written is None:
            return None
        try:
            return own_time_ns(written)
        except ValueError as error:
            raise Undecodable(f"{self._time_key}: {shown(written)} {error}") from None

    def _stamped(self, series: Series, heard: Heard) -> int:
        """Our stamp; readings of one series that are heard within one millisecond get successive ones, or one would hide the other."""
        at_ns = heard.stamp.utc_ns
        before = self._newest.get(series, 0)
        if before >= at_ns > before - _FARTHEST_NS:
            at_ns = before + _MS
        self._newest[series] = at_ns
        return at_ns


def _one_value(path: str) -> JsonPath:
    """The path of a time. Raises ValueError."""
    found = JsonPath.read(path)
    if found.is_wild or not found.steps:
        raise ValueError('is not the path of one value; write "$.t"')
    return found


def _own(quantity: str, channel: str, row: Row) -> _Own:
    return _Own(quantity, channel, row, JsonPath.read(row.path) if row.path else JsonPath((quantity,)))
