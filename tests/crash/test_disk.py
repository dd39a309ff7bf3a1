"""A disk that is full or read-only: nothing is acknowledged that is not kept, it is said loudly, and it recovers by itself."""

import os
import subprocess
import threading
import time

import pytest
from house import AMMONIA, LAEQ, FakeReceipt, House, site

pytestmark = pytest.mark.crash


@pytest.fixture
def small(tmp_path):
    """A file system of 1 MB that can be made larger or read-only."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "t", place], check=False, capture_output=True).returncode:
        pytest.skip("a full disk is made with a small tmpfs: needs root and mount")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)

    yield place, remount
    subprocess.run(["umount", place], check=True)


def values(house):
    with house.reader() as reader:
        rows = reader.rows_after(0, 1_000_000)
        return rows.value[rows.which == 0].tolist()


def test_a_full_disk_withholds_receipts_and_recovers_when_there_is_room(small):
    place, remount = small
    house = House(place / "journal", site())
    receipts, said, stop = [], [], threading.Event()

    def run():
        while not stop.is_set():
            house.core.cycle(0.1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not house.core.trouble:
            assert time.monotonic() < deadline, "1 MB was never full: the test proves nothing"
            receipts.append(FakeReceipt(packet=len(receipts)))
            house.clock.forward(1)
            house.say(*((AMMONIA, len(receipts) + k / 1000) for k in range(200)), (LAEQ, 50.0), receipt=receipts[-1])
            said += [len(receipts) + k / 1000 for k in range(200)]
            time.sleep(0.005)
        assert "no space left" in house.core.trouble
        time.sleep(0.3)
        released = sum(r.released for r in receipts)
        assert 0 < released < len(receipts)
        assert values(house) == said[: 200 * released], "what was acknowledged is there, and nothing else"
        remount("size=64m")
        deadline = time.monotonic() + 20
        while sum(r.released for r in receipts) < len(receipts):
            assert time.monotonic() < deadline, "it did not recover"
            time.sleep(0.05)
        assert house.core.trouble == ""
    finally:
        stop.set()
        house.core.give_up.set()
        thread.join(10)
    assert values(house) == said
    with house.reader() as reader:
        counters = reader.counters()
    assert counters["received"] == counters["journalled"] == 201 * len(receipts)
    house.kill()


def test_a_read_only_file_system_is_named_and_ends_by_itself(small):
    place, remount = small
    house = House(place / "journal", site())
    house.say((AMMONIA, 1.0))
    house.turn()
    house.kill()  # a card goes read-only under a daemon that opens its journal anew
    remount("ro")
    receipt = FakeReceipt()
    house.say((AMMONIA, 2.0), receipt=receipt)
    thread = threading.Thread(target=house.turn)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not house.core.trouble:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert "read-only" in house.core.trouble
        assert not receipt.released
    finally:
        remount("rw")
        thread.join(10)
    assert receipt.released == 1
    assert values(house) == [1.0, 2.0]
    house.kill()
