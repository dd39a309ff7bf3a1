"""What is known of one edge node: is every message since its birth here, which metric has which alias, when to ask for births again.

The rule is never to guess: an alias means something only after the birth that gave it, and only while no message is missing since.
"""

from dataclasses import dataclass, field

from config.errors import Undecodable
from drivers.codecs.sparkplug import Metric, Payload
from drivers.codecs.sparkplug_topics import BD_SEQ

_FIRST_PAUSE_NS = 10_000_000_000
_LONGEST_PAUSE_NS = 300_000_000_000
_GRACE_NS = 2_000_000_000
"""So long after its NBIRTH a node may take for the births of its devices."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a birth says about a metric."""

    name: str
    datatype: int | None


@dataclass(slots=True)
class Asking:
    """When to ask an edge node for its births: at once, then after 10 s, 20 s … 5 min, until they come."""

    is_wanted: bool = True
    _due_ns: int = 0
    _pause_ns: int = _FIRST_PAUSE_NS

    def want(self) -> None:
        """A birth is needed."""
        self.is_wanted = True

    def done(self) -> None:
        """It came. The next need is not answered faster than the last pause allows: a node that is never whole is not driven mad."""
        self.is_wanted = False

    def wait(self, until_ns: int) -> None:
        """Do not ask before (monotonic)."""
        self._due_ns = max(self._due_ns, until_ns)

    def forgive(self) -> None:
        """A whole session: the next need is answered at once."""
        self._pause_ns, self._due_ns = _FIRST_PAUSE_NS, 0

    def is_due(self, mono_ns: int) -> bool:
        """Ask now? Counts as asked."""
        if not self.is_wanted or mono_ns < self._due_ns:
            return False
        self._due_ns, self._pause_ns = mono_ns + self._pause_ns, min(_LONGEST_PAUSE_NS, 2 * self._pause_ns)
        return True


@dataclass(slots=True)
class Session:
    """One edge node as the device (or, with device "", the node's own metrics) of one driver sees it."""

    device: str
    is_whole: bool = False
    """The node's birth is here and every message since."""
    bd_seq: int | None = None
    asking: Asking = field(default_factory=Asking)
    _next: int = 0
    _read: int = 0
    _by_alias: dict[int, Meaning] = field(default_factory=dict)
    _by_name: dict[str, Meaning] = field(default_factory=dict)

    def doubt(self) -> None:
        """Something may be missing: births are needed before anything by alias is believed."""
        self.is_whole = False
        self._by_alias, self._by_name = {}, {}
        self.asking.want()

    def node_birth(self, payload: Payload, mono_ns: int) -> None:
        """NBIRTH: a session begins, all devices are to be born again. Raises Undecodable."""
        seq, found = payload.seq, payload.find(BD_SEQ)
        if seq is None or not 0 <= seq <= 255:
            raise Undecodable("an NBIRTH without a sequence number from 0 to 255")
        if found is None or not isinstance(found.value, int):
            raise Undecodable("an NBIRTH without bdSeq")
        self.doubt()
        self.bd_seq, self._next, self._read = int(found.value), (seq + 1) % 256, 0
        self.is_whole = True
        if self.device:
            self.asking.wait(mono_ns + _GRACE_NS)
        else:
            self.device_birth(payload)

    def follow(self, seq: int | None) -> None:
        """Every other message but NDEATH. Raises Undecodable where one is missing before it, or no birth is here."""
        if not self.is_whole:
            self.asking.want()
            raise Undecodable("no birth of its node is here since we were connected or a message was lost; births were asked for")
        if seq is None or not 0 <= seq <= 255:
            raise Undecodable("without a sequence number from 0 to 255")
        if seq != self._next:
            expected = self._next
            self.doubt()
            raise Undecodable(f"sequence number {seq} where {expected} was due: something is missing; births were asked for")
        self._next = (seq + 1) % 256
        self._read += 1
        if self._read == 256:
            self.asking.forgive()

    def device_birth(self, payload: Payload) -> None:
        """DBIRTH of our device, or NBIRTH if the node itself is our device. Raises Undecodable."""
        self._learn(payload)
        self.asking.done()

    def device_death(self) -> None:
        """DDEATH of our device: it will be born by itself."""
        self._by_alias, self._by_name = {}, {}

    def node_death(self, payload: Payload) -> bool:
        """NDEATH: is it that of the session that we know? The will of an older one can come late. Raises Undecodable."""
        found = payload.find(BD_SEQ)
        if found is None or not isinstance(found.value, int):
            raise Undecodable("an NDEATH without bdSeq")
        if self.bd_seq is None or found.value != self.bd_seq:
            return False
        self.doubt()
        self.bd_seq = None
        self.asking.done()  # who is dead does not answer, and comes back with a birth
        return True

    def _learn(self, payload: Payload) -> None:
        by_alias: dict[int, Meaning] = {}
        by_name: dict[str, Meaning] = {}
        self.device_death()
        for metric in payload.metrics:
            if metric.name is None:
                raise Undecodable("a birth in which a metric has no name")
            meaning = by_name[metric.name] = Meaning(metric.name, metric.datatype)
            if metric.alias is not None and by_alias.setdefault(metric.alias, meaning) is not meaning:
                raise Undecodable(f"a birth that gives the alias {metric.alias} twice")
        self._by_alias, self._by_name = by_alias, by_name

    def meaning(self, metric: Metric) -> Meaning:
        """Name and datatype of a metric of a data message. Raises Undecodable for what no birth has announced."""
        known = self._by_name.get(metric.name) if metric.name is not None else self._by_alias.get(-1 if metric.alias is None else metric.alias)
        if known is None:
            what = f"metric {metric.name[:40]!r}" if metric.name is not None else f"alias {metric.alias}"
            self.doubt()
            raise Undecodable(f"{what} is in no birth; births were asked for")
        return Meaning(known.name, metric.datatype or known.datatype)
