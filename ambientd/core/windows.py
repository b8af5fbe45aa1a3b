"""Where a conversation is cut for its second hearing, when nobody waits for the words.

Pure, as :mod:`ambientd.core.segmenter` is, and simpler: what comes after a cut is known when it is chosen.  So
windows are long, near the 30 s Whisper was trained on, and end in the longest pause there is.

    Rule 1  A window begins ``lead`` before speech, never before the end of what was heard before.
    Rule 2  It ends in the longest pause between ``least`` and ``most`` after its beginning; without one, where speech
            is least likely.
    Rule 3  It ends earlier in a silence of ``patience``: text behind a long silence is often made up.
    Rule 4  Silence between two windows is heard by nobody.
    Rule 5  What is left at the end, if too much for one window, is divided near its middle: a short last window is
            heard badly.

The figures are in docs/benchmarks.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from ambientd.core.audio import RATE
from ambientd.core.segmenter import FRAME, SMOOTHING

Judged = npt.NDArray[np.float32]
"""float32[m]: probability of speech in each frame of ``FRAME`` samples."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """The numbers behind the rules; all lengths in samples."""

    threshold: float = 0.5
    release: float = 0.35
    lead: int = RATE // 2
    least: int = 20 * RATE
    most: int = 28 * RATE
    pause: int = RATE // 4
    """A shorter hush is the stop of a consonant."""
    patience: int = 5 * RATE

    def __post_init__(self) -> None:
        if not 0 < self.release <= self.threshold < 1:
            raise ValueError("need 0 < release <= threshold < 1")
        if not 0 < self.least < self.most or self.lead > self.least:
            raise ValueError("need lead <= least < most")


USUAL: Final = Cuts()


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch from the first frame judged, to be heard at once or to be passed over."""

    end: int
    """Frames; exclusive."""
    speech: bool
    """Whether it is to be heard."""


def next_window(judged: Judged, *, complete: bool, cuts: Cuts = USUAL) -> Window | None:
    """The first window in ``judged``; ``None`` while more must be known to choose its end.

    ``complete``: nothing follows.  After silence, ``lead`` and ``most`` together are always enough.
    """
    spoken = _spoken(judged, cuts)
    where = np.flatnonzero(spoken)
    lead, least, most = (length // FRAME for length in (cuts.lead, cuts.least, cuts.most))
    if not len(where):
        # Enough is kept for the beginning of what may follow.
        silent = len(judged) if complete else len(judged) - lead
        return Window(silent, speech=False) if silent > 0 else None
    first, last = int(where[0]), int(where[-1]) + 1
    if first > lead:
        return Window(first - lead, speech=False)
    for begin, end in _pauses(spoken):
        if begin >= least:
            break
        if begin > first and end - begin >= cuts.patience // FRAME:
            return Window(begin + lead, speech=True)  # rule 3
    if complete and last <= most:
        return Window(min(len(judged), last + lead), speech=True)
    if len(judged) < most:
        return None
    if complete and last < most + least:  # rule 5
        least, most = max(1, last // 2 - least // 4), min(most, last // 2 + least // 4)
    return Window(_cut(judged, spoken, least, most, cuts), speech=True)


def _spoken(judged: Judged, cuts: Cuts) -> npt.NDArray[np.bool_]:
    """Whether each frame belongs to speech, with hysteresis: a voice that trails off is still speech."""
    # What lies between the two thresholds stays as it was before.
    sure = np.where(judged >= cuts.threshold, 1, np.where(judged < cuts.release, 0, -1))
    known = np.where(sure >= 0, np.arange(len(sure)), -1)
    last = np.maximum.accumulate(known) if len(known) else known
    spoken: npt.NDArray[np.bool_] = np.where(last >= 0, sure[last], 0) == 1
    return spoken


def _pauses(spoken: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Every run of frames without speech, as first and last frame (exclusive)."""
    edges = np.flatnonzero(np.diff(spoken)) + 1
    bounds = [0, *(int(edge) for edge in edges), len(spoken)]
    return [(begin, end) for begin, end in pairwise(bounds) if end > begin and not spoken[begin]]


def _cut(judged: Judged, spoken: npt.NDArray[np.bool_], least: int, most: int, cuts: Cuts) -> int:
    """Rule 2: the frame to cut before."""
    within = [
        (min(end, most) - max(begin, least), max(begin, least), min(end, most))
        for begin, end in _pauses(spoken)
        if begin < most and end > least
    ]
    length, begin, end = max(within, default=(0, 0, 0))
    if length >= max(1, cuts.pause // FRAME):
        return min((begin + end + 1) // 2, begin + cuts.lead // FRAME)
    # Over nine frames, a third of a second, as in the segmenter.
    padded = np.pad(judged[least:most], SMOOTHING // 2, mode="edge")
    return least + 1 + int(np.argmin(np.convolve(padded, np.ones(SMOOTHING), "valid")))
