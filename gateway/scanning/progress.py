"""How far a scan is, on stderr: a bar with the remaining time on a terminal, else one line a minute."""

import time
from typing import TextIO

from drivers.job import Progress

_BAR = 20
_EVERY_S, _REDRAW_S = 60.0, 0.1


def remaining_text(seconds: float) -> str:
    """A rough time as people say it.

    >>> remaining_text(25.2), remaining_text(200)
    ('25 s', '3 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


class ProgressLine:
    """Tells one command's progress; `before` and `after` are the portions of its other parts."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out, self._quiet, self._is_terminal = out, quiet, out.isatty()
        self._began = self._told = time.monotonic()
        self._width = 0
        self.before = 0
        """Portions that are done already."""
        self.after = 0
        """Portions that come later."""
        self.found = 0

    def __call__(self, progress: Progress) -> None:
        """One step of a job that runs here."""
        self.found += len(progress.found)
        self.tell(progress.done, progress.of, progress.words)

    def tell(self, done: int, of: int, words: str, remaining_s: float | None = None) -> None:
        """So much is done."""
        now = time.monotonic()
        if self._quiet or now - self._told < (_REDRAW_S if self._is_terminal else _EVERY_S):
            return
        self._told = now
        all_done, all_of = self.before + done, max(1, self.before + of + self.after)
        if remaining_s is None and all_done:
            remaining_s = (now - self._began) * (all_of - all_done) / all_done
        left = f"{remaining_text(remaining_s)} left" if remaining_s is not None else ""
        answers = f"{self.found} answer{'' if self.found == 1 else 's'}"
        share = min(1.0, all_done / all_of)
        bar = "#" * round(share * _BAR)
        text = f"[{bar:<{_BAR}}] {left:<12} {answers:<10} {words}" if self._is_terminal else f"{share * 100:.0f} %, {left}, {answers}: {words}"
        self._show(text)

    def say(self, words: str) -> None:
        """A line of its own."""
        if not self._quiet:
            self._out.write(words + "\n")
            self._out.flush()

    def end(self) -> None:
        """Take the bar away."""
        if self._is_terminal and self._width:
            self._out.write("\r" + " " * self._width + "\r")
            self._out.flush()
            self._width = 0

    def _show(self, text: str) -> None:
        if self._is_terminal:
            self._out.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._out.write(text + "\n")
        self._out.flush()


