"""What a scan of a serial port asks at which setting, in its order: the line's own first, then the likeliest."""

from dataclasses import dataclass

from gateway.scanning.own_port import Setting
from gateway.scanning.wish import Wish

_BAUDRATES = (9600, 4800, 19200, 115200, 2400, 38400, 1200, 57600)
_FORMATS = ("8N1", "8E1", "8O1", "8N2")
_EVERY_KIND = ("modbus", "inputs", "dlt645", "mhz19", "ezo", "sdi12", "shdlc")
_EVERY_UNIT = "1-247"


@dataclass(frozen=True, slots=True)
class Round:
    """What is asked at one setting."""

    setting: Setting
    kinds: tuple[str, ...]
    addresses: str


_USUAL = (
    Round(Setting(9600), ("modbus", "mhz19", "ezo", "sdi12", "inputs"), _EVERY_UNIT), Round(Setting(4800), ("modbus",), "1-32"),
    Round(Setting(19200, "8E1"), ("modbus",), "1-16"), Round(Setting(2400, "8E1"), ("dlt645",), ""),
    Round(Setting(9600, "8E1"), ("dlt645", "modbus"), "1-16"), Round(Setting(115200), ("shdlc", "modbus"), "1-8"),
    Round(Setting(19200), ("modbus",), "1-16"), Round(Setting(1200, "8E1"), ("dlt645",), ""), Round(Setting(38400), ("modbus",), "1-8"),
    Round(Setting(1200, "7E1"), ("sdi12",), ""), Round(Setting(9600, "7E1", "ascii"), ("modbus",), "1-8"))
"""The likeliest first; about two minutes."""


def rounds(wish: Wish, own: Setting | None = None) -> list[Round]:
    """The settings of a scan, in their order. `own`: that of the line in the site file."""
    usual = own or Setting()
    if wish.baudrate is not None or wish.format:
        baudrates = (wish.baudrate,) if wish.baudrate is not None else _BAUDRATES if wish.everything else (usual.baudrate,)
        formats = (wish.format,) if wish.format else _FORMATS if wish.everything else (usual.format,)
        return _every(baudrates, formats, usual.framing, wish)
    first = _every((own.baudrate,), (own.format,), own.framing, wish) if own is not None else []
    if wish.everything:
        others = _every(_BAUDRATES, _FORMATS, usual.framing, wish)
    else:
        others = [Round(r.setting, r.kinds, (wish.addresses or r.addresses) if r.addresses else "") for r in _USUAL]
    return first + [one for one in others if one.setting != own]


def _every(baudrates: tuple[int, ...], formats: tuple[str, ...], framing: str, wish: Wish) -> list[Round]:
    """Everything that can be asked, at each of these."""
    return [Round(Setting(baudrate, format_, framing), _EVERY_KIND, wish.addresses or _EVERY_UNIT) for baudrate in baudrates for format_ in formats]
