"""A store that acknowledges before it is durable is believed only when what it took is old enough; what it lost goes again."""

import time

import numpy as np
import pytest
from delivering import SERIES, Delivery, Store
from far_sides import make
from house import NOON, S, TurnedClock
from servers import InfluxDB1, VictoriaMetrics

from config.errors import Unavailable


def unsure(folder, **choice):
    store = Store(TurnedClock(NOON))
    store.unsure_s = 30.0
    return Delivery(folder, store, **choice)


def test_rows_wait_until_they_are_old_enough_and_the_store_has_answered_again(tmp_path):
    with unsure(tmp_path) as delivery:
        delivery.poll()
        delivery.run(29)
        assert delivery.sums() == {"sent": 0, "refused": 0, "skipped": 0, "thinned": 0, "owed": 0, "waiting": 20}
        assert delivery.store.requests == [20], "accepted once, sent once"
        delivery.run(3)
        assert delivery.sums()["sent"] == 20
        assert delivery.store.requests == [20], "it was asked, nothing was sent again"


@pytest.mark.parametrize("choice", [{}, {"send_every": "1 min"}, {"backlog_rate": 500}])
def test_a_store_that_loses_its_last_seconds_gets_them_again(tmp_path, choice):
    with unsure(tmp_path, **choice) as delivery:
        for k in range(60):
            delivery.poll()
            delivery.run(10)
            if k % 7 == 3:
                delivery.store.crash(25.0)
        delivery.run(200)
        last = delivery.live.last_n()
        assert sorted(delivery.store.points.values()) == list(range(1, last + 1))
        assert delivery.sums()["sent"] == last
        assert len(delivery.store.order) < 2.2 * last, "it is sent again far more often than needed"


def test_a_kill_of_the_gateway_sends_again_what_was_not_sure_and_counts_it_once(tmp_path):
    with unsure(tmp_path) as delivery:
        for _ in range(6):
            delivery.poll()
            delivery.run(10)
        assert 20 <= delivery.sums()["waiting"] <= 80
        delivery.again()
        delivery.run(100)
        assert delivery.sums()["sent"] == 120


class Passing(TurnedClock):
    """The real clock, from noon on."""

    def __init__(self):
        super().__init__(NOON)
        self._began = time.monotonic_ns()

    def now(self):
        passed = time.monotonic_ns() - self._began
        self.utc_ns, self.mono_ns = NOON + passed, 1000 * S + passed
        return super().now()


@pytest.mark.server
@pytest.mark.parametrize("confirm_after", ["4 s", None])
def test_victoria_metrics_killed_loses_nothing_with_confirm_after_and_something_without(tmp_path, confirm_after):
    """The second case is the control: if it lost nothing either, the first would prove nothing."""
    with VictoriaMetrics(tmp_path / "victoria") as server:
        options = {"org": "o", "bucket": "b"} | ({"confirm_after": confirm_after} if confirm_after else {})
        sink = make("sinks", "influxdb", {"url": server.url} | options)
        store = Store(Passing())
        with Delivery(tmp_path, store) as delivery:
            delivery.store = sink
            delivery.again()

            def go(seconds, polls):
                until = time.monotonic() + seconds
                for k in range(polls):
                    delivery.clock.now()
                    delivery.journal(np.arange(20), np.full(20, delivery.clock.utc_ns // 10**6 * 10**6))
                    while time.monotonic() < until - seconds * (1 - (k + 1) / polls):
                        delivery.turn()
                        time.sleep(0.01)

            for _ in range(2):
                go(0.8, 8)
                server.kill()
                server.start()
            go(0.5, 2)
            until = time.monotonic() + (8 if confirm_after else 3)
            while time.monotonic() < until and (delivery.sum()["waiting"] or not confirm_after):
                delivery.turn()
                time.sleep(0.02)
            stored = {(samples.metric["device"], at) for samples in server.export('{__name__="water_value"}')
                      for at in samples.at_ms}
            rows = delivery.live.rows_after(0, 10**6)
            wanted = {(SERIES[which].device, at // 10**6) for which, at in zip(rows.which.tolist(), rows.at.tolist(), strict=True)}
            assert stored <= wanted
            if confirm_after:
                assert stored == wanted
                assert delivery.sums()["sent"] == len(rows)
            else:
                assert len(stored) < len(wanted), "this server loses nothing: the other case proves nothing"
        sink.close()


@pytest.mark.server
def test_a_proxy_that_cuts_after_the_server_has_stored_costs_nothing_and_doubles_nothing(tmp_path):
    """The answer is lost, not the rows: they go again, and every point is there once."""
    with InfluxDB1(tmp_path / "influx") as server, Delivery(tmp_path) as delivery:
        sink = delivery.store = make("sinks", "influxdb", {"url": server.url, "database": "eco"})
        delivery.again()
        send, cuts = sink._exchange.request, []

        def through_a_proxy(*what):
            answer = send(*what)
            if len(cuts) < 3:
                cuts.append(answer.status)
                raise Unavailable("closed the connection without an answer")
            return answer

        sink._exchange.request = through_a_proxy
        delivery.poll(5)
        for _ in range(12):
            wait_s = delivery.turn()
            delivery.clock.forward(max(wait_s, 0.001))
        assert cuts == [204, 204, 204]
        assert len(server.points("water")) == 100
        assert delivery.sums()["sent"] == 100
        sink.close()
