"""`ecosentry decode`: every frame of the collection is explained or refused, one JSON line each."""

import io
import json
import math
import struct
import subprocess
import sys

import field_vectors
import pytest

from drivers.codecs import modbus, shdlc, sparkplug
from drivers.codecs.explain import PROTOCOLS
from gateway.offline.decoding import decode


def strict(text: str) -> dict[str, object]:
    """One line of strict JSON."""
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def decoded(protocol: str, *lines: str, **more: object) -> tuple[int, list[dict[str, object]]]:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    code = decode(protocol, lines, out, **more)
    out.seek(0)
    return code, [strict(line) for line in out.read().splitlines()]


@pytest.mark.parametrize("row", field_vectors.ROWS, ids=lambda row: row["id"])
def test_every_frame_of_the_collection_is_explained_or_refused(row, tmp_path):
    """With what the frame itself cannot say: its topic, the manual's table of registers, the key."""
    (tmp_path / "key").write_text(field_vectors.key_of(row))
    more = {"layout": field_vectors.LAYOUTS.get(row["id"], ""), "key_file": tmp_path / "key" if field_vectors.key_of(row) else None}
    topic = f"{row['expected']['topic']} " if "topic" in row["expected"] else ""
    code, [said] = decoded(row["protocol"], topic + (row.get("hex") or row["text"]), **more)
    assert code == field_vectors.is_damaged(row)
    assert said["ok"] is not field_vectors.is_damaged(row)
    if said["ok"]:
        fields = said["fields"]
        assert {key: fields.get(key) for key, value in row["expected"].items() if not field_vectors.close(fields.get(key), value)} == {}
    else:
        assert said["error"]


@pytest.mark.parametrize(("protocol", "line", "fields"), [
    ("ttn_v3", '{"uplink_message":{"decoded_payload":{"x":NaN,"y":[1,1e999]}}}', {"decoded": {"x": None, "y": [1, None]}}),
    ("tasmota", '{"Time":1e999}', {"time_local": None}), ("tasmota", r'{"Time":"\ud800"}', {"time_local": "\ud800"}),
    ("ttn_v3", '{"uplink_message":{"frm_payload":"é"}}', None), ("zigbee2mqtt", '{"a":NaN,"é":1}', {"é": 1}),
    ("shdlc", shdlc.build(shdlc.Frame(0, 3, struct.pack(">10f", *[math.nan, math.inf] * 5), 0)).hex(), {"floats": [None] * 10}),
    ("sparkplug", sparkplug.write(sparkplug.Payload((sparkplug.Metric("a", datatype=10, value=math.inf),))).hex(), {"metrics": {"a": None}}),
    ("zigbee2mqtt", 'yard/a b {"x": 1}', {"topic": "yard/a b", "x": 1}), ("zigbee2mqtt", "yard {", None)])
def test_whatever_a_frame_says_there_is_one_line_of_strict_json_and_the_next_frame_is_read(protocol, line, fields):
    good = {"shdlc": "7e 00 00 00 00 ff 7e", "sparkplug": "18 01", "ttn_v3": '{"uplink_message":{}}'}.get(protocol, "{}")
    _, said = decoded(protocol, line, good)
    assert [one["ok"] for one in said][-1:] == [True]
    assert len(said) == 2
    assert said[0]["ok"] is (fields is not None)
    if fields is not None:
        assert {key: said[0]["fields"][key] for key in fields} == fields


def test_a_layout_names_the_registers_of_an_answer():
    answer = "01 03 08 " + "02 92 ff 9b 99 9a 42 0d"
    sealed = modbus.seal(bytes.fromhex(answer)).hex()
    _, said = decoded("modbus_rtu", sealed, "01 03 00 00 00 02 c4 0b", layout="a=u16/10, b=s16/10,c=f32@CDAB")
    assert [said[0]["fields"][name] for name in "abc"] == [65.8, -10.1, 35.4]
    assert said[1]["fields"] == {"unit": 1, "function": 3, "first": 0, "count": 2}
    _, [said] = decoded("modbus_rtu", sealed, layout="a,b")
    assert said == {"ok": False, "error": "4 registers, and the layout is of 2"}
    for wrong in ("a=u17", "a=text8", "=u16", "a=u16/3", "a@AABB", ""):
        out = io.StringIO()
        assert decode("modbus_rtu", [], out, layout=wrong or ",") == 2
        assert "--layout" in out.getvalue()


@pytest.mark.parametrize("held", [None, "", "zz", "00" * 15, "00" * 300])
def test_a_key_that_is_none_is_said_and_nothing_is_decoded(tmp_path, held):
    if held is not None:
        (tmp_path / "key").write_text(held)
    out = io.StringIO()
    assert decode("sm4", ["00" * 16], out, key_file=tmp_path / "key") == 2
    assert "ecosentry decode: " in out.getvalue()
    assert decoded("sm4", "00" * 16) == (1, [{"ok": False, "error": "it is encrypted, and its key is not given"}])


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
