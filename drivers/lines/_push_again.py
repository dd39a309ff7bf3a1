"""Posts whose answer may not have arrived: a node that did not see our 200 posts the same body again, and it is the same reading.

Only the end of a connection tells: who was gone before the answer, did not take it, or was told to come again. The same body over a
connection that ended well is a new reading, however soon it comes.
"""

import time
from collections import OrderedDict

from drivers.lines._push_visit import Visit

_AGAIN_S = 30.0
"""So long after such an end a body is known again."""
_TOLD_S = 90.0
"""After a 503 with Retry-After."""
_MOST = 256

Key = tuple[str, bytes]
"""Address of the node, digest of topic and body."""


class Unheard:
    """What may come again, and under which number the journal has it. Used by the line's thread only."""

    def __init__(self) -> None:
        self._ended: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def ended(self, visit: Visit) -> None:
        """A connection is over."""
        if visit.taken is None or not visit.is_unheard:
            return
        self._ended[visit.peer, visit.taken.digest] = visit.taken.packet, time.monotonic() + (_TOLD_S if visit.was_told_again else _AGAIN_S)
        while len(self._ended) > _MOST:
            self._ended.popitem(last=False)

    def number(self, key: Key, visits: list[Visit]) -> int | None:
        """The number of the message that this one repeats; None = it is a new one. `visits` are the connections that are open.

        Known again once: the connection that repeats it tells anew whether its answer arrives.
        """
        for visit in visits:
            if visit.taken is not None and (visit.peer, visit.taken.digest) == key and visit.is_unheard:
                return visit.taken.packet
        number, until_s = self._ended.pop(key, (0, 0.0))
        return number if time.monotonic() < until_s else None
