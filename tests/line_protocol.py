"""A reader of line protocol after its public description, written apart from the writer that it checks."""

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from config.series import Series

_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@dataclass(frozen=True, slots=True)
class Line:
    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | int | str]
    at_ns: int


def parse(line: str) -> Line:
    """One line; a ValueError says what is wrong with it."""
    if not line or line[0] == "#" or set(line) & set("\n\r\0"):
        raise ValueError("not one line with a point")
    head, rest = _upto(line, " ")
    fields_text, time_text = _fields(rest)
    measurement, tail = _upto(head, ",")
    tags = {}
    while tail:
        pair, tail = _upto(tail, ",")
        key, value = _upto(pair, "=")
        if not key or not value or key in tags:
            raise ValueError(f"bad tag {pair!r}")
        tags[_plain(key)] = _plain(value)
    if list(tags) != sorted(tags):
        raise ValueError("tags are not sorted")
    return Line(_plain(measurement), tags, fields_text, int(time_text))


def series_of(line: Line) -> tuple[Series, int]:
    """The series and the span that a point of a reading is about."""
    names = {k: unquote_to_bytes(v).decode("utf-8", "surrogatepass") for k, v in line.tags.items()}
    unknown = names.keys() - {"channel", "device", "method", "period", "quantity", "span", "station", "statistic"}
    if unknown:
        raise ValueError(f"unknown tags {unknown}")
    period = _length(names.get("period", "0s"))
    statistic = names.get("statistic", "?")
    if statistic == "measured":
        statistic = ""
    elif statistic.rstrip("_") == "measured":
        statistic = statistic[:-1]
    series = Series(names.get("station", ""), names.get("device", ""), names.get("quantity", ""), names.get("channel", ""),
                    statistic, period // 10**9, names.get("method", ""))
    return series, _length(names["span"]) if "span" in names else period


def _length(text: str) -> int:
    digits = text.rstrip("nusmh")
    return int(digits) * _NS[text[len(digits):]]


def _upto(text: str, stop: str) -> tuple[str, str]:
    i = 0
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        if text[i] == stop:
            return text[:i], text[i + 1 :]
        i += 1
    return text, ""


def _plain(text: str) -> str:
    for separator in ",= ":
        text = text.replace("\\" + separator, separator)
    return text


def _fields(text: str) -> tuple[dict[str, float | int | str], str]:
    found: dict[str, float | int | str] = {}
    while True:
        key, text = _upto(text, "=")
        if not key or key in found:
            raise ValueError(f"bad field {key!r}")
        if text.startswith('"'):
            i = 1
            while text[i] != '"':
                i += 2 if text[i] == "\\" else 1
            found[key] = text[1:i].replace('\\"', '"').replace("\\\\", "\\")
            text = text[i + 1 :]
        else:
            i = next(i for i, c in enumerate(text) if c in ", ")
            word, text = text[:i], text[i:]
            found[key] = int(word[:-1]) if word.endswith("i") else float(word)
            if found[key] != found[key] or found[key] in (float("inf"), float("-inf")):
                raise ValueError(f"{key} is not a number")
        if text[0] == " ":
            return found, text[1:]
        text = text[1:]
