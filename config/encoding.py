"""Bytes of a file that people wrote → its text, also where an editor stored it in another encoding, and what to do then."""

import re

from config.errors import Problem

LARGEST = 4_000_000
"""Bytes; a site of a thousand devices has 200 kB."""
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def decoded(file: str, body: bytes) -> tuple[str, list[Problem]]:
    """The text and what is wrong with its encoding. The text may be read on for more problems, but not used."""
    if len(body) > LARGEST:
        return "", [Problem(file, f"has {len(body) / 1e6:.0f} MB: that is no site file", "is it the right file?")]
    if body.startswith(b"\xef\xbb\xbf"):
        text, problems = decoded(file, body[3:])
        return text, [Problem(file, "begins with a byte order mark (Notepad: UTF-8 with BOM).", "save as UTF-8 without BOM"), *problems]
    name = _other_encoding(body)
    if not name:
        text = body.decode("utf-8")
        return text, _strange_characters(file, text)
    text = body.decode({"GBK": "gb18030", "UTF-16": "utf-16", "UTF-16 without a mark": "utf-16-le"}.get(name, "cp1252"), "replace")
    guess = "is UTF-16" if name.startswith("UTF-16") else f"is not UTF-8 but looks like {name}"
    source = "CP1252" if name == "Western European" else name.partition(" ")[0]
    repair = f"save as UTF-8, or: iconv -f {source} -t UTF-8 {file} > new.toml"
    return text.removeprefix("\ufeff"), [Problem(file, f"{guess} (Notepad).", repair)]


def _other_encoding(body: bytes) -> str:
    """The likely name of an encoding that is not UTF-8; "" if it is UTF-8."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    if len(body) >= 4 and body[1::2].count(0) > len(body) // 4:
        return "UTF-16 without a mark"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "GBK" if _is_gbk(body) else "Western European"
    return ""


def _is_gbk(body: bytes) -> bool:
    """Chinese text has its high bytes in pairs; single ones among letters are Western European."""
    try:
        body.decode("gb18030")
    except UnicodeDecodeError:
        return False
    runs = re.findall(rb"[\x80-\xff]+", body)
    return sum(len(run) % 2 == 0 for run in runs) * 3 >= len(runs) * 2


def _strange_characters(file: str, text: str) -> list[Problem]:
    """Control characters, and line ends that are neither Unix's nor Windows'."""
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines, 1):
        body = line.removesuffix("\r")
        if match := _NOT_TEXT.search(body):
            found.append(Problem(file, f"there is a control character (code {ord(match[0])}) in column {match.start() + 1}.",
                                 "take it away", number))
        elif "\r" in body:
            found.append(Problem(file, "lines end as on an old Macintosh (CR only).", "save with line ends of Unix (LF) or Windows (CRLF)", number))
    return found[:20]
