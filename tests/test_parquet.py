"""Parquet: the same rows as in the table, found again with pyarrow; nothing lost or doubled whatever is cut where."""

import csv
import importlib.util
import io
import math
import random
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from pydantic import ValidationError
from rows import DAY_NS, T0, rows
from test_files_sink import HOSTILE, HOUR, HOUR_NS, PH, killed_at, many, sink, soon

from config.series import Flag
from config.site import Station
from gateway import parquet
from gateway.row_table import COLUMNS, Table, zones
from gateway.sinks import _day_files
from gateway.sinks.files import Options

ZONES = zones({"qinghe": Station(time_zone="Asia/Shanghai"), "berlin": Station(time_zone="Europe/Berlin")})


def numbers(folder: Path) -> dict[str, list[int]]:
    """Arrival numbers by file, of both forms."""
    found = {}
    for path in sorted((folder / "rows").glob("*/*")):
        if path.suffix == ".parquet":
            found[path.name] = pyarrow.parquet.read_table(path).column("n").to_pylist()
        elif path.suffix == ".csv":
            found[path.name] = [int(row["n"]) for row in csv.DictReader(io.StringIO(path.read_text("utf-8")))]
    return found


def odd_rows():
    """Rows whose names, numbers and times are hard to carry."""
    series = [PH, HOUR, PH._replace(station="berlin"), *(PH._replace(channel=name) for name in HOSTILE),
              HOUR._replace(device="", quantity="aqi", statistic="index", method="HJ633")]
    which = list(range(len(series)))
    values = [7.1, 0.1 + 0.2, -0.0, *(random.Random(3).uniform(-1, 1) * 10.0**k for k in range(-150, -150 + 16 * len(HOSTILE), 16)), 84.0]
    times = [T0 + i * 1_234_567_891 for i in which]
    values[5] = math.nan
    return rows(series, which, values[: len(series)], at=times,
                raw=[math.nan if i % 3 else 5e-324 for i in which],
                flag=[list(Flag)[i % 5] for i in which], reason=[ord("NlF1a"[i % 5]) for i in which], tests=2**32 - 1,
                revision=[i % 2 for i in which],
                origin=255, share=[math.nan if i % 2 else 1 / 3 for i in which], span=[HOUR_NS if i % 2 else 0 for i in which])


def test_what_is_written_is_read_back_line_for_line(tmp_path):
    lines = list(Table(ZONES).lines(odd_rows()))
    with (tmp_path / "rows.parquet").open("wb") as out:
        assert parquet.write(lines, out) == len(lines)
    assert list(parquet.lines_of(tmp_path / "rows.parquet", ZONES)) == lines


def test_pandas_and_others_find_numbers_times_and_empty_places(tmp_path):
    sent = odd_rows()
    with (tmp_path / "rows.parquet").open("wb") as out:
        parquet.write(Table(ZONES).lines(sent), out)
    found = pyarrow.parquet.read_table(tmp_path / "rows.parquet")
    assert found.column_names == list(COLUMNS)
    assert found.column("time").cast("int64").to_pylist() == (sent.at - sent.span).tolist()
    assert str(found.schema.field("end").type) == "timestamp[ns, tz=UTC]"
    assert found.column("value").to_pylist() == [None if math.isnan(v) else v for v in sent.value.tolist()]
    assert found.column("flag").to_pylist() == [Flag(f).name.lower() for f in sent.flag.tolist()]
    assert found.column("tests").to_pylist() == [2**32 - 1] * len(sent)
    assert found.column("edition").to_pylist()[-1] == "2026"
    assert set(found.column("edition").to_pylist()[:-1]) == {""}


def test_the_edition_is_the_one_in_force_at_the_station_s_own_day():
    daily = HOUR._replace(device="", quantity="aqi", statistic="index", method="HJ633", period_s=86_400)
    march = 1_772_294_400 * 10**9  # 2026-03-01T00:00+08:00, when the edition of 2026 comes into force
    at = [march, march + DAY_NS, march + DAY_NS]
    lines = Table(ZONES).lines(rows([daily, daily._replace(method="isolation")], [0, 0, 1], [84.0] * 3, at=at, span=DAY_NS))
    assert [line.rpartition(",")[2] for line in lines] == ["2012", "2026", ""]


def test_days_that_are_over_become_parquet_and_late_rows_still_find_their_day(tmp_path):
    far = sink(tmp_path, format="parquet")
    for day in range(4):
        far.send(rows([PH], [0] * 3, [7.0] * 3, n=[day * 3 + i + 1 for i in range(3)], at=[T0 + day * DAY_NS + i for i in range(3)]), soon())
    assert numbers(tmp_path) == {"2026-09-21.parquet": [1, 2, 3], "2026-09-22.parquet": [4, 5, 6], "2026-09-23.csv": [7, 8, 9],
                                 "2026-09-24.csv": [10, 11, 12]}
    late = rows([PH], [0] * 3, [7.0, 1.0, 2.0], n=[3, 13, 14], at=[T0 + 2, T0 + 9, T0 + 10])
    for _ in range(2):
        far.send(late, soon())
    far.close()
    far = sink(tmp_path, format="parquet")
    far.send(rows([PH], [0], [7.0], n=[15], at=[T0 + 3 * DAY_NS + 5]), soon())
    far.close()
    assert numbers(tmp_path)["2026-09-21.parquet"] == [1, 2, 3, 13, 14]
    assert sorted(n for found in numbers(tmp_path).values() for n in found) == list(range(1, 16))


def test_a_day_that_somebody_has_changed_stays_as_it_is_and_stops_nothing(tmp_path, caplog):
    far = sink(tmp_path, format="parquet")
    far.send(many(1, 3), soon())
    path = tmp_path / "rows/qinghe/2026-09-21.csv"
    changed = path.read_text() + "a note of mine\n"
    path.write_text(changed)
    for day in range(1, 4):
        far.send(many(10 * day, 1, DAY_NS // 10), soon())
    far.close()
    assert path.read_text() == changed
    assert "stays as it is" in caplog.text
    assert (tmp_path / "rows/qinghe/2026-09-22.parquet").exists()


@pytest.mark.parametrize("moment", ["before the packed file has its name", "before the plain one goes"])
def test_packing_that_was_cut_off_loses_and_doubles_nothing(tmp_path, monkeypatch, moment):
    far = sink(tmp_path, format="parquet")
    far.send(many(1, 3), soon())

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_day_files.Path, "rename" if moment.startswith("before the packed") else "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            far.send(many(4, 3, DAY_NS), soon())
    far.close()
    for path in (tmp_path / "rows").glob("*/*.part"):
        path.write_bytes(path.read_bytes()[:-9])
    far = sink(tmp_path, format="parquet")
    far.send(many(1, 3), soon())
    far.send(many(4, 3, DAY_NS), soon())
    far.close()
    found: dict[str, set[int]] = {}
    for name, mine in numbers(tmp_path).items():
        assert len(mine) == len(set(mine))
        found.setdefault(name.partition(".")[0], set()).update(mine)
    assert sorted(n for mine in found.values() for n in mine) == [1, 2, 3, 4, 5, 6]


CHILD = """
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from test_files_sink import _day_files, many, sink, soon
folder, mark = Path(sys.argv[1]), int(sys.argv[2])
position = folder / "position"
write, sync = os.write, os.fsync
def slow_sync(file):
    write(mark, b"f")
    sync(file)
    write(mark, b"s")
_day_files.os.fsync = slow_sync
far = sink(folder, format="parquet")
while True:
    done = int(position.read_text()) if position.exists() else 0
    far.send(many(done + 1, 30, 3600 * 10**9), soon())
    part = position.with_suffix(".part")
    part.write_text(str(done + 30))
    part.rename(position)
"""


@pytest.mark.crash
def test_killed_anywhere_also_while_a_day_is_packed_no_row_is_lost_or_doubled(tmp_path):
    chance = random.Random(5)
    for _ in range(4):
        position = killed_at(tmp_path, CHILD, chance.randrange(10, 50), "fs")
        kept = {n for name, found in numbers_of_whole_lines(tmp_path).items() for n in found}
        assert kept >= set(range(1, position + 1)), "a row is lost that the position has passed"
    far = sink(tmp_path, format="parquet")
    last = int((tmp_path / "position").read_text())
    for first in range(last + 1, last + 400, 30):
        far.send(many(first, 30, 3600 * 10**9), soon())
    far.close()
    found = sorted(n for one in numbers(tmp_path).values() for n in one)
    assert len(found) == len(set(found)), "a row is there twice"
    assert len(list((tmp_path / "rows").glob("*/*.parquet"))) > 5
    assert set(found) >= set(range(1, last + 1))


def numbers_of_whole_lines(folder: Path) -> dict[str, list[int]]:
    found = {}
    for path in (folder / "rows").glob("*/*"):
        if path.suffix == ".parquet":
            found[path.name] = pyarrow.parquet.read_table(path).column("n").to_pylist()
        elif path.suffix == ".csv":
            found[path.name] = [int(line.split(",")[0]) for line in path.read_text().split("\n")[1:-1]]
    return found


def test_a_damaged_packed_day_is_said_and_kept(tmp_path):
    broken = tmp_path / "2026-09-21.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(OSError, match="is damaged"):
        list(parquet.lines_of(broken, lambda _: ZoneInfo("UTC")))


def test_without_the_extra_it_is_said_what_to_install_and_gzip_does_not_go_with_it(tmp_path, monkeypatch):
    with pytest.raises(ValidationError, match="packed already"):
        Options.model_validate({"folder": "x", "format": "parquet", "gzip": True})
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "pyarrow" else real(name, *more))
    with pytest.raises(ValueError, match="make install PARQUET=1"):
        sink(tmp_path, format="parquet")
