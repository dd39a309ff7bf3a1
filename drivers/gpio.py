"""One output of the kernel's GPIO character device: requested, set, held until it is closed. Not run on hardware; see docs/warm_up.md.

Numbers and layout: linux/gpio.h, `struct gpio_v2_line_request` (592 bytes) and `struct gpio_v2_line_values`.
"""

import fcntl
import os
import struct
from collections.abc import Callable

from config.errors import LineError

GET_LINE, SET_VALUES = 0xC250B407, 0xC010B40F
"""GPIO_V2_GET_LINE_IOCTL and GPIO_V2_LINE_SET_VALUES_IOCTL."""
REQUEST = struct.Struct("=64I32sQI5I" + "IIQQ" * 10 + "II5Ii")
"""Offsets, consumer, configuration (flags, number of attributes, padding, attributes), number of lines, buffer, padding, descriptor."""
VALUES = struct.Struct("=QQ")
_ACTIVE_LOW, _OUTPUT = 1 << 1, 1 << 3
_OUTPUT_VALUES = 2
_CONSUMER = b"ecosentry"

Control = Callable[[int, int, bytearray], int]
"""ioctl of a descriptor, a number, and what is given and taken; a test stands in for the kernel here."""


def _ioctl(descriptor: int, number: int, given: bytearray) -> int:
    return int(fcntl.ioctl(descriptor, number, given, True))


class OutputPin:
    """`gpiochip0:17`: an output from its first `set` on. When the process ends the kernel gives the line back."""

    def __init__(self, name: str, *, active_low: bool = False, folder: str = "/dev", control: Control = _ioctl) -> None:
        """Nothing is requested yet. `active_low`: on is low."""
        chip, _, offset = name.partition(":")
        self.name, self._path, self._offset = name, f"{folder}/{chip}", int(offset)
        self._flags = _OUTPUT | (_ACTIVE_LOW if active_low else 0)
        self._control, self._line = control, -1

    def set(self, on: bool) -> None:
        """Switch it. Raises LineError in words for people."""
        try:
            if self._line < 0:
                self._line = self._requested(on)
            else:
                self._control(self._line, SET_VALUES, bytearray(VALUES.pack(int(on), 1)))
        except OSError as error:
            raise LineError(f"{self.name} cannot be switched: {error.strerror or error}; may this user open {self._path}, and is it free?") from error

    def _requested(self, on: bool) -> int:
        """The descriptor of the line, which is an output with this value from its first moment."""
        chip = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            attributes = [_OUTPUT_VALUES, 0, int(on), 1] + [0] * 36
            request = bytearray(REQUEST.pack(self._offset, *[0] * 63, _CONSUMER, self._flags, 1, *[0] * 5, *attributes, 1, 0, *[0] * 5, -1))
            self._control(chip, GET_LINE, request)
            return int(REQUEST.unpack(request)[-1])
        finally:
            os.close(chip)

    def close(self) -> None:
        """Give the line back."""
        if self._line >= 0:
            os.close(self._line)
            self._line = -1
