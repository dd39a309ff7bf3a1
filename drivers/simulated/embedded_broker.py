"""A small MQTT 3.1.1 broker for a demo on a machine without Mosquitto: `python -m drivers.simulated.embedded_broker PORT`.

It is amqtt, from the extra `demo`. It keeps sessions of clients that name a user, but does not send again what was not
acknowledged: good enough to see things move, never used where durability is judged.
"""

import asyncio
import logging
import sys
from contextlib import suppress

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class AnyUser(BaseAuthPlugin):  # type: ignore[misc]
    """Lets in whoever names a user, as that user: anonymous clients would lose their sessions."""

    async def authenticate(self, *, session: Session) -> bool:
        """Whether this client may come in."""
        return bool(session.username)


async def serve(port: int) -> None:
    """Serve on this machine until cancelled."""
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
        "plugins": {"drivers.simulated.embedded_broker.AnyUser": {}},
    })
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
