"""The wire behind a modem that connected to us: its heartbeats are taken out, and a newer connection is gone over to between exchanges."""

import select
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

from config.errors import LineError
from drivers.codecs.calling import Sieve
from drivers.lines._door import Call, Door
from drivers.lines._wire import DescriptorWire
from drivers.owed import Owed
from drivers.reading import Clock

_BEGUN_S = 0.05
"""The rest of a heartbeat that was cut comes within this, or it was none."""
_DOUBT_S = 0.3
"""An answer that is whole only with what looks like a heartbeat in it is believed after this."""


class ModemWire(DescriptorWire):
    """See drivers.driver.Wire and Called."""

    def __init__(self, door: Door, call: Call, sieve: Sieve, clock: Clock, stop: Event, owed: Owed, silence_s: float) -> None:
        super().__init__(call.wire.fileno(), clock, stop, owed, 0.0, silence_s)
        self._door, self._call, self._sieve = door, call, sieve
        self._held = call.rest

    @property
    def caller(self) -> str:
        """See Called."""
        now = self.clock.now()
        since_ns = now.utc_ns - (now.mono_ns - round(self._call.since_s * 1e9))
        return f"modem at {self._call.peer}, connected since {_iso(since_ns)}"

    def drain(self) -> int:
        """See Wire. If the modem has connected anew, its newest connection is used from here on."""
        self._go_over()
        thrown, self._held = len(self._held), b""
        return thrown + super().drain()

    def receive(self, want: Callable[[bytes], int], timeout_s: float) -> bytes:
        """See Wire. Heartbeats do not count as an answer, wherever they stand."""
        held, self._held = self._held, b""

        def needed(more: bytes) -> int:
            raw = held + more
            clean = self._sieve.without(raw)
            return 0 if clean != raw and clean and want(raw) == 0 else want(clean)

        raw = held + super().receive(needed, timeout_s)
        clean = self._sieve.without(raw)
        if clean != raw and clean and want(clean) > 0 and want(raw) == 0:
            return self._doubted(want, raw)
        if raw and want(clean) <= 0 and self._sieve.is_begun(raw):
            raw += super().receive(lambda more: 0 if self._sieve.without(raw + more) != raw + more else 1, _BEGUN_S)
            clean = self._sieve.without(raw)
        return clean

    def _doubted(self, want: Callable[[bytes], int], raw: bytes) -> bytes:
        """An answer that holds the bytes of a heartbeat by chance, or one with a heartbeat in it whose rest is on its way?"""
        more = super().receive(lambda more: want(self._sieve.without(raw + more)), _DOUBT_S)
        return self._sieve.without(raw + more) if more else raw

    def _go_over(self) -> None:
        quarrel = self._door.quarrel()
        if quarrel:
            raise LineError(quarrel)
        call = self._door.take(0.0, self._stop) if self._door.has_newer else None
        if call is not None:
            self._call, self._held, self._fd = call, call.rest, call.wire.fileno()
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

    def _read(self) -> bytes:
        try:
            return super()._read()
        except LineError as error:
            if self._door.has_newer:
                raise LineError("the modem has connected anew in the middle of an exchange; its newest connection counts") from error
            raise LineError(f"the modem is gone: {error}") from error


def _iso(utc_ns: int) -> str:
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
