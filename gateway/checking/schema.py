"""The JSON Schema (draft 2020-12) of the whole site file, plug-in options included: editors complete and check with it."""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from config.errors import ConfigError
from config.find import names
from config.kinds import Kinds, Section
from config.maintenance import Maintenance
from config.site import (
    ChannelTable,
    ClockTable,
    Console,
    DeviceTable,
    Journal,
    LineTable,
    Power,
    Quality,
    Rule,
    Secret,
    SinkTable,
    Station,
    Subscription,
)
from config.table import Table

Json = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = "^[a-z0-9][a-z0-9_-]{0,63}$"


def site_schema(kinds: Kinds) -> Json:
    """The schema as plain data. Kinds whose packages are not installed here are left out."""
    found = _Found(kinds)
    models = found.models()
    made, shared = models_json_schema([(model, "validation") for model in models], by_alias=True, ref_template="#/$defs/{model}")
    definitions: Json = shared.get("$defs", {})
    tables = {model: _resolved(made[model, "validation"], definitions, model) for model in models}
    properties: Json = {
        "stations": _named(tables[Station]), "rules": _named(_rule(tables[Rule])), "subscriptions": _named(tables[Subscription]),
        "maintenance": _named(tables[Maintenance]),
        "journal": tables[Journal], "console": tables[Console], "clock": tables[ClockTable], "power": tables[Power],
        "devices": _named(found.devices(tables)),
    }
    for section, common in _COMMON.items():
        properties[section] = _named(found.of_kind(section, common, tables))
    used = {name: _described(schema, _MODELS_BY_NAME.get(name)) for name, schema in definitions.items()}
    return {"$schema": _DIALECT, "title": "EcoSentry site file", "type": "object", "additionalProperties": False, "required": ["stations"],
            "properties": properties, "$defs": _used(properties, used)}


_COMMON: dict[Section, type[Table]] = {"lines": LineTable, "channels": ChannelTable, "sinks": SinkTable}
_MODELS_BY_NAME: dict[str, type[Table]] = {"Secret": Secret, "Quality": Quality}


class _Found:
    """The options of all kinds that can be loaded here."""

    def __init__(self, kinds: Kinds) -> None:
        self.options: dict[tuple[Section, str], type[Table]] = {}
        for section in ("lines", "protocols", "channels", "sinks"):
            for kind in kinds.names(section):
                try:
                    self.options[section, kind] = kinds.options(section, kind)
                except ConfigError:
                    continue

    def models(self) -> list[type[Table]]:
        own: list[type[Table]] = [Station, Maintenance, Rule, Subscription, Journal, Console, ClockTable, Power, DeviceTable, *_COMMON.values()]
        return [*own, *dict.fromkeys(self.options.values())]

    def of_kind(self, section: Section, common: type[Table], tables: dict[type[Table], Json]) -> Json:
        """One table of a section: its kind decides which other keys there are."""
        return {"type": "object", "required": ["kind"], "oneOf": [
            _joined([tables[common], tables[options]], {"kind": {"const": kind}}, ["kind"])
            for (where, kind), options in sorted(self.options.items()) if where == section]}

    def devices(self, tables: dict[type[Table], Json]) -> Json:
        """One device: its profile decides the protocol and with it the keys, so any protocol's are allowed."""
        some = [_joined([tables[DeviceTable], tables[options]], {"profile": {"type": "string", "examples": sorted(names("devices"))}}, [])
                for (where, _), options in sorted(self.options.items()) if where == "protocols"]
        return {"type": "object", "required": ["profile"], "anyOf": some}


def _named(table: Json) -> Json:
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": table}


def _joined(tables: Iterable[Json], more: Json, required: list[str]) -> Json:
    """One table with the keys of several."""
    properties: Json = {}
    needed = list(required)
    for table in tables:
        properties |= table.get("properties", {})
        needed += table.get("required", [])
    return {"type": "object", "additionalProperties": False, "required": sorted(set(needed)), "properties": properties | more}


def _resolved(schema: Json, definitions: Json, model: type[Table]) -> Json:
    """The model's own schema instead of a reference to it, with the words of its docstrings."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return _described(definitions[name] if name else schema, model)


def _described(schema: Json, model: type[Table] | None) -> Json:
    """With the words of the docstrings, defaults as they are written, and without what TOML does not have (null)."""
    if model is None or "properties" not in schema:
        return schema
    words = _words(model)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    defaults = model.model_construct().model_dump(mode="json", exclude=required)
    properties = {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        own = _without_null({k: v for k, v in schema["properties"][key].items() if k not in ("title", "default")})
        written = defaults.get(name)
        properties[key] = {**own, **({"default": written} if written not in (None, "", [], {}) else {}),
                           **({"description": words[name]} if name in words else {})}
    return {**{k: v for k, v in schema.items() if k != "title"}, "properties": properties}


def _without_null(schema: Json) -> Json:
    some = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    rest = {k: v for k, v in schema.items() if k != "anyOf"}
    return {**rest, **some[0]} if len(some) == 1 else {**rest, "anyOf": some} if some else schema


def _used(properties: Json, definitions: Json) -> Json:
    """The definitions that are referred to, also by each other."""
    wanted: Json = {}
    queue: list[object] = [properties]
    while queue:
        part = queue.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in wanted:
                wanted[name] = definitions[name]
                queue.append(definitions[name])
            queue += part.values()
        elif isinstance(part, list):
            queue += part
    return dict(sorted(wanted.items()))


def _words(model: type[Table]) -> dict[str, str]:
    """The docstrings under the fields of a model and its bases."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (issubclass(base, Table) and base is not Table):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):  # source that is not there: words are a courtesy
            continue
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            said = text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else None
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(said, str):
                found[field.target.id] = " ".join(said.split())
    return found


def _rule(table: Json) -> Json:
    return {**table, "anyOf": [{"required": ["above"]}, {"required": ["below"]}, {"required": ["worse_than"]}]}
