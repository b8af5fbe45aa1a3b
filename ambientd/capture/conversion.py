"""A device's samples as the box's: the chosen channel or the mean of all, at 16 kHz."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from ambientd.core.audio import RATE, Samples
from ambientd.core.levels import PCM16


class Conversion:
    """The conversion of one stream: give it blocks in order, and :meth:`finish` it."""

    def __init__(self, *, rate: int, channels: int, channel: int) -> None:
        """``rate`` (Hz) and ``channels`` are the device's; ``channel`` is the one to be heard, from 1, or 0 for all."""
        self._channels = channels
        self._channel = channel
        self._resampler: Any = soxr.ResampleStream(rate, RATE, 1) if rate != RATE else None
        self._scale = RATE / rate
        self.ideal = 0.0
        """Samples at 16 kHz that what was taken amounts to."""
        self.given = 0
        """Samples at 16 kHz that have come out."""

    def heard(self, pcm: bytes) -> PCM16:
        """The channels that are to be heard, as the device gave them."""
        block = np.frombuffer(pcm, np.int16).reshape(-1, self._channels)
        return block[:, self._channel - 1 : self._channel] if self._channel else block

    def receive(self, block: PCM16) -> Samples:
        """The samples of what :meth:`heard` gave; the resampler holds back a few milliseconds."""
        audio = block.mean(axis=1, dtype=np.float32) / np.float32(32768.0)
        self.ideal += len(audio) * self._scale
        return self._out(audio if self._resampler is None else self._resampler.resample_chunk(audio))

    def finish(self) -> Samples:
        """What was held back."""
        empty = np.empty(0, np.float32)
        if self._resampler is None:
            return empty
        return self._out(self._resampler.resample_chunk(empty, last=True))

    def _out(self, audio: Samples) -> Samples:
        self.given += len(audio)
        return np.ascontiguousarray(audio, np.float32)
