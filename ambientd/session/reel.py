"""The audio of live sessions, kept in memory until it has been heard a second time, and then destroyed.

A reel holds one session: its samples as 16-bit integers, and the voice detector's judgement of each frame.
All reels together hold no more than the shelf allows.  When it is full, the oldest audio of all gives way: its text
stays as it was heard live.

What is given up is overwritten before its memory is used for anything else.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ambientd.core.audio import Samples
from ambientd.core.segmenter import FRAME, Detect
from ambientd.core.windows import Judged

FRAMES: Final = 256
"""Frames in a block: 8.2 s."""

_SAMPLES: Final = FRAMES * FRAME

BLOCK_BYTES: Final = _SAMPLES * 2 + FRAMES * 4
"""What a block takes."""


@dataclass(slots=True, eq=False)
class _Block:
    number: int
    """Grows with every block of the shelf: the smallest is the oldest."""
    pcm: npt.NDArray[np.int16] = field(default_factory=lambda: np.zeros(_SAMPLES, np.int16))
    judged: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(FRAMES, np.float32))

    def wipe(self) -> None:
        self.pcm.fill(0)
        self.judged.fill(0)


class Shelf:
    """All reels, within ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Bytes in all reels."""
        self.lost = 0
        """Samples that gave way since the start, because the limit was reached."""
        self._reels: list[Reel] = []
        self._number = 0

    def reel(self, start: int = 0) -> Reel:
        """An empty reel for a session from ``start`` (samples) on; whoever asks for it destroys it in the end."""
        reel = Reel(self, start)
        self._reels.append(reel)
        return reel

    def _block(self) -> _Block:
        self._number += 1
        while self.used + BLOCK_BYTES > self.limit:
            givers = [reel for reel in self._reels if reel.can_give]
            if not givers:
                break  # the block each reel is filling is needed, whatever the limit
            oldest = min(givers, key=lambda reel: reel.blocks[0].number)
            self.lost += oldest.give_way()
        self.used += BLOCK_BYTES
        return _Block(self._number)

    def _back(self, block: _Block) -> None:
        block.wipe()
        self.used -= BLOCK_BYTES

    def _forget(self, reel: Reel) -> None:
        self._reels.remove(reel)


class Reel:
    """One session's audio.  Times are samples since the session started."""

    def __init__(self, shelf: Shelf, start: int) -> None:
        self._shelf = shelf
        self.origin = start
        """Where the first frame begins."""
        self.blocks: deque[_Block] = deque()
        self._first_block = start
        """Where the first block begins."""
        self.start = start
        """The first sample that is still there."""
        self.end = start
        """How far audio has come."""
        self._frames = 0
        """Frames judged."""
        self.destroyed = False

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.blocks) * BLOCK_BYTES

    @property
    def can_give(self) -> bool:
        """Whether it has a block that is full."""
        return bool(self.blocks) and self.end >= self._first_block + _SAMPLES

    @property
    def judged_end(self) -> int:
        """How far the voice detector has been."""
        return min(self.end, self.origin + self._frames * FRAME)

    def judging(self, detect: Detect) -> Detect:
        """``detect``, with every judgement kept."""

        def judge(frame: Samples) -> float:
            probability = detect(frame)
            self.judge(probability)
            return probability

        return judge

    def receive(self, audio: Samples) -> None:
        """Takes the next samples; they are judged later."""
        if self.destroyed:
            return
        pcm = np.clip(np.rint(audio * np.float32(32768.0)), -32768, 32767).astype(np.int16)
        at = 0
        while at < len(pcm):
            offset = self.end - self._first_block
            if offset >= len(self.blocks) * _SAMPLES:
                # Taking a block may cost this very reel its oldest one, so what is known is asked again.
                self.blocks.append(self._shelf._block())  # noqa: SLF001  # the two are one thing
                offset = self.end - self._first_block
            part = pcm[at : at + _SAMPLES - offset % _SAMPLES]
            begin = offset % _SAMPLES
            self.blocks[offset // _SAMPLES].pcm[begin : begin + len(part)] = part
            self.end += len(part)
            at += len(part)

    def skip(self, count: int) -> None:
        """Passes over ``count`` samples that never came; they are silence."""
        while count:
            part = min(count, _SAMPLES)
            self.receive(np.zeros(part, np.float32))
            count -= part
        # What follows is judged in frames that begin behind the hole: up to a frame late, which no cut will notice.
        self._frames = (self.end - self.origin) // FRAME

    def judge(self, probability: float) -> None:
        """Takes the voice detector's judgement of the next frame."""
        frame = self._frames - (self._first_block - self.origin) // FRAME
        self._frames += 1
        if not self.destroyed and 0 <= frame < len(self.blocks) * FRAMES:
            self.blocks[frame // FRAMES].judged[frame % FRAMES] = probability

    def judged(self, start: int, most: int) -> Judged:
        """The judgements of ``most`` frames from the one that holds ``start``, or of as many as there are."""
        first = max(0, start - self._first_block) // FRAME
        last = min(self._frames - (self._first_block - self.origin) // FRAME, first + most)
        if not self.blocks or last <= first:
            return np.empty(0, np.float32)
        blocks = list(itertools.islice(self.blocks, first // FRAMES, -(-last // FRAMES)))
        skipped = first // FRAMES * FRAMES
        return np.concatenate([block.judged for block in blocks])[first - skipped : last - skipped]

    def audio(self, start: int, end: int) -> Samples:
        """The samples from ``start`` to ``end``, which must still be there."""
        first, last = start - self._first_block, min(end, self.end) - self._first_block
        parts = [
            self.blocks[number].pcm[max(0, first - number * _SAMPLES) : last - number * _SAMPLES]
            for number in range(first // _SAMPLES, -(-last // _SAMPLES))
        ]
        return np.concatenate(parts).astype(np.float32) / np.float32(32768.0)

    def forget(self, before: int) -> None:
        """Destroys what lies before ``before``."""
        before = min(before, self.end)
        while self.blocks and self._first_block + _SAMPLES <= before:
            self._drop()
        if self.blocks and before > self.start:
            self.blocks[0].pcm[: before - self._first_block] = 0
        self.start = max(self.start, before)

    def give_way(self) -> int:
        """Destroys the oldest block, which must be full; gives the samples lost that were not yet forgotten."""
        self._drop()
        lost = max(0, self._first_block - self.start)
        self.start = max(self.start, self._first_block)
        return lost

    def destroy(self) -> None:
        """Destroys everything; nothing is taken from now on."""
        if self.destroyed:
            return
        self.destroyed = True
        while self.blocks:
            self._drop()
        self.start = self.end
        self._shelf._forget(self)  # noqa: SLF001

    def _drop(self) -> None:
        self._shelf._back(self.blocks.popleft())  # noqa: SLF001
        self._first_block += _SAMPLES
