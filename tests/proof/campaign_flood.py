"""10 000 retained topics, hostile topics, deep JSON and 100 000 messages of garbage against a running daemon and a real Mosquitto."""

import subprocess

from flooding import Flood, is_unharmed, through_flood
from proof.campaigns import Step, Tally

PROMISE = "A flood of nonsense is counted to the message, takes a bounded memory, and harms no live reading."
PROVES = ("drivers/lines/*mqtt*.py", "drivers/protocols/mqtt_json.py", "drivers/protocols/*sparkplug*.py", "drivers/protocols/fleet.py",
          "drivers/codecs/strict_json.py", "drivers/codecs/sparkplug.py", "drivers/codecs/fleet_rows.py", "gateway/sorting.py", "gateway/intake.py",
          "tests/flooding.py", "tests/proof/campaign_flood.py")
STEPS = 1
LONGEST_S = 480.0
SMOKE = False
FLOOD = Flood(kept=10_000, topics=10_000, deep=500, garbage=100_000)
MOST_MB = 60
FIGURES = {"retained_topics": 0, "hostile_topics": 0, "deep": 0, "garbage": 0, "counted_unreadable": 0, "garbage_as_values": 0,
           "live_readings": 0, "live_lost_or_doubled": 0, "memory_grown_mb": 0}


def step(at: Step, tally: Tally) -> None:
    found = through_flood(at.folder, FLOOD, at.random.randrange(2**32), within_s=240)
    is_unharmed(found, FLOOD, MOST_MB)
    for name, value in (("retained_topics", found.causes["retained"]), ("hostile_topics", FLOOD.topics), ("deep", FLOOD.deep),
                        ("garbage", FLOOD.garbage), ("counted_unreadable", found.counted["undecodable"]),
                        ("garbage_as_values", found.other_values), ("live_readings", len(found.ledger)),
                        ("live_lost_or_doubled", len(set(found.good) ^ set(found.ledger.items()))), ("memory_grown_mb", round(found.grown_mb))):
        tally.count(name, value)
    said = subprocess.run(["/usr/sbin/mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    tally.ran_with("mosquitto", said.removeprefix("mosquitto version "))
