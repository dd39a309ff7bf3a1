"""The pages about InfluxDB and alerts are contracts: every line, table and example in them is tried."""

import importlib
import json
import math
import re
import time
import tomllib
from pathlib import Path

import pytest
from far_sides import CHANNELS, QINGHE, SECRETS, make
from house import AMMONIA, LADDER, House, site
from rows import rows
from servers import InfluxDB1

from config.series import Flag, Origin, Reason, Series
from gateway.channels._document import document
from gateway.channels._signature import key_bytes, verify
from gateway.contracts import Notice
from gateway.sinks._line_protocol import Encoder, levels, station_line

DOCS = Path(__file__).parents[1] / "docs"
INFLUX, ALERTS = ((DOCS / name).read_text("utf-8") for name in ("influxdb.md", "alerts.md"))
PH = Series("qinghe", "probe", "ph")
HOUR = Series("qinghe", "probe", "ph", statistic="mean", period_s=3600)
AQI = Series("yard", "", "aqi", statistic="index", period_s=3600, method="HJ633")
T = 1_790_000_000 * 10**9


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def example_rows():
    return rows([PH, HOUR, AQI], [0, 1, 0, 2], [7.25, 7.31, math.nan, 84.0], at=[T, T + 2800 * 10**9, T + 10 * 10**9, T + 2800 * 10**9],
                span=[0, 3600 * 10**9, 0, 3600 * 10**9], share=[math.nan, 0.975, math.nan, 0.983])


def test_the_lines_shown_are_the_lines_written() -> None:
    shown = [line.strip() for line in INFLUX.splitlines() if re.match(r"    \w+,\w+=", line)]
    midnight = T // (86_400 * 10**9) * 86_400 * 10**9
    station = station_line("qinghe", QINGHE, midnight)
    assert shown == [*Encoder(level_of=levels({})).lines(example_rows()), station]


@pytest.mark.server
def test_the_queries_shown_find_what_they_say(influx: InfluxDB1) -> None:
    sink = make("sinks", "influxdb", {"url": influx.url, "database": "eco"})
    hour = Series("qinghe", "node", "pm2_5", statistic="mean", period_s=3600)
    at = time.time_ns() - 60 * 10**9
    sink.send(rows([PH, hour], [0, 0, 0, 1, 1], [7.25, 1.0, math.nan, 35.4, 36.0], at=[at, at + 1, at + 2, at, at + 1],
                   flag=[1, 4, 9, 1, 1], span=[0, 0, 0, 3600 * 10**9, 3600 * 10**9], share=[math.nan] * 3 + [0.9, 0.5]), time.monotonic() + 10)
    sink.close()
    [text] = blocks(INFLUX, "sql")
    good, means, missing = (line for line in text.splitlines() if line.startswith("SELECT"))
    assert [row[1] for row in influx.query(good, "eco")[0]["values"]] == [7.25]
    assert [row[1] for row in influx.query(means, "eco")[0]["values"]] == [35.4]
    assert influx.query(missing, "eco")[0]["values"][0][1] == 1


@pytest.mark.parametrize(("page", "table", "folder"), [(INFLUX, "sinks", "sinks"), (ALERTS, "channels", "channels")])
def test_the_tables_shown_are_accepted_and_every_option_is_explained(page: str, table: str, folder: str) -> None:
    kinds = set()
    for block in blocks(page, "toml"):
        for name, keys in tomllib.loads(block).get(table, {}).items():
            kind = keys.pop("kind")
            kinds.add(kind)
            options = importlib.import_module(f"gateway.{folder}.{kind}").Options
            options.model_validate(keys)
            missing = {key for key in options.model_fields if f"| `{key}`" not in page and f", `{key}`" not in page}
            assert not missing, f"{name}: the page does not explain {missing}"
    assert kinds == ({"influxdb"} if folder == "sinks" else CHANNELS)  # the other sinks: test_sinks_docs.py


def test_the_tables_of_flags_reasons_and_origins_are_the_ones_of_the_house() -> None:
    for reason in Reason:
        assert f"{int(reason)} `{chr(reason)}` {reason.name.lower().replace('_', ' ')}" in INFLUX.replace("\n", " ")
    for flag in Flag:
        assert f"{int(flag)} {flag.name.lower().replace('_', ' ')}" in INFLUX
    for origin in Origin:
        assert f"{int(origin)} {origin.name.lower()}" in INFLUX


def test_the_document_shown_is_one_that_is_sent_and_its_signature_is_right() -> None:
    [text] = blocks(ALERTS, "json")
    shown = json.loads(text)
    notice = Notice(shown["id"], T, shown["type"], shown["subject"], shown["data"])
    body = document(notice)
    assert json.loads(body) == shown
    assert list(json.loads(body)) == list(shown)
    headers = dict(re.findall(r"^    (webhook-[a-z]+): (.*)$", ALERTS, re.MULTILINE))
    key = re.search(r"with the key `(whsec_\w+)`", ALERTS)
    assert key is not None
    assert key[1] == SECRETS["hook"]
    verify([key_bytes(key[1])], headers, body, T // 10**9)


def test_what_an_alert_really_says_is_what_the_page_shows(tmp_path: Path) -> None:
    house = House(tmp_path, site(ammonia=LADDER))
    for value in [0.5, *[1.7] * 5]:
        house.clock.forward(10)
        house.say((AMMONIA, value))
        house.turn()
    with house.reader() as reader:
        waiting = reader.waiting("hook:one")
        while waiting is not None and waiting.notice.data["rule"] != "ammonia":
            waiting = reader.waiting("hook:one", waiting.id)
    house.kill()
    assert waiting is not None
    [text] = blocks(ALERTS, "json")
    real, shown = json.loads(document(waiting.notice)), json.loads(text)
    assert real.keys() == shown.keys()
    assert real["data"].keys() == shown["data"].keys()
    for key, value in shown["data"].items():
        assert type(real["data"][key]) in (type(value), type(None)), key
    explained = ALERTS[ALERTS.index("| `id` |"):]
    assert not {key for key in real["data"] if f"`{key}`" not in explained and f"`data.{key}`" not in explained}
