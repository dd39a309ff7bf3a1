"""A wrong word, option or number on the command line is named, with the nearest right one; the site may stand before or behind the word."""

import pytest

from gateway.cli import main


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and what it wrote to stderr; nothing goes to stdout."""
    try:
        code = main(words)
    except SystemExit as end:
        code = int(str(end.code))
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


@pytest.mark.parametrize(("words", "line"), [
    ("stauts", "ecosentry: argument WORD: invalid choice: 'stauts'; did you mean status?"),
    ("journal shwo", "ecosentry journal: argument WORD: invalid choice: 'shwo'; did you mean show?"),
    ("check --lvie", "ecosentry check: does not take --lvie; did you mean --live?"),
    ("journal show --lsat=3", "ecosentry journal show: does not take --lsat=3; did you mean --last?"),
    ("alert a b", "ecosentry alert: does not take b; ecosentry alert --help shows how"),
    ("demo --console 99999", "ecosentry demo: argument --console: 99999 is not a number between 1 and 65535; ecosentry demo --help shows how"),
    ("demo --speed 0", "ecosentry demo: argument --speed: 0 is not a number between 0.01 and 10000; ecosentry demo --help shows how"),
    ("demo --for soon", "ecosentry demo: argument --for: soon is not a number between 0 and 1000000000; ecosentry demo --help shows how")])
def test_what_is_wrong_is_named_on_one_line_with_what_to_do(capsys, words, line):
    assert said(capsys, *words.split()) == (2, line + "\n")


@pytest.mark.parametrize("word", ["gaps", "order", "scan line", "probe line 1", "journal show", "influx setup"])
def test_the_site_may_stand_before_or_behind_a_word_and_a_missing_file_says_how_to_get_one(capsys, word, tmp_path):
    site = str(tmp_path / "none.toml")
    before, behind = said(capsys, "--site", site, *word.split()), said(capsys, *word.split(), "--site", site)
    assert before == behind
    assert site in behind[1]
    assert "ecosentry scan" in behind[1]
