"""A site as a TOML file with every default filled in; reading it gives an equal site."""

import json
import re
from collections.abc import Mapping

from config.site import Rule, Site
from config.table import Table

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def filled(site: Site) -> str:
    """The whole file. What has no default and was left out stands as a comment."""
    parts = ["# Every key that this version knows, defaults filled in. A line that begins with # was left out and has no default.\n"]
    parts += [_table(f"stations.{name}", _plain(station)) for name, station in site.stations.items()]
    parts += [_table(f"maintenance.{name}", _plain(planned)) for name, planned in site.maintenance.items()]
    parts += [_table(f"rules.{name}", _rule(rule)) for name, rule in site.rules.items()]
    parts += [_table(f"subscriptions.{name}", _plain(subscription)) for name, subscription in site.subscriptions.items()]
    for section, kind in (("lines", True), ("channels", True), ("sinks", True), ("devices", False)):
        for name, table in getattr(site, section).items():
            head: dict[str, object] = {"kind": table.kind} if kind else {}
            parts.append(_table(f"{section}.{name}", {**head, **_plain(table.common), **_plain(table.options)}))
    parts += [_table(section, _plain(getattr(site, section))) for section in ("journal", "console", "clock")]
    return "\n".join(parts)


def _plain(table: Table) -> dict[str, object]:
    return table.model_dump(mode="json", by_alias=True)


def _rule(rule: Rule) -> dict[str, object]:
    """A single limit keeps its form, with the rule's severity; a ladder names its own colours."""
    plain = _plain(rule)
    single = all(list(ladder) in ([], [rule.severity]) for ladder in (rule.above, rule.below))
    sides = {side: str(ladder[rule.severity]) for side, ladder in (("above", rule.above), ("below", rule.below)) if ladder and single}
    if rule.law:
        sides["above"] = rule.law
    return {**plain, **sides} if single else {**plain, "severity": None}


def _table(name: str, keys: Mapping[str, object]) -> str:
    lines = [f"[{name}]"]
    for key, value in keys.items():
        empty = value is None or value in ([], {})
        lines.append(f"# {_key(key)} =" if empty else f"{_key(key)} = {_value(_without_none(value))}")
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _without_none(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_none(part) for key, part in value.items() if part is not None and part != [] and part != {}}
    return [_without_none(part) for part in value] if isinstance(value, list) else value


def _value(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
