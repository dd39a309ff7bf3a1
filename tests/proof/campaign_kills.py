"""kill -9 at the worst moments, hundreds of times: the ledgers, the journal and the server stay equal.

Two scenes run side by side, each with a broker, a database and a gateway of its own: a life waits more than it computes.
"""

from concurrent.futures import ThreadPoolExecutor

from proof.campaigns import Step, Tally
from witnesses import Testimony, is_proof, through_kills

PROMISE = "Whenever the gateway is killed, what it acknowledged is in the journal and at the server, once."
PROVES = ("gateway/core.py", "gateway/sorting.py", "gateway/restoring.py", "gateway/duplicates.py", "gateway/courier.py", "gateway/intake.py",
          "gateway/journal/*.py", "gateway/journal/schema.sql", "gateway/sinks/influxdb.py", "drivers/lines/mqtt.py", "drivers/lines/_mqtt*.py",
          "gateway/sending.py", "gateway/sink_standing.py", "gateway/pace.py", "drivers/lines/_receipts.py", "tests/witnesses.py",
          "tests/killing.py", "tests/gateway_child.py", "tests/gateway_nursery.py", "tests/proof/campaign_kills.py")
STEPS = 5
FIGURES = {"kills": 0, "before_the_commit": 0, "between_commit_and_PUBACK": 0, "between_POST_and_cursor": 0, "after_a_cycle": 0,
           "lives": 0, "fewest_commits_of_a_life": 10**6, "acknowledged_by_the_broker": 0, "of_these_by_mosquitto_pub": 0, "polled_readings": 0,
           "lost": 0, "doubled": 0, "differing_at_the_server": 0, "invented": 0}
LONGEST_S = 120
SMOKE = False  # tests/crash/test_kills.py is the short form
SCENES, KILLS = 2, 50


def step(at: Step, tally: Tally) -> None:
    seeds = [at.random.randrange(2**31) for _ in range(SCENES)]
    folders = [at.folder / str(k) for k in range(SCENES)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(SCENES) as side_by_side:
        for found in side_by_side.map(lambda folder, seed: through_kills(folder, KILLS, seed, quickly=True), folders, seeds):
            note(found, tally)


def note(found: Testimony, tally: Tally) -> None:
    """Count one scene. Raises AssertionError where its witnesses differ."""
    is_proof(found, KILLS)
    for phase, times in found.hit.items():
        tally.count("kills", times)
        tally.count(phase.replace(" ", "_"), times)
    tally.count("lives", len(found.commits))
    tally.least("fewest_commits_of_a_life", min(found.commits))
    tally.count("acknowledged_by_the_broker", found.published + found.typed)
    tally.count("of_these_by_mosquitto_pub", found.typed)
    tally.count("polled_readings", found.polled)
    different = {"lost": found.lost, "doubled": found.doubled, "differing_at_the_server": len(found.at_server), "invented": found.invented}
    for name, times in different.items():
        tally.count(name, times)
    assert not any(different.values()), f"{different} {found.at_server}"
    assert found.code == 0
