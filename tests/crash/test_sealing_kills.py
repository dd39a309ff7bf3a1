"""Killed, or without power, at random moments while days are sealed: nothing acknowledged is lost or doubled, wherever it lies."""

import random

import pytest
from cutting import loop_ext4
from sealing_lives import life

pytestmark = [pytest.mark.crash, pytest.mark.timeout(200)]


def test_kills_while_sealing_lose_nothing_that_was_acknowledged(tmp_path):
    chance, days = random.Random(5), 0
    for _ in range(2):
        left = life(tmp_path / "journal", chance)
        left.check()
        days = max(days, left.days)
    assert days >= 2, "hardly anything was sealed: the harness is blind"


def test_power_cuts_while_sealing_lose_nothing_that_was_acknowledged(tmp_path):
    chance = random.Random(6)
    with loop_ext4(tmp_path) as disk:
        for _ in range(2):
            left = life(disk.place / "journal", chance, disk)
            left.check()
    assert left.days >= 1, "nothing was sealed: the harness is blind"
