"""The scanner's promises: it sees what tomllib sees, points at what is written there, and never raises."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.toml_places import scan
from config.toml_text import plain

CASES = Path(__file__).parent / "cases"
HOUSE = Path(__file__).parent.parent

ANY = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=4)
NAMES = st.one_of(st.sampled_from(["a", "b", "port", "x-1", "0", "kind_2"]), ANY)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, width=32), TEXTS, st.dates(), st.times())
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=8)
TABLES = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=3), lambda inner: st.dictionaries(NAMES, st.one_of(VALUES, inner), max_size=3), max_leaves=4)


class Writer:
    """Writes a table as TOML in one of the many ways that mean the same, chosen by `draw`."""

    def __init__(self, draw):
        self.draw = draw
        self.choose = lambda *some: draw(st.sampled_from(some))

    def key(self, name):
        bare = name.isascii() and name and all(c.isalnum() or c in "_-" for c in name)
        ways = [self.basic(name)] + ([name] * 3 if bare else []) + ([f"'{name}'"] if "'" not in name and name.isprintable() else [])
        return self.choose(*ways)

    def basic(self, text):
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

    def text(self, text):
        ways = [self.basic(text)]
        if "'" not in text and text.isprintable():
            ways += [f"'{text}'", f"'''\n{text}'''"]
        ways.append('"""' + self.choose("", "\n", "\r\n") + self.basic(text)[1:-1].replace("\\n", self.choose("\\n", "\n")) + '"""' if text else '""')
        return self.choose(*ways)

    def blank(self):
        return self.choose("", " ", "\t ")

    def value(self, value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float):
            return repr(value) if value == value and abs(value) != float("inf") else str(value)
        if isinstance(value, list):
            gap = self.choose("", " ", "\n", ' # a comment, with [ and "\n')
            parts = f",{gap}".join(self.value(v) for v in value)
            return f"[{gap}{parts}{self.choose('', ',') if value else ''}{gap}]"
        if isinstance(value, dict):
            pairs = (f"{self.blank()}{self.key(k)}{self.blank()}={self.blank()}{self.value(v)}{self.blank()}" for k, v in value.items())
            return "{" + ",".join(pairs) + "}"
        return str(value)

    def table(self, table, head=()):
        later, text = [], ""
        for name, value in table.items():
            if isinstance(value, dict) and value and self.choose(True, False):
                later.append((name, value))
            elif isinstance(value, dict) and len(value) == 1 and self.choose(True, False):
                ((inner, x),) = value.items()
                text += f"{self.key(name)}{self.blank()}.{self.blank()}{self.key(inner)} = {self.value(x)}\n"
            else:
                text += f"{self.blank()}{self.key(name)} ={self.blank()}{self.value(value)}{self.choose('', ' # why', chr(9))}\n"
        for name, value in later:
            path = (*head, self.key(name))
            text += f"\n[{self.blank()}{'.'.join(path)}{self.blank()}]\n" + self.table(value, path)
        return text


@st.composite
def documents(draw):
    writer = Writer(draw)
    text = writer.table(draw(TABLES))
    for name in draw(st.lists(st.sampled_from(["list1", "list2"]), max_size=3)):
        text += f"\n[[{name}]]\n" + writer.table(draw(st.dictionaries(st.sampled_from(["p", "q"]), SCALARS, max_size=2)))
        text += draw(st.sampled_from(["", f"[{name}.inner]\nr = 1\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))) if '"""' not in text and "'''" not in text else text


def paths(value, path=()):
    found = {path} if path else set()
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found |= paths(part, (*path, key))
    return found


def at(value, path):
    for key in path:
        value = value[key]
    return value


@settings(max_examples=300, deadline=None)
@given(documents())
def test_every_path_of_a_valid_file_has_a_place_and_its_value_stands_there(text):
    meant = tomllib.loads(text)
    seen = scan(text)
    assert seen.slips == () == seen.wide
    assert set(seen.places) == paths(meant)
    lines = text.split("\n")
    for path, place in seen.places.items():
        if place.value_length:
            written = lines[place.value_line - 1][place.value_column - 1 :][: place.value_length]
            value = at(meant, path)
            if "\n" not in str(value) and not isinstance(value, dict | list) and not written.startswith(('"""', "'''")):
                assert tomllib.loads(f"x = {written}")["x"] == value
        if isinstance(path[-1], str):
            key = lines[place.line - 1][place.column - 1 :][: place.length]
            assert tomllib.loads(f"{key} = 1") == {path[-1]: 1}


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab=.[]{}\"'#\n\r\t ,1-:\\“”‘’＝，［］　清è\x00"), max_size=40))
def test_nothing_makes_it_raise_and_mending_keeps_every_place(text):
    seen = scan(text)
    assert len(seen.mended) == len(text)
    try:
        tomllib.loads(text)
    except ValueError:
        return
    assert not seen.slips
    assert seen.mended == text


@pytest.mark.parametrize("path", [HOUSE / "pyproject.toml", *sorted((HOUSE / "config").rglob("*.toml"))], ids=lambda path: path.name)
def test_it_sees_what_tomllib_sees_in_our_own_files(path):
    text = path.read_text("utf-8")
    assert set(scan(text).places) == paths(tomllib.loads(text))


def test_full_width_characters_are_mended_outside_of_texts_only():
    seen = scan('a ＝ “x”\nb = "＝ “stays”" # ＝ too\n')
    assert seen.mended == 'a = "x"\nb = "＝ “stays”" # ＝ too\n'
    assert [(slip.line, slip.column) for slip in seen.wide] == [(1, 3)]


def test_every_slip_of_a_file_is_told_not_only_the_first():
    seen = scan('a = yes\nb: 2\nc = "x\n[d]\ne = 1,5\n[d]\n')
    assert [slip.line for slip in seen.slips] == [1, 2, 3, 5, 6]


def test_the_plain_twin_of_every_full_width_ascii_character_is_known():
    assert "".join(plain(chr(0xFF01 + i)) for i in range(94)) == "".join(chr(0x21 + i) for i in range(94))
    assert plain("A") == plain("清") == ""


def test_deep_nesting_ends_with_words_not_with_the_stack():
    assert "nested too deeply" in scan("a = " + "[" * 5000).slips[0].what
    assert "nested too deeply" in scan("a = " + "{b=" * 5000).slips[0].what
