"""As much of JSON Schema as our site schema uses: what editors would underline. Raises NotImplementedError for a keyword it does not know."""

import re
from collections.abc import Iterator, Mapping

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
_SAYS_NOTHING = {"$schema", "$defs", "title", "description", "default", "examples"}


def faults(value: object, schema: Mapping[str, object], root: Mapping[str, object] | None = None, path: str = "") -> list[str]:
    """Where the value breaks the schema; empty = it does not."""
    return list(_faults(value, schema, root or schema, path))


def _is(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _faults(value, schema, root, path) -> Iterator[str]:
    for keyword, said in schema.items():
        if keyword not in _SAYS_NOTHING:
            check = _KEYWORDS.get(keyword)
            if check is None:
                raise NotImplementedError(keyword)
            yield from check(value, said, schema, root, path)


def _type(value, said, schema, root, path):
    if not any(_is(value, name) for name in ([said] if isinstance(said, str) else said)):
        yield f"{path}: not {said}"


def _ref(value, said, schema, root, path):
    yield from _faults(value, root["$defs"][said.rpartition("/")[2]], root, path)


def _properties(value, said, schema, root, path):
    for key, part in value.items() if isinstance(value, dict) else ():
        if key in said:
            yield from _faults(part, said[key], root, f"{path}.{key}")


def _others(value, said, schema, root, path):
    for key, part in value.items() if isinstance(value, dict) else ():
        if key not in schema.get("properties", {}):
            if said is False:
                yield f"{path}.{key}: not a key"
            elif isinstance(said, dict):
                yield from _faults(part, said, root, f"{path}.{key}")


def _names(value, said, schema, root, path):
    for key in value if isinstance(value, dict) else ():
        yield from _faults(key, said, root, f"{path}.{key} as a name")


def _required(value, said, schema, root, path):
    yield from (f"{path}: no {key}" for key in said if isinstance(value, dict) and key not in value)


def _any(value, said, schema, root, path):
    tried = [list(_faults(value, one, root, path)) for one in said]
    if all(tried):
        yield from min(tried, key=len)


def _one(value, said, schema, root, path):
    tried = [list(_faults(value, one, root, path)) for one in said]
    if tried.count([]) != 1:
        yield from min(tried, key=len) or [f"{path}: more than one"]


def _when(kind, wrong):
    def check(value, said, schema, root, path):
        if _is(value, kind) and wrong(value, said):
            yield f"{path}: {value!r} against {said!r}"
    return check


def _items(value, said, schema, root, path):
    for number, part in enumerate(value if isinstance(value, list) else ()):
        yield from _faults(part, said, root, f"{path}[{number}]")


_KEYWORDS = {
    "type": _type, "$ref": _ref, "properties": _properties, "additionalProperties": _others, "propertyNames": _names, "required": _required,
    "anyOf": _any, "oneOf": _one, "items": _items,
    "const": lambda value, said, *rest: [] if value == said else [f"{rest[-1]}: not {said!r}"],
    "enum": lambda value, said, *rest: [] if value in said else [f"{rest[-1]}: not one of {said}"],
    "pattern": _when("string", lambda value, said: not re.search(said, value)),
    "minLength": _when("string", lambda value, said: len(value) < said), "maxLength": _when("string", lambda value, said: len(value) > said),
    "minItems": _when("array", lambda value, said: len(value) < said), "maxItems": _when("array", lambda value, said: len(value) > said),
    "minProperties": _when("object", lambda value, said: len(value) < said),
    "minimum": _when("number", lambda value, said: value < said), "maximum": _when("number", lambda value, said: value > said),
    "exclusiveMinimum": _when("number", lambda value, said: value <= said), "exclusiveMaximum": _when("number", lambda value, said: value >= said),
}
