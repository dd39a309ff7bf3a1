"""Signatures of the Standard Webhooks specification, symmetric scheme v1.

HMAC-SHA256 over `id.timestamp.body` with a key of 24 to 64 bytes. An id with a dot in it could move a boundary of that
text (id "a.1" + "2" signs what id "a" + "1.2" signs), so such ids are neither signed nor accepted.
Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

TOLERANCE_S = 300
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


class BadKey(ValueError):
    """The key cannot be used; the text says why, without the key."""


class BadSignature(ValueError):
    """The message does not come from who has the key, or not now, or not like this."""


def key_bytes(text: str) -> bytes:
    """A key as it is handed out: `whsec_` and base64 of 24 to 64 bytes; the prefix may be left out.

    >>> len(key_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    24
    """
    try:
        key = base64.b64decode(text.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKey('is not base64; a webhook key looks like "whsec_" and 32 to 88 letters, digits, + / =') from error
    if not 24 <= len(key) <= 64:
        raise BadKey(f"holds {len(key)} bytes; a webhook key has 24 to 64")
    return key


def sign(keys: Sequence[bytes], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a message; one signature a key, so that a receiver may have either while keys change."""
    if not _ID.fullmatch(message_id):
        raise ValueError(f"the message id {message_id!r} may hold letters, digits, _ and - only")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{_signature(key, message_id, str(at_s), body)}" for key in keys),
    }


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """What a receiver does: returns if the message is right, raises BadSignature if not. Header names in lower case."""
    try:
        message_id, at, signatures = (headers[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise BadSignature(f"the header {error} is missing") from error
    if not _ID.fullmatch(message_id):
        raise BadSignature("the id holds a character that could move its boundary")
    if not (at.isascii() and at.isdigit() and len(at) <= 15):
        raise BadSignature("the timestamp is not a number of seconds")
    if abs(now_s - int(at)) > TOLERANCE_S:
        raise BadSignature(f"the timestamp is more than {TOLERANCE_S} s away")
    given = [text.partition(",")[2] for text in signatures.split(" ") if text.startswith("v1,")]
    expected = [_signature(key, message_id, at, body) for key in keys]
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in expected):
        raise BadSignature("no signature fits")


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(key, f"{message_id}.{at}.".encode() + body, sha256).digest()).decode()
