"""A device profile out of what a probe found: the reader's own and unverified until a manual says the same."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from config.device import Profile
from config.quantity import vocabulary
from drivers.protocols.modbus import Row
from gateway.scanning.meanings import Shown

_KEYS = ("register", "function", "type", "order", "decimals", "scale", "offset", "missing", "bit", "bits")


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of the device beside its registers."""

    where: str
    """address 4 on cabinet."""
    day: str
    address: int
    baudrate: int | None = None
    format: str = ""


def rows_shown(found: Iterable[Shown]) -> dict[str, dict[str, object]]:
    """The rows of what the display showed."""
    rows: dict[str, dict[str, object]] = {}
    for one in found:
        row: dict[str, object] = {"register": one.meaning.register, "function": one.meaning.function, "type": one.meaning.type,
                                  "order": one.meaning.order, "decimals": one.decimals}
        rows[one.quantity] = {key: value for key, value in row.items() if (key, value) not in (("function", 3), ("order", "ABCD"), ("decimals", 0))}
    return rows


def rows_of_profile(profile: Profile, quantities: Iterable[str]) -> dict[str, dict[str, object]]:
    """The rows of a shipped profile that fit."""
    rows = {}
    for name in quantities:
        row = profile.rows[name]
        if isinstance(row, Row):
            dumped = row.model_dump(exclude_defaults=True, by_alias=True)
            rows[name] = {"register": row.first, "type": row.type, **{key: dumped[key] for key in _KEYS if key in dumped}}
    return rows


def profile_text(head: Head, rows: Mapping[str, Mapping[str, object]], remarks: Mapping[str, str]) -> str:
    """The whole file. Raises ValueError for a quantity that is not in the vocabulary."""
    names = [name.partition(":")[0] for name in rows]
    strange = [name for name in names if name not in vocabulary()]
    if strange:
        raise ValueError(f"{', '.join(strange)}: not in quantities.toml")
    default = [f"baudrate = {head.baudrate}"] if head.baudrate else []
    default += [f'format   = "{head.format}"'] if head.format else []
    return "\n".join([
        f"# Written by `ecosentry probe` from {head.where}. It is yours and unverified: compare with the manual, fill in maker, model and source.",
        'maker    = "unknown"', f'model    = "unknown, {head.where}"', f'medium   = "{vocabulary()[names[0]].medium}"', 'protocol = "modbus"',
        f'source   = "registers as ecosentry probe read them on {head.day}; no manual yet"', 'verified = "M"', 'evidence = "layout"',
        'interval = "60 s"', "", "[default]", *default, f"address  = {head.address}", "", "[quantities]",
        *(_row(name, row, remarks.get(name, "")) for name, row in rows.items())]) + "\n"


def _row(name: str, row: Mapping[str, object], remark: str) -> str:
    key = name if ":" not in name else json.dumps(name)
    written = ", ".join(f"{key} = {_value(value)}" for key, value in row.items())
    return f'{key} = {{ {written}, unit = "{vocabulary()[name.partition(":")[0]].unit}" }}' + (f"          # {remark}" if remark else "")


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else json.dumps(value)
