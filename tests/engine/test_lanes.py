"""Lanes: fair, never two threads on a context, and a lane always comes back."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from ambientd.core.decoding import Heard, Rank, Request
from ambientd.engine.lanes import Lanes, open_lanes
from ambientd.errors import DecodeFailed


class Slow:
    """A context that takes its time, notices aborts, and knows who touches it."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.threads: set[int] = set()
        self.inside = 0
        self.clashes = 0
        self.heard: list[int] = []
        self.spare: list[int] = []
        self.closed = False

    def hear(self, request: Request, *, aborted: Callable[[], bool]) -> Heard:
        self.inside += 1
        self.clashes += self.inside > 1
        self.threads.add(threading.get_ident())
        self.spare.append(request.spare)
        try:
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                if aborted():
                    raise DecodeFailed("aborted")
                time.sleep(0.001)
            self.heard.append(request.start)
            return Heard((), "en", self.seconds, "slow")
        finally:
            self.inside -= 1

    def close(self) -> None:
        self.closed = True


class Deaf(Slow):
    """Hangs in C: no abort reaches it."""

    out: threading.Event

    def hear(self, request: Request, *, aborted: Callable[[], bool]) -> Heard:
        self.out.wait(20)
        if aborted():
            raise DecodeFailed("aborted")
        return Heard((), "en", self.seconds, "deaf")


@asynccontextmanager
async def lanes(*contexts: Slow, limit: float = 5, quiet: float = 0) -> AsyncIterator[Lanes]:
    rest = list(contexts)
    async with open_lanes(lambda: rest.pop(0), count=len(contexts), limit=limit, quiet=quiet) as opened:
        yield opened


def ask(number: int, rank: Rank = Rank.FINAL, *, since: float = 0) -> Request:
    return Request(np.zeros(16, np.float32), number, 16, "en", rank=rank, since=since)


async def test_a_context_is_only_ever_touched_by_its_own_thread():
    contexts = Slow(), Slow()
    async with lanes(*contexts) as opened:
        await asyncio.gather(*(opened.decode(ask(n)) for n in range(20)))

    assert all(len(context.threads) == 1 and context.clashes == 0 for context in contexts)
    assert sorted(contexts[0].heard + contexts[1].heard) == list(range(20))


async def test_first_come_first_served():
    context = Slow()
    async with lanes(context) as opened:
        await asyncio.gather(*(opened.decode(ask(n)) for n in range(8)))

    assert context.heard == list(range(8))


async def test_of_those_that_wait_the_oldest_audio_goes_first_whoever_asked_first():
    context = Slow()
    async with lanes(context) as opened:
        await asyncio.gather(*(opened.decode(ask(n, since=10.0 - n)) for n in range(6)))

    # The first got the free lane.
    assert context.heard == [0, 5, 4, 3, 2, 1]


async def test_finals_go_before_partials_that_came_earlier():
    context = Slow()
    async with lanes(context) as opened:
        asked = [opened.decode(ask(n, Rank.FINAL if n >= 3 else Rank.PARTIAL)) for n in range(6)]
        await asyncio.gather(*asked)

    # The first got the free lane; of those that waited the finals 3, 4, 5 went first.
    assert context.heard == [0, 3, 4, 5, 1, 2]


async def test_a_cancelled_caller_aborts_its_decode_and_the_lane_comes_back():
    context = Slow(seconds=30)
    async with lanes(context) as opened:
        task = asyncio.create_task(opened.decode(ask(0)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        context.seconds = 0.01
        await asyncio.wait_for(opened.decode(ask(1)), 2)

    assert context.heard == [1]
    assert context.clashes == 0


async def test_a_lane_is_not_given_on_while_its_thread_still_works():
    """Two hundred callers that give up at random moments never make two threads meet in a context."""
    contexts = Slow(seconds=0.004), Slow(seconds=0.004)
    chance = np.random.default_rng(5)
    async with lanes(*contexts) as opened:

        async def impatient(number: int) -> None:
            try:
                async with asyncio.timeout(float(chance.uniform(0, 0.05))):
                    await opened.decode(ask(number))
            except TimeoutError:
                pass

        await asyncio.gather(*(impatient(n) for n in range(200)))
        await opened.decode(ask(1000))
        await asyncio.sleep(0.05)

        assert opened.busy == 0
        assert opened.waiting == 0
    assert all(context.clashes == 0 for context in contexts)


async def test_a_decode_over_the_limit_fails_and_the_lane_comes_back():
    context = Slow(seconds=30)
    async with lanes(context, limit=0.05) as opened:
        with pytest.raises(DecodeFailed, match=r"longer than 0\.05 s"):
            await opened.decode(ask(0))
        context.seconds = 0
        await opened.decode(ask(1))

    assert opened.load.failures == 1
    assert opened.load.finals == 1


async def test_a_thread_that_does_not_come_back_is_overdue_from_the_limit_on():
    context, out = Deaf(), threading.Event()
    context.out = out
    async with lanes(context, limit=0.05) as opened:
        assert opened.overdue == 0
        decode = asyncio.create_task(opened.decode(ask(0)))
        await asyncio.sleep(0.15)
        assert 0.02 < opened.overdue < 0.15
        out.set()
        with pytest.raises(DecodeFailed):
            await decode
        await asyncio.sleep(0.02)
        assert opened.overdue == 0


async def test_a_thread_that_is_not_wanted_any_more_is_overdue_from_then_on():
    context, out = Deaf(), threading.Event()
    context.out = out
    async with lanes(context, limit=60) as opened:
        decode = asyncio.create_task(opened.decode(ask(0)))
        await asyncio.sleep(0.05)
        assert opened.overdue < 0
        decode.cancel()
        await asyncio.sleep(0.1)
        assert 0.05 < opened.overdue < 0.5
        out.set()


class TestBackground:
    async def test_it_may_take_several_times_the_limit_for_nobody_waits(self):
        async with lanes(Slow(seconds=0.15), limit=0.05) as opened:
            await opened.decode(ask(0, Rank.BACKGROUND))
        assert opened.load.failures == 0

    async def test_a_final_takes_the_lane_of_a_background_decode_which_begins_again_afterwards(self):
        context = Slow(seconds=10)
        async with lanes(context, limit=60) as opened:
            background = asyncio.create_task(opened.decode(ask(0, Rank.BACKGROUND)))
            await asyncio.sleep(0.02)
            began = time.monotonic()
            context.seconds = 0.02
            await opened.decode(ask(1))
            assert time.monotonic() - began < 5
            await background

        assert context.heard == [1, 0]
        assert context.clashes == 0
        assert (opened.load.evictions, opened.load.background, opened.load.failures) == (1, 1, 0)

    async def test_it_leaves_one_lane_to_rooms_that_speak(self):
        contexts = Slow(), Slow()
        async with lanes(*contexts, quiet=60) as opened:
            await opened.decode(ask(0))
            tasks = [asyncio.create_task(opened.decode(ask(n, Rank.BACKGROUND))) for n in range(1, 6)]
            most = 0
            while not all(task.done() for task in tasks):
                most = max(most, opened.busy)
                await asyncio.sleep(0.002)

        assert most == 1

    async def test_it_may_have_every_lane_once_no_room_has_spoken_for_a_while(self):
        contexts = Slow(0.2), Slow(0.2)
        async with lanes(*contexts, quiet=1) as opened:
            await opened.decode(ask(0))
            tasks = [asyncio.create_task(opened.decode(ask(n, Rank.BACKGROUND))) for n in range(1, 30)]
            await asyncio.sleep(0.05)
            assert opened.busy == 1
            async with asyncio.timeout(10):
                while opened.busy < 2:
                    await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def test_on_a_box_of_one_lane_it_waits_until_no_room_speaks(self):
        context = Slow()
        async with lanes(context, quiet=1) as opened:
            await opened.decode(ask(0, Rank.PARTIAL))
            task = asyncio.create_task(opened.decode(ask(1, Rank.BACKGROUND)))
            await asyncio.sleep(0.1)
            assert opened.busy == 0
            await asyncio.wait_for(task, 10)

    async def test_partials_do_not_abort_it_while_a_lane_serves_the_rooms(self):
        contexts = Slow(0.1), Slow(0.1)
        async with lanes(*contexts) as opened:
            final = asyncio.create_task(opened.decode(ask(0)))
            await asyncio.sleep(0.01)
            background = asyncio.create_task(opened.decode(ask(1, Rank.BACKGROUND)))
            await asyncio.sleep(0.01)
            assert not opened.idle
            await opened.decode(ask(2, Rank.PARTIAL))
            await asyncio.gather(final, background)

        assert opened.load.evictions == 0

    async def test_a_partial_is_heard_at_once_where_background_work_has_every_lane(self):
        contexts = Slow(10), Slow(10)
        async with lanes(*contexts, limit=60) as opened:
            tasks = [asyncio.create_task(opened.decode(ask(n, Rank.BACKGROUND))) for n in range(2)]
            await asyncio.sleep(0.02)
            assert opened.idle
            for context in contexts:
                context.seconds = 0.02
            began = time.monotonic()
            await opened.decode(ask(2, Rank.PARTIAL))
            assert time.monotonic() - began < 5
            assert opened.load.evictions == 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def test_no_more_is_aborted_than_finals_wait(self):
        contexts = Slow(0.3), Slow(0.3), Slow(0.3)
        async with lanes(*contexts) as opened:
            tasks = [asyncio.create_task(opened.decode(ask(n, Rank.BACKGROUND))) for n in range(3)]
            await asyncio.sleep(0.02)
            for context in contexts:
                context.seconds = 0.01
            await asyncio.gather(opened.decode(ask(3)), opened.decode(ask(4)))
            await asyncio.gather(*tasks)

        assert opened.load.evictions == 2

    async def test_what_is_cancelled_while_it_waits_leaves_nothing_behind(self):
        context = Slow()
        async with lanes(context, quiet=60) as opened:
            await opened.decode(ask(0))
            task = asyncio.create_task(opened.decode(ask(1, Rank.BACKGROUND)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await opened.decode(ask(2))

        assert context.heard == [0, 2]


async def test_contexts_are_closed_even_if_one_cannot_be_loaded():
    good = Slow()

    def load() -> Slow:
        if loaded:
            raise DecodeFailed("no second")
        loaded.append(good)
        return good

    loaded: list[Slow] = []
    with pytest.raises(DecodeFailed):
        async with open_lanes(load, count=2, limit=1):
            pytest.fail("must not open")

    assert good.closed


async def test_a_partial_that_is_alone_may_use_the_cores_of_the_idle_lanes():
    contexts = [Slow() for _ in range(3)]
    async with lanes(*contexts) as engine:
        await engine.decode(ask(1, Rank.PARTIAL))
        await engine.decode(ask(2))
        await asyncio.gather(engine.decode(ask(3)), engine.decode(ask(4, Rank.PARTIAL)))

    assert sorted(spare for context in contexts for spare in context.spare) == [0, 0, 0, 2]


async def test_background_work_waits_for_a_partial_that_uses_its_core_and_a_final_does_not():
    slow, other = Slow(0.3), Slow(0.3)
    async with lanes(slow, other) as engine:
        watched = asyncio.create_task(engine.decode(ask(1, Rank.PARTIAL)))
        await asyncio.sleep(0.05)
        later = asyncio.create_task(engine.decode(ask(2, Rank.BACKGROUND)))
        await asyncio.sleep(0.05)
        assert engine.busy == 1
        urgent = asyncio.create_task(engine.decode(ask(3)))
        await asyncio.sleep(0.05)
        assert engine.busy == 2
        await asyncio.gather(watched, urgent, later)

    assert sorted(slow.heard + other.heard) == [1, 2, 3]


async def test_without_an_idle_lane_there_is_nothing_to_spare():
    context = Slow()
    async with lanes(context) as engine:
        await engine.decode(ask(1, Rank.PARTIAL))
    assert context.spare == [0]
