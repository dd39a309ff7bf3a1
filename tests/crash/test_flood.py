"""Kept topics, hostile topics, deep nesting and garbage through a real broker: counted, bounded memory, and live data unharmed.

The full measure is a campaign: make proof-flood.
"""

import pytest
from flooding import Flood, is_unharmed, through_flood

pytestmark = [pytest.mark.crash, pytest.mark.server]
SMALL = Flood(kept=600, topics=150, deep=20, garbage=2500)


def test_a_flood_of_nonsense_is_counted_and_live_data_are_unharmed(tmp_path):
    is_unharmed(through_flood(tmp_path, SMALL, 1), SMALL, most_mb=30)
