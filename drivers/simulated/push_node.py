"""A simulated node that posts JSON, as those of sensor.community do, or with a time of its own; it keeps a ledger."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

_AGAIN_S = 0.1


def airrohr(node: int, values: Mapping[str, float]) -> bytes:
    """The message of a sensor.community node: every value as text, with two decimals, under its type."""
    listed = [{"value_type": kind, "value": f"{value:.2f}"} for kind, value in values.items()]
    return json.dumps({"esp8266id": str(node), "software_version": "NRZ-2020-129", "sensordatavalues": listed}).encode()


class PushNode:
    """Posts to one path of 127.0.0.1; what is not answered with 200 is posted again before anything new."""

    def __init__(self, port: int, path: str, token: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.port, self.path = port, path
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        self.answered: dict[int, float] = {}
        """UTC ns → value of what was answered with 200: the ledger."""
        self.statuses: list[int] = []
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def post(self, body: bytes, within_s: float = 10.0) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body. Raises OSError where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=within_s)
        try:
            connection.request("POST", self.path, body, self.headers)
            answer = connection.getresponse()
            self.statuses.append(answer.status)
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def start(self, quantity: str, value: Callable[[], float], every_s: float) -> None:
        """Post values with their own time until closed."""
        self._thread = threading.Thread(target=self._run, args=(quantity, value, every_s), name="push node", daemon=True)
        self._thread.start()

    def _run(self, quantity: str, value: Callable[[], float], every_s: float) -> None:
        newest = 0
        while not self._stop.wait(every_s):
            newest, said = max(time.time_ns() // 1_000_000, newest + 1), value()
            body = json.dumps({"t": newest, quantity: said}).encode()
            while not self._stop.is_set():
                try:
                    if self.post(body)[0] == 200:
                        self.answered[newest * 1_000_000] = said
                        break
                except OSError:
                    pass
                self._stop.wait(_AGAIN_S)

    def close(self) -> None:
        """Post no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
