"""Columns of one series as few bytes: deltas, their common divisor, bytes shuffled into planes, zlib-1, one CRC a chunk. Lossless.

Readings are decimal (35.4): a column whose every number is a whole number of 10^-k is kept as those whole numbers, which the
decoder turns into the same bits again (the encoder has tried). What is no such number keeps its own 64 bits.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_CONSTANT, _DELTAS = 0, 1
_BITS = 64
_MOST_DIGITS = 9
_EXACT = 2.0**53
_HEAD = struct.Struct("<BBBqqq")
_PLACE = struct.Struct("<I")


class Damaged(ValueError):
    """Bytes that are not what was written."""


def seal_chunk(columns: list[bytes]) -> bytes:
    """Encoded columns as one chunk: CRC-32 of what follows, then zlib-1 of all of them with their lengths."""
    body = zlib.compress(b"".join(_PLACE.pack(len(column)) + column for column in columns), 1)
    return _PLACE.pack(zlib.crc32(body)) + body


def open_chunk(chunk: bytes) -> list[bytes]:
    """The encoded columns of a chunk. Raises Damaged."""
    if len(chunk) < _PLACE.size or _PLACE.unpack_from(chunk)[0] != zlib.crc32(memoryview(chunk)[_PLACE.size :]):
        raise Damaged("a chunk's checksum does not fit")
    try:
        body = zlib.decompress(memoryview(chunk)[_PLACE.size :])
    except zlib.error as error:
        raise Damaged(str(error)) from error
    columns, place = [], 0
    while place < len(body):
        size = _PLACE.unpack_from(body, place)[0]
        columns.append(body[place + _PLACE.size : place + _PLACE.size + size])
        place += _PLACE.size + size
    return columns


def encode_ints(values: Ints) -> bytes:
    """Any 64-bit integers, length n ≥ 1; differences may wrap."""
    first = int(values[0])
    if (values == first).all():
        return _HEAD.pack(_CONSTANT, 0, 0, 0, first, 0)
    once = np.diff(values)
    twice = np.diff(once)
    order = 2 if len(twice) and _bits(twice) < _bits(once) else 1
    steps, second = (twice, int(once[0])) if order == 2 else (once, 0)
    divisor = max(1, int(np.gcd.reduce(steps))) if steps.min() > -(2**63) else 1
    small = steps // divisor if divisor > 1 else steps
    folded = ((small << 1) ^ (small >> 63)).view(np.uint64)
    width = max(1, (int(folded.max()).bit_length() + 7) // 8)
    planes = folded.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T
    return _HEAD.pack(_DELTAS, width, order, divisor, first, second) + planes.tobytes()


def decode_ints(column: bytes, count: int) -> Ints:
    """The `count` integers of a column."""
    kind, width, order, divisor, first, second = _HEAD.unpack_from(column)
    if kind == _CONSTANT:
        return np.full(count, first, np.int64)
    wide = np.zeros((count - order, 8), np.uint8)
    wide[:, :width] = np.frombuffer(column, np.uint8, -1, _HEAD.size).reshape(width, -1).T
    folded = wide.view("<u8")[:, 0]
    steps = (folded >> np.uint64(1)).astype(np.int64) ^ -(folded & np.uint64(1)).astype(np.int64)
    steps *= divisor
    if order == 2:
        steps = np.concatenate((np.array([second], np.int64), steps)).cumsum()
    return np.concatenate((np.array([first], np.int64), steps)).cumsum()


def _bits(steps: Ints) -> float:
    return float(np.log2(1.0 + np.abs(steps.astype(np.float64))).sum())


def encode_floats(values: Floats) -> bytes:
    """Any 64-bit floats, length n ≥ 1; every NaN is the same one."""
    missing = np.isnan(values)
    mask = np.packbits(missing).tobytes() if missing.any() else b""
    present = values[~missing] if mask else values
    digits = _digits(present)
    if not len(present):
        body = b""
    elif digits == _BITS:
        body = encode_ints(present.view(np.int64))
    else:
        body = encode_ints(np.rint(present * 10.0**digits).astype(np.int64))
    return bytes((digits,)) + _PLACE.pack(len(mask)) + mask + body


def decode_floats(column: bytes, count: int) -> Floats:
    """The `count` floats of a column."""
    digits, (size,) = column[0], _PLACE.unpack_from(column, 1)
    start = 1 + _PLACE.size
    missing = np.unpackbits(np.frombuffer(column, np.uint8, size, start), count=count).astype(np.bool_) if size else None
    many = count - int(missing.sum()) if missing is not None else count
    found = np.empty(0)
    if many:
        whole = decode_ints(column[start + size :], many)
        found = whole.view(np.float64) if digits == _BITS else whole / 10.0**digits
    if missing is None:
        return found
    values = np.full(count, np.nan)
    values[~missing] = found
    return values


def _digits(values: Floats) -> int:
    """How many decimals say every one of these numbers exactly; _BITS if none do."""
    for digits in range(_MOST_DIGITS + 1):
        if _fits(values[:16], digits) and _fits(values, digits):
            return digits
    return _BITS


def _fits(values: Floats, digits: int) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * 10.0**digits)
        return bool((np.abs(whole) < _EXACT).all() and ((whole.astype(np.int64) / 10.0**digits).view(np.int64) == values.view(np.int64)).all())
