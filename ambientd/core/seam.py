"""Where the end of one decode is heard again at the beginning of the next: whose words are whose.

Whisper often stops before the end of its audio, in the middle of a sentence.  What it did not reach is heard again
with what follows, and a decode that begins in the middle of a sentence leaves out what there is left of it.  So the
audio is taken up again at the last breath before (:func:`breath`), and the words that a line has already are found
again by their text (:func:`without_repetition`): times within a phrase are too coarse for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ambientd.core.alignment import plain
from ambientd.core.audio import RATE, seconds
from ambientd.core.decoding import Heard
from ambientd.core.plausibility import only
from ambientd.core.segmenter import FRAME, Piece

MARGIN: Final = RATE // 10
"""Samples before a time token at which the next decode begins where there is no breath: the time may be late."""

BREATH: Final = 6
"""Frames of silence between two clauses: a fifth of a second."""

LATE: Final = RATE * 3 // 10
"""Samples by which a time token may be early, so that the breath is behind it."""

FURTHEST: Final = 5 * RATE
"""Samples that may be heard again.  Source of the three: measured, docs/benchmarks.md."""

SLACK: Final = RATE * 7 // 10
"""Samples behind the end of the committed text within which words can be an echo of it: what a time may be early."""

WIDE: Final = RATE * 3 // 10
"""Samples heard again from which on they hold whole words; below, most seams have none in common."""

LEAST_ECHO: Final = 4
"""Letters of a single word that is taken for an echo at a narrow seam.  "No" after "no" may be another answer."""

WORDS_PER_SECOND: Final = 5
"""That a hurried speaker says."""


@dataclass(frozen=True, slots=True)
class Seam:
    """The next decode begins a little before the end of the last line."""

    words: tuple[str, ...]
    """The last line's."""
    begin: int
    """Samples: where the audio heard again begins."""
    end: int
    """Samples: where the last line ends."""


def breath(piece: Piece, reached: int, *, after: int) -> int:
    """Where to begin again with a piece whose text came as far as ``reached``, but never before ``after`` (samples).

    In the last breath before; without one, hardly before what was reached.
    """
    first = max(0, max(after, reached - FURTHEST) - piece.start) // FRAME
    last = (reached + LATE - piece.start) // FRAME
    silent = ~piece.voiced[first:last]
    runs = np.convolve(silent, np.ones(BREATH), "valid") if len(silent) >= BREATH else np.empty(0)
    breaths = np.flatnonzero(runs == BREATH)
    if not len(breaths):
        return reached - MARGIN
    return min(piece.start + (first + int(breaths[-1])) * FRAME, reached - MARGIN)


def without_repetition(heard: Heard, seam: Seam) -> Heard:
    """``heard`` without the words at its beginning that are the last ones of the seam's.

    What lies further behind the seam was said twice.
    """
    again = seam.end - seam.begin
    near = [plain(word.text) for word in heard.words if word.start < seam.end + SLACK]
    said = [plain(word) for word in seam.words]
    if again < WIDE:
        count = _echo(said, [plain(word.text) for word in heard.words if word.end <= seam.end + SLACK])
    else:
        count = _overlap(said[-round(WORDS_PER_SECOND * seconds(again + SLACK)) :], near)
    return only(heard, heard.words[count:]) if count else heard


def _echo(said: Sequence[str], heard: Sequence[str]) -> int:
    """How many words ``heard`` opens with that ``said`` ends with."""
    longest = min(len(said), len(heard))
    same = next((count for count in range(longest, 0, -1) if said[-count:] == heard[:count]), 0)
    return 0 if same == 1 and len(heard[0]) < LEAST_ECHO else same


def _overlap(said: Sequence[str], heard: Sequence[str]) -> int:
    """The length of the beginning of ``heard`` that fits best to an end of ``said``; a word may be heard differently.

    Source: semi-global alignment, a point for each word that is the same and one off for each that is not.
    """
    row = [-count for count in range(len(heard) + 1)]
    for word in said:
        # Nothing is lost by words of the line that lie before the seam.
        before, row = row, [0]
        for index, other in enumerate(heard):
            row.append(
                max(before[index] + (1 if word == other else -1), before[index + 1] - 1, row[index] - 1)
            )
    best = max(range(len(row)), key=lambda count: (row[count], count))
    return best if row[best] > 0 else 0
