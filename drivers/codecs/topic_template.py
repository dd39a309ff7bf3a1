"""MQTT topics with names in them: "yard/noise/{quantity}" hears yard/noise/+ and reads yard/noise/laeq as laeq."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_PLACE = re.compile(r"\{([^{}]*)\}")
_KNOWN = ("quantity", "channel")
_NAME = r"[A-Za-z0-9._-]{1,64}"
_MOST_NAMED = 1000
"""So many topics are remembered; then the memory starts anew."""
_LONGEST_NAMED = 500


class Named(NamedTuple):
    """What a topic says about its message; empty where the template has no such place."""

    quantity: str
    channel: str


@dataclass(frozen=True)
class TopicTemplate:
    """A topic, a filter with + and #, or one with {quantity} and {channel} in its levels."""

    text: str

    @property
    def fault(self) -> str:
        """What is wrong with the template itself; empty = nothing."""
        places = _PLACE.findall(self.text)
        for place in places:
            if place not in _KNOWN:
                return f"{{{place}}} is not a place that can be filled; write {{quantity}} or {{channel}}"
        if len(set(places)) != len(places):
            return "has the same place twice"
        if "{" in _PLACE.sub("", self.text) or "}" in _PLACE.sub("", self.text):
            return "has a { or } without its other half"
        return ""

    @property
    def places(self) -> frozenset[str]:
        """Which of quantity and channel the topic names."""
        return frozenset(_PLACE.findall(self.text))

    @property
    def filter(self) -> str:
        """What to subscribe to: a level with a place in it is any level."""
        return "/".join("+" if "{" in level else level for level in self.text.split("/"))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        levels = self.text.split("/")
        endless = levels[-1] == "#"
        pattern = "/".join(self._level(level) for level in (levels[:-1] if endless else levels))
        if endless:
            pattern = rf"{pattern}(?:/.*)?" if pattern else ".*"
        return re.compile(pattern, re.DOTALL)

    @cached_property
    def _named(self) -> dict[str, Named | None]:
        return {}

    @staticmethod
    def _level(level: str) -> str:
        if level == "+":
            return "[^/]*"
        parts = _PLACE.split(level)
        return "".join(rf"(?P<{part}>{_NAME})" if i % 2 else re.escape(part) for i, part in enumerate(parts))

    def names(self, topic: str) -> Named | None:
        """What this topic names; None = it is not one of this template.

        >>> TopicTemplate("yard/{channel}/{quantity}").names("yard/a/laeq")
        Named(quantity='laeq', channel='a')
        """
        if topic in self._named:
            return self._named[topic]
        match = self._pattern.fullmatch(topic)
        found = match.groupdict() if match else {}
        named = Named(found.get("quantity", ""), found.get("channel", "")) if match else None
        if len(topic) <= _LONGEST_NAMED:
            if len(self._named) >= _MOST_NAMED:
                self._named.clear()
            self._named[topic] = named
        return named
