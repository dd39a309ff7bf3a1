"""Files by day: each row once and on disk, whatever dies when; a full disk costs nothing but time."""

import csv
import errno
import gzip
import io
import math
import os
import random
import select
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from far_sides import QINGHE, SECRETS, secret
from rows import DAY_NS, T0, rows

from config.errors import Halted, Unavailable
from config.series import Flag, Series
from config.site import Site, Station
from gateway.contracts import Surroundings
from gateway.row_table import COLUMNS, HEADER
from gateway.sinks import _day_files
from gateway.sinks._line_protocol import Encoder
from gateway.sinks.files import Options, Sink

PH = Series("qinghe", "probe", "ph")
HOUR = Series("qinghe", "probe", "ph", statistic="mean", period_s=3600)
HOUR_NS = 3600 * 10**9


def sink(folder: Path, **options: object) -> Sink:
    berlin = Station(name="Berlin", time_zone="Europe/Berlin")
    site = Site(stations={"qinghe": QINGHE, "berlin": berlin}, file=str(folder / "site.toml"))
    return Sink(Options.model_validate({"folder": "rows"} | options), Surroundings("usb", site, secret(SECRETS), "0.1"))


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def table(path: Path) -> list[dict[str, str]]:
    body = path.read_bytes()
    return list(csv.DictReader(io.StringIO((gzip.decompress(body) if path.suffix == ".gz" else body).decode("utf-8"), newline="")))


def days(folder: Path) -> dict[str, list[int]]:
    """Arrival numbers by file."""
    return {str(p.relative_to(folder / "rows")): [int(r["n"]) for r in table(p)] for p in sorted((folder / "rows").glob("*/*.csv*"))}


def many(first: int, count: int, step_ns: int = 10**9):
    numbers = range(first, first + count)
    return rows([PH], [0] * count, [7 + n % 100 / 100 for n in numbers], n=list(numbers), at=[T0 + n * step_ns for n in numbers])


def test_a_row_lies_in_the_day_in_which_its_interval_begins_where_its_station_is(tmp_path):
    berlin, gone = PH._replace(station="berlin"), PH._replace(station="gone")
    midnight = 1_790_006_400 * 10**9  # 2026-09-21T16:00Z: midnight in China, 18:00 in Berlin
    sent = rows([PH, HOUR, berlin, gone], [0, 0, 1, 2, 3], [7.0] * 5, at=[midnight - 1, midnight, midnight, midnight, midnight],
                span=[0, 0, HOUR_NS, 0, 0])
    far = sink(tmp_path)
    far.send(sent, soon())
    far.close()
    assert days(tmp_path) == {"berlin/2026-09-21.csv": [4], "gone/2026-09-21.csv": [5], "qinghe/2026-09-21.csv": [1, 3],
                              "qinghe/2026-09-22.csv": [2]}
    last, hour = table(tmp_path / "rows/qinghe/2026-09-21.csv")
    assert last["time"] == "2026-09-21T23:59:59.999999999+08:00"
    assert (hour["time"], hour["end"]) == ("2026-09-21T23:00:00+08:00", "2026-09-22T00:00:00+08:00")


def test_a_day_of_25_hours_is_one_file_and_its_doubled_hour_can_be_told_apart(tmp_path):
    berlin = PH._replace(station="berlin")
    start = 1_792_879_200 * 10**9  # 2026-10-25T00:00+02:00, the clocks go back at 3:00
    far = sink(tmp_path)
    far.send(rows([berlin], [0] * 26, [7.0] * 26, at=[start + h * HOUR_NS for h in range(26)]), soon())
    far.close()
    assert [len(found) for found in days(tmp_path).values()] == [25, 1]
    times = [r["time"] for r in table(tmp_path / "rows/berlin/2026-10-25.csv")]
    assert times[2:4] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]


def test_the_table_says_everything_of_a_row_exactly(tmp_path):
    far = sink(tmp_path)
    far.send(rows([PH, HOUR], [0, 0, 1], [7.1, math.nan, 0.1 + 0.2], raw=[7.0, math.nan, math.nan], flag=[Flag.SUSPECT, Flag.MISSING, Flag.GOOD],
                  reason=[ord("N"), ord("l"), ord("N")], share=[math.nan, math.nan, 0.975], revision=[0, 0, 2], origin=[64, 0, 0], tests=[3, 0, 0],
                  at=[T0, T0, T0], span=[0, 0, HOUR_NS]), soon())
    far.close()
    one, missing, hour = table(tmp_path / "rows/qinghe/2026-09-21.csv")
    assert list(one) == list(COLUMNS)
    said = {"n": "1", "value": "7.1", "raw": "7.0", "flag": "suspect", "reason": "N", "origin": "64", "tests": "3", "statistic": "measured"}
    assert one | said == one
    assert (missing["value"], missing["raw"], missing["flag"], missing["reason"]) == ("", "", "missing", "l")
    assert float(hour["value"]) == 0.1 + 0.2
    assert (hour["share"], hour["revision"], hour["period_s"], hour["statistic"]) == ("0.975", "2", "3600", "mean")


HOSTILE = ["=cmd|'/C calc'!A0", "+1", "-1", "@SUM(A1)", "a,b", 'say "no"', "two\nlines", "two\r\nlines", "\0nul", "a/../../b", "..", "\u2028",
           "\ud800", "e\u0301", "é", "%0A", "\\", "x" * 300, " "]


@pytest.mark.parametrize("form", ["csv", "lines"])
def test_names_from_the_wire_stay_one_line_and_no_two_become_one(tmp_path, form):
    series = [PH._replace(channel=name) for name in HOSTILE]
    far = sink(tmp_path, format=form)
    for _ in range(2):
        far.send(rows(series, range(len(series)), [float(i) for i in range(len(series))], at=T0), soon())
    far.close()
    [path] = (tmp_path / "rows").glob("*/*")
    assert path.parent.name == "qinghe"
    text = path.read_bytes().decode("utf-8")
    if form == "csv":
        found = [r["channel"] for r in table(path)]
        assert len(set(found)) == len(HOSTILE) == len(found) == text.count("\n") - 1
        assert not [name for name in found if name[:1] in set("=+-@\t\r")]
    else:
        assert text.splitlines() == Encoder().lines(rows(series, range(len(series)), [float(i) for i in range(len(series))], at=T0))


@pytest.mark.parametrize("name", ["../../etc", "..", ".", "/etc/passwd", "a/b", ".hidden", "a\nb"])
def test_a_station_s_name_leads_nowhere_else(tmp_path, name):
    far = sink(tmp_path)
    far.send(rows([PH._replace(station=name)], [0], [7.0]), soon())
    far.close()
    assert {p.name for p in tmp_path.iterdir()} == {"rows"}
    assert len(list((tmp_path / "rows").glob("[!.]*/2026-09-21.csv"))) == 1


def test_the_same_rows_in_other_portions_and_after_a_restart_are_written_once(tmp_path):
    chance = random.Random(4)
    for _ in range(5):
        far = sink(tmp_path)
        for _ in range(20):
            first = chance.randrange(1, 400)
            far.send(many(first, chance.randrange(1, 100)), soon())
        far.send(many(1, 500), soon())
        far.close()
    [found] = days(tmp_path).values()
    assert sorted(found) == list(range(1, 501))


def test_a_new_journal_that_counts_from_one_again_loses_nothing(tmp_path):
    far = sink(tmp_path)
    far.send(rows([PH], [0] * 3, [1.0, 2.0, 3.0]), soon())
    far.send(rows([PH], [0] * 3, [4.0, 5.0, 6.0], at=[T0 + (10 + i) * 10**9 for i in range(3)]), soon())
    far.close()
    assert [float(r["value"]) for r in table(tmp_path / "rows/qinghe/2026-09-21.csv")] == [1, 2, 3, 4, 5, 6]


def test_every_cut_of_a_torn_tail_is_mended_and_what_was_promised_stays(tmp_path):
    far = sink(tmp_path)
    far.send(many(1, 5), soon())
    path = tmp_path / "rows/qinghe/2026-09-21.csv"
    promised = path.read_bytes()
    far.send(many(6, 3), soon())
    far.close()
    whole = path.read_bytes()
    tails = [whole[:cut] for cut in range(len(promised), len(whole), 3)]
    tails += [promised + b"\0" * 100, promised + b"\0" * 100 + b"\n", whole[:-40] + b"\0" * 40 + b"\n"]
    for tail in tails:
        path.write_bytes(tail)
        far = sink(tmp_path)
        far.send(many(6, 3), soon())
        far.close()
        assert path.read_bytes() == whole
    path.write_bytes(HEADER.encode()[:10])  # died while the file was begun
    far = sink(tmp_path)
    far.send(many(1, 8), soon())
    far.close()
    assert path.read_bytes() == whole


class Faulty:
    """A disk that does as told: `os.write` or `os.fsync` of the sink fails, after so many bytes."""

    def __init__(self, monkeypatch, error: int, after: int, what: str) -> None:
        self.left, real_write, real_sync = after, os.write, os.fsync
        self.on = True

        def write(file, body):
            if self.on and what == "write":
                if self.left <= 0:
                    raise OSError(error, os.strerror(error))
                body = bytes(body)[: self.left]
                self.left -= len(body)
            return real_write(file, body)

        def fsync(file):
            if self.on and what == "fsync":
                raise OSError(error, os.strerror(error))
            return real_sync(file)

        monkeypatch.setattr(_day_files.os, "write", write)
        monkeypatch.setattr(_day_files.os, "fsync", fsync)


@pytest.mark.parametrize(("error", "what", "words"), [
    (errno.ENOSPC, "write", "no space left"), (errno.EROFS, "write", "read-only"), (errno.EIO, "write", "error"), (errno.EIO, "fsync", "error"),
    (errno.EDQUOT, "fsync", "no space left")])
@pytest.mark.parametrize("after", [0, 1, 100])
def test_a_disk_that_fails_in_the_middle_is_said_and_afterwards_every_row_is_there_once(tmp_path, monkeypatch, error, what, words, after):
    far = sink(tmp_path)
    far.send(many(1, 5), soon())
    before = (tmp_path / "rows/qinghe/2026-09-21.csv").read_bytes()
    with monkeypatch.context() as patch:
        faulty = Faulty(patch, error, after, what)
        for _ in range(2):
            with pytest.raises(Unavailable, match=words):
                far.send(many(6, 20), soon())
            assert (tmp_path / "rows/qinghe/2026-09-21.csv").read_bytes() == before, "what may not be on disk must not be taken for kept"
            faulty.left = after
        faulty.on = False
        far.send(many(6, 20), soon())
        far.close()
    assert days(tmp_path) == {"qinghe/2026-09-21.csv": list(range(1, 26))}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk_is_said_and_what_waited_is_written_when_there_is_room(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from test_files_sink import Unavailable, days, many, sink, soon
folder = Path({str(place)!r})
far = sink(folder, leave_free="0 B")
(folder / "ballast").write_bytes(bytes(600_000))
done = 0
try:
    while done < 5000:
        far.send(many(done + 1, 500), soon()); done += 500
except Unavailable as error:
    assert "no space left" in str(error), error
assert 0 < done < 5000, done
(folder / "ballast").unlink()
while done < 5000:
    far.send(many(done + 1, 500), soon()); done += 500
far.close()
found = [n for numbers in days(folder).values() for n in numbers]
assert sorted(found) == list(range(1, 5001)), len(found)
print("whole")
"""
    script = tmp_path / "child.py"
    script.write_text(code)
    command = f"mount -t tmpfs -o size=900k small {place} && exec {sys.executable} {script}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "whole", done.stderr


CHILD = """
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from test_files_sink import _day_files, many, sink, soon
folder, mark = Path(sys.argv[1]), int(sys.argv[2])
position = folder / "position"
write, sync = os.write, os.fsync
def slow_write(file, body):
    half = len(body) // 2
    done = write(file, body[:half] if half else body)
    write(mark, b"w")
    return done
def slow_sync(file):
    write(mark, b"f")
    sync(file)
_day_files.os.write, _day_files.os.fsync = slow_write, slow_sync
far = sink(folder, max_size="1 GB")
while True:
    done = int(position.read_text()) if position.exists() else 0
    far.send(many(done + 1, 37, 60 * 10**9), soon())
    write(mark, b"p")
    part = position.with_suffix(".part")
    part.write_text(str(done + 37))
    part.rename(position)
"""


def killed_at(folder: Path, code: str, count: int, letters: str) -> int:
    """Runs a child until it has made so many marks of those letters and kills it there; gives the position that it has noted."""
    script = folder / "child.py"
    script.write_text(code.format(path=sys.path))
    read, mark = os.pipe()
    child = subprocess.Popen([sys.executable, str(script), str(folder), str(mark)], pass_fds=[mark])
    os.close(mark)
    while count:
        assert select.select([read], [], [], 30)[0], "the child says nothing"
        letter = os.read(read, 1).decode()
        assert letter, "the child died by itself"
        count -= letter in letters
    child.kill()
    child.wait()
    os.close(read)
    position = folder / "position"
    return int(position.read_text()) if position.exists() else 0


@pytest.mark.crash
def test_killed_between_write_and_position_it_neither_loses_nor_doubles_a_row(tmp_path):
    chance = random.Random(11)
    for life in range(9):
        position = killed_at(tmp_path, CHILD, chance.randrange(1, 8), "wfp"[life % 3])
        whole = [line for p in (tmp_path / "rows").glob("*/*.csv") for line in p.read_text().split("\n")[1:-1]]
        kept = [int(line.split(",")[0]) for line in whole]
        assert set(kept) >= set(range(1, position + 1)), "a row is lost that the position has passed"
        assert len(kept) == len(set(kept)), "a row is there twice"
    far = sink(tmp_path)
    last = int((tmp_path / "position").read_text())
    far.send(many(last + 1, 200, 60 * 10**9), soon())
    far.close()
    found = [n for numbers in days(tmp_path).values() for n in numbers]
    assert sorted(found) == list(range(1, last + 201))


def test_days_that_are_over_are_packed_and_late_rows_still_find_their_day(tmp_path):
    far = sink(tmp_path, gzip=True)
    for day in range(5):
        far.send(rows([PH], [0] * 3, [7.0] * 3, n=[day * 3 + i + 1 for i in range(3)], at=[T0 + day * DAY_NS + i for i in range(3)]), soon())
    first = date(2026, 9, 21)
    name = [str(first + timedelta(i)) for i in range(5)]
    assert set(days(tmp_path)) == {f"qinghe/{name[i]}.csv{'.gz' if i < 3 else ''}" for i in range(5)}
    late = rows([PH], [0] * 2, [1.0, 2.0], n=[16, 17], at=[T0 + 9, T0 + 10])
    for _ in range(2):
        far.send(late, soon())
    far.close()
    assert {n for numbers in days(tmp_path).values() for n in numbers} == set(range(1, 18))
    assert sum(map(len, days(tmp_path).values())) == 17
    far = sink(tmp_path, gzip=True)  # packing is taken up again after a start
    far.send(rows([PH], [0], [7.0], n=[18], at=[T0 + 4 * DAY_NS + 5]), soon())
    far.close()
    assert sum(map(len, days(tmp_path).values())) == 18
    assert (tmp_path / f"rows/qinghe/{name[0]}.csv.gz").exists()


@pytest.mark.parametrize("moment", ["before the packed file has its name", "before the plain one goes"])
def test_packing_that_was_cut_off_loses_and_doubles_nothing(tmp_path, monkeypatch, moment):
    far = sink(tmp_path, gzip=True)
    far.send(many(1, 3), soon())

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_day_files.Path, "rename" if moment.startswith("before the packed") else "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            far.send(many(4, 3, DAY_NS), soon())
    far.close()
    far = sink(tmp_path, gzip=True)
    far.send(many(1, 3), soon())
    far.send(many(4, 3, DAY_NS), soon())
    far.close()
    found = {}
    for path in sorted((tmp_path / "rows").glob("*/*.csv*")):
        if path.suffix != ".part":
            found.setdefault(path.name.removesuffix(".gz"), []).extend(int(r["n"]) for r in table(path))
    assert sorted(n for numbers in found.values() for n in set(numbers)) == [1, 2, 3, 4, 5, 6]


def test_the_folder_never_grows_beyond_its_size(tmp_path):
    far = sink(tmp_path, max_size="20 kB")
    sent = 0
    with pytest.raises(Unavailable, match="reached max_size"):
        while sent < 1000:
            far.send(many(sent + 1, 20), soon())
            sent += 20
    assert 17_000 < sum(p.stat().st_size for p in (tmp_path / "rows").glob("*/*")) <= 20_000
    far.close()
    bigger = sink(tmp_path, max_size="40 kB")
    bigger.send(many(sent + 1, 20), soon())
    bigger.close()
    assert next(iter(days(tmp_path).values())) == list(range(1, sent + 21))


def test_told_to_delete_it_is_the_oldest_day_that_goes(tmp_path):
    far = sink(tmp_path, max_size="20 kB", on_full="delete")
    for day in range(8):
        at = [T0 + day * DAY_NS + i * 10**9 for i in range(50)]
        far.send(rows([PH], [0] * 50, [7.0] * 50, n=range(day * 50 + 1, day * 50 + 51), at=at), soon())
    far.close()
    found = days(tmp_path)
    assert list(found)[-1] == "qinghe/2026-09-28.csv"
    assert [len(n) for n in found.values()] == [50] * len(found)
    assert 2 <= len(found) <= 4
    assert list(found) == sorted(found)
    assert sum(p.stat().st_size for p in (tmp_path / "rows").glob("*/*")) <= 20_000


def test_some_of_the_disk_is_left_to_others(tmp_path):
    far = sink(tmp_path, leave_free="900 TB")
    for work in (lambda: far.send(many(1, 3), soon()), lambda: far.check(soon())):
        with pytest.raises(Unavailable, match="leave_free"):
            work()
    far.close()


def test_a_stick_that_is_not_in_gets_nothing_written_to_its_empty_place(tmp_path, monkeypatch):
    if tmp_path.stat().st_dev != Path("/").stat().st_dev:
        monkeypatch.setattr("gateway.sinks.files.Path.stat", lambda *_a, **_k: os.stat_result([0] * 10))
    far = sink(tmp_path, removable=True)
    for work in (lambda: far.send(many(1, 3), soon()), lambda: far.check(soon())):
        with pytest.raises(Unavailable, match="not mounted"):
            work()
    far.close()
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_two_sinks_never_write_one_folder(tmp_path):
    one, two = sink(tmp_path), sink(tmp_path)
    one.send(many(1, 3), soon())
    with pytest.raises(Halted, match="another sink"):
        two.send(many(1, 3), soon())
    one.close()
    two.send(many(1, 3), soon())
    two.close()
    assert days(tmp_path) == {"qinghe/2026-09-21.csv": [1, 2, 3]}


def test_a_file_where_the_folder_should_be_needs_a_human(tmp_path):
    (tmp_path / "rows").write_text("not a folder")
    far = sink(tmp_path)
    for work in (lambda: far.send(many(1, 3), soon()), lambda: far.check(soon())):
        with pytest.raises(Halted, match="in the way"):
            work()
    far.close()


def open_files() -> set[Path]:
    return {path.resolve() for path in Path("/proc/self/fd").iterdir()}


def test_nothing_stays_open_and_a_closed_sink_writes_no_more(tmp_path):
    far = sink(tmp_path)
    far.send(many(1, 20, DAY_NS), soon())
    assert [path for path in open_files() if path.is_relative_to(tmp_path)]
    far.close()
    assert not [path for path in open_files() if path.is_relative_to(tmp_path)]
    with pytest.raises(Unavailable):
        far.send(many(21, 1), soon())
    assert sorted(n for numbers in days(tmp_path).values() for n in numbers) == list(range(1, 21))
