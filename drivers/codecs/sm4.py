"""The block cipher SM4, and the segments of HJ 212-2025 that are encrypted with it. For people who look at frames; nothing is sent so.

Source: GB/T 32907-2016, whose example is tested. Its substitution table is worked out from what it is: an inversion in GF(2^8) modulo
x^8+x^7+x^6+x^5+x^4+x^2+1 between two equal affine maps. How an encrypted segment lies on the wire (whole blocks first, the rest in
clear, the checksum over the plain text) is inferred from public implementations of HJ 212-2025, 6.4.2: not verified by an official example.
"""

import re
from functools import cache

from drivers.codecs.frame import NotAFrame, hexed

BLOCK = 16
_FIELD, _ROW, _ADDED = 0x1F5, 0xA7, 0xD3
_SYSTEM_KEY = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)
_ROUNDS = 32
_MASK = 0xFFFFFFFF
_SEGMENT = re.compile(rb"##([0-9]{4})(.*)([0-9A-Fa-f]{4})\r\n", re.DOTALL)
_BEGIN, _END = b"CP=&&", b"&&"


def encrypt(block: bytes, key: bytes) -> bytes:
    """One block of 16 bytes under a key of 16.

    >>> encrypt(bytes.fromhex("0123456789abcdeffedcba9876543210"), bytes.fromhex("0123456789abcdeffedcba9876543210")).hex()
    '681edf34d206965e86b3e94f536e4246'
    """
    return _crypt(block, _round_keys(key))


def decrypt(block: bytes, key: bytes) -> bytes:
    """What `encrypt` made it of."""
    return _crypt(block, _round_keys(key)[::-1])


def read_segment(frame: bytes, key: bytes) -> dict[str, object]:
    """An encrypted HJ 212-2025 frame in plain words. Raises NotAFrame if its length or, with this key, its checksum does not fit."""
    match = _SEGMENT.fullmatch(frame)
    if match is None or int(match[1]) != len(match[2]):
        raise NotAFrame(f"not an HJ 212 frame, or cut off: {hexed(frame)}", "short" if frame.startswith(b"##") else "noise")
    head, begin, rest = match[2].partition(_BEGIN)
    if not begin or not rest.endswith(_END):
        raise NotAFrame("no CP=&&…&& in it", "wrong")
    content = rest.removesuffix(_END)
    size = len(content) // BLOCK * BLOCK
    plain = b"".join(decrypt(content[at : at + BLOCK], key) for at in range(0, size, BLOCK)) + content[size:]
    segment = head + begin + plain + _END
    if crc16(segment) != int(match[3], 16):
        raise NotAFrame("the checksum does not fit: another key?")
    return {"key_hex": key.hex(), "plain_segment": segment.decode("utf-8", "replace"), "crc_over_plaintext": match[3].decode().upper(),
            "encrypted_bytes": size, "clear_tail": content[size:].decode("utf-8", "replace")}


def crc16(data: bytes) -> int:
    """The checksum of HJ 212-2017, annex A: like CRC-16/MODBUS, but the high byte alone is mixed with each byte.

    >>> f"{crc16(b'QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&'):04X}"
    '1C80'
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _crypt(block: bytes, round_keys: list[int]) -> bytes:
    words = [int.from_bytes(block[at : at + 4]) for at in range(0, BLOCK, 4)]
    for key in round_keys:
        mixed = _substituted(words[1] ^ words[2] ^ words[3] ^ key)
        words = [*words[1:], words[0] ^ mixed ^ _turned(mixed, 2) ^ _turned(mixed, 10) ^ _turned(mixed, 18) ^ _turned(mixed, 24)]
    return b"".join(word.to_bytes(4) for word in reversed(words))


def _round_keys(key: bytes) -> list[int]:
    if len(key) != BLOCK:
        raise ValueError(f"a key of SM4 has {BLOCK} bytes, not {len(key)}")
    words = [int.from_bytes(key[4 * at : 4 * at + 4]) ^ _SYSTEM_KEY[at] for at in range(4)]
    for number in range(_ROUNDS):
        constant = int.from_bytes(bytes((4 * number + place) * 7 & 0xFF for place in range(4)))
        mixed = _substituted(words[-3] ^ words[-2] ^ words[-1] ^ constant)
        words.append(words[-4] ^ mixed ^ _turned(mixed, 13) ^ _turned(mixed, 23))
    return words[4:]


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _MASK


def _substituted(word: int) -> int:
    return int.from_bytes(bytes(_table()[byte] for byte in word.to_bytes(4)))


@cache
def _table() -> bytes:
    """256 bytes, the S-box."""
    return bytes(_affine(_inverse(_affine(byte))) for byte in range(256))


def _affine(byte: int) -> int:
    rows = ((_ROW << place | _ROW >> 8 - place) & 0xFF for place in range(8))
    return sum(((row & byte).bit_count() & 1) << place for place, row in enumerate(rows)) ^ _ADDED


def _inverse(byte: int) -> int:
    return next((other for other in range(1, 256) if _product(byte, other) == 1), 0)


def _product(one: int, other: int) -> int:
    found = 0
    while other:
        found ^= one if other & 1 else 0
        one = one << 1 ^ (_FIELD if one & 0x80 else 0)
        other >>= 1
    return found
