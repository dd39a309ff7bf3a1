"""`python -m drivers.simulated FOLDER`: the simulated site as a process of its own, which outlives the gateway's kills.

When it is ready it prints one line of JSON with its addresses. It ends on SIGTERM or SIGINT, and with `--leash` also when
its standard input ends, that is when the one who started it is gone.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from threading import Event, Thread

from drivers.simulated.broker import NoBroker
from drivers.simulated.site import SimulatedSite


def main() -> int:
    """Run until told to end."""
    words = argparse.ArgumentParser(prog="python -m drivers.simulated", description="A simulated site that speaks Modbus and MQTT.")
    words.add_argument("folder", type=Path)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--speed", type=float, default=60.0, help="how fast recorded time passes")
    words.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="interval of the MQTT nodes")
    words.add_argument("--broker", choices=("auto", "mosquitto", "amqtt"), default="auto")
    words.add_argument("--leash", action="store_true", help="end when standard input ends")
    args = words.parse_args()
    end = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    if args.leash:
        Thread(target=_until_alone, args=(end,), daemon=True).start()
    try:
        with SimulatedSite(args.folder, args.seed, args.speed, every_s=args.every, broker=args.broker) as site:
            print(json.dumps(site.addresses()), flush=True)
            end.wait()
    except NoBroker as error:
        print(error, file=sys.stderr)
        return 69
    return 0


def _until_alone(end: Event) -> None:
    sys.stdin.buffer.read()
    end.set()


if __name__ == "__main__":
    sys.exit(main())
