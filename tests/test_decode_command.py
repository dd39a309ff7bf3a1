"""`ecosentry decode`: every frame of the collection is explained or refused, one JSON line each."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.codecs.explain import PROTOCOLS
from gateway.offline.decoding import decode

ROWS = [json.loads(line) for line in (Path(__file__).parent / "cases/field_frames/frames.jsonl").read_text("utf-8").splitlines()]


def decoded(protocol: str, *lines: str) -> tuple[int, list[dict[str, object]]]:
    out = io.StringIO()
    code = decode(protocol, lines, out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("protocol", sorted({row["protocol"] for row in ROWS}))
def test_every_frame_of_the_collection_is_explained_or_refused(protocol):
    rows = [row for row in ROWS if row["protocol"] == protocol]
    code, said = decoded(protocol, *(row.get("hex") or row["text"] for row in rows))
    damaged = [isinstance(row["expected"].get("error"), str) for row in rows]
    assert [line["ok"] for line in said] == [not bad for bad in damaged]
    assert all(("fields" in line) == line["ok"] and ("error" in line) != line["ok"] for line in said)
    assert code == (1 if any(damaged) else 0)


def test_what_is_not_hex_is_an_error_of_its_line_alone():
    code, said = decoded("mhz19", "# from the log", "", "zz", "ff8602604700 0000d1")
    assert code == 1
    assert [line["ok"] for line in said] == [False, True]
    assert said[1]["fields"] == {"co2_ppm": 608, "temp_c": 31}


def test_a_protocol_that_is_not_known_lists_those_that_are():
    out = io.StringIO()
    assert decode("sds11", [], out) == 2
    assert "sds011" in out.getvalue()


def test_modbus_frames_are_told_as_question_and_answer():
    _, said = decoded("modbus_rtu", "01 03 00 00 00 02 c4 0b", "01 03 04 02 92 ff 9b 5a 3d", "01 83 02 c0 f1", "01 03 04 02 92 ff 9b dc c3")
    assert said[0]["fields"] == {"unit": 1, "function": 3, "first": 0, "count": 2}
    assert said[1]["fields"] == {"unit": 1, "function": 3, "registers": [0x0292, 0xFF9B]}
    assert said[2]["fields"] == {"unit": 1, "function": 3, "exception": 2}
    assert said[3]["ok"] is False
    assert "modbus_rtu" in PROTOCOLS


def test_the_command_reads_and_writes_lines():
    done = subprocess.run([sys.executable, "-P", "-m", "gateway.cli", "decode", "--protocol", "sds011"], input="aa c0 d4 04 3a 0a a1 60 1d ab\n",
                          capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == {"ok": True, "fields": {"pm25": 123.6, "pm10": 261.8, "id": "A160"}}
