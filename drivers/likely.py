"""What is likely behind a fault of a device that is asked: one table for status, log, alert and `check --live`.

A driver says what came; where it does not say itself what that probably means (its words end in a question then), the cause does.
"""

from collections.abc import Mapping

from config.errors import DeviceError

ECHO = "only our own request came back: the adapter echoes, and the device is silent: power, wiring, address?"
TWICE = "two answers came: have two devices this address?"
AFTERWARDS = "more bytes come after each of its answers: have two devices this address?"
LIKELY: Mapping[str, str] = {
    "silent": "power? its address? A and B exchanged? the line's baudrate and format?",
    "short": "a loose wire, another master on the line, or two devices with one address?",
    "noise": "the wrong baudrate or format (parity)? a loose wire, missing termination, or two devices with one address?",
    "exception": "is it the right profile? it declines what it is asked",
    "busy": "does it need more time? a longer `answer` or interval gives it",
    "wrong": "two devices with one address, another master on the line, or another model than the profile's?",
    "late": "does it need longer than `answer` in the profile or the site file?",
}
"""By the cause of a DeviceError."""

_PROFILE = "does the profile fit this model?"
DECLINED: Mapping[int, str] = {
    1: _PROFILE, 2: _PROFILE, 3: _PROFILE,
    4: "is it broken? what does its own display say? its manual has a list of faults",
    5: "it works on what it was told: does it need more time? a longer `answer` or interval gives it",
    6: "it is at work: is it asked too often, or by someone else too? a longer `answer` or interval gives it time",
    7: "does it allow this just now? its own display or a switch may lock it",
    8: "is its memory damaged? switch its supply off and on; if it comes again, it needs repair",
    10: "is the gateway before it set up for this line? its port, baud rate, list of units, or is it overloaded?",
    11: "is the device behind the gateway on? its power, wires A and B, address, and the gateway's baud rate there",
}
"""By the code of a Modbus exception (Modbus Application Protocol V1.1b3, chapter 7)."""
UNSPOKEN = "its power, its cable or network? does it still send here?"
"""Behind the silence of a device that speaks by itself, if nothing else is known."""
NO_LIST = "what does it mean? a list of exceptions stands in its manual"


def explained(fault: DeviceError) -> str:
    """Its words, and what is likely behind it where they do not ask that themselves.

    >>> explained(DeviceError("meter 12 answered instead of 13", "wrong"))
    "meter 12 answered instead of 13: two devices with one address, another master on the line, or another model than the profile's?"
    >>> explained(DeviceError("no answer: power, wiring, address?"))
    'no answer: power, wiring, address?'
    """
    words, likely = str(fault), behind(fault)
    return words if "?" in words or not likely else f"{words}: {likely}"


def behind(fault: DeviceError) -> str:
    """What is likely behind it; empty if nobody knows.

    >>> behind(DeviceError("answer ends after 5 bytes", "short")).partition(",")[0]
    'a loose wire'
    """
    return fault.likely or LIKELY.get(fault.cause, "")
