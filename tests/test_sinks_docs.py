"""The page about sinks is a contract: its tables are accepted, its options are all there, its examples are what is written."""

import importlib
import math
import re
import time
import tomllib
from pathlib import Path

import pytest
from broker_listener import Broker
from far_sides import SINKS, make
from rows import T0, rows

from config.series import Series
from config.site import SinkTable
from gateway.row_table import COLUMNS

DOCS = Path(__file__).parents[1] / "docs"
PAGE, INFLUX = ((DOCS / name).read_text("utf-8") for name in ("sinks.md", "influxdb.md"))
PH = Series("qinghe", "probe", "ph")
HOUR = PH._replace(statistic="mean", period_s=3600)


def tables(page: str) -> dict[str, list[dict[str, object]]]:
    """The tables of sinks on a page, by kind."""
    found: dict[str, list[dict[str, object]]] = {}
    for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        for keys in tomllib.loads(block).get("sinks", {}).values():
            if "kind" in keys:
                found.setdefault(keys.pop("kind"), []).append(keys)
            else:
                SinkTable.model_validate(keys)  # what every kind has
    return found


def section(kind: str) -> str:
    """The part of the page about one kind."""
    [part] = [part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if f'= "{kind}"' in part and "```toml" in part]
    return part


def test_every_kind_of_sink_has_its_example():
    assert tables(PAGE).keys() | tables(INFLUX).keys() == SINKS


@pytest.mark.parametrize("kind", sorted(tables(PAGE)))
def test_the_tables_shown_are_accepted_and_every_option_is_explained(kind: str):
    options = importlib.import_module(f"gateway.sinks.{kind}").Options
    for keys in tables(PAGE)[kind]:
        options.model_validate(keys)
    missing = {key for key in options.model_fields if f"| `{key}`" not in section(kind) and f", `{key}`" not in section(kind)}
    assert not missing


def example():
    return rows([PH, HOUR], [0, 1, 0], [7.25, 7.31, math.nan], at=[T0, T0 + 2800 * 10**9, T0 + 10 * 10**9], span=[0, 3600 * 10**9, 0],
                share=[math.nan, 0.975, math.nan])


def test_the_table_shown_is_the_table_written_and_every_column_is_explained(tmp_path):
    far = make("sinks", "files", {"folder": str(tmp_path / "rows")})
    far.send(example(), time.monotonic() + 10)
    far.close()
    shown = [line.strip() for line in section("files").splitlines() if re.match(r"    (n|\d+),", line)]
    assert shown == (tmp_path / "rows/qinghe/2026-09-21.csv").read_text("utf-8").splitlines()
    explained = section("files")[section("files").index("| column |"):]
    assert not [name for name in COLUMNS if f"`{name}`" not in explained]


@pytest.mark.server
def test_the_message_shown_is_the_message_published(tmp_path):
    [shown] = re.findall(r"```json\n(.*?)\n```", section("mqtt"), re.DOTALL)
    with Broker(tmp_path / "m") as broker:
        far = make("sinks", "mqtt", {"url": broker.url})
        far.send(example(), time.monotonic() + 10)
        far.close()
        heard = broker.got()
    assert heard[0].payload.decode() == shown
    for message in heard:
        assert f"`{message.topic}`" in section("mqtt")
