"""`ecosentry decode`: frames in, their fields out, without a device: what is it that came over the wire?"""

import json
from collections.abc import Iterable
from io import TextIOWrapper
from typing import TextIO

from config.wording import did_you_mean
from drivers.codecs.explain import PROTOCOLS, explain
from drivers.codecs.frame import NotAFrame
from gateway.exit_codes import Exit


def decode(protocol: str, lines: Iterable[str], out: TextIO) -> int:
    """One JSON line out for each line in, in order: {"ok": true, "fields": {…}} or {"ok": false, "error": "…"}.

    A line is a frame in hex, with or without blanks; one that begins with { or $ is the message itself. Empty lines and those
    that begin with # are left out. Gives the exit code: 0, 1 if any was no frame, 2 for a protocol that is not known.
    """
    if isinstance(lines, TextIOWrapper):
        lines.reconfigure(encoding="utf-8", errors="replace")
    if protocol not in PROTOCOLS:
        print(f"ecosentry decode: {protocol} is not known; {did_you_mean(protocol, PROTOCOLS, 'known are ' + ', '.join(PROTOCOLS))}", file=out)
        return Exit.USAGE
    bad = 0
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            said: dict[str, object] = {"ok": True, "fields": explain(protocol, _bytes(text))}
        except NotAFrame as error:
            bad += 1
            said = {"ok": False, "error": str(error)}
        print(json.dumps(said, ensure_ascii=False), file=out, flush=True)
    return Exit.AMISS if bad else 0


def _bytes(text: str) -> bytes:
    if text[0] in "{$":
        return text.encode()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotAFrame(f'"{text[:40]}" is not hex', "wrong") from None
