"""The journal keeps its limits of age and size, counts what went, and stays exact."""

import dataclasses

from house import AMMONIA, LAEQ, House, site

from config.site import Journal
from gateway.courier import Courier
from gateway.journal import keeping
from gateway.traffic import Traffic
from gateway.wiring import Expected


class Greedy:
    """A sink that takes everything, for the count."""

    def __init__(self):
        self.traffic, self.in_order, self.unsure_s = Traffic(), False, 0.0

    def send(self, rows, deadline):
        self.rows = getattr(self, "rows", 0) + len(rows)

    def close(self):
        pass


def fill(house, turns, seconds=10.0):
    for k in range(turns):
        house.clock.forward(seconds)
        house.say(*((AMMONIA, float(k)),) * 40, (LAEQ, 50.0))
        house.turn()


def test_rows_older_than_keep_go_and_newer_ones_stay(tmp_path):
    house = House(tmp_path, site())
    fill(house, 100)
    with house.writer.transaction():
        cutoff = house.clock.utc_ns - 500 * 10**9
        assert keeping.expire(house.writer, cutoff) == 0, "nothing goes that a restart needs"
        house.core._checkpoint()
        gone = keeping.expire(house.writer, cutoff)
    assert gone > 0
    with house.reader() as reader:
        rows = reader.rows_after(0, 10_000)
        assert rows.at.min() >= cutoff
        assert len(rows) + gone == reader.last_n()
    before = house.core.state.buffer.tobytes()
    house.kill()
    assert before


def test_a_full_journal_gives_up_measured_rows_first_and_every_sink_s_sum_still_holds(tmp_path):
    from config.site import Sink, SinkTable
    from config.table import Table

    plan = site()
    plan = plan.model_copy(update={"sinks": {"store": Sink(kind="x", common=SinkTable(), options=Table())},
                                   "journal": Journal(max_size="1 MB")})
    house = House(tmp_path, plan, expected=[Expected(s, 60.0, False) for s in (AMMONIA, LAEQ)])
    fill(house, 800, 60.0)
    used = 0
    for _ in range(20):
        with house.writer.transaction():
            house.core._checkpoint()
            keeping.thin(house.writer, 1_000_000)
            used = keeping.in_use(house.writer)
    assert used < 1_000_000
    with house.reader() as reader:
        rows = reader.rows_after(0, 100_000)
        hours = sum(1 for w in rows.which if rows.series[w].statistic)
        assert hours == sum(1 for w in rows.which if rows.series[w].period_s == 3600)
        assert hours >= 12, "the means of what was thinned are still there"
        sink = Greedy()
        courier = Courier("store", sink, plan.sinks["store"].common, plan, tmp_path, house.intake, None)
        position = 0
        while len(some := reader.rows_after(position, 5000)):
            assert courier.carry(some, position) is None
            position = int(some.n[-1])
        house.turn()
        record = reader.sinks()["store"]
        assert record.thinned > 0
        assert record.sent == sink.rows
        assert record.sent + record.refused + record.skipped + record.thinned + reader.last_n() - record.n == reader.last_n()
    house.kill()


def test_columns_are_what_the_schema_says():
    from gateway.contracts import Rows
    from gateway.journal.columns import Columns

    assert [f.name for f in dataclasses.fields(Columns)] == [f.name for f in dataclasses.fields(Rows)][2:]
