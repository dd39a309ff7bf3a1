"""`ecosentry decode`: frames in, their fields out, without a device: what is it that came over the wire?"""

from collections.abc import Iterable
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from config.wording import did_you_mean
from drivers.codecs.explain import MESSAGES, PROTOCOLS, Beside, explain
from drivers.codecs.frame import NotAFrame
from drivers.codecs.register_layout import RegisterLayout
from drivers.codecs.sm4 import BLOCK
from gateway import strict_json
from gateway.exit_codes import Exit

_LONGEST_KEY = 200
_TEXTS = "{[$!"
"""With one of these a line is the message itself; all else is hex."""


def decode(protocol: str, lines: Iterable[str], out: TextIO, layout: str = "", key_file: Path | None = None) -> int:
    """One line of strict JSON out for each line in, in order: {"ok": true, "fields": {…}} or {"ok": false, "error": "…"}.

    A line is a frame in hex, with or without blanks; one that begins with {, [, $ or ! is the message itself. Before a message its
    topic may stand, as `mosquitto_sub -v` writes it. Empty lines and those that begin with # are left out. `layout` says what the
    registers of Modbus answers mean (`RegisterLayout`), `key_file` holds the key of SM4 in hex. Gives the exit code: 0, 1 if any was no
    frame, 2 for a protocol, layout or key that cannot be used.
    """
    if isinstance(lines, TextIOWrapper):
        lines.reconfigure(encoding="utf-8", errors="replace")
    if isinstance(out, TextIOWrapper):
        out.reconfigure(encoding="utf-8")
    if protocol not in PROTOCOLS:
        print(f"ecosentry decode: {protocol} is not known; {did_you_mean(protocol, PROTOCOLS, 'known are ' + ', '.join(PROTOCOLS))}", file=out)
        return Exit.USAGE
    try:
        beside = Beside(layout=RegisterLayout.read(layout) if layout else None, key=_key(key_file) if key_file else b"")
    except (OSError, ValueError) as error:
        print(f"ecosentry decode: {'--layout' if layout else '--key-file'}: {error}", file=out)
        return Exit.USAGE
    bad = 0
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        said = _explained(protocol, text, beside)
        bad += not said["ok"]
        print(strict_json.line(said), file=out, flush=True)
    return Exit.AMISS if bad else 0


def _explained(protocol: str, text: str, beside: Beside) -> dict[str, object]:
    """What one line means, or why it means nothing: whatever it is, the next one is read too."""
    topic, text = _published(text) if protocol in MESSAGES else ("", text)
    try:
        return {"ok": True, "fields": explain(protocol, _bytes(text), replace(beside, topic=topic))}
    except (NotAFrame, ValueError) as error:
        return {"ok": False, "error": str(error)}


def _key(file: Path) -> bytes:
    """The key in a file. Raises OSError, ValueError."""
    found = bytes.fromhex(file.read_text("ascii")) if file.stat().st_size <= _LONGEST_KEY else b""
    if len(found) != BLOCK:
        raise ValueError(f"{file} holds no key of SM4: {2 * BLOCK} hex digits")
    return found


def _published(text: str) -> tuple[str, str]:
    """Topic, empty if none stands there, and message: JSON, or hex behind a topic without blanks."""
    start = text.find("{")
    topic, message = (text[:start], text[start:]) if start >= 0 else (text.partition(" ")[0], text.partition(" ")[2])
    return (topic.strip(), message) if "/" in topic else ("", text)


def _bytes(text: str) -> bytes:
    if text[:1] and text[0] in _TEXTS:
        return text.encode()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotAFrame(f'"{text[:40]}" is not hex', "wrong") from None
