"""What was said, and when: words in segments in lines, and the gaps where nothing could be heard.

All times are samples at 16 kHz since the session started.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Put:
    """That a word is of a name which was put in for what was heard."""

    said: str
    """The words as they were heard."""
    name: str
    """As the vocabulary spells it."""
    score: float
    """Likeness of the two in sound, in [0, 1]."""
    part: int = 0
    """Which of the name's words it is, from 0."""

    def follows(self, other: Put | None) -> bool:
        """Whether ``other`` is of the word before, in the same name."""
        return other is not None and other == replace(self, part=self.part - 1)


@dataclass(frozen=True, slots=True)
class Word:
    """One word as heard, punctuation attached, without surrounding space."""

    text: str
    start: int
    """Samples."""
    end: int
    """Samples; never before ``start``."""
    probability: float
    """In [0, 1].  As heard: the engine's own, the mean over the word's tokens.  In a line: how likely it is right."""
    put: Put | None = None
    """``None`` for what was heard."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase as the engine bounded it."""

    text: str
    start: int
    """Samples."""
    end: int
    """Samples."""
    words: tuple[Word, ...]

    def not_before(self, moment: int) -> Segment:
        """The same phrase with every time before ``moment`` (samples) moved up to it."""
        if self.start >= moment:
            return self
        words = tuple(
            replace(word, start=max(word.start, moment), end=max(word.end, moment)) for word in self.words
        )
        return Segment(self.text, moment, max(self.end, moment), words)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name that may have been meant, or that was put in: for the reader to decide."""

    first: int
    """Index of its first word among the line's words."""
    last: int
    """Index after its last word."""
    said: str
    """The words as they were heard."""
    suggested: str
    """The name as the vocabulary spells it."""
    score: float
    """Likeness in sound, in [0, 1]."""

    def shifted(self, words: int) -> Suggestion:
        """The same with so many more words before it."""
        return replace(self, first=self.first + words, last=self.last + words)


@dataclass(frozen=True, slots=True)
class Line:
    """Committed text: stored before it is shown, and never changed afterwards."""

    index: int
    """0, 1, 2 … within the session, without a hole."""
    text: str
    start: int
    """Samples: where the audio it was decoded from begins."""
    end: int
    """Samples: where that audio ends."""
    segments: tuple[Segment, ...]
    confidence: float
    """In [0, 1]: the mean of the words' probabilities, and so the share of them that is likely to be right."""
    language: str
    """ISO 639-1 code, such as ``en``."""
    model: str
    """Name of the model that heard it, such as ``base-q8_0``."""
    processing_ms: float
    """Wall milliseconds from the audio being ready to the text being ready."""
    suggestions: tuple[Suggestion, ...] = ()
    """Names that may have been meant; the text has what was heard."""
    corrections: tuple[Suggestion, ...] = ()
    """Names that were put in; the text has them, each mark what was heard.  Made from the words: see
    :mod:`ambientd.core.marks`."""

    @property
    def words(self) -> tuple[Word, ...]:
        """All words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)


@dataclass(frozen=True, slots=True)
class Gap:
    """Audio that was received but gave no text for a reason other than silence."""

    start: int
    """Samples."""
    end: int
    """Samples."""
    reason: str
    """One of a small set of words, such as ``decode_timeout``; never free text."""
