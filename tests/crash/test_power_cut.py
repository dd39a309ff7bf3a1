"""A power cut loses nothing that was acknowledged. The same harness must lose data with `synchronous` OFF, or it is blind."""

import os
import random

import pytest
from cutting import cut, loop_ext4

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
CUTS = int(os.environ.get("ECOSENTRY_CUTS", "10"))


def test_a_power_cut_loses_nothing_that_was_acknowledged_and_this_harness_would_see_it(tmp_path):
    chance = random.Random(int(os.environ.get("ECOSENTRY_SEED", "1")))
    with loop_ext4(tmp_path) as disk:
        for k in range(CUTS):
            left = cut(disk, "", chance)
            assert left.found >= left.acknowledged >= 3, f"cut {k}: {left.acknowledged} acknowledged, {left.found} found"
            assert left.whole, f"cut {k}: a hole or damage"
        unsafe = [cut(disk, "OFF", chance) for _ in range(4)]
    assert any(left.lost or not left.whole for left in unsafe), "with synchronous OFF nothing was lost: the harness is blind"
