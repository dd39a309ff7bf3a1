"""The whole way, nothing faked but the sensors' world: devices on a pty, TCP and a broker; page, MQTT and webhook at the end.

The simulated devices keep their own ledger; the page in Chromium, the journal as this test reads it and the messages are
compared with that.
"""

import collections
import json
import time

import pytest
from demo_house import KEY, DemoHouse
from witnesses import assert_same_story

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
MEDIA = {"water", "air", "noise", "soil", "energy"}
LIMITS = {"smoke": {"yellow": 115, "orange": 150, "red": 250}, "discharge": {"yellow": 1.0, "orange": 1.5, "red": 2.0}}
STEPS = ["alert.raised", "alert.climbed", "alert.climbed", "alert.ended"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with DemoHouse(tmp_path_factory.mktemp("demo")) as house:
        yield house


def on_page(page):
    """{series: (value text, flag, at)} as a browser shows it, in one moment."""
    return page.evaluate("() => Object.fromEntries([...document.querySelectorAll('[data-series]')].map("
                         "e => [e.dataset.series, [e.dataset.value, e.dataset.flag, e.dataset.at]]))")


def test_within_a_minute_a_browser_shows_live_values_of_all_media(house, look):
    page = look(house.console)
    shown = {}

    def all_there():
        live = house.live()
        shown.update({s: v for s, v in on_page(page).items() if v[0]})
        return {live[s]["medium"] for s in shown if s in live} >= MEDIA

    house.wait(all_there, 60 - (time.monotonic() - house.began))


def test_every_value_on_the_page_is_one_that_its_device_said(house, look):
    page = look(house.console)
    house.wait(lambda: sum(bool(value) for value, _, _ in on_page(page).values()) > 25, 20)
    time.sleep(3)
    shown = {series: values for series, values in on_page(page).items() if values[0]}
    said = collections.defaultdict(list)
    for entry in house.ledger():
        if entry.event in ("answered", "published"):
            said[entry.series].append((entry.value, entry.time_ns))
    assert len(shown) > 25
    for series, (value, _, at) in shown.items():
        if series not in said:
            continue  # an hourly mean
        times = [time_said for value_said, time_said in said[series] if value_said == float(value)]
        assert times, series
        assert None in times or int(at) in times, series
        newest = [v for v, _ in said[series][-4:]]
        assert float(value) in newest, f"{series}: the page shows {value}, the device last said {newest}"
    assert sum(series in said for series in shown) > 25


def test_a_silenced_device_is_missing_on_the_page_within_three_periods_and_an_alert(house, look):
    page = look(house.console)
    page.wait_for_selector("[data-series='street/noise/laeq'][data-flag='1']")
    house.silence("noise")
    try:
        page.wait_for_selector("[data-series='street/noise/laeq'][data-flag='9']", timeout=3 * 2000 + 4000)
        house.wait(lambda: any(a["rule"] == "device_silent" and a["state"] == "firing" and "street/noise" in a["what"] for a in house.alerts()), 10)
        house.wait(lambda: "street/noise gives no value" in page.inner_text("body"), 5)
    finally:
        house.speak("noise")
    page.wait_for_selector("[data-series='street/noise/laeq'][data-flag='1']", timeout=90_000)


def test_both_episodes_fire_climb_and_end_on_console_mqtt_and_webhook(house):
    from standardwebhooks import Webhook

    def ended():
        done = {a["rule"] for a in house.alerts() if a["state"] == "ended" and a["about"] == "environment"}
        return {"smoke", "discharge"} <= done

    house.wait(ended, 200)
    time.sleep(2)
    for rule in ("smoke", "discharge"):
        (alert,) = [a for a in house.alerts() if a["rule"] == rule][-1:]
        kinds = [h["kind"] for h in alert["history"]]
        assert kinds[:3] == STEPS[:3], rule
        assert kinds[-1] == "alert.ended", rule
        rises = {h["colour"]: h["limit"] for h in alert["history"] if h["kind"] in STEPS[:3]}
        assert rises == LIMITS[rule], "the chart draws each colour at its own limit"
        by_mqtt = [m["type"] for m in house.told if m["data"]["alert"] == alert["id"]]
        assert by_mqtt == kinds, rule
    received = []
    for request in house.hook.requests:
        headers = {k.lower(): v for k, v in request.headers.items()}
        received.append(Webhook(KEY).verify(request.body, headers))
    assert sorted(m["data"]["alert"] + m["type"] for m in received) == sorted(m["data"]["alert"] + m["type"] for m in house.told)
    assert [m["timestamp"] for m in received] == sorted(m["timestamp"] for m in received), "out of order"


def test_at_the_end_ledger_and_journal_are_equal_and_the_sum_holds(house):
    """The last test of the module: it ends the gateway."""
    status = house.get("api/v0/status")
    assert status["conservation"]["holds"]
    assert house.close() == 0
    journal = house.journal()
    confirmed = {(e.series, e.sequence) for e in house.ledger() if e.event == "confirmed"}
    by_time = {(e.series, e.time_ns, e.value) for e in house.ledger() if e.event == "published" and (e.series, e.sequence) in confirmed}
    told = {(series, at, raw) for series, at, raw in journal if series.startswith(("field/leaf", "street/corner"))}
    assert told
    first, last = min(at for _, at, _ in told), max(at for _, at, _ in told)  # a broker keeps nothing for us before our first subscription
    assert last - first > 60 * 10**9
    assert told == {row for row in by_time if first <= row[1] <= last}, "MQTT: ledger and journal differ"
    answered, polled = collections.defaultdict(list), collections.defaultdict(list)
    for e in house.ledger():
        if e.event == "answered" and e.value is not None:
            answered[e.series].append(e.value)
    for series, _, raw in house.journal(missing_too=True):
        if series in answered:
            polled[series].append(raw)
    for series, values in answered.items():
        assert_same_story(values, polled[series], series)


def test_another_seed_is_another_world(house, tmp_path):
    first = {(e.series, e.value) for e in house.ledger() if e.event == "answered" and e.sequence < 5}
    with DemoHouse(tmp_path, seed=2) as other:
        other.wait(lambda: len(other.live()) > 30, 60)
        assert other.close() == 0
        second = {(e.series, e.value) for e in other.ledger() if e.event == "answered" and e.sequence < 5}
    json.dumps(sorted(map(str, second)))
    assert len(first & second) < 0.5 * len(first)
