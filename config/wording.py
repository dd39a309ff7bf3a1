"""What pydantic found wrong with a value, in words for people who have never heard of pydantic."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from config.toml_notes import Path

_HIDDEN = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_FORMS = {"listen": 'write HOST:PORT, as in "127.0.0.1:8080"', "secret": "a name in a-z 0-9 . _ -, as in influx-token"}
_ADD = {"source": 'add  source = "which manual, which page"'}
_MOST_LISTED = 16
"""So many keys of a table are named to someone who wrote one that it has not; more are no help."""
_MISREAD = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", ",": ".", " ": None, "_": None})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, with its place in the file."""

    path: Path
    what: str
    repair: str
    on_key: bool
    unknown: bool = False
    """The table has no such key."""


def fault(detail: ErrorDetails, raw: Mapping[str, object], base: Path, known: Iterable[str]) -> Fault:
    """One error of pydantic about `raw`, the table at `base` with the keys `known`, in our words."""
    inside, key_error = _place(detail["loc"], raw)
    path = (*base, *inside)
    name = dotted(path)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        here = sorted(known) if len(inside) == 1 else []
        listed = f"keys here: {', '.join(here)}" if 0 < len(here) <= _MOST_LISTED else ""
        return Fault(path, f"{name} is not a key here", did_you_mean(str(path[-1]), here, listed), True, True)
    if kind == "missing":
        key = str(detail["loc"][-1])
        return Fault(path, f"{name or 'the file'} has no {key}", _ADD.get(key, f"add  {key} = …"), True)
    if key_error:
        choices = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        table = dotted(path[:-1])
        what = f"{table}: {path[-1]} is not one of {', '.join(choices)}" if choices else f"{table}: {path[-1]} cannot be a name here"
        return Fault(path, what, did_you_mean(str(path[-1]), choices), True, True)
    what, repair = _value(kind, context, detail)
    hidden = any(isinstance(part, str) and _HIDDEN.search(part) for part in path) and isinstance(detail["input"], str)
    if isinstance(detail["input"], Mapping) or not inside:
        return Fault(path, f"{name}: {what}" if not what.startswith(("must", "is", "has")) else f"{name} {what}", repair, True)
    return Fault(path, f"{name} = {'…' if hidden else shown(detail['input'])} {what}", repair, False)


def _place(loc: tuple[str | int, ...], raw: Mapping[str, object]) -> tuple[Path, bool]:
    """The part of an error's location that the file has too; and whether it is about a key."""
    inside: Path = ()
    here: object = raw
    for part in loc:
        if part == "[key]":
            return inside, True
        if isinstance(here, Mapping) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            break
        inside = (*inside, part)
    return inside, False


def _value(kind: str, context: Mapping[str, object], detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong with a value, and the repair."""
    value = detail["input"]
    if kind in ("value_error", "assertion_error"):
        what, _, repair = str(context.get("error", detail["msg"])).partition("; ")
        return what, repair
    if kind == "literal_error":
        choices = re.findall(r"'([^']+)'|\b(\d+)\b", str(context.get("expected", "")))
        names = [text or number for text, number in choices]
        return f"is not one of {', '.join(names)}", did_you_mean(str(value), names)
    if kind == "string_pattern_mismatch":
        return "does not have the right form", _FORMS.get(str(detail["loc"][-1]), f"it must match {context.get('pattern')}")
    if kind == "model_type" and context.get("class_name") == "Secret":
        return "is a secret in the open", '{ secret = "NAME" }: the file holds only its name'
    simple = _SIMPLE.get(kind)
    if simple:
        return simple(value, context)
    return f"is not right: {detail['msg'][:1].lower()}{detail['msg'][1:]}", ""


def _number(value: object, _: Mapping[str, object]) -> tuple[str, str]:
    guess = str(value).translate(_MISREAD)
    return "is not a number", f"write {guess}" if re.fullmatch(r"[+-]?\d+(\.\d+)?", guess) else "a number stands without quotes"


def _whole(value: object, context: Mapping[str, object]) -> tuple[str, str]:
    what, repair = _number(value, context)
    return (what, repair) if isinstance(value, str) and "." not in value else ("is not a whole number", "")


def _bound(words: str, key: str) -> Callable[[object, Mapping[str, object]], tuple[str, str]]:
    return lambda value, context: (f"{words} {_short(context.get(key))}", "")


def _short(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _text(value: object, _: Mapping[str, object]) -> tuple[str, str]:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return "must be text", f'put it into quotes: "{value}"' if plain else "write text in quotes"


def _empty(value: object, _: Mapping[str, object]) -> tuple[str, str]:
    return ("is empty", "write at least one" if isinstance(value, list | tuple) else "write something, or leave it out")


_SIMPLE: dict[str, Callable[[object, Mapping[str, object]], tuple[str, str]]] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), _whole),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number", "decimal_parsing", "decimal_type"), _number),
    **dict.fromkeys(("bool_parsing", "bool_type"), lambda value, context: ("is neither true nor false", "write true or false, without quotes")),
    **dict.fromkeys(("string_type", "string_sub_type"), _text),
    **dict.fromkeys(("too_short", "string_too_short"), _empty),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), lambda value, context: ("must be a list", 'write ["…", "…"]')),
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), lambda value, context: ("must be a table", "write { … = … }")),
    "greater_than_equal": _bound("must be at least", "ge"), "greater_than": _bound("must be more than", "gt"),
    "less_than_equal": _bound("must be at most", "le"), "less_than": _bound("must be less than", "lt"),
    "string_too_long": _bound("has too many characters: at most", "max_length"),
}


def shown(value: object) -> str:
    """A value as it stands in the file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value[:40]}…"' if len(value) > 40 else f'"{value}"'
    if isinstance(value, list | tuple):
        return "[…]" if value else "[]"
    if isinstance(value, Mapping):
        return "{ … }"
    return str(value)[:40]


def dotted(path: Path) -> str:
    """A path as people write it.

    >>> dotted(("subscriptions", "duty", "to", 1))
    'subscriptions.duty.to[2]'
    """
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def did_you_mean(word: str, names: Iterable[str], otherwise: str = "") -> str:
    """A question with the nearest of the names, else `otherwise`.

    >>> did_you_mean("profil", ["profile", "line"])
    'did you mean profile?'
    """
    near = get_close_matches(word, sorted(names), 1, 0.6)
    return f"did you mean {near[0]}?" if near else otherwise
