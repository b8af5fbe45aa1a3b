"""Which language a conversation is in: as set, or found out once, and again when what is heard stops making sense.

Detecting costs a second pass of the encoder, and asked of every piece it gains nothing.  So:

    Rule 1  A language that was set stays.
    Rule 2  One that is to be found out is found out with the first pieces, and kept once one held enough speech.
    Rule 3  After several pieces in a row that the model hardly believed, it is asked again: somebody may have changed
            to another language.  If it was the same after all, the next question takes twice as many pieces.

Whoever hears a conversation a second time does not guess anew what is known: each stretch of it has the language the
conversation had there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ambientd.core.audio import RATE
from ambientd.core.decoding import AUTO, Heard
from ambientd.core.transcript import Line

ENOUGH: Final = 3 * RATE
"""Speech a piece must hold for its detected language to be kept."""

STRANGE: Final = -0.45
"""Mean log probability below which a text may be of another language than the one asked for.  Source: measured,
docs/benchmarks.md: English heard as English stays above it in 99 pieces of 100, French and Spanish heard as English
do not reach it."""

RUN: Final = 2
"""Strange pieces in a row after which the language is asked for again.  Source: measured there as well."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a stretch of a conversation is to be heard."""

    language: str
    """ISO 639-1 code, or :data:`AUTO`."""
    own: str | None = None
    """The clinic's own prompt, see :func:`~ambientd.core.prompt.prompt_for`."""
    free: bool = False
    """Whether the language was found out, and another may be."""


class Tongue:
    """The language of one session."""

    def __init__(self, language: str, *, run: int = RUN) -> None:
        """``language``: ISO 639-1 code, or :data:`AUTO`.  ``run``: strange pieces in a row until it is asked again."""
        self.language = language
        """In force: as set, or as found out; :data:`AUTO` until then."""
        self.free = language == AUTO
        """Whether it is to be found out."""
        self._strange = 0
        """Pieces in a row that made little sense."""
        self._least = run
        self._run = run
        """How many it takes."""

    @property
    def question(self) -> str:
        """What to decode the next piece as."""
        return AUTO if self.free and self._strange >= self._run else self.language

    @property
    def otherwise(self) -> str:
        """What to decode a piece as that gave no words."""
        return AUTO if self.free else self.language

    def follow(self, style: Style) -> None:
        """Takes what is known of the next piece; :data:`AUTO` tells nothing."""
        self.free = style.free
        if style.language not in {AUTO, self.language}:
            self.language = style.language
            self._strange = 0

    def listen(self, heard: Heard, *, speech: int, asked: str) -> None:
        """Notes what became of a piece with so many samples of ``speech`` that was decoded as ``asked``."""
        if not self.free or speech < ENOUGH:
            return
        sense = bool(heard.words) and heard.log_probability >= STRANGE
        if heard.words and (heard.language != self.language or asked == AUTO):
            self._run = self._least if heard.language != self.language else 2 * self._run
            self.language = heard.language
            self._strange = 0
        else:
            self._strange = 0 if sense else self._strange + 1


Kind = TypeVar("Kind", bound=Hashable)


def most_said(told: Iterable[tuple[Line, Kind]], start: int, end: int) -> Kind | None:
    """What goes with most of the speech between two moments (samples), if any of the lines has a word there."""
    spoken = Counter[Kind]()
    for line, kind in told:
        if line.start < end and line.end > start:
            for word in line.words:
                # A word without length is a word all the same.
                if word.start < end and word.end > start:
                    spoken[kind] += 1 + min(word.end, end) - max(word.start, start)
    return spoken.most_common(1)[0][0] if spoken else None


def main_language(lines: Sequence[Line]) -> str | None:
    """The language most was said in; ``None`` without a word."""
    end = max((line.end for line in lines), default=0)
    return most_said(((line, line.language) for line in lines), 0, end)
