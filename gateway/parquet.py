"""Rows as Parquet, for pandas, DuckDB, R and the like: the table of `gateway.row_table`, line for line, and back again without a change.

The only place that knows pyarrow, which is an extra: `ecosentry[parquet]`. It is loaded when something is written or read, not before.
"""

import csv
import importlib.util
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gateway.row_table import COLUMNS, HEADER, LocalTime

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".parquet"
LACKING = "Parquet needs the extra package pyarrow; sudo make install PARQUET=1, or pip install 'ecosentry[parquet]'"
_ROWS_A_GROUP = 50_000
_WHOLE = {"n": "int64", "period_s": "int32", "revision": "int32", "origin": "uint8", "tests": "uint32"}
_REAL = ("value", "raw", "share")
_TIMES = ("time", "end")


class NotTheTableError(ValueError):
    """A line that is not one of the table: somebody has changed the file."""


def is_there() -> bool:
    """Can Parquet be written here?"""
    return importlib.util.find_spec("pyarrow") is not None


@cache
def _schema() -> "pa.Schema":
    import pyarrow as pa

    def kind(name: str) -> "pa.DataType":
        if name in _TIMES:
            return pa.timestamp("ns", tz="UTC")
        return pa.type_for_alias(_WHOLE[name]) if name in _WHOLE else pa.float64() if name in _REAL else pa.string()

    return pa.schema([(name, kind(name)) for name in COLUMNS])


def write(lines: Iterable[str], out: BinaryIO) -> int:
    """Write lines of the table, without header, as one Parquet file; gives their number. Raises OSError or NotTheTableError."""
    import pyarrow.parquet

    count, rest = 0, iter(lines)
    with pyarrow.parquet.ParquetWriter(out, _schema(), compression="zstd") as writer:
        while chunk := list(islice(rest, _ROWS_A_GROUP)):
            writer.write_table(_table(chunk))
            count += len(chunk)
    return count


def _table(lines: list[str]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.csv

    body = io.BytesIO("\n".join(lines).encode())
    convert = pyarrow.csv.ConvertOptions(column_types=_schema(), null_values=[""], strings_can_be_null=False)
    try:
        return pyarrow.csv.read_csv(body, pyarrow.csv.ReadOptions(column_names=list(COLUMNS)), pyarrow.csv.ParseOptions(), convert)
    except pa.ArrowInvalid as error:
        raise NotTheTableError(str(error)) from error


def lines_of(file: Path, zone_of: Callable[[str], tzinfo]) -> Iterator[str]:
    """The lines that a file was written from, byte for byte, if the stations' zones are the same. Raises OSError for a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet

    clocks: dict[str, LocalTime] = {}
    station, times = COLUMNS.index("station"), [COLUMNS.index(name) for name in _TIMES]
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(10_000):
                columns = [_texts(batch.column(i), name) for i, name in enumerate(COLUMNS)]
                for cells in zip(*columns, strict=True):
                    row = list(cells)
                    name = row[station]
                    clock = clocks.get(name) or clocks.setdefault(name, LocalTime(zone_of(name)))
                    for i in times:
                        row[i] = clock.text(int(row[i]))
                    yield _line(row)
    except pa.ArrowException as error:
        raise OSError(f"{file} is damaged ({error}); move it away") from error


def _texts(column: "pa.Array", name: str) -> list[str]:
    import pyarrow as pa

    values = (column.cast(pa.int64()) if name in _TIMES else column).to_pylist()
    if name in _REAL:
        return ["" if value is None else repr(value) for value in values]
    return [str(value) for value in values]


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


class ParquetDays:
    """Days that are over as Parquet; see `gateway.sinks._day_files.Packing`."""

    suffix = SUFFIX

    def __init__(self, zone_of: Callable[[str], tzinfo]) -> None:
        self._zone_of = zone_of

    def packed(self, plain: Path) -> Path:
        """The name of the packed day."""
        return plain.with_suffix(SUFFIX)

    def pack(self, plain: Path, out: BinaryIO) -> None:
        """Write the packed day. Raises OSError."""
        with plain.open(encoding="utf-8", newline="\n") as source:
            write((line.removesuffix("\n") for line in source if line.removesuffix("\n") != HEADER), out)

    def unpack(self, packed: Path, out: BinaryIO) -> None:
        """Write the plain day. Raises OSError."""
        out.write(f"{HEADER}\n".encode())
        out.writelines(f"{line}\n".encode() for line in lines_of(packed, self._zone_of))
