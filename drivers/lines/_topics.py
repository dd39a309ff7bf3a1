"""MQTT topic filters: which are valid, and which make others needless."""

from collections.abc import Iterable


def fault(topic_filter: str) -> str:
    """What is wrong with a filter (MQTT 3.1.1, 4.7); empty = nothing.

    >>> fault("yard/+/up"), fault("yard/#/up")
    ('', '# stands only at the end')
    """
    if not topic_filter or "\0" in topic_filter or len(topic_filter.encode("utf-8", "replace")) > 65535:
        return "is empty, too long or has a NUL in it"
    levels = topic_filter.split("/")
    if levels[0] == "$share":
        return "is a shared subscription: what is published while we are away would go to others or be lost; leave $share and the group out"
    if any("#" in level for level in levels[:-1]):
        return "# stands only at the end"
    if any(("#" in level or "+" in level) and len(level) > 1 for level in levels):
        return "+ and # stand alone between slashes"
    return ""


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` takes is taken by `wide` too.

    >>> covers("yard/#", "yard/+/up"), covers("yard/+", "yard/#")
    (True, False)
    """
    outer, inner = wide.split("/"), narrow.split("/")
    if inner[0].startswith("$") and outer[0] in ("+", "#"):
        return False
    for place, level in enumerate(outer):
        if level == "#":
            return True
        if place >= len(inner) or inner[place] == "#" or level not in ("+", inner[place]):
            return False
    return len(outer) == len(inner)


def sparse(filters: Iterable[str]) -> tuple[str, ...]:
    """The filters without those that another one covers: some brokers send a message once for each filter that takes it."""
    all_of_them = sorted(set(filters))
    return tuple(one for one in all_of_them if not any(other != one and covers(other, one) for other in all_of_them))
