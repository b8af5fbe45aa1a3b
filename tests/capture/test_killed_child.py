"""The capturing process killed at random: every gap is marked, and every sample is accounted for."""

from __future__ import annotations

from killed_microphone import Room, listen_while_killed

from ambientd.capture.microphone import Choice
from ambientd.core.microphone import Gap, Sound


async def nothing(_heard: Sound | Gap) -> None:
    pass


async def test_whenever_the_process_is_killed_captured_and_missing_add_up_to_the_sample():
    quick = Choice(restart_first=0.3, restart_most=0.6)

    account = await listen_while_killed(Room(), nothing, seconds=6, kills=6, life=(0.3, 1.2), choice=quick)

    assert account.kills == 6
    assert account.restarts == 6
    assert account.wrong == 0
    assert account.told == (account.captured, account.missing)
    assert abs(account.captured + account.missing - account.passed * 16_000) < 16_000 * 0.2
