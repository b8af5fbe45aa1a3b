"""Which language a conversation is in: as set, or found out once, and again when what is heard stops making sense.

Detecting costs a second pass of the encoder, and asked of every piece it gains nothing.  So:

    Rule 1  A language that was set stays.
    Rule 2  One that is to be found out is found out with the first pieces, and kept once one held enough speech.
    Rule 3  After several pieces in a row that the model hardly believed, it is asked again: somebody may have changed
            to another language.  If it was the same after all, the next question takes twice as many pieces.
"""

from __future__ import annotations

from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.decoding import AUTO, Heard

ENOUGH: Final = 3 * RATE
"""Speech a piece must hold for its detected language to be kept."""

STRANGE: Final = -0.45
"""Mean log probability below which a text may be of another language than the one asked for.  Source: measured,
docs/benchmarks.md: English heard as English stays above it in 99 pieces of 100, French and Spanish heard as English
do not reach it."""

RUN: Final = 2
"""Strange pieces in a row after which the language is asked for again.  Source: measured there as well."""


class Tongue:
    """The language of one session."""

    def __init__(self, language: str) -> None:
        """``language``: ISO 639-1 code, or :data:`AUTO`."""
        self.language = language
        """In force: as set, or as found out; :data:`AUTO` until then."""
        self._free = language == AUTO
        self._strange = 0
        """Pieces in a row that made little sense."""
        self._run = RUN
        """How many it takes."""

    @property
    def question(self) -> str:
        """What to decode the next piece as."""
        return AUTO if self._free and self._strange >= self._run else self.language

    @property
    def otherwise(self) -> str:
        """What to decode a piece as that gave no words."""
        return AUTO if self._free else self.language

    def listen(self, heard: Heard, *, speech: int, asked: str) -> None:
        """Notes what became of a piece with so many samples of ``speech`` that was decoded as ``asked``."""
        if not self._free or speech < ENOUGH:
            return
        sense = bool(heard.words) and heard.log_probability >= STRANGE
        if heard.words and (heard.language != self.language or asked == AUTO):
            self._run = RUN if heard.language != self.language else 2 * self._run
            self.language = heard.language
            self._strange = 0
        else:
            self._strange = 0 if sense else self._strange + 1
