"""How loud a microphone is, whether it is too loud, and whether it is switched off."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from ambientd.core.microphone import NO_SIGNAL, Level

PCM16 = npt.NDArray[np.int16]
"""int16[n, channels]."""

WINDOW: Final = 0.25
"""Seconds a level is taken over: a syllable."""

HOLD: Final = 2.0
"""Seconds for which clipping is shown: long enough to be seen."""

RUN: Final = 3
"""Neighbouring samples at full scale that make a clip, as is usual in level meters; one alone may be true."""

FULL: Final = 32_767


class Meter:
    """The meter of one stream: give it blocks in order, ask for :attr:`level`."""

    def __init__(self, rate: int, *, silence: float) -> None:
        """``rate``: Hz.  ``silence``: seconds without any change of the signal that count as switched off."""
        self._window = round(WINDOW * rate)
        self._hold = round(HOLD * rate)
        self._patience = round(silence * rate)
        self._squares = 0.0
        self._peak = 0
        self._count = 0
        self._shown = (NO_SIGNAL, NO_SIGNAL)
        self._since_clip = self._hold
        self._still = 0
        self._last: PCM16 | None = None
        self._loud: PCM16 | None = None
        """The last samples of the block before, in which a clip may begin."""

    def receive(self, block: PCM16) -> None:
        """Takes the next samples: int16[n, channels], n at least 1."""
        count = len(block)
        self._squares += float(np.mean(np.square(block, dtype=np.float64))) * count
        self._peak = max(self._peak, int(np.abs(block.astype(np.int32)).max()))
        self._count += count
        if self._count >= self._window:
            self._shown = (_decibels(math.sqrt(self._squares / self._count)), _decibels(self._peak))
            self._squares, self._peak, self._count = 0.0, 0, 0
        self._since_clip = 0 if self._clips(block) else self._since_clip + count
        still = bool((block == block[0]).all()) and (
            self._last is None or bool((block[0] == self._last).all())
        )
        self._still = self._still + count if still else 0
        self._last = block[-1].copy()

    @property
    def level(self) -> Level:
        """As of the last whole window."""
        rms, peak = self._shown
        return Level(
            rms_dbfs=rms,
            peak_dbfs=peak,
            clipping=self._since_clip < self._hold,
            silent=self._still >= self._patience,
        )

    def _clips(self, block: PCM16) -> bool:
        whole = block if self._loud is None else np.concatenate((self._loud, block))
        self._loud = block[-(RUN - 1) :].copy()
        full = np.abs(whole.astype(np.int32)) >= FULL
        if len(full) < RUN:
            return False
        runs = full[: len(full) - RUN + 1].copy()
        for ahead in range(1, RUN):
            runs &= full[ahead : len(full) - RUN + 1 + ahead]
        return bool(runs.any())


def _decibels(amplitude: float) -> float:
    """Amplitude of int16 samples in dB relative to full scale."""
    if amplitude <= 0:
        return NO_SIGNAL
    return round(max(NO_SIGNAL, min(0.0, 20 * math.log10(amplitude / FULL))), 1)
