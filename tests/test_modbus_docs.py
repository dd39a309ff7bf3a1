"""The page on Modbus names every key that can be written, and its example rows can be read."""

import re
import tomllib
from pathlib import Path

import pytest

from drivers.lines import serial, tcp
from drivers.protocols import modbus
from drivers.protocols._modbus_history import RecordTime

PAGE = (Path(__file__).parent.parent / "docs/modbus.md").read_text("utf-8")


TABLES = [
    serial.Options, serial.Rs485, tcp.Options, modbus.Options, modbus.Row, modbus.Timing, modbus.Command, modbus.Status, modbus.History, RecordTime]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.__module__}.{table.__name__}")
def test_every_key_is_named(table):
    keys = [field.alias or name for name, field in table.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in PAGE] == []


def test_the_example_rows_and_lines_are_accepted():
    lines, devices, orders, status, history, listening, profile = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    lines["lines"] |= listening["lines"]
    for row in profile["quantities"].values():
        modbus.Row.model_validate(row)
    for command in orders["commands"].values():
        modbus.Command.model_validate(command)
    for word in status["status"].values():
        modbus.Status.model_validate(word)
    modbus.History.model_validate(history["history"])
    modbus.Timing.model_validate(profile["timing"])
    for device in devices["devices"].values():
        modbus.Options.model_validate({key: value for key, value in device.items() if key in modbus.Options.model_fields})
    for line in lines["lines"].values():
        kind = {"serial": serial.Options, "tcp": tcp.Options}[line.pop("kind")]
        kind.model_validate(line)
