"""Damaged frames of every protocol that has a checksum: those that are taken for good and wrong are as few as its checksum allows.

In memory, one protocol after another: a good answer in which one to six bytes were changed, now and then one lost or added.
The bound is the 99.9 % bound of the checksum's own residual rate: 1 in 256 for one byte of sum or exclusive or (a sum of two
bytes is no better against two errors that cancel), 1 in 65 536 for a CRC of 16 bits.
"""

from collections.abc import Callable
from random import Random

from proof.campaigns import Step, Tally

from config.errors import DeviceError
from drivers.codecs import dlt645, mhz19, modbus, modbus_ascii, nmea, plantower, sdi12, sds011, shdlc, ultrasonic
from drivers.codecs.frame import Cutter

PROMISE = "On a noisy line a wrong value is accepted no more often than the protocol's own checksum cannot tell."
STEPS = 100
EACH = 10_000
_QUESTION = modbus.Question(1, 3, 0, 4)
_PDU = bytes.fromhex("03080292ff9b03e80038")
_ITEM = dlt645.item_bytes("00010000")
_METER = dlt645.Frame("000000000161", 0x91, _ITEM + dlt645.to_bcd(1234.56, 4, 2))
_MEASURED = shdlc.Frame(0, shdlc.READ, bytes.fromhex("3d2001e33d5adecf3d81cc533d8c48ae3e73397e3e97b9033e9e8b9f3e9ff1713ea04e183f365012"), 0)
_DUST = {"pm1_atm": 25, "pm25_atm": 41, "pm10_atm": 52, "n03": 1743, "n05": 1523, "version": 18}


def _cut(make: Callable[[], Cutter]) -> Callable[[bytes], object]:
    return lambda stream: make().feed(stream)


PROTOCOLS: dict[str, tuple[bytes, Callable[[bytes], object], int]] = {
    "modbus_rtu": (modbus.seal(b"\x01" + _PDU), lambda stream: modbus.Rtu().answer(_QUESTION, 0, stream), 65_536),
    "modbus_ascii": (modbus_ascii.seal(b"\x01" + _PDU), lambda stream: modbus_ascii.Ascii().answer(_QUESTION, 0, stream), 256),
    "sdi12_crc": (sdi12.answer("0", "+3.14-2.718+1013.2", crc=True), lambda stream: sdi12.read_values(stream, crc=True), 65_536),
    "dlt645": (dlt645.build(_METER, 0), lambda stream: dlt645.find(stream, 0x11, "000000000161", _ITEM).data, 256),
    "shdlc": (shdlc.build(_MEASURED), lambda stream: shdlc.find(stream, shdlc.Frame(0, shdlc.READ, b"")).data, 256),
    "mhz19": (mhz19.answer(608, 31), mhz19.read, 256),
    "plantower": (plantower.build(28, _DUST), _cut(lambda: plantower.cutter(28)), 256),
    "sds011": (sds011.data(123.6, 261.8, 0xA160), _cut(sds011.cutter), 256),
    "ultrasonic": (ultrasonic.build(1953), _cut(ultrasonic.cutter), 256),
    "nmea": (nmea.build("IIMWV", ("271.0", "R", "000.2", "N", "A")), lambda stream: (s := nmea.read(stream)).name + ",".join(s.fields), 256),
}
_CODECS = ("dlt645", "frame", "mhz19", "modbus", "modbus_ascii", "nmea", "plantower", "sdi12", "sds011", "shdlc", "ultrasonic")
PROVES = (*(f"drivers/codecs/{name}.py" for name in _CODECS), "tests/proof/campaign_noise.py")
FIGURES = {"frames_each": 0, **{f"{name}_wrong": 0 for name in PROTOCOLS}}


def damaged(frame: bytes, chance: Random) -> bytes:
    """One to six bytes changed, now and then one lost or one too many."""
    found = bytearray(frame)
    for _ in range(chance.randint(1, 6)):
        found[chance.randrange(len(found))] ^= chance.randint(1, 255)
    if chance.random() < 0.1:
        del found[chance.randrange(len(found))]
    if chance.random() < 0.1:
        found.insert(chance.randrange(len(found) + 1), chance.randint(0, 255))
    return bytes(found)


def step(at: Step, tally: Tally) -> None:
    tally.count("frames_each", EACH)
    for name, (frame, read, rarity) in PROTOCOLS.items():
        right, wrong = read(frame), 0
        for _ in range(EACH):
            try:
                wrong += read(damaged(frame, at.random)) not in (right, [])
            except DeviceError:
                continue
        tally.count(f"{name}_wrong", wrong)
        mean = int(tally.figures["frames_each"]) / rarity
        assert int(tally.figures[f"{name}_wrong"]) <= mean + 3.1 * mean**0.5 + 3, name
