"""What a line learns of its devices' answers: it wakes once for most of them, and is left idle for next to nothing."""

import random
import statistics
from collections.abc import Callable

import pytest

from drivers.lines._habit import Habits

ASKED = b"\x01\x03\x00\x00\x00\x0a"


def after(habits: Habits, answers: int, takes_s: Callable[[], float]) -> tuple[list[float], list[float]]:
    """So many answers that begin as the device likes; gives how long the line stood idle, and how long before the answer we woke."""
    idle, early = [], []
    for _ in range(answers):
        began_s, slept_s = takes_s(), habits.begins_s(ASKED)
        was_there = slept_s is not None and began_s <= slept_s
        idle.append(max(0.0, (slept_s or 0.0) - began_s))
        early.append(max(0.0, began_s - (slept_s or 0.0)))
        habits.came(ASKED, slept_s if was_there else began_s, was_there=was_there)
    return idle, early


def test_a_steady_device_is_slept_through_within_a_tenth_of_a_millisecond():
    idle, early = after(Habits(), 500, lambda: 0.005)
    assert statistics.mean(idle[20:]) < 0.00003
    assert max(early[20:]) < 0.0001


def test_a_fitful_device_costs_the_line_next_to_nothing():
    chance = random.Random(1)
    idle, _ = after(Habits(), 3000, lambda: chance.uniform(0.005, 0.025))
    assert statistics.mean(idle[500:]) < 0.0005
    assert statistics.mean(idle) < 0.001


@pytest.mark.parametrize(("before_s", "now_s"), [(0.05, 0.005), (0.005, 0.05), (0.02, 0.019)])
def test_a_device_that_has_changed_its_pace_is_followed(before_s, now_s):
    habits = Habits()
    after(habits, 200, lambda: before_s)
    idle, _ = after(habits, 300, lambda: now_s)
    assert sum(idle) < 10 * before_s, "the line may stand idle for a few answers, not for long"
    assert max(idle[50:]) < 0.0005


def test_answers_quicker_than_the_line_can_carry_them_are_no_habit():
    habits = Habits()
    after(habits, 50, lambda: -0.02)
    assert habits.begins_s(ASKED) is None
    after(habits, 1, lambda: 0.004)  # once late, on a busy machine
    after(habits, 20, lambda: -0.02)
    assert habits.begins_s(ASKED) is None


def test_questions_are_told_apart_and_their_number_is_bounded():
    habits = Habits()
    habits.came(b"\x01\x03", 0.01, was_there=False)
    habits.came(b"\x02\x03", 0.03, was_there=False)
    assert (habits.begins_s(b"\x01\x03"), habits.begins_s(b"\x02\x03")) == (0.01, 0.03)
    for number in range(5000):
        habits.came(number.to_bytes(4), 0.01, was_there=False)
    assert sum(habits.begins_s(number.to_bytes(4)) is not None for number in range(5000)) <= 512
