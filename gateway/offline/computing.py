"""`ecosentry compute`: the law's arithmetic on JSON lines, without a daemon, a site or a network."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from inspect import Parameter, isfunction, signature
from io import TextIOWrapper
from pkgutil import iter_modules
from typing import TextIO, cast

from pydantic import ConfigDict, ValidationError, validate_call
from pydantic_core import ErrorDetails

import analytics.indices
from analytics.indices._exact import category_words, exact, maybe, scale_of, subindex
from config.errors import ConfigError
from config.reading_standards import standards as known_standards
from config.reading_standards import time_zone
from config.standard import Standard
from config.units import unit
from config.wording import did_you_mean
from gateway.exit_codes import Exit

Row = dict[str, object]
Computed = Callable[..., object]


def compute(lines: Iterable[str], out: TextIO) -> int:
    """One JSON line out for each JSON line in, in order: {"result": …} or {"error": "what, where, what to do"}.

    A line is a concentration of an index's pollutant, a day of several pollutants, a NowCast or a named function with its
    arguments; decimals are taken as they are written. Text files are read and written as UTF-8 whatever the locale, and bytes
    that are none become an error of their line. Returns 0, or 1 if any line had an error.
    """
    if isinstance(lines, TextIOWrapper):
        lines.reconfigure(encoding="utf-8", errors="replace")
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8", errors="replace")
    errors = 0
    for number, written in enumerate(lines, 1):
        line = written.removeprefix("\ufeff")
        if not line.strip():
            continue
        try:
            answer: Row = {"result": _answer(_parsed(line))}
        except (ValueError, ArithmeticError, RecursionError, ConfigError) as error:
            errors += 1
            answer = {"error": f"line {number}: {_told(error)}"}
        out.write(json.dumps(answer, ensure_ascii=False, default=plain) + "\n")
    return Exit.AMISS if errors else 0


def _told(error: ValueError | ArithmeticError | RecursionError | ConfigError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(dict.fromkeys(f"{_place(found['loc'])}: {_said(found)}" for found in error.errors()))
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, ZeroDivisionError):
        return "a division by zero: the formula has no value for these inputs"
    if isinstance(error, ArithmeticError):
        return "the inputs are too large or too small for the formula"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


_FIGURE = ("decimal", "int", "float", "str")
"""The ways in which a figure may be written, which pydantic names as the last part of a mistake's place."""


def _place(parts: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in (parts[:-1] if len(parts) > 1 and parts[-1] in _FIGURE else parts))


def _said(found: ErrorDetails) -> str:
    kind = found["type"]
    if kind.startswith("missing"):
        return "is missing"
    if kind == "unexpected_keyword_argument":
        return "is not an argument of this function"
    if found["loc"][-1] in _FIGURE:
        return "null is no value here; leave a missing item out" if found["input"] is None else 'is not a number; write it like "35.4"'
    return found["msg"].removeprefix("Value error, ")


def plain(value: object) -> object:
    """JSON's number of an exact one; dates as ISO text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")  # a function returned what no result may be: a bug


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number; write null for a missing value")


def _once(pairs: list[tuple[str, object]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f'"{twice}" is written twice; write it once, for nobody knows which one counts')
    return found


def _parsed(line: str) -> Row:
    try:
        row = json.loads(line, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}; write one object a line") from error
    if not isinstance(row, dict):
        raise ValueError('not an object; write {"standard": …} or {"function": …, "args": {…}}')
    return row


_KINDS = {
    "function": {"function", "args"},
    "nowcast": {"nowcast", "hours_most_recent_first", "o3_1h_ppb"},
    "concentration": {"standard", "at", "zone", "report", "pollutant", "averaging", "concentration", "unit"},
    "standard": {"standard", "at", "zone", "report", "inputs", "not_monitored", "forecast_daily_aqi"},
}
"""The key that tells what a line asks → the keys that such a line may have."""
_BESIDE = frozenset(("id", "source", "note", "clause", "published", "level", "category", "primary", "iaqi", "aqi", "aqi_computed", "sub", "main",
                     "status", "expected", "valid", "weight", "row", "exact_subindex", "peer",
                     "table_verification"))
"""What may stand beside a question, as files of cases have it: a name, a source, the answer that is expected."""


def _only_known(row: Row, kind: str, more: Iterable[str] = ()) -> None:
    """A misspelt key would be left out silently: it is refused."""
    here = _KINDS[kind] | set(more)
    strange = [key for key in row if key not in here | _BESIDE and not key.startswith(("expected_", "alt_", "tol_"))]
    if strange:
        key = min(strange, key=lambda key: any(key in keys for keys in _KINDS.values()))  # one that no line has comes first
        listed = f"keys here: {', '.join(sorted(here))}"
        raise ValueError(f'"{key[:60]}" is not a key here; {did_you_mean(key.lower(), here - set(row), listed)}')


def _answer(row: Row) -> object:
    if "function" in row:
        return _called(row)
    if "nowcast" in row:
        return _nowcast(row)
    if "standard" not in row:
        raise ValueError('has none of "standard", "nowcast" and "function"; one of them says what to compute')
    law = _law(row)
    if "concentration" in row:
        _only_known(row, "concentration")
        return _one_pollutant(law, row)
    _only_known(row, "standard", _parameters(law.functions[0]) if law.functions else ())
    given = {key: value for key, value in row.items() if key not in ("standard", "at", "zone", "published")}
    if not law.functions:
        raise ValueError(f"{law.name} has no function for {', '.join(given) or 'nothing'}")
    name = law.functions[0]
    found = call(name, {key: value for key, value in given.items() if key in _parameters(name) or key in ("inputs", "forecast_daily_aqi")}, law=law)
    return {"expected": found} if "forecast_daily_aqi" in row else found


def _text(row: Row, key: str, otherwise: str | None = None) -> str:
    value = row.get(key, otherwise)
    if not isinstance(value, str):
        raise ValueError(f'"{key}" is missing; write it as text' if value is None else f'"{key}" is not text: {value}')
    return value


def _day(written: object, zone: str = "") -> date | None:
    """A day, or the local day of an instant: 2026-03-01 or 2026-03-01T00:00:00+08:00 (its own offset is the station's, unless `zone` says it)."""
    if written is None:
        return None
    there = time_zone(zone) if zone else None
    try:
        at = datetime.fromisoformat(str(written))
        return (at.astimezone(there) if there and at.tzinfo else at).date()
    except ValueError:
        raise ValueError(f'"{written}" is not a day or time; write 2026-03-01 or 2026-03-01T00:00:00+08:00') from None


def _law(row: Row) -> Standard:
    return known_standards().named(_text(row, "standard"), _day(row.get("at"), _text(row, "zone", "")))


def _one_pollutant(law: Standard, row: Row) -> Row:
    concentration, pollutant = row["concentration"], _text(row, "pollutant")
    if "|" in pollutant:
        return _combined(law, pollutant, row)
    scale = scale_of(law, pollutant, _text(row, "averaging"), _text(row, "report", ""))
    if concentration is not None and not isinstance(concentration, str | int | Decimal):
        raise ValueError(f'concentration {concentration} is not a number; write a decimal string such as "35.4"')
    value, given = maybe(concentration), unit(_text(row, "unit", scale.unit))
    value = _in_unit(f"{law.name} judges {scale.shown}", scale.unit, value, given)
    assert law.rounding is not None, "an index standard has rounding rules, or it would not have been read"
    found = subindex(scale, law.rounding, value)
    level, name = category_words(law, found)
    return {"subindex": found.index, "level": level, "category": name}


_POWERS = {"mass": {"ng/m³": -9, "µg/m³": -6, "mg/m³": -3, "g/m³": 0}, "ratio": {"ppt": -12, "ppb": -9, "ppm": -6}}
"""Units that differ by a power of ten only; from ratio to mass needs a temperature, which the sender must state."""


def _in_unit(judged: str, wanted: str, value: Decimal | None, given: str) -> Decimal | None:
    powers = next((kind for kind in _POWERS.values() if wanted in kind), {})
    if given != wanted and given not in powers:
        raise ValueError(f'unit "{given}": {judged} in {wanted}; convert it first (function ppb_to_ugm3)')
    return value if value is None or given == wanted else value.scaleb(powers[given] - powers[wanted])


_COMBINED = {"O3": ("o3_ppb", "ppb"), "NO2": ("no2_ppb", "ppb"), "PM2.5": ("pm2_5_ugm3", "µg/m³")}
"""The argument and the unit of each part of an index of several pollutants at once."""


def _combined(law: Standard, pollutants: str, row: Row) -> Row:
    """An index of several pollutants at once, written with bars: O3|NO2|PM2.5; `null` or nothing between two bars is a missing one."""
    names, written = pollutants.split("|"), row["concentration"]
    values = ["null"] * len(names) if written is None else str(written).split("|")
    units = _text(row, "unit", "|".join(_COMBINED.get(name, ("", ""))[1] for name in names)).split("|")
    if sorted(names) != sorted(_COMBINED) or not len(values) == len(units) == len(names):
        raise ValueError(f'pollutant "{pollutants}", concentration "{written}" and unit "{"|".join(units)}" need O3|NO2|PM2.5 with three values')
    if law.functions[:1] != ("aqhi",):
        raise ValueError(f"{law.name} judges one pollutant at a time")
    given: Row = {}
    for name, value, stated in zip(names, values, units, strict=True):
        argument, wanted = _COMBINED[name]
        number = None if value.strip() in ("", "null") else exact(value)
        given[argument] = _in_unit(f"{law.name} judges {name}", wanted, number, unit(stated))
    if None in given.values():
        return {"subindex": None, "level": None, "category": None}
    found = cast("Row", call("aqhi", given, law=law))
    return {"subindex": found["index"], "level": found["level"], "category": found["category"]}


def _nowcast(row: Row) -> object:
    _only_known(row, "nowcast")
    pollutant = _text(row, "nowcast")
    law = known_standards().named("US-EPA-AQI-2024")
    if "o3_1h_ppb" in row:
        return {"nowcast_ppb": format(cast("Decimal", call("surrogate_o3", {"o3_1h_ppb": row["o3_1h_ppb"]})), ".2f")}
    hours = row.get("hours_most_recent_first")
    if not isinstance(hours, list):
        raise ValueError('"hours_most_recent_first" is missing; write a list of hourly means, null for a missing one')
    if pollutant == "O3":
        return call("nowcast_o3", {"hours_most_recent_first": hours}, law=law)
    if pollutant not in ("PM2.5", "PM10"):
        raise ValueError(f'nowcast "{pollutant}": there is one for PM2.5, PM10 and O3')
    return call("nowcast_pm", {"pollutant": pollutant, "hours_most_recent_first": hours}, law=law)


def _called(row: Row) -> object:
    _only_known(row, "function")
    args = row.get("args", {})
    if not isinstance(args, dict):
        raise ValueError('"args" is not an object; write {"name": value, …}')
    return call(_text(row, "function"), args)


@cache
def functions() -> dict[str, Computed]:
    """Every function of the index modules by name: the public ones that a module defines itself."""
    found: dict[str, Computed] = {}
    for module in iter_modules(analytics.indices.__path__):
        if module.name.startswith("_"):
            continue
        loaded = import_module(f"analytics.indices.{module.name}")
        found.update((name, value) for name, value in vars(loaded).items() if isfunction(value) and not name.startswith("_")
                     and value.__module__ == loaded.__name__)
    return found


def _function(name: str) -> Computed:
    found = functions()
    if name not in found:
        raise ValueError(f'there is no function "{name}"; docs/standards/ lists them')
    return found[name]


@cache
def _parameters(name: str) -> dict[str, Parameter]:
    return dict(signature(_function(name)).parameters)


def call(name: str, args: Row, law: Standard | None = None) -> object:
    """The result of a named index function for JSON arguments; a function that needs a law gets the one in force on its `on` (or the newest).

    Raises ValueError (what is wrong with which argument) and ArithmeticError.
    """
    function, parameters = _function(name), _parameters(name)
    for key, value in args.items():
        if isinstance(value, bool) and key in parameters and "bool" not in str(parameters[key].annotation):
            raise ValueError(f"{key}: {str(value).lower()} is not a number")
    if "law" in args:
        raise ValueError("law: is not an argument; the law is chosen by the function and the day (on)")
    given = dict(args)
    if "law" in parameters:
        on = _day(given["on"]) if given.get("on") is not None else None
        given["law"] = law or known_standards().of_function(name, on)
        if "on" in given and "on" not in parameters:
            given.pop("on")
    return _checked(function)(**given)


@cache
def _checked(function: Computed) -> Computed:
    """The function with its arguments checked against its own annotations."""
    return validate_call(config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))(function)
