"""What a probe found, as a table for people."""

import math
from typing import TextIO, cast

from drivers.decode import ORDERS
from drivers.job import Plain
from gateway.scanning.fitting import values_text
from gateway.scanning.meanings import Meaning, Run, Shown, could_be, runs_of


def print_registers(name: str, address: str, result: Plain, setting: str, everything: list[Meaning], out: TextIO) -> None:
    """Every register in its readings, the plausible ones marked; which profiles fit; the next command."""
    runs = runs_of(result)
    if not result["answers"]:
        print(f"address {address} does not answer at {setting or name}. → power? its address? A and B?  ecosentry scan {name}", file=out)
    seen: list[tuple[int, tuple[int, ...]]] = []
    for run in runs:
        if (run.first, run.reads[-1]) in seen:
            print(f"function {run.function} gives the same at {run.first}–{run.first + len(run.reads[0]) - 1}", file=out)
            continue
        seen.append((run.first, run.reads[-1]))
        print(f"address {address} answers function {run.function}, registers {run.first}–{run.first + len(run.reads[0]) - 1}"
              f"{_declined(result, run)}       * plausible", file=out)
        _print_run(run, [one for one in everything if one.function == run.function], out)
    fits = cast("list[dict[str, object]]", result["fits"])
    for fit in fits[:3]:
        values = {key: value for key, value in cast("dict[str, float | None]", fit["values"]).items() if value is not None}
        mark = ", recognised" if fit["recognised"] else ", a guess"
        print(f"fits {fit['profile']} on {fit['fits']} of {fit['of']}{mark}:   {values_text(values)}", file=out)
    if result["answers"] and not runs:
        print("it declines every register that was asked for: → --registers FIRST-LAST, from its manual", file=out)
    elif runs:
        print(f"What does its display show? → ecosentry probe {name} {address} --shows ph=7.24 --write my_device.toml", file=out)


def _declined(result: Plain, run: Run) -> str:
    code = cast("dict[str, int]", result["declined"]).get(str(run.function))
    return f"; exception {code} at others" if code else ""


def _print_run(run: Run, everything: list[Meaning], out: TextIO) -> None:
    by_place = {(one.register, one.type, one.order): one for one in everything}
    rows = [["reg", "hex", "u16", "s16", "/10", *(f"f32 {order}" for order in ORDERS), "u32 ABCD", "u32 CDAB", "could be"]]
    for at, word in enumerate(run.reads[-1]):
        register = run.first + at
        u16, s16 = by_place[register, "u16", "ABCD"], by_place[register, "s16", "ABCD"]
        pairs = [by_place.get((register, "f32", order)) for order in ORDERS]
        pairs += [by_place.get((register, "u32", order)) for order in ORDERS[:2]]
        best = next((one for one in (*pairs, s16, u16) if one is not None and one.is_plausible), None)
        value = None if best is None else best.value / 10 if best.type in ("u16", "s16") else best.value
        names = " ".join(could_be(value)) if value is not None else ""
        tenth = s16.value / 10 if word >= 0x8000 else u16.value / 10
        rows.append([str(register), f"{word:04X}", _marked(u16), _marked(s16), f"{tenth:g}", *(_marked(one) for one in pairs), names])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        print("  ".join([*cells, row[-1]]).rstrip(), file=out)


def _marked(meaning: Meaning | None) -> str:
    if meaning is None:
        return ""
    return ("* " if meaning.is_plausible else "") + ("–" if math.isnan(meaning.value) else f"{meaning.value:.6g}")


def print_shown(found: list[Shown], missing: list[str], display: dict[str, str], out: TextIO) -> None:
    """Where what the display shows was found, and what was not."""
    for one in found:
        how = f"{one.meaning.type}" + (f" {one.meaning.order}" if one.meaning.type not in ("u16", "s16") else "")
        more = "; another reading gives it too" if one.others == 1 else f"; {one.others} other readings give it too" if one.others else ""
        print(f"{one.quantity} {display[one.quantity]}  → function {one.meaning.function}, register {one.meaning.register}, {how}"
              f"{f', decimals {one.decimals}' if one.decimals else ''}{more}", file=out)
    for name in missing:
        print(f"{name} {display[name]}  → no register gives it: has it moved on? another unit? --registers asks for more", file=out)
