"""What one hearing has to say about a window of another: its words there, and where it may lack some."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.decoding import Heard
from ambientd.core.final import ASTRAY
from ambientd.core.segmenter import Piece
from ambientd.core.transcript import Line, Word
from ambientd.core.vote import Ballot

HOLE: Final = RATE * 3 // 10
"""Samples between two lines of a hearing that may hold a word it has lost."""


def ballot(lines: Sequence[Line], used: Word | None, piece: Piece, heard: Heard) -> Ballot:
    """The words another hearing has for a window.

    It has no vote where it has not come as far or was lost, nor between two of its lines, where there is time for
    another word: decodes lose words at their ends.  What was heard in another language has no vote at all.

    ``lines``: its own, in order.  ``used``: its last word that an earlier window has had.  ``heard``: what the frame
    has for the window ``piece``.
    """
    near = takewhile(lambda line: line.end > piece.start - ASTRAY, reversed(lines))
    words: list[Word] = []
    ends = {0}
    for line in list(near)[::-1]:
        if line.language == heard.language:
            words += line.words
        ends.add(len(words))
    # Found by identity: two words may begin at one moment.
    fresh = 1 + max((at for at, word in enumerate(words) if word is used), default=-1)
    begin = next((at for at in range(fresh, len(words)) if words[at].end > piece.start - ASTRAY), len(words))
    end = next((at for at in range(begin, len(words)) if words[at].start >= piece.end + ASTRAY), len(words))
    found = words[begin:end]
    if not found or not heard.words:
        return Ballot(())
    before = [piece.start, *(word.end for word in found)]
    behind = [*(word.start for word in found), piece.end]
    holes = {
        place - begin
        for place in ends
        if begin <= place <= end and behind[place - begin] - before[place - begin] >= HOLE
    }
    if fresh and begin == fresh:
        holes.discard(0)  # what stands in front of it is in the text already
    if found[0].start > heard.words[0].start + ASTRAY:
        holes.add(0)
    if found[-1].end < heard.words[-1].end - ASTRAY:
        holes.add(len(found))
    return Ballot(found, loose=True, holes=frozenset(holes))
