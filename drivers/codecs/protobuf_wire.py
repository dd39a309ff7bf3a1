"""The wire form of Protocol Buffers, as far as Sparkplug needs it: fields in, fields out, whatever the bytes are in bounded time.

Source: Protocol Buffers documentation, "Encoding". Groups (wire types 3 and 4) are refused; nothing here recurses by itself.
"""

import struct

from drivers.codecs.frame import NotAFrame

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types."""
Raw = int | bytes
_MOST_VARINT = 10
_U64 = (1 << 64) - 1


def varint(value: int) -> bytes:
    """Seven bits a byte, least significant first; a negative number as its 64-bit two's complement.

    >>> varint(300).hex(), varint(-1).hex()
    ('ac02', 'ffffffffffffffffff01')
    """
    value &= _U64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends. Raises NotAFrame."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(at + _MOST_VARINT, len(data))):
        octet = data[place]
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & _U64, place + 1
        shift += 7
    raise NotAFrame(f"a number at byte {at} does not end", "short" if len(data) - at < _MOST_VARINT else "wrong")


def fields(data: bytes) -> list[tuple[int, int, Raw]]:
    """(field number, wire type, content): an int for varints, bytes for all others. Raises NotAFrame."""
    found: list[tuple[int, int, Raw]] = []
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key > 0x7F:
            key, at = read_varint(data, at - 1)
        number, form = key >> 3, key & 7
        if not number:
            raise NotAFrame(f"field number 0 before byte {at}", "wrong")
        if form == VARINT:
            value, at = read_varint(data, at)
            found.append((number, form, value))
            continue
        if form == BYTES:
            size, at = read_varint(data, at)
        elif form in (EIGHT, FOUR):
            size = 8 if form == EIGHT else 4
        else:
            raise NotAFrame(f"wire type {form} before byte {at}", "wrong")
        if size > end - at:
            raise NotAFrame(f"field {number} is cut off: {size} bytes announced, {end - at} there", "short")
        found.append((number, form, data[at : at + size]))
        at += size
    return found


def number_field(number: int, value: int) -> bytes:
    """A field that holds a varint."""
    return varint(number << 3) + varint(value)


def bytes_field(number: int, content: bytes) -> bytes:
    """A field that holds bytes: text, a message within a message."""
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def float_field(number: int, value: float) -> bytes:
    """A field that holds a binary32."""
    return varint(number << 3 | FOUR) + struct.pack("<f", value)


def double_field(number: int, value: float) -> bytes:
    """A field that holds a binary64."""
    return varint(number << 3 | EIGHT) + struct.pack("<d", value)
