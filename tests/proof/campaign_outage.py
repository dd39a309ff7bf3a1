"""Ten million rows wait for a database that is away; it comes back, and live rows go on while they are drained. On a clock that is turned.

Each step is an outage of 72 h of virtual time in which every 10 s 20 series are polled (518,400 rows), and its
draining into a store that keeps only a bitmap of what it got, so that the memory is the gateway's own.
"""

import resource
import statistics
from pathlib import Path

import numpy as np
from delivering import SERIES, Delivery, Store
from house import NOON, TurnedClock
from proof.campaigns import Step, Tally

from gateway.contracts import Rows

PROMISE = "A database that is away for days costs disk, not data: every row arrives once, memory stays flat, live rows hardly notice the draining."
PROVES = ("gateway/courier.py", "gateway/sending.py", "gateway/pace.py", "gateway/sink_standing.py", "gateway/journal/progress.py",
          "gateway/journal/reader.py", "tests/delivering.py", "tests/proof/campaign_outage.py")
STEPS = 20
FIGURES = {"rows": 0, "hours_away": 0, "lost": 0, "sent_twice": 0, "most_memory_growth_mb": 0.0, "most_hours_to_drain": 0.0,
           "worst_live_to_usual": 0.0, "median_live_to_usual": 0.0}
LONGEST_S = 90.0
SMOKE = False
HOURS, COMMIT_S = 72, 0.1


class Bitmap(Store):
    """Keeps whether each row came, and when live ones did; nothing that grows with the backlog."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__(clock, 0.04, 50e-6)
        self.got = np.zeros(2_000_000, np.uint8)
        self.live: dict[int, float] = {}
        self.live_from = 2**62

    def send(self, rows: Rows, deadline: float) -> None:
        del deadline
        self.clock.forward(self.base_s + self.row_s * len(rows))
        self._answer()
        self.got[rows.n] += 1
        if rows.n[-1] >= self.live_from:
            for n in rows.n.tolist():
                self.live.setdefault(n, self.now_s)


def resident_mb() -> float:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def live(delivery: Delivery, until_empty: bool, polls: int) -> list[float]:
    """Poll every 10 s; seconds from each poll to the store. `until_empty`: until nothing is owed any more."""
    store = delivery.store
    assert isinstance(store, Bitmap)
    store.live_from, next_s, first = delivery.live.last_n() + 1, store.now_s, {}
    for _ in range(polls):
        while store.now_s < next_s:
            wait_s = delivery.turn()
            if wait_s > 0:
                delivery.clock.forward(max(1e-6, min(wait_s, next_s - store.now_s)))
        delivery.poll(commit_s=COMMIT_S)
        first[delivery.live.last_n()] = next_s - COMMIT_S
        next_s += 10.0
        if until_empty and not delivery.live.backlog("store"):
            break
    delivery.run(9)
    return [store.live[n] - said for n, said in first.items()]


def step(at: Step, tally: Tally) -> None:
    clock = TurnedClock(NOON)
    with Delivery(at.folder, Bitmap(clock)) as delivery:
        store = delivery.store
        assert isinstance(store, Bitmap)
        delivery.poll(250)  # one request of the largest size, as after any restart
        delivery.run(5)
        usual = statistics.median(live(delivery, False, 40))
        before_mb = resident_mb()
        store.down = True
        for _ in range(HOURS):
            for _ in range(6):
                delivery.poll(60, turns_clock=True)
            delivery.turn()
        store.down = False
        delivery.run(at.random.uniform(61, 75))
        began_s = store.now_s
        latencies = live(delivery, True, 100_000)
        took_s, grown_mb = store.now_s - began_s, resident_mb() - before_mb
        delivery.run(30)
        last, sums = delivery.live.last_n(), delivery.sums()
        tally.count("rows", last)
        tally.count("hours_away", HOURS)
        tally.count("lost", int((store.got[1 : last + 1] == 0).sum()))
        tally.count("sent_twice", int((store.got[1 : last + 1] > 1).sum()))
        tally.most("most_memory_growth_mb", round(grown_mb, 1))
        tally.most("most_hours_to_drain", round(took_s / 3600, 2))
        tally.most("worst_live_to_usual", round(max(latencies) / usual, 2))
        tally.most("median_live_to_usual", round(statistics.median(latencies) / usual, 2))
        assert last >= HOURS * 360 * len(SERIES)
        assert sums["sent"] == last
        assert store.got[1 : last + 1].min() == 1
        assert grown_mb < 20, f"{grown_mb:.1f} MB more than before"
        assert max(latencies) <= 2.05 * usual
