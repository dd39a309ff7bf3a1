"""Starts the workers, one thread each; restarts one that raises, with back-off; stops them in order with a deadline."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

log = logging.getLogger("ecosentry.supervisor")
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_CALM_S = 300.0
"""A worker that ran so long without raising starts again with the first pause."""


@dataclass(slots=True)
class Worker:
    """One worker; `run` returns when its stop is set."""

    name: str
    run: Callable[[Event], None]
    stage: int
    restarts: int = 0
    words: str = ""
    """Why it was restarted last."""
    is_paused: bool = False
    """It raised, and waits to be started again."""
    thread: Thread | None = field(default=None, repr=False)


class Supervisor:
    """Owns the threads. Stage 0 stops first."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self._stops: dict[int, Event] = {}

    def add(self, name: str, run: Callable[[Event], None], stage: int) -> None:
        """One more worker; it starts with `start`."""
        self.workers.append(Worker(name, run, stage))
        self._stops.setdefault(stage, Event())

    def start(self, *names: str) -> None:
        """Start all that do not run, or only these; the last stage first: who receives is there before who sends."""
        for worker in sorted(self.workers, key=lambda w: -w.stage):
            if worker.thread is not None or (names and worker.name not in names):
                continue
            worker.thread = Thread(target=self._watch, args=(worker,), name=worker.name[:15], daemon=True)
            worker.thread.start()

    def _watch(self, worker: Worker) -> None:
        stop = self._stops[worker.stage]
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set():
            began = time.monotonic()
            try:
                worker.run(stop)
                return
            except Exception as error:
                worker.restarts += 1
                worker.words = f"{type(error).__name__}: {error}"
                log.exception("worker %s failed and starts again in %.0f s", worker.name, pause_s)
            if time.monotonic() - began > _CALM_S:
                pause_s = _FIRST_PAUSE_S
            worker.is_paused = True
            stop.wait(pause_s)
            worker.is_paused = False
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def down(self) -> list[str]:
        """Names of those that ought to work and do not: they wait to be started again, or have ended though nobody told them to."""
        return [worker.name for worker in self.workers if not self._stops[worker.stage].is_set() and worker.thread is not None
                and (worker.is_paused or not worker.thread.is_alive())]

    def rest(self, stage: int, deadline: float) -> None:
        """Stop the workers of one stage, so that `start` starts them again. Those that do not end are left alone."""
        stuck = self.stop(stage, deadline)
        self._stops[stage] = Event()
        for worker in self.workers:
            if worker.stage == stage and worker.name not in stuck:
                worker.thread = None

    def stop(self, stage: int, deadline: float) -> list[str]:
        """Ask the workers of one stage to end by `deadline` (monotonic); gives the names of those that did not."""
        if stage in self._stops:
            self._stops[stage].set()
        stuck = []
        for worker in self.workers:
            if worker.stage == stage and worker.thread and worker.thread is not threading.current_thread():
                worker.thread.join(max(0.0, deadline - time.monotonic()))
                if worker.thread.is_alive():
                    stuck.append(worker.name)
                    log.error("worker %s did not stop in time; going on without it", worker.name)
        return stuck
