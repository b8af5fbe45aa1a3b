"""Audio kept for the second hearing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.segmenter import FRAME
from ambientd.session.reel import BLOCK_BYTES, FRAMES, Shelf

BLOCK = FRAMES * FRAME


def noise(count: int, seed: int = 1) -> np.ndarray:
    pcm = np.random.default_rng(seed).integers(-32768, 32767, count, dtype=np.int16)
    return pcm.astype(np.float32) / np.float32(32768)


@given(st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=5), st.integers(0, 5000))
def test_what_went_in_comes_out(sizes, start):
    reel = Shelf(1 << 30).reel(start)
    whole = noise(sum(sizes))
    at = 0
    for size in sizes:
        reel.receive(whole[at : at + size])
        at += size
    assert np.array_equal(reel.audio(start, reel.end), whole)
    middle = start + len(whole) // 3
    reel.forget(middle)
    assert np.array_equal(reel.audio(middle, reel.end), whole[middle - start :])
    assert reel.end == start + len(whole)


def test_judgements_belong_to_their_frames_after_forgetting():
    reel = Shelf(1 << 30).reel()
    reel.receive(noise(3 * BLOCK))
    for frame in range(3 * FRAMES):
        reel.judge(frame / 1000)
    reel.forget(BLOCK + 5 * FRAME)
    assert np.allclose(reel.judged(BLOCK + 5 * FRAME, 3), np.arange(FRAMES + 5, FRAMES + 8) / 1000)
    assert len(reel.judged(BLOCK + 5 * FRAME, 10_000)) == 2 * FRAMES - 5


def test_the_shelf_takes_the_oldest_audio_of_all_when_it_is_full():
    shelf = Shelf(4 * BLOCK_BYTES)
    first, second = shelf.reel(), shelf.reel()
    first.receive(noise(2 * BLOCK))
    second.receive(noise(2 * BLOCK))
    second.receive(noise(BLOCK, seed=2))
    assert (first.start, second.start) == (BLOCK, 0)
    assert shelf.lost == BLOCK
    assert shelf.used <= shelf.limit


def test_a_full_shelf_takes_from_the_very_reel_that_grows():
    shelf = Shelf(2 * BLOCK_BYTES)
    reel = shelf.reel()
    whole = noise(5 * BLOCK + 100)
    for at in range(0, len(whole), 1000):
        reel.receive(whole[at : at + 1000])
    assert reel.end == len(whole)
    assert np.array_equal(reel.audio(reel.start, reel.end), whole[reel.start :])
    assert shelf.used <= shelf.limit


def test_what_is_forgotten_or_destroyed_is_overwritten():
    shelf = Shelf(1 << 30)
    reel = shelf.reel()
    reel.receive(noise(2 * BLOCK))
    blocks = list(reel.blocks)
    reel.forget(BLOCK // 2)
    assert not blocks[0].pcm[: BLOCK // 2].any()
    reel.destroy()
    assert not any(block.pcm.any() for block in blocks)
    assert (shelf.used, reel.size) == (0, 0)
    reel.receive(noise(100))
    assert reel.size == 0


def test_samples_that_never_came_are_silence():
    reel = Shelf(1 << 30).reel()
    reel.receive(noise(1000))
    reel.judge(0.9)
    reel.skip(2 * BLOCK)
    assert reel.end == 1000 + 2 * BLOCK
    assert not reel.audio(1000, reel.end).any()
    assert not reel.judged(FRAME, 10_000).any()
