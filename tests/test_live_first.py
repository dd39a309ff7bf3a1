"""After an outage live rows go first and the backlog beside them, in order and bounded; every row is accounted for at every instant."""

import resource
import statistics
from pathlib import Path

import numpy as np
import pytest
from delivering import SERIES, Delivery, Store
from house import NOON, S, TurnedClock


def after_outage(folder, polls=1000, in_order=False, **choice):
    """Everything was sent once; then the store was away while so many polls (of 20 rows) were journalled; now it is back."""
    delivery = Delivery(folder, **choice)
    delivery.store.in_order = in_order
    delivery.poll()
    delivery.run(1)
    delivery.store.down = True
    for _ in range(polls // 50):
        delivery.poll(50, turns_clock=True)
    delivery.run(100)
    delivery.store.down = False
    delivery.clock.forward(60)
    delivery.store.order.clear()
    delivery.store.requests.clear()
    return delivery


def test_the_newest_rows_go_first_and_what_has_waited_goes_in_order(tmp_path):
    with after_outage(tmp_path) as delivery:
        delivery.turn()
        first = delivery.store.order[0]
        assert 20_020 - 500 <= first <= 20_020
        assert delivery.sums()["owed"] > 19_000
        delivery.run(300)
        rest = delivery.store.order[delivery.store.order.index(21) :]
        assert rest == list(range(21, first)), "the backlog is not in order"
        assert sorted(delivery.store.order) == list(range(21, 20_021)), "not each once"
        assert delivery.sums() == {"sent": 20_020, "refused": 0, "skipped": 0, "thinned": 0, "owed": 0, "waiting": 0}


def test_a_small_backlog_and_a_sink_that_needs_order_get_everything_in_order(tmp_path):
    with after_outage(tmp_path / "small", 50) as delivery:
        delivery.run(60)
        assert delivery.store.order == list(range(21, 1021))
    with after_outage(tmp_path / "ordered", in_order=True) as delivery:
        delivery.run(60)
        assert delivery.store.order == list(range(21, 20_021))


def drained(delivery, until_s=3600.0, every_s=10.0, commit_s=0.0):
    """Poll every so often while the backlog is drained; gives the latency of each live row's poll, and how long it took."""
    began_s, next_s, first, latencies = delivery.store.now_s, delivery.store.now_s, {}, []
    while delivery.store.now_s < began_s + until_s:
        if delivery.store.now_s >= next_s:
            delivery.poll(commit_s=commit_s)
            first[delivery.live.last_n()] = next_s - commit_s
            next_s += every_s
        wait_s = delivery.turn()
        if not delivery.live.sinks()["store"].owed and first and max(first) in delivery.store.accepted:
            break
        if wait_s > 0:
            delivery.clock.forward(max(1e-6, min(wait_s, next_s - delivery.store.now_s)))
    latencies = [delivery.store.accepted[n] - said for n, said in first.items()]
    return latencies, delivery.store.now_s - began_s


@pytest.mark.parametrize(("base_s", "row_s"), [(0.004, 10e-6), (0.1, 1e-3), (0.6, 5e-3)])
def test_live_rows_need_at_most_twice_their_usual_time_while_a_backlog_is_drained(tmp_path, base_s, row_s):
    """On a local network, over 4G, and over something that carries 200 rows a second."""
    with after_outage(tmp_path, 1000) as delivery:
        delivery.store.base_s, delivery.store.row_s = base_s, row_s
        usual = base_s + 20 * row_s
        delivery.run(3 * (base_s + 500 * row_s))  # the newest rows, which all wait at once
        latencies, took_s = drained(delivery, 20_000 * row_s * 40 + 600, every_s=max(0.02, 5 * base_s))
        assert delivery.sums()["owed"] == 0, f"not drained in {took_s:.0f} s"
        assert len(latencies) > 10
        assert statistics.quantiles(latencies, n=20)[-1] <= 2 * usual * 1.05
        assert statistics.median(latencies) <= 1.5 * usual


def test_a_backlog_keeps_to_the_rate_that_the_site_file_gives(tmp_path):
    with after_outage(tmp_path, backlog_rate=100) as delivery:
        delivery.run(1)
        before = delivery.sums()["owed"]
        delivery.run(60)
        assert 5500 <= before - delivery.sums()["owed"] <= 6100


def test_a_revision_never_overtakes_the_row_that_it_replaces(tmp_path):
    """Else the older row, sent later, would stand in its place at the store for ever."""
    with after_outage(tmp_path, 1000) as delivery:
        late = NOON + 500 * S
        delivery.turn()
        assert delivery.sums()["owed"]
        n = delivery.live.last_n()
        delivery.journal(np.array([3, 4]), np.array([late, late]), revision=1)
        delivery.journal(np.array([5]), np.array([late]), origin=64)
        delivery.poll()
        delivery.turn()
        delivery.run(300)
        when = {n: i for i, n in enumerate(delivery.store.order)}
        assert when[n + 4] < when[1000], "what is new does not wait"
        assert min(when[n + 1], when[n + 2], when[n + 3]) > when[19_000]
        assert delivery.store.points[3, late] == n + 1
        assert delivery.store.points[5, late] == n + 3
        assert delivery.sums()["sent"] == delivery.live.last_n()


def test_what_was_thinned_refused_or_not_chosen_meanwhile_is_counted_as_that(tmp_path):
    with after_outage(tmp_path, device=tuple(f"probe{i}" for i in range(10))) as delivery:
        delivery.turn()
        with delivery.writer.transaction():
            gone = delivery.writer.db.execute("DELETE FROM hot WHERE n BETWEEN 1000 AND 1999 OR n BETWEEN 3000 AND 3004").rowcount
        delivery.store.refuses = {2001, 5003, 5004}
        delivery.run(300)
        found = delivery.sums()
        assert (found["thinned"], found["refused"], found["owed"]) == (gone, 3, 0)
        assert {n for n in delivery.store.order if n > 20} | delivery.store.refuses == {
            n for n in range(21, 20_021) if (n - 1) % 20 < 10 and not (1000 <= n <= 1999 or 3000 <= n <= 3004)}


def test_a_kill_while_draining_neither_loses_nor_doubles_a_row_in_the_sum(tmp_path):
    with after_outage(tmp_path) as delivery:
        for k in range(20):
            for _ in range(3):
                delivery.turn()
            delivery.courier.turn(delivery.live)  # its note dies with the process
            delivery.again()
            if k % 5 == 0:
                delivery.poll()
        delivery.run(300)
        assert set(delivery.store.accepted) == set(range(1, delivery.live.last_n() + 1))
        assert delivery.sums()["sent"] == delivery.live.last_n()


def test_a_store_that_goes_away_while_draining_is_not_asked_for_the_backlog_first_when_it_is_back(tmp_path):
    with after_outage(tmp_path) as delivery:
        delivery.turn()
        delivery.store.down = True
        delivery.run(120)
        delivery.poll()
        delivery.store.down = False
        delivery.store.order.clear()
        delivery.run(70)
        assert delivery.store.order[0] > 19_520
        assert delivery.store.order.index(20_021) < 600
        delivery.run(300)
        assert delivery.sums()["sent"] == delivery.live.last_n()


def test_rows_are_gathered_for_as_long_as_the_site_file_says(tmp_path):
    with Delivery(tmp_path, send_every="1 min") as delivery:
        for _ in range(60):
            delivery.poll()
            delivery.run(10)
        assert delivery.store.requests[1:] == [120] * (len(delivery.store.requests) - 1)
        assert 9 <= len(delivery.store.requests) <= 11
        assert delivery.sums()["waiting"] <= 120


# ── 72 hours without a database ──────────────────────────────────────────────────────────────────────────────────────────
def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def test_72_hours_without_a_database_cost_nothing_but_disk(tmp_path):
    """20 series once a minute, on a clock that is turned; the campaign `make proof-outage` takes ten million rows."""
    clock = TurnedClock(NOON)
    with Delivery(tmp_path, Store(clock, 0.02, 20e-6)) as delivery:
        usual = [drained(delivery, 10, commit_s=0.1)[0][0] for _ in range(30)]
        before_mb = resident_mb()
        delivery.store.down = True
        for _ in range(72 * 6):
            delivery.poll(10, 60.0, turns_clock=True)
            delivery.turn()
        found = delivery.sum()
        assert found["owed"] + found["waiting"] >= 72 * 60 * len(SERIES)
        assert len(delivery.live.backlog("store")) == 1
        delivery.store.down = False
        delivery.run(61)
        latencies, took_s = drained(delivery, commit_s=0.1)
        last = delivery.live.last_n()
        found = delivery.sum()
        assert found["sent"] == last == len(delivery.store.points) >= 86_400
        assert set(delivery.store.accepted) == set(range(1, last + 1))
        delivery.store.accepted.clear()
        delivery.store.points.clear()
        delivery.store.order.clear()
        assert took_s < 3600, f"{took_s:.0f} s to drain"
        assert max(latencies) <= 2.05 * statistics.median(usual)
        assert resident_mb() - before_mb < 60  # the store of this test holds every row; the campaign measures the gateway alone
