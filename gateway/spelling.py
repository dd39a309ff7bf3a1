"""Names from the wire, spelled so that they can stand in a line, a cell or a level of a topic.

Names of channels can come from anybody who may publish, so nothing about them is taken for granted. The spelling is
reversible: two names are never one.
"""

import re
import unicodedata

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\\\\%\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_OR_NOT_ASCII = re.compile(r"[^\x20-\x7e]|[\\%]")


def spell(name: str, more: str = "") -> str:
    r"""A name without anything that could end a line or change how the rest is read; `more` lists further characters.

    Control, bidirectional and half characters, `\` and `%` are percent-encoded in UTF-8. A name that is not in
    Unicode's composed form (NFC) is percent-encoded wherever it is not ASCII: what looks equal is equal.

    >>> spell("two\nlines"), spell("ends in \\"), spell("100 %"), spell("a/b", "/+#")
    ('two%0Alines', 'ends in %5C', '100 %25', 'a%2Fb')
    """
    spelled = _UNSAFE.sub(_percent, name)
    if not (unicodedata.is_normalized("NFC", name) and unicodedata.is_normalized("NFC", spelled)):
        spelled = _UNSAFE_OR_NOT_ASCII.sub(_percent, name)
    return re.sub(f"[{re.escape(more)}]", _percent, spelled) if more else spelled


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode("utf-8", "surrogatepass"))
