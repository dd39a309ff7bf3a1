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
    "exception": "is it the right profile? it declines these registers",
    "wrong": "two devices with one address, another master on the line, or another model than the profile's?",
    "late": "does it need longer than `answer` in the profile or the site file?",
}
"""By the cause of a DeviceError."""


def explained(fault: DeviceError) -> str:
    """Its words, and what is likely behind it where they do not ask that themselves.

    >>> explained(DeviceError("meter 12 answered instead of 13", "wrong"))
    "meter 12 answered instead of 13: two devices with one address, another master on the line, or another model than the profile's?"
    >>> explained(DeviceError("no answer: power, wiring, address?"))
    'no answer: power, wiring, address?'
    """
    words = str(fault)
    return words if "?" in words or fault.cause not in LIKELY else f"{words}: {LIKELY[fault.cause]}"
