"""Whatever the centre does and however often the plug is pulled: each transcript arrives exactly once, byte for byte.

A short week here; ``AMBIENTD_WEEK=full`` lives the whole one, with 200 sessions and 50 kills.
"""

from __future__ import annotations

import os

import pytest
from simulated_week import Plan, run

FULL = os.environ.get("AMBIENTD_WEEK") == "full"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", ["ambientai", "ingest"])
async def test_after_a_week_the_centre_holds_each_transcript_exactly_once(profile: str):
    plan = Plan(profile) if FULL else Plan(profile, sessions=20, kills=5)
    week, kept = await run(plan)

    # The check itself is in run; this is that there was something to check.
    assert week.diary.kills == plan.kills
    assert len(kept) >= plan.sessions
    assert week.centre.faults.seen.total() > plan.sessions / 4
