"""Reads the pixels of a screenshot: PNG, 8 bits, RGB or RGBA, not interlaced (PNG specification, sections 7 and 9)."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def pixels(png: bytes) -> NDArray[np.uint8]:
    """uint8[height, width, 3]."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    place, packed = 8, b""
    while place < len(png):
        length, kind = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, interlaced) == (8, 0)
            step = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += body
        place += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    above = np.zeros(width * step, np.uint8)
    found = np.empty((height, width * step), np.uint8)
    for number, row in enumerate(rows):
        above = found[number] = _unfilter(int(row[0]), row[1:], above, step)
    return found.reshape(height, width, step)[:, :, :3]


def _unfilter(kind: int, row: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    if kind == 0:
        return row.copy()
    if kind == 2:
        return row + above
    line = bytearray(row.tobytes())
    up = above.tobytes()
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        corner = up[i - step] if i >= step else 0
        line[i] = (line[i] + (left, (left + up[i]) // 2, _paeth(left, up[i], corner))[(1, 3, 4).index(kind)]) & 255
    return np.frombuffer(bytes(line), np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))


def near(image: NDArray[np.uint8], colour: tuple[int, int, int], within: int = 40) -> NDArray[np.bool_]:
    """Where the image has that colour, more or less."""
    return (np.abs(image.astype(int) - np.array(colour)).sum(axis=2) < within).astype(bool)
