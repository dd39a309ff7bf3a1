"""Names and words from the wire, spelled so that they can stand in a line, a cell, a level of a topic or the journal.

Names of channels can come from anybody who may publish, so nothing about them is taken for granted. The spelling is
reversible: two names are never one.
"""

import re
import unicodedata

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\\\\%\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]+")
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
LONGEST_WORDS = 500
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


def in_one_line(words: str, most: int = LONGEST_WORDS) -> str:
    r"""What a stranger says (a server, a broker, a device), for the journal and for people: one line of at most `most` characters.

    Control, bidirectional and half characters, which SQLite would not take or which change how the rest is read, become U+FFFD.

    >>> in_one_line("no\r\n\ud800 right"), in_one_line("abc", 2)
    ('no � right', 'ab')
    """
    return _NO_TEXT.sub("\ufffd", _BREAKS.sub(" ", words[: 2 * most]))[:most]


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in match[0].encode("utf-8", "surrogatepass"))
