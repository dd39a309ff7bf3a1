"""Names and numbers of the worst kind go to a real InfluxDB 1.6.7 and come back; nothing is changed, lost, merged or invented."""

import math
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from line_protocol import Line, series_of
from proof.campaigns import Step, Tally
from servers import InfluxDB1, http
from test_line_protocol import hostile_rows

from gateway.sinks._line_protocol import Encoder

PROMISE = "Whatever a device, a topic or a site file is called, InfluxDB holds exactly the journal's points and nothing else."
PROVES = ("gateway/sinks/_line_protocol.py", "tests/line_protocol.py", "tests/test_line_protocol.py", "tests/proof/campaign_line_protocol.py")
STEPS = 100
FIGURES = {"points": 0, "refused": 0, "differing": 0}
POINTS, A_POST = 12_000, 4_000


@contextmanager
def around(folder: Path) -> Iterator[InfluxDB1]:
    with InfluxDB1(folder / "influxdb", databases=(), max_values_per_tag=100_000) as server:  # its default
        yield server


def step(at: Step, tally: Tally) -> None:
    server = at.around
    assert isinstance(server, InfluxDB1)
    database = f"step{at.number}"
    server.query(f'CREATE DATABASE "{database}"')
    values = (0.1, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, -123456789.123456, 35.4, math.nan)
    made = hostile_rows(at.random.randrange(2**32), POINTS, values)
    lines = Encoder(lambda quantity: "water").lines(made)
    for i in range(0, len(lines), A_POST):
        status, said = http(f"{server.url}/write?db={database}&precision=ns", "\n".join(lines[i : i + A_POST]).encode(), timeout=60)
        tally.count("refused", status != 204)
        assert (status, said) == (204, b"")
    stored = {(series_of(Line("water", p.tags, {}, p.at_ns)), p.at_ns): p.fields.get("value") for p in server.points("water", database)}
    columns = zip(made.which.tolist(), made.at.tolist(), made.span.tolist(), made.value.tolist(), strict=True)
    expected = {((made.series[w], span), at_ns - span): None if math.isnan(value) else value for w, at_ns, span, value in columns}
    differing = len(stored.items() ^ expected.items())
    tally.count("differing", differing)
    tally.count("points", len(expected))
    tally.ran_with("influxdb", _version(server.path))
    assert server.measurements(database) == ["water"]
    assert differing == 0
    server.query(f'DROP DATABASE "{database}"')


def _version(program: str) -> str:
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v?(\d+\.\d+\.\d+)", said)
    assert found is not None, said
    return found[1]
