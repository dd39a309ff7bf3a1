"""Keys that the design of the site file has and this version does not: said as such, instead of "unknown key"."""

from config.kinds import Section

TABLES = frozenset({"maintenance", "heartbeat"})
KEYS: dict[str, frozenset[str]] = {
    "stations": frozenset({"air_class", "noise_zone"}),
    "devices": frozenset({"ready"}),
    "quality": frozenset({"flat"}),
    "rules": frozenset({"at_least", "of", "together", "anomaly", "within", "probability"}),
    "subscriptions": frozenset({"language", "escalate", "quiet", "format"}),
    "console": frozenset({"tls", "public_url"}),
}
"""By kind of table."""
KINDS: dict[Section, frozenset[str]] = {
    "lines": frozenset({"tcp_server", "http"}),
    "protocols": frozenset({"hj212"}),
    "sinks": frozenset({"hj212", "mqtt", "files", "fleet"}),
    "channels": frozenset({"email", "sms_modem", "apprise", "cap"}),
}
SAY = "is not supported by this version"
REPAIR = "leave it out"


def is_standard(text: object) -> bool:
    """Is this the name of a standard, where a limit would stand?

    >>> is_standard("GB3096"), is_standard("1.0 mg/L")
    (True, False)
    """
    return isinstance(text, str) and text[:2].isalpha() and text[:2].isascii() and text[:2].isupper()
