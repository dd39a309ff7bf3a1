"""Zero gas that comes by an order and goes by an order: told once each, and never taken for the river, whatever fails. Virtual time."""

import io
from itertools import pairwise

import pytest
from house import AMMONIA, LAEQ, NOON, House, S, site

from config.maintenance import Maintenance
from config.series import Flag
from drivers.order import Order, Outcome, Verb
from gateway.checking.check import run_check
from gateway.orders import Orders
from gateway.window_orders import WindowOrders

ZERO = {"device": "probe", "at": "Sat 20:01", "for": "3 min", "settle": "1 min", "kind": "zero", "orders": {"begin": "zero_on", "end": "zero_off"}}
"""NOON is Saturday, 20:00 in Shanghai."""
DONE, FAILED, UNKNOWN = Outcome("done", "confirmed"), Outcome("failed", "declined"), Outcome("unknown", "no answer")


class Instrument:
    """Obeys: its valve lets gas in, and what it measures is then 0. Keeps when it was told what."""

    verbs = {"zero_on": Verb("let zero gas in"), "zero_off": Verb("let the river in")}

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        self.outcomes: dict[str, list[Outcome]] = {}
        self.is_open = False

    def check(self, order: Order) -> None:
        if order.verb not in self.verbs:
            raise ValueError(f"knows no {order.verb}")

    def obey(self, order: Order, wire: object) -> Outcome:
        outcome = (self.outcomes.get(order.verb) or [DONE]).pop(0)
        if outcome.state == "done":
            self.is_open = order.verb == "zero_on"
        self.told.append((self.now(), order.verb))
        return outcome


class Station:
    """A core, the orders of a line and the worker; time goes on second by second."""

    def __init__(self, folder) -> None:
        planned = {"zero": Maintenance.model_validate(ZERO)}
        self.house = House(folder, site().model_copy(update={"maintenance": planned}))
        self.instrument = Instrument()
        self.instrument.now = lambda: (self.house.clock.utc_ns - NOON) / S
        self.begin()

    def begin(self) -> None:
        """As the daemon does: the worker looks before the first reading comes."""
        self.orders = Orders("l", self.house.clock, lambda: None, {"probe": self.instrument}, self.tell)
        self.worker = WindowOrders(self.house.site, self.house.folder, self.house.clock, {"probe": self.orders}, self.tell)
        self.look()
        self.measure()

    def look(self) -> None:
        """The worker says when it wants to look again."""
        self.due = self.house.clock.mono_ns + self.worker.step() * S

    def tell(self, note) -> None:
        self.house.intake.tell(note)
        self.house.turn()

    def measure(self) -> None:
        self.house.say((AMMONIA, 0.0 if self.instrument.is_open else 0.5), (LAEQ, 50.0))
        self.house.turn()

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.house.clock.forward(1)
            if self.house.clock.mono_ns >= self.due:
                self.look()
            while self.orders.ready(frozenset()):
                self.orders.step(None, frozenset())
            if self.house.clock.mono_ns // S % 10 == 0:
                self.measure()

    def kill(self, for_s: float = 0) -> None:
        self.house.kill()
        self.house.clock.forward(for_s)
        self.house.start()
        self.begin()

    def rows(self) -> list[tuple[float, float, int]]:
        with self.house.reader() as reader:
            found = reader.rows_of_series(reader.series().index(AMMONIA), 0, 2**62, 10_000)
        return [((at - NOON) / S, value, flag) for at, value, flag in zip(found.at.tolist(), found.value.tolist(), found.flag.tolist(), strict=True)]


@pytest.fixture
def station(tmp_path):
    station = Station(tmp_path / "journal")
    yield station
    assert [row for row in station.rows() if row[1] == 0.0 and row[2] != Flag.FAIL] == [], "zero gas was taken for the river"
    station.house.kill()


def first_good_after(station, second):
    return next(at for at, _, flag in station.rows() if at > second and flag == Flag.GOOD)


def test_the_gas_comes_at_the_beginning_and_goes_at_the_end_and_values_count_once_it_has_settled(station):
    station.pass_by(600)
    assert station.instrument.told == [(60.0, "zero_on"), (240.0, "zero_off")]
    assert first_good_after(station, 60) == 300.0
    with station.house.reader() as reader:
        assert [(one.verb, one.by, one.state) for one in reader.orders(10)] == [
            ("zero_off", "maintenance zero", "done"), ("zero_on", "maintenance zero", "done")]


@pytest.mark.parametrize("outcome", [FAILED, UNKNOWN])
def test_while_the_gas_does_not_go_the_window_goes_on_and_it_is_told_again_each_minute(station, outcome):
    station.instrument.outcomes["zero_off"] = [outcome] * 6
    station.pass_by(1500)
    assert [verb for _, verb in station.instrument.told] == ["zero_on"] + ["zero_off"] * 7
    times = [at for at, _ in station.instrument.told[1:]]
    assert all(60 <= after - before <= 75 for before, after in pairwise(times))
    assert first_good_after(station, 60) == -(-(times[-1] + 60) // 10) * 10, "settled, as after any end"


def test_while_the_line_is_lost_the_gas_is_still_owed_its_end_and_that_is_logged_once(station, caplog):
    station.pass_by(100)
    station.orders.out_of_reach = lambda device: "line l is lost"
    station.pass_by(400)
    assert station.instrument.told == [(60.0, "zero_on")]
    assert [record.getMessage() for record in caplog.records if "cannot be given" in record.getMessage()] == [
        "maintenance zero: zero_off cannot be given: probe: line l is lost"]
    station.orders.out_of_reach = lambda device: ""
    station.pass_by(200)
    assert station.instrument.told[1:] == [(501.0, "zero_off")]
    assert first_good_after(station, 60) == 570.0


def test_where_no_gas_came_none_has_to_go(station):
    station.instrument.outcomes["zero_on"] = [FAILED]
    station.pass_by(600)
    assert station.instrument.told == [(60.0, "zero_on")]
    assert first_good_after(station, 60) == 300.0, "the window is planned all the same"


def test_killed_in_the_window_nothing_is_told_twice_and_the_gas_goes_at_its_time(station):
    station.pass_by(70)
    station.kill()
    station.pass_by(100)
    station.kill()
    station.pass_by(300)
    assert station.instrument.told == [(60.0, "zero_on"), (240.0, "zero_off")]


def test_a_daemon_that_was_away_at_the_end_lets_the_gas_go_first(station):
    station.pass_by(100)
    station.kill(for_s=1000)
    station.pass_by(200)
    assert [verb for _, verb in station.instrument.told] == ["zero_on", "zero_off"]
    assert first_good_after(station, 60) >= station.instrument.told[1][0] + 60


def test_killed_while_the_gas_does_not_go_the_window_goes_on_all_the_same(station):
    station.instrument.outcomes["zero_off"] = [FAILED] * 4
    station.pass_by(330)
    station.kill(for_s=20)
    station.pass_by(600)
    assert station.instrument.told[-1][1] == "zero_off"
    assert first_good_after(station, 60) > station.instrument.told[-1][0]


def test_killed_while_the_gas_goes_a_window_that_went_on_ends_once_it_has_settled(station):
    station.instrument.outcomes["zero_off"] = [FAILED] * 2
    station.pass_by(330)
    while len(station.instrument.told) < 4:
        station.pass_by(1)
    done = station.instrument.told[-1][0]
    station.kill()
    station.pass_by(200)
    assert done + 60 <= first_good_after(station, 60) < done + 75


def test_a_daemon_that_was_away_at_the_beginning_lets_no_gas_in(station):
    station.pass_by(30)
    station.kill(for_s=120)
    station.pass_by(300)
    assert station.instrument.told == []


SITE = """
[stations.river]
[lines.cabinet]
kind = "tcp"
host = "127.0.0.1"
[devices]
probe = { profile = "sim_water_probe"%s }
[maintenance.zero]
device = "probe"
at = "02:00"
for = "10 min"
%s
"""
BOTH = 'orders = { begin = "clean", end = "clean" }\n'


@pytest.mark.parametrize(("device", "lines", "said"), [
    ("", BOTH + 'settle = "1 min"', "may not be told anything"),
    (", orders = true", BOTH.replace("clean", "party") + 'settle = "1 min"', "party"),
    (", orders = true", BOTH, "orders.end takes time"),
    (", orders = true", "orders = {}", "is empty"),
    (", orders = true", BOTH + 'settle = "1 min"', "")])
def test_the_check_says_who_cannot_be_told(tmp_path, device, lines, said):
    path = tmp_path / "site.toml"
    path.write_text(SITE % (device, lines), "utf-8")
    out = io.StringIO()
    code = run_check(str(path), live=False, schema=False, all_=False, as_json=False, out=out)
    assert code == (78 if said else 0), out.getvalue()
    assert said in out.getvalue()
