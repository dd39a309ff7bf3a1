"""The official client's `WriteService`, without the rest of the official client.

`import influxdb_client` loads every model of the management API: measured 1.0 s of CPU and 32 MB on a desktop
processor, for a program that only writes. The one class that is needed imports nothing else, so it is loaded under
stand-ins for its parent packages, which are taken away again: a later `import influxdb_client` finds the real one.
"""

import importlib
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.exchange import Answer

_CLIENT, _SERVICE = "influxdb_client", "influxdb_client.service"


class Writes(Protocol):
    """What is used of `WriteService`."""

    def post_write(self, org: str, bucket: str, body: bytes, *, precision: str, content_encoding: str) -> object:
        """POST line protocol to /api/v2/write."""
        ...


class Post(Protocol):
    """Sends what WriteService has put together."""

    def __call__(self, path: str, query: Sequence[tuple[str, str]], headers: Mapping[str, str], body: bytes) -> Answer: ...


class Carrier:
    """What WriteService takes for its `api_client`: the same three methods, over our own exchange."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.answer: Answer | None = None
        """To the last request."""

    def select_header_accept(self, accepts: Sequence[str]) -> str:
        """Everything that the service can read."""
        return ", ".join(accepts)

    def select_header_content_type(self, content_types: Sequence[str]) -> str:
        """Line protocol is text."""
        return f"{content_types[0]}; charset=utf-8"

    def call_api(
        self, resource_path: str, method: str, path_params: object, query_params: Sequence[tuple[str, str]],
        header_params: Mapping[str, str], body: bytes, **_: object,
    ) -> None:
        """Called by WriteService with a request that is ready to go."""
        assert method == "POST", method
        self.answer = self._post(resource_path, query_params, header_params, body)


def write_service(carrier: Carrier) -> Writes:
    """A WriteService that sends through `carrier`."""
    already = sys.modules.get(f"{_SERVICE}.write_service")
    module = already or _alone()
    service: Writes = module.WriteService(carrier)
    return service


def _alone() -> types.ModuleType:
    spec = importlib.util.find_spec(_CLIENT)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(_CLIENT)
    folder = spec.submodule_search_locations[0]
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == _CLIENT}
    for name, path in ((_CLIENT, folder), (_SERVICE, f"{folder}/service")):
        stand_in = types.ModuleType(name)
        stand_in.__path__ = [path]
        sys.modules[name] = stand_in
    try:
        return importlib.import_module(f"{_SERVICE}.write_service")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _CLIENT]:
            del sys.modules[name]
        sys.modules.update(before)
