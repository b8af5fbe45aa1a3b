"""A transcript cut into cues that a viewer can read, for subtitles.

A committed line is up to half a minute of speech; shown at once it would fill the screen.  A line that fits
is one cue.  A longer one is cut at its segments, and a segment that is still too long between its words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from ambientd.core.audio import RATE, samples
from ambientd.core.transcript import Gap, Line, Segment

ROW: Final = 42
"""Characters in a row."""
ROWS: Final = 2
LONGEST: Final = samples(7)
"""Samples one cue may last."""
SHORTEST: Final = samples(5 / 6)
"""Samples one cue stays, unless the next one begins.

Source of all four: Netflix, Timed Text Style Guide (general requirements, and English for the row)."""

_MILLISECOND: Final = RATE // 1000


@dataclass(frozen=True, slots=True)
class Cue:
    """One text to show for a while."""

    start: int
    """Samples."""
    end: int
    """Samples; at least a millisecond after ``start``."""
    text: str
    """Without line breaks; ``rows`` breaks it."""


def cues(lines: Sequence[Line], gaps: Sequence[Gap] = ()) -> list[Cue]:
    """The cues of a session in order: none overlaps another, none is empty, each lasts at least 1 ms."""
    wanted = [cue for line in lines for cue in _of_line(line)]
    wanted += [Cue(gap.start, gap.end, gap_mark(gap)) for gap in gaps]
    wanted.sort(key=lambda cue: cue.start)
    return list(_apart(wanted))


def gap_mark(gap: Gap) -> str:
    """What a reader sees in place of audio that was not heard."""
    return f"[gap: {(gap.end - gap.start) / RATE:.1f} s not heard]"


def rows(text: str) -> list[str]:
    """The text broken at spaces into rows; only a word longer than a row is itself broken."""
    return textwrap.wrap(text, ROW, break_on_hyphens=False)


def one_row(text: str) -> str:
    """The text on one row: a blank line would end a cue in the middle of a sentence."""
    return " ".join(text.split())


def fits(cue: Cue) -> bool:
    """Whether a viewer can read it in one go."""
    return len(rows(cue.text)) <= ROWS and cue.end - cue.start <= LONGEST


def _apart(wanted: Sequence[Cue]) -> Iterator[Cue]:
    """Each held long enough to be read, and cut short where the next begins."""
    starts: list[int] = []
    for cue in wanted:
        starts.append(max(cue.start, starts[-1] + _MILLISECOND) if starts else cue.start)
    for cue, start, following in zip_longest(wanted, starts, starts[1:]):
        end = max(cue.end, start + SHORTEST)
        yield Cue(start, end if following is None else min(end, following), cue.text)


def _of_line(line: Line) -> Iterator[Cue]:
    text = one_row(line.text)
    if not text:
        return
    whole = Cue(line.start, line.end, text)
    heard = [piece for segment in line.segments for piece in _pieces(segment)]
    if one_row(" ".join(piece.text for piece in heard)) != text:
        # The text is what was committed; segments that say something else cannot time it.
        yield from _filled(_spread(whole))
        return
    spoken = replace(whole, start=heard[0].start, end=heard[-1].end)
    if fits(spoken):
        yield spoken
    else:
        for segment in line.segments:
            yield from _filled(_pieces(segment))


def _pieces(segment: Segment) -> list[Cue]:
    """The words of a segment as the smallest cues there could be."""
    words = [Cue(word.start, word.end, one_row(word.text)) for word in segment.words]
    text = one_row(segment.text)
    if one_row(" ".join(word.text for word in words)) == text:
        return [word for word in words if word.text]
    return _spread(Cue(segment.start, segment.end, text))


def _spread(cue: Cue) -> list[Cue]:
    """The words of a text without times of their own: each gets time by its length."""
    words = cue.text.split(" ") if cue.text else []
    whole = sum(len(word) for word in words)
    pieces: list[Cue] = []
    said = 0
    for word in words:
        start = cue.start + (cue.end - cue.start) * said // whole
        said += len(word)
        pieces.append(Cue(start, cue.start + (cue.end - cue.start) * said // whole, word))
    return pieces


def _filled(pieces: Iterable[Cue]) -> Iterator[Cue]:
    """As few cues as will hold the pieces; a piece that alone is too long stays whole."""
    open_cue: Cue | None = None
    for piece in pieces:
        if open_cue is None:
            open_cue = piece
            continue
        longer = Cue(open_cue.start, piece.end, f"{open_cue.text} {piece.text}")
        if fits(longer):
            open_cue = longer
        else:
            yield open_cue
            open_cue = piece
    if open_cue is not None:
        yield open_cue
