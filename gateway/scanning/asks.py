"""One question to whoever may be on a line: its bytes, how to tell that the answer is whole, and what the answer says. Reads only.

Every question here is a reading or an identification; nothing is ever written to a device by a scan.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from config.errors import DeviceError
from drivers.codecs import dlt645, ezo, mhz19, sdi12, shdlc
from drivers.codecs.frame import NotAFrame
from drivers.codecs.modbus import FRAMINGS, DeclinedError, Framing, Question, is_sealed
from drivers.codecs.modbus_ascii import Ascii
from drivers.job import Plain

_FRAMINGS: Mapping[str, Framing] = {"rtu": FRAMINGS["rtu"], "tcp": FRAMINGS["tcp"], "ascii": Ascii()}
ANY_SENSOR = "SDI-12 address ?"
"""The words of the question to whoever is alone."""
_INFO_NAME = b"\x00"
"""SHDLC device information: the product type."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question."""

    protocol: str
    words: str
    """What is asked, for people: address 17."""
    request: bytes
    missing: Callable[[bytes], int]
    """How many bytes of the answer are still to come; 0 = whole, -1 = hopeless."""
    read: Callable[[bytes], Plain]
    """Who answered. Raises DeviceError: `silent` for nobody."""
    answer_s: float
    """The first byte of an answer comes no later than this."""
    size: int
    """Characters of the usual answer."""


def framing(name: str) -> Framing:
    """How Modbus is wrapped on a line: rtu, ascii or tcp."""
    return _FRAMINGS[name]


def modbus(units: Iterable[int], wrapped: str, function: int = 3, answer_s: float = 0.15) -> list[Ask]:
    """The first register of each unit: a value or an exception is an answer; a gateway that says the unit is silent is none."""
    asks = []
    for number, unit in enumerate(units, 1):
        question, frame = Question(unit, function, 0, 1), _FRAMINGS[wrapped]
        asks.append(Ask("modbus", f"address {unit}", frame.ask(question, number), partial(frame.still, question, number),
                        partial(_unit, question, number, wrapped), answer_s, frame.answer_size(question)))
    return asks


def _unit(question: Question, number: int, wrapped: str, stream: bytes) -> Plain:
    said = f"function {question.function}"
    try:
        _FRAMINGS[wrapped].answer(question, number, stream)
    except DeclinedError as declined:
        if declined.cause == "silent":
            raise
        said = f"exception {declined.code}"
    except DeviceError:
        late = _late(stream) if wrapped == "rtu" else None
        if late is None or late == question.unit:
            raise
        return {"protocol": "modbus", "address": late, "answers": "late", "framing": wrapped}
    return {"protocol": "modbus", "address": question.unit, "answers": said, "framing": wrapped}


def _late(stream: bytes) -> int | None:
    """The unit of a whole answer in a stream, whoever was asked."""
    for at in range(len(stream) - 4):
        size = 5 if stream[at + 1] & 0x80 else 7
        frame = stream[at : at + size]
        if stream[at + 1] & 0x7F in (3, 4) and (size == 5 or stream[at + 2] == 2) and len(frame) == size and is_sealed(frame):
            return stream[at]
    return None


def meter(answer_s: float = 0.6) -> Ask:
    """DL/T 645: the address of the meter that is alone on the line; of several the answers collide."""
    request = dlt645.build(dlt645.Frame(dlt645.ANYONE, dlt645.READ_ADDRESS))

    def read(stream: bytes) -> Plain:
        if not _after(stream, request):
            raise DeviceError("no answer", "silent")
        frame = dlt645.find(stream, dlt645.READ_ADDRESS, dlt645.ANYONE)
        return {"protocol": "dlt645", "address": frame.address, "answers": "its address"}

    missing = partial(dlt645.missing, control=dlt645.READ_ADDRESS, address=dlt645.ANYONE, item=b"", data_bytes=6)
    return Ask("dlt645", "any meter", request, missing, read, answer_s, dlt645.LEAST + 10)


def sensors(addresses: Iterable[str], answer_s: float = 1.0) -> list[Ask]:
    """SDI-12: each address identifies itself; "?" asks whoever is alone for its address."""
    return [_sensor(address, answer_s) for address in addresses]


def _sensor(address: str, answer_s: float) -> Ask:
    request = sdi12.command("?", "") if address == "?" else sdi12.command(address, "I")

    def read(stream: bytes) -> Plain:
        line = _after(stream.lstrip(b"\0"), request)
        if not line:
            raise DeviceError("no answer", "silent")
        if address == "?":
            whole = sdi12.line_of(line[: line.find(sdi12.END) + 2] if sdi12.END in line else line)
            if len(whole) != 1:
                raise NotAFrame("several sensors answer at once")
            return {"protocol": "sdi12", "address": whole.decode("ascii"), "answers": "its address"}
        identity = sdi12.read_identity(line)
        if identity.address != address:
            raise NotAFrame(f"sensor {identity.address} answered instead of {address}", "wrong")
        who = " ".join(filter(None, (identity.vendor.strip(), identity.model.strip(), identity.sensor_version.strip())))
        return {"protocol": "sdi12", "address": address, "answers": "identification", "who": who}

    def missing(so_far: bytes) -> int:
        return 0 if sdi12.END in _after(so_far.lstrip(b"\0"), request) else 1

    return Ask("sdi12", f"SDI-12 address {address}", request, missing, read, answer_s, 36)


def circuit(answer_s: float = 0.6) -> Ask:
    """Atlas EZO: which circuit is it?"""
    request = ezo.command("I")

    def read(stream: bytes) -> Plain:
        lines = [line for line in _after(stream, request).split(ezo.END) if line]
        if not lines:
            raise DeviceError("no answer", "silent")
        for line in lines:
            found = ezo.read(line)
            if len(found.reply) >= 2 and found.reply[0].upper() == "I":
                return {"protocol": "ezo", "address": "", "answers": "identification", "who": f"EZO {found.reply[1]}"}
        raise NotAFrame("an EZO circuit that does not say what it is", "wrong")

    return Ask("ezo", "EZO circuit", request, lambda so_far: 0 if b"?I" in so_far and so_far.endswith(ezo.END) else 1, read, answer_s, 14)


def co2(answer_s: float = 0.4) -> Ask:
    """Winsen MH-Z19: its reading."""
    def read(stream: bytes) -> Plain:
        if not stream:
            raise DeviceError("no answer", "silent")
        return {"protocol": "mhz19", "address": "", "answers": "a reading", "who": f"CO₂ {mhz19.values(mhz19.read(stream))['co2_ppm']:.0f} ppm"}

    return Ask("mhz19", "MH-Z19", mhz19.ask(mhz19.READ), mhz19.missing, read, answer_s, mhz19.SIZE)


def particles(answer_s: float = 0.25) -> Ask:
    """Sensirion SHDLC (SPS30): its product type."""
    asked = shdlc.Frame(0, shdlc.INFO, _INFO_NAME)

    def read(stream: bytes) -> Plain:
        if not _after(stream, shdlc.build(asked)):
            raise DeviceError("no answer", "silent")
        frame = shdlc.find(stream, asked)
        return {"protocol": "shdlc", "address": frame.address, "answers": "identification",
                "who": frame.data.rstrip(b"\0").decode("latin-1") or "Sensirion"}

    return Ask("shdlc", "SPS30", shdlc.build(asked), lambda so_far: shdlc.missing(so_far, asked, 9), read, answer_s, 18)


def _after(stream: bytes, request: bytes) -> bytes:
    """What came, without the echo of the question."""
    return stream.removeprefix(request)
