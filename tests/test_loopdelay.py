"""The event loop's own lateness."""

import asyncio
import time

from ambientd.loopdelay import loop_delay


async def test_what_blocks_the_loop_shows():
    seen: list[float] = []
    async with loop_delay() as delay:
        delay.observe = seen.append
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # noqa: ASYNC251 - the offence
        await asyncio.sleep(1.0)

        assert 0.2 < max(seen) < 0.5
        assert delay.worst == max(seen[: len(seen)])


async def test_a_box_at_rest_is_measured_seldom():
    told = []
    async with loop_delay() as delay:
        delay.observe, delay.felt = told.append, lambda: False
        await asyncio.sleep(0.3)
    assert len(told) <= 1
