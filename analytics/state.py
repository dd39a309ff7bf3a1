"""The state of the step: one block of memory with named columns, so that copying, keeping and restoring it is one move.

Every part of the step declares its columns. A column belongs to a kind of entity (`per`): the whole, a series, a watch,
a device, an index of a station and what it reads. Entities have keys: state can be carried over when the site file or the series table changes.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Per = Literal["one", "series", "watch", "device", "input", "index"]
VERSION = 1
_HEAD = struct.Struct("<4sII")


@dataclass(frozen=True, slots=True)
class Column:
    """`width` numbers an entity, `fill` before anything is known."""

    name: str
    dtype: str
    per: Per
    width: int = 1
    fill: float | int = 0


class Layout:
    """Where each column lies: made from the declared columns and the keys of the entities."""

    def __init__(self, columns: tuple[Column, ...], keys: Mapping[Per, tuple[str, ...]]) -> None:
        self.columns = columns
        self.keys: dict[Per, tuple[str, ...]] = {"one": ("",), "input": (), "index": (), **keys}
        self.places: dict[str, tuple[int, int]] = {}
        end = 0
        for column in columns:
            size = len(self.keys[column.per]) * column.width
            self.places[column.name] = (end, size)
            end += -(-size * np.dtype(column.dtype).itemsize // 8) * 8
        self.size = end


class State:
    """The columns of a layout as arrays over one buffer; `state["known_at"]` is a view into it."""

    __slots__ = ("_views", "buffer", "layout")

    def __init__(self, layout: Layout, buffer: NDArray[np.uint8] | None = None) -> None:
        self.layout = layout
        self.buffer = np.zeros(layout.size, np.uint8) if buffer is None else buffer
        self._views = {}
        for column in layout.columns:
            offset, size = layout.places[column.name]
            self._views[column.name] = np.ndarray((size,), column.dtype, self.buffer.data, offset)
            if buffer is None:
                self._views[column.name][:] = column.fill

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._views[name]

    def copy(self) -> Self:
        """An independent state with the same bits."""
        return type(self)(self.layout, self.buffer.copy())

    def dump(self) -> bytes:
        """A checkpoint: version, keys and columns in words, then the bits, all under one CRC."""
        words = json.dumps([{per: list(keys) for per, keys in self.layout.keys.items()},
                            [[c.name, c.dtype, c.per, c.width] for c in self.layout.columns]], separators=(",", ":")).encode()
        body = zlib.compress(struct.pack("<I", len(words)) + words + self.buffer.tobytes(), 1)
        return _HEAD.pack(b"ESST", VERSION, zlib.crc32(body)) + body


def load(blob: bytes, layout: Layout) -> State:
    """The state of a checkpoint, carried over to `layout`. Raises ValueError if it is damaged or of another version."""
    magic, version, crc = _HEAD.unpack_from(blob) if len(blob) >= _HEAD.size else (b"", 0, 0)
    body = blob[_HEAD.size :]
    if magic != b"ESST" or version != VERSION or zlib.crc32(body) != crc:
        raise ValueError("the checkpoint is damaged or of another version")
    plain = zlib.decompress(body)
    (length,) = struct.unpack_from("<I", plain)
    keys, columns = json.loads(plain[4 : 4 + length])
    old = Layout(tuple(Column(*c) for c in columns), {per: tuple(names) for per, names in keys.items()})
    return carry(State(old, np.frombuffer(plain, np.uint8, offset=4 + length).copy()), layout)


def carry(old: State, layout: Layout) -> State:
    """The same state in another layout: entities are found by key, what is new starts empty, what is gone is dropped."""
    new = State(layout)
    known = {(c.name, c.dtype, c.per, c.width) for c in old.layout.columns}
    moves = {}
    for per, keys in layout.keys.items():
        place = {key: i for i, key in enumerate(old.layout.keys.get(per, ()))}
        pairs = [(place[key], i) for i, key in enumerate(keys) if key in place]
        moves[per] = tuple(np.array(side, np.intp) for side in zip(*pairs, strict=True)) if pairs else None
    for column in layout.columns:
        move = moves[column.per]
        if move is not None and (column.name, column.dtype, column.per, column.width) in known:
            source = old[column.name].reshape(-1, column.width)
            new[column.name].reshape(-1, column.width)[move[1]] = source[move[0]]
    return new
