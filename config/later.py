"""Keys that the design of the site file has and this version does not: said as such, instead of "unknown key"."""

from config.kinds import Section

TABLES = frozenset({"heartbeat"})
KEYS: dict[str, frozenset[str]] = {
    "quality": frozenset({"flat"}),
    "rules": frozenset({"at_least", "of", "together", "anomaly", "within", "probability"}),
    "subscriptions": frozenset({"language", "escalate", "quiet", "format"}),
    "console": frozenset({"tls", "public_url"}),
}
"""By kind of table."""
KINDS: dict[Section, frozenset[str]] = {
    "lines": frozenset(),
    "protocols": frozenset({"hj212"}),
    "sinks": frozenset({"hj212"}),
    "channels": frozenset({"email", "sms_modem", "apprise", "cap"}),
}
SAY = "is not supported by this version"
REPAIR = "leave it out"

