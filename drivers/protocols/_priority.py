"""Who is read first when a line is short of time: the key `priority` of devices that are asked, and of rows of Modbus profiles."""

from collections.abc import Mapping
from typing import Literal

Priority = Literal["high", "normal", "low"]
RANKS: Mapping[Priority, int] = {"high": 0, "normal": 1, "low": 2}
"""As drivers.driver.Group counts."""
