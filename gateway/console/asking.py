"""Asks the view from a few threads of the console's own, so that a slow disk never stops its event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.view import View

T = TypeVar("T")
WAIT_S = 5.0


class Asking:
    """Two threads and a deadline between the event loop and the view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._threads = ThreadPoolExecutor(2, "console-view")

    async def ask(self, question: Callable[[View], T]) -> T:
        """The view's answer. Raises TimeoutError after WAIT_S, and whatever the view raises."""
        async with asyncio.timeout(WAIT_S):
            return await asyncio.get_running_loop().run_in_executor(self._threads, question, self._view)

    def close(self) -> None:
        """Let go of the threads without waiting for a question that is still under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
