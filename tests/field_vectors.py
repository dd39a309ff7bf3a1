"""The collection of frames in `cases/field_frames`, and what is known beside them: the manual's table of registers, topics, keys."""

import json
from pathlib import Path

ROWS: list[dict] = [json.loads(line) for line in (Path(__file__).parent / "cases/field_frames/frames.jsonl").read_text("utf-8").splitlines()]
_SOIL = "moisture_pct=u16/10,temp_c=s16/10,ec_us_cm"
LAYOUTS = {"mb-10": _SOIL, "mb-12": _SOIL + ",ph=u16/10", "mb-20": "humidity_pct=u16/10,temp_c=s16/10"}
"""The registers of these answers, as the manuals that print them name them: an answer does not say what was asked."""


def is_damaged(row: dict) -> bool:
    return isinstance(row["expected"].get("error"), str)


def frame_of(row: dict) -> bytes:
    return bytes.fromhex(row["hex"]) if "hex" in row else row["text"].encode()


def key_of(row: dict) -> str:
    """The key that an encrypted frame needs."""
    return str(row["expected"].get("key") or row["expected"].get("key_hex") or "")


def close(got: object, wanted: object) -> bool:
    """The same, but for figures beyond the sixth decimal and keys that are not asked for."""
    if isinstance(wanted, float):
        return isinstance(got, float | int) and abs(got - wanted) < 1e-6
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(close, got, wanted))
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(close(got.get(key), value) for key, value in wanted.items())
    return got == wanted
