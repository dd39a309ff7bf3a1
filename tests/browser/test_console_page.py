"""The page in a real browser: what people see, with a canned view on the far side of the console."""

import math
import random
import re
import time
from importlib.resources import files

import pytest
from canned_view import HOUR, MEASURED, CannedView, S, alert, realistic
from pixels import near, pixels

from gateway.console import feed

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</script><script>window.broken=1</script>", "\u202egnp.exe\u202c", "Ω" * 300, "a&amp;b \"quoted\" 'name' ${1}",
    "🌊\u0000\ufeff|\\",
)


def settle(page) -> None:
    page.wait_for_selector("body[data-link=live]")
    page.wait_for_selector("#plot .curve")


def axe(page, part: str = "html") -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, part, RULES).response
    return [f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}" for one in found["violations"] for node in one["nodes"]]


def overflow(page) -> list[str]:
    """What sticks out of the page sideways."""
    return page.evaluate("""() => {
      const wide = document.documentElement.clientWidth;
      const sticksOut = e => e.getBoundingClientRect().right > wide + 1 && !e.closest('.scroll, .unseen, svg');
      if (document.documentElement.scrollWidth <= wide) return [];
      return [...document.querySelectorAll('body *')].filter(sticksOut).map(e => `${e.tagName}.${e.className} in ${e.parentElement.className}`);
    }""")


def text(page, selector: str) -> str:
    return page.inner_text(selector).replace("\u00a0", " ").strip()


def value(page, series: str):
    return page.locator(f'[data-series="{series}"]')


# ── for everybody ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("width", "scheme", "language"), [  # every two of them together
    (360, "light", "zh"), (360, "dark", "en"), (1920, "light", "en"), (1920, "dark", "zh")])
def test_it_is_accessible_silent_and_stays_on_this_box(serve, look, width, scheme, language):
    address = serve(realistic()).server.address
    page = look(f"{address}/?lang={language}", width, scheme, height=1080)
    settle(page)
    for box in ("ended-box", "table-box"):
        page.evaluate(f"document.getElementById('{box}').open = true")
    page.wait_for_selector("#table tbody tr")
    assert axe(page) == []
    assert overflow(page) == []
    assert page.looked.errors == []
    assert page.looked.asked
    assert all(url.startswith(address) for url in page.looked.asked)
    assert page.get_attribute("html", "lang") == language
    left_over = re.findall(r"\b[a-z]+_[a-z_0-9]+\b", re.sub(r"\S+/\S+", "", page.inner_text("body")))
    assert left_over == [], "keys of the message table stand on the page"


def test_it_is_accessible_with_nothing_to_show(serve, look):
    view = CannedView(series={})
    view.status_now = {"format": 1, "lines": [], "devices": [], "sinks": [], "recipients": [], "notes": []}
    page = look(serve(view).server.address, 360)
    page.wait_for_selector("body[data-link=live]")
    page.wait_for_selector("#overall:not(:empty)")
    assert text(page, "#overall") == "All well"
    assert "No values yet" in text(page, "#stations")
    assert "No alert is firing" in text(page, ".alerts")
    assert axe(page) == []
    assert overflow(page) == []
    assert page.looked.errors == []


@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
def test_it_speaks_the_browser_s_language_and_the_link_changes_it(serve, look, locale):
    page = look(serve(realistic()).server.address, locale=locale)
    settle(page)
    first, second = ("警报", "Alerts") if locale == "zh-CN" else ("Alerts", "警报")
    assert text(page, "#alerts-title") == first
    page.click("#other")
    settle(page)
    assert text(page, "#alerts-title") == second
    assert "氨氮" in page.inner_text("body") or "Ammonia nitrogen" in page.inner_text("body")


def test_nothing_moves_for_those_who_do_not_want_it(serve, look):
    page = look(serve(realistic()).server.address, reduced_motion="reduce")
    settle(page)
    moving = "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0)"
    assert page.evaluate(f"{moving}.length") == 0


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_series_stands_on_the_page_exactly_with_unit_age_and_quality(serve, look):
    view = realistic(now=time.time_ns())
    page = look(serve(view).server.address)
    settle(page)
    shown = {e["series"]: e for e in page.eval_on_selector_all("[data-series]", "all => all.map(e => ({...e.dataset, text: e.textContent}))")}
    rows = view.live()
    assert set(shown) == {row["series"] for row in rows}
    words = {1: "good", 2: "not evaluated", 3: "suspect", 4: "fail", 9: "missing"}
    for row in rows:
        one = shown[row["series"]]
        assert one["value"] == ("" if row["value"] is None else repr(row["value"]))
        assert (one["flag"], one["at"]) == (str(row["flag"]), str(row["at"]))
        if row["value"] is None:
            assert one["text"] == "–"
        else:
            assert float(one["text"].replace(",", "").replace("\u2212", "-")) == pytest.approx(row["value"], abs=0.51 * 10 ** -row["decimals"])
            assert len(one["text"].partition(".")[2]) == row["decimals"]
        around = value(page, row["series"]).locator("xpath=ancestor::li[1]")
        spoken = around.text_content()
        assert words[row["flag"]] in spoken
        assert around.locator(f"use[href='#flag-{row['flag']}']").count() >= 1, "a shape, not colour alone"
        if row["value"] is not None:
            assert (row["unit"] if row["unit"] != "1" else "pH" if row["quantity"].endswith("ph") else "no unit") in spoken
        assert re.search(r"\d+ (s|min|h)|now", spoken)
    assert {row["flag"] for row in rows} == {1, 2, 3, 4, 9}


def test_the_media_stand_under_their_station_in_order(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    assert page.locator(".station h2").all_inner_texts() == ["Qinghe section", "Bureau yard"]
    assert page.locator(".station >> nth=1 >> h3").all_inner_texts() == ["Air", "Weather", "Noise", "Soil", "Vegetation", "Energy"]


def test_numbers_are_written_as_python_writes_them(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    rng = random.Random(20261121)
    numbers = [5.0, -12.0, 0.1, 1e16, 123456789012345678.0, 9999999999999998.0, 1e-4, 9.9e-5, 1.5e-7, -2.5e-10, 1e22, 5e-324, 1.7976931348623157e308]
    numbers += [math.ldexp(rng.uniform(-1, 1), rng.randrange(-60, 70)) for _ in range(2000)]
    written = page.evaluate("async numbers => { const { exact } = await import('/static/words.js'); return numbers.map(exact) }", numbers)
    assert written == [repr(number) for number in numbers]
    special = page.evaluate("async () => { const { exact } = await import('/static/words.js'); return [0, -0, null].map(exact) }")
    assert special == ["0.0", "-0.0", ""]


def test_a_new_value_arrives_by_itself(serve, look):
    view = realistic()
    page = look(serve(view).server.address)
    settle(page)
    at = time.time_ns() + S
    with view.lock:
        view.rows["yard/air/pm2_5"] = {"value": 123.0, "flag": 3, "at": at}
    page.wait_for_selector('[data-series="yard/air/pm2_5"][data-value="123.0"][data-flag="3"]', timeout=4000)
    assert value(page, "yard/air/pm2_5").get_attribute("data-at") == str(at)
    with view.lock:
        view.rows["yard/air/pm2_5"] = {"value": None, "flag": 9, "at": at + S, "reason": "d"}
    page.wait_for_selector('[data-series="yard/air/pm2_5"][data-value=""][data-flag="9"]', timeout=4000)
    row = value(page, "yard/air/pm2_5").locator("xpath=ancestor::li[1]").text_content()
    assert "missing" in row
    assert "device does not answer" in row


def test_a_new_series_and_a_new_station_appear_without_a_reload(serve, look):
    names = dict(list(MEASURED.items())[:3])
    view = CannedView(series=names)
    page = look(serve(view).server.address)
    settle(page)
    with view.lock:
        view.names.append("yard/noise/laeq")
    page.wait_for_selector('[data-series="yard/noise/laeq"]', timeout=5000)
    assert page.locator(".station").count() == 2


def test_a_number_of_the_law_stands_with_the_name_and_colour_of_its_category(serve, look):
    view, series = realistic(now=time.time_ns()), "yard/air/pm2_5"
    view.rows[series] = {"value": 84.0, "category": {"en": "Good", "zh": "良"}, "colour": "#FFFF00", "standard": "HJ 633-2012", "verified": "A M"}
    page = look(serve(view).server.address)
    settle(page)
    name = value(page, series).locator("xpath=following-sibling::*[1]")
    border = "e => getComputedStyle(e).borderBottomColor"
    assert (name.inner_text(), name.evaluate(border)) == ("Good", "rgb(255, 255, 0)")
    assert "HJ 633-2012 · partly not verified" in value(page, series).locator("xpath=ancestor::li[1]").text_content()
    with view.lock:
        view.rows[series] = {"value": 172.0, "category": {"en": "Moderately polluted", "zh": "中度污染"}, "colour": "#FF0000",
                             "standard": "HJ 633-2026", "verified": "A"}
    page.wait_for_function("e => e.textContent === 'Moderately polluted'", arg=name.element_handle())
    assert name.evaluate(border) == "rgb(255, 0, 0)"
    assert "not verified" not in value(page, series).locator("xpath=ancestor::li[1]").text_content()
    with view.lock:
        view.rows[series] = {"value": None, "flag": 9, "reason": "i"}
    page.wait_for_function("e => e.textContent === ''", arg=name.element_handle())
    assert "incomplete" in value(page, series).locator("xpath=ancestor::li[1]").text_content()
    assert axe(page, ".station") == []


def test_an_old_value_never_looks_fresh(serve, look):
    view = realistic()
    view.rows["qinghe/ph/ph"] = {"at": time.time_ns() - 2 * HOUR - 60 * S}
    page = look(serve(view).server.address)
    settle(page)
    page.wait_for_selector('li.old [data-series="qinghe/ph/ph"]', timeout=4000)
    row = value(page, "qinghe/ph/ph").locator("xpath=ancestor::li[1]")
    assert "2 h, old" in row.text_content()
    fresh = value(page, "qinghe/do/dissolved_oxygen")
    colour = "e => getComputedStyle(e).color"
    assert value(page, "qinghe/ph/ph").evaluate(colour) != fresh.evaluate(colour)
    assert "old" not in fresh.locator("xpath=ancestor::li[1]").get_attribute("class")


def test_ages_are_the_box_s_even_where_the_browser_s_clock_is_a_day_wrong(serve, look, chromium):
    view = realistic()
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script("const wall = Date.now.bind(Date); Date.now = () => wall() + 86400000")
    page.goto(serve(view).server.address)
    settle(page)
    page.wait_for_timeout(1500)
    ages = page.locator(".row .reading .age").all_inner_texts()
    assert len(ages) == len(MEASURED)
    assert all(re.fullmatch(r"(\d+ s|now)", one) for one in ages)
    context.close()


# ── the connection ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cut_stream_is_said_and_everything_greys_until_it_is_back(serve, look):
    served = serve(realistic())
    page = look(served.server.address)
    settle(page)
    colour = "e => getComputedStyle(e).color"
    fresh = value(page, "qinghe/do/dissolved_oxygen").evaluate(colour)
    assert served.stop() < 1.0
    page.wait_for_selector("#cut:not([hidden])", timeout=4000)
    assert re.fullmatch(r"No connection to the box since \d\d:\d\d:\d\d: the values are old\. Trying again\.", text(page, "#cut"))
    assert page.get_attribute("body", "data-link") == "cut"
    assert text(page, "#link") == "cut off"
    assert text(page, "#overall") == "State not known"
    assert page.title() == "State not known · EcoSentry"
    assert value(page, "qinghe/do/dissolved_oxygen").evaluate(colour) != fresh
    assert axe(page) == []
    page.wait_for_timeout(2500)
    assert int(re.search(r"\d+", page.locator(".row .reading .age").first.inner_text())[0]) >= 2, "ages go on"
    served.start()
    page.wait_for_selector("body[data-link=live]", timeout=12_000)
    assert page.is_hidden("#cut")
    assert text(page, "#overall") == "1 alert firing"
    assert value(page, "qinghe/do/dissolved_oxygen").evaluate(colour) == fresh


def test_a_silent_stream_is_noticed_although_the_connection_stands(serve, chromium, monkeypatch):
    page = chromium.new_page()
    impatient = (files("gateway.console") / "static" / "link.js").read_text().replace("SILENT_MS = 12_000", "SILENT_MS = 2_500")
    assert "2_500" in impatient
    page.route("**/static/link.js", lambda route: route.fulfill(body=impatient, content_type="text/javascript"))
    page.goto(serve(realistic()).server.address)
    settle(page)
    monkeypatch.setattr(feed.Feed, "_tell", lambda *_: None)
    page.wait_for_selector("body[data-link=cut]", timeout=8000)
    monkeypatch.undo()
    page.wait_for_selector("body[data-link=live]", timeout=8000)
    page.close()


def test_one_viewer_too_many_still_sees_the_values(serve, look, monkeypatch):
    monkeypatch.setattr(feed, "MOST_LISTENERS", 0)
    view = realistic()
    page = look(serve(view).server.address)
    page.wait_for_selector("body[data-link=polling]", timeout=8000)
    assert text(page, "#link") == "every 5 s"
    page.wait_for_selector("#plot .curve")
    with view.lock:
        view.rows["qinghe/ph/ph"] = {"value": 6.5, "at": time.time_ns()}
    page.wait_for_selector('[data-series="qinghe/ph/ph"][data-value="6.5"]', timeout=8000)
    assert page.is_hidden("#cut")


# ── alerts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_firing_alerts_come_first_with_word_value_limit_and_history(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    card = page.locator("[data-alert='1121-3']")
    words = " ".join(card.inner_text().split())
    parts = ["Orange", "Ammonia nitrogen", "1.62 mg/L → limit 1.5 mg/L", "raised Yellow", "climbed Orange", "since", "(40 min)", "#1121-3"]
    assert [part for part in parts if part not in words] == []
    assert page.title() == "(1) EcoSentry"
    assert text(page, "#overall") == "1 alert firing"
    page.click("#ended-box summary")
    past = page.locator("#ended > li")
    assert past.count() == 2
    assert "fell" in past.first.inner_text()
    assert "ended" in past.first.inner_text()


def test_a_new_alert_is_shown_and_spoken_and_its_end_moves_it(serve, look):
    view = realistic()
    page = look(serve(view).server.address)
    settle(page)
    assert text(page, "#news") == ""
    now = time.time_ns()
    with view.lock:
        view.alerts_now = [alert("1121-9", "yard/noise/laeq", "red", now, 88.0, 70.0), *view.alerts_now]
    page.wait_for_selector("#firing [data-alert='1121-9']", timeout=4000)
    assert text(page, "#news") == "New alert: Red, Equivalent sound level"
    assert page.title() == "(2) EcoSentry"
    with view.lock:
        view.alerts_now = [*view.alerts_now[1:], alert("1121-9", "yard/noise/laeq", "red", now, 88.0, 70.0, until=now + 60 * S)]
    page.wait_for_selector("#ended [data-alert='1121-9']", state="attached", timeout=4000)
    assert page.locator("#firing > li").count() == 1


def test_an_alert_about_a_whole_device_needs_no_series(serve, look):
    view = realistic()
    one = alert("1121-7", "yard/noise/laeq", "yellow", time.time_ns(), 0, 0)
    one.update(series="yard/leaf/", value=None, limit=None, unit="", about="technical", what="yard/leaf gives no value", rule="device_silent")
    view.alerts_now = [one]
    page = look(serve(view).server.address)
    settle(page)
    card = page.locator("[data-alert='1121-7']")
    assert "yard/leaf gives no value" in card.inner_text()
    assert "technical" in card.inner_text()
    assert card.locator("button").count() == 0


# ── the chart ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chart_is_drawn_with_its_gap_marks_and_limit(serve, look, scheme):
    page = look(serve(realistic()).server.address, scheme=scheme)
    settle(page)
    assert text(page, "#chart-title") == "Ammonia nitrogen"
    image = pixels(page.locator("#plot").screenshot())
    line = near(image, {"light": (15, 125, 116), "dark": (69, 199, 182)}[scheme])
    drawn = line.any(axis=0)
    gap = page.evaluate("(e => ({x: e.x.baseVal.value, w: e.width.baseVal.value}))(document.querySelector('#plot .gap'))")
    inside = drawn[round(gap["x"]) + 3 : round(gap["x"] + gap["w"]) - 3]
    assert len(inside) > 15
    assert not inside.any(), "a line runs across the gap"
    curve = drawn[60 : round(gap["x"]) - 2]
    assert curve.mean() > 0.95, "the curve is not drawn throughout"
    assert line.sum() > 500
    assert page.locator("#plot .point.suspect").count() >= 1
    assert page.locator("#plot .limit").all_text_contents() == ["Yellow limit 1.05", "Orange limit 1.5"]
    assert page.locator("#plot .tick").count() >= 6
    assert [t.strip() for t in page.locator("#legend li").all_inner_texts()] == ["suspect", "no values"]


def test_axis_times_are_the_browser_s(serve, look):
    now = time.time_ns()
    page = look(serve(realistic(now=now)).server.address)
    settle(page)
    ticks = [tick for tick in page.locator("#plot .tick.middle").all_text_contents() if ":" in tick]
    shanghai = {time.strftime("%H:00", time.gmtime(now / 1e9 + 8 * 3600 - h * 3600)) for h in range(7)}
    assert ticks
    assert set(ticks) <= shanghai
    assert "Asia/Shanghai" in text(page, "#about")


def test_the_chart_follows_pointer_keyboard_series_and_range(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    newest = text(page, "#readout")
    assert re.fullmatch(r"\d\d:\d\d:\d\d · 1\.\d\d mg/L · good", newest)
    box = page.locator("#plot").bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 40)
    assert text(page, "#readout") != newest
    assert page.get_attribute("#plot .cross", "visibility") == "visible"
    page.mouse.move(5, 5)
    assert text(page, "#readout")[-4:] == newest[-4:]
    page.focus("#reader")
    before = text(page, "#readout")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert text(page, "#readout") != before
    assert page.get_attribute("#reader", "aria-valuetext") == text(page, "#readout")
    page.locator("button.pick", has_text="PM2.5").press("Enter")
    page.wait_for_function("() => document.getElementById('chart-title').textContent === 'PM2.5'")
    assert page.locator("button.pick[aria-pressed=true]").all_inner_texts() == ["PM2.5"]
    assert page.url.endswith("#yard/air/pm2_5")
    with page.expect_response(lambda answer: "chart?series=8&" in answer.url):
        page.click("[data-range='24h']")
    assert page.get_attribute("[data-range='24h']", "aria-pressed") == "true"
    page.reload()
    settle(page)
    assert text(page, "#chart-title") == "PM2.5", "the address names the series"


def test_the_chart_grows_by_itself_and_reads_as_a_table(serve, look):
    view = realistic()
    page = look(serve(view).server.address)
    settle(page)
    page.click("#table-box summary")
    page.wait_for_selector("#table tbody tr")
    at = time.time_ns() + S
    with view.lock:
        view.rows["qinghe/ammonia/ammonia_nitrogen"] = {"value": 1.99, "flag": 4, "at": at}
    page.wait_for_function("() => document.querySelector('#table tbody td:nth-child(2)').textContent === '1.99'", timeout=5000)
    assert page.locator("#table tbody tr").first.locator("td").nth(2).inner_text() == "fail"
    assert page.locator("#plot .point.fail").count() == 1
    assert "lowest" in page.get_attribute("#plot", "aria-label")


def test_a_station_that_was_just_started_fills_its_chart(serve, look):
    view = realistic()
    began, whole = view.now() - 240 * S, view.chart
    view.chart = lambda key, since, until, most: whole(key, max(since, began), until, most)
    page = look(serve(view).server.address)
    settle(page)
    page.wait_for_selector("[data-range='10min'][aria-pressed=true]")
    assert page.locator("#plot .gap").count() == 0
    page.click("[data-range='24h']")
    page.wait_for_timeout(300)
    assert page.get_attribute("[data-range='24h']", "aria-pressed") == "true", "a choice stays"


def test_a_chart_that_cannot_be_read_says_why(serve, look):
    view = realistic()
    page = look(serve(view).server.address)
    settle(page)
    page.route("**/api/v0/chart*", lambda route: route.fulfill(status=503, json={"error": "The journal did not answer in time."}))
    page.click("[data-range='1h']")
    page.wait_for_function("() => document.getElementById('readout').textContent.includes('did not answer in time')", timeout=4000)


def test_the_small_curves_show_the_last_hour(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    curve = "li:has(> .reading [data-series='yard/air/pm2_5']) .spark-line"
    page.wait_for_function("(curve) => document.querySelector(curve).getAttribute('d').split('L').length > 30", arg=curve, timeout=8000)
    image = pixels(page.locator("li:has(> .reading [data-series='yard/air/pm2_5']) .spark").screenshot())
    assert near(image, (15, 125, 116), 120).sum() > 40


# ── hostile names, health ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("width", [360, 1280])
def test_hostile_names_are_only_ever_text(serve, look, width):
    view = realistic()
    stations = view.status_now["stations"]
    stations["qinghe"]["name"], stations["yard"]["name"] = HOSTILE[0], HOSTILE[3]
    for name, series in zip(HOSTILE, list(MEASURED)[: len(HOSTILE)], strict=True):
        view.rows[series] = {"label": {"en": name, "zh": name}, "device": name, "unit": name[:40]}
    for number, name in enumerate(HOSTILE):
        one = alert(f"1121-{number}{name[:9]}", "qinghe/ph/ph", "red", time.time_ns(), 1, 2)
        one.update(what=name, series=name, rule=name, unit=name, colour=name if number == 1 else "red", about=name)
        view.alerts_now.append(one)
    for part in ("lines", "devices", "sinks", "recipients"):
        view.status_now[part][0].update(name=HOSTILE[0], words=HOSTILE[3], state=HOSTILE[1], kind=HOSTILE[4], where=HOSTILE[5])
    view.status_now["notes"] = list(HOSTILE)
    view.status_now["site"] = HOSTILE[1]
    page = look(f"{serve(view).server.address}/?lang=%22%3E%3Cscript%3E#{HOSTILE[0]}", width)
    settle(page)
    page.click("#ended-box summary")
    assert page.locator(".station h2").first.text_content() == HOSTILE[0]
    seen = page.evaluate("document.body.textContent")
    for name in HOSTILE:
        assert name.replace("\u0000", "\ufffd") in seen or name in seen
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 1
    assert page.locator("script").count() == 1
    assert overflow(page) == []
    assert page.looked.errors == []


def test_the_page_cannot_be_made_to_parse_html(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    assert page.evaluate("(() => { try { document.body.innerHTML = '<b>x</b>'; return 'parsed' } catch (e) { return e.name } })()") == "TypeError"


def test_health_shows_the_sums_the_states_and_the_notes(serve, look):
    page = look(serve(realistic()).server.address)
    settle(page)
    identity = " ".join(text(page, ".identity").split())
    assert "18,204,562 received = 18,204,551 journalled + 8 duplicate + 3 undecodable + 0 quarantined + 0 held" in identity
    assert "adds up" in identity
    assert "1,204 readings renewed no hour, 3 hours no index or day" in identity
    sink = " ".join(text(page, ".sink").split())
    assert "18,204,551 journalled = 18,204,549 sent + 0 refused + 0 skipped + 0 thinned + 0 owed + 2 waiting" in sink
    leaf = " ".join(page.locator(".devices tr[data-name=leaf]").inner_text().split())
    assert leaf == "leaf silent 12 min nodes yard no byte in 300 ms, 3 tries"
    assert "1.9 GB of 8 GB" in text(page, ".box")
    assert "synchronised, 3 ms" in text(page, ".box")
    assert "CC BY 4.0" in text(page, "#notes")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "1 device gives no values"),
        ({"devices": []}, "All well"),
        ({"devices": [], "lines": [{"name": "a", "state": "lost"}, {"name": "b", "state": "stopped"}]}, "2 lines are lost"),
        ({"devices": [], "sinks": [{"name": "influx", "state": "unavailable"}]}, "1 sink waits"),
        ({"devices": [], "sinks": [{"name": "influx", "state": "new"}], "clock": {"sure": False, "words": ""}}, "Clock: not sure yet"),
        ({"journal": {"state": "cannot be written: disk full"}}, "Journal: cannot be written: disk full"),
        ({"conservation": {"received": 2, "journalled": 1, "holds": False}}, "Nothing lost: does not add up"),
    ],
)
def test_the_head_says_the_gravest_thing(serve, look, change, words):
    view = realistic()
    view.alerts_now = []
    view.status_now.update(change)
    page = look(serve(view).server.address)
    settle(page)
    assert text(page, "#overall") == words
    assert page.title() == "EcoSentry"
