"""What lines have in common whose bytes come in packets, from a network: keys that both write, and what they say of their pace."""

from typing import Annotated, Literal

from pydantic import Field

from config.table import Table
from config.units import Duration
from drivers.codecs.masters import LISTEN_FIRST_S


class PacketLine(Table):
    """See LineSpeed. A line's own `Options` give framing and round_trip their defaults."""

    framing: Literal["tcp", "rtu", "ascii"]
    """tcp: Modbus TCP. rtu, ascii: serial frames through a transparent converter."""
    round_trip: Duration
    """What the network adds to an exchange: a radio modem needs "1 s"."""
    listen_first: Annotated[Duration, Field(ge=0, le=600)] = LISTEN_FIRST_S
    """Before serial frames are asked for the first time, so long is listened for another master; 0 = not."""

    @property
    def character_s(self) -> float:
        """Not known and not needed: bytes come in packets."""
        return 0.0

    @property
    def silence_s(self) -> float:
        """Serial frames are told apart by silence behind converter or modem too: t3.5 at 9600 baud."""
        return 0.0 if self.framing == "tcp" else 0.004

    @property
    def round_trip_s(self) -> float:
        """What the network adds."""
        return self.round_trip

    @property
    def listens_s(self) -> float:
        """See LineSpeed: frames of Modbus TCP are ours alone."""
        return 0.0 if self.framing == "tcp" else self.listen_first
