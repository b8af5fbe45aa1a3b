"""Words that may be a name misheard: spans of a text that sound like an entry of the vocabulary and are not one.

What is suspected of being a name:

    Rule 1  A span that spells a name is that name, and beyond suspicion.
    Rule 2  A span is looked at if a word of it is no ordinary word, or if it is several words that the engine hardly
            believed.  What is ordinary the model knows: it has a token for the word.  A single ordinary word is always
            believed: "crystal" is what people take, and not a misheard Crestor.
    Rule 3  It does not reach across the end of a sentence.
    Rule 4  Of spans that overlap the likest stands; the names that others of them sound like are kept with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np

from ambientd.core.sounds import coded, likenesses, sounds, weight
from ambientd.core.transcript import Word
from ambientd.core.vocabulary import MOST_WORDS, Vocabulary, spelling

LIKE: Final = 0.72
"""Likeness from which a span is suspected."""
LIKE_IF_SHORT: Final = 0.77
"""The same for a span of ordinary words, or of less weight than ``HEAVY``: of short words many are alike by chance."""
LIKE_IF_SAID: Final = 0.67
"""The same for a name that the conversation has had already.  Source of the three: measured, docs/benchmarks.md."""
HEAVY: Final = 5.5
LEAST_WEIGHT: Final = 3.0
"""Of sounds: anything sounds like a shorter name."""
LONGEST_SPAN: Final = 5
"""Words: "a pick sabon" is three for one."""
HARDLY_BELIEVED: Final = 0.65
"""Mean probability, the engine's own, below which even a span of ordinary words may be something else."""
MOST_NAMES: Final = 3
"""Names one span may be suspected of."""
CLOSE: Final = 0.1
"""How much less alike than the likest a name may be to be kept beside it."""

HESITATIONS: Final = frozenset({"um", "uh", "er", "erm", "mm", "hmm", "mhm"})

_CLASSES: Final = ("bp", "dt", "kgCj", "fv", "szS", "mn", "l", "r", "aiou")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A span of words, and what it may be."""

    first: int
    """Index of its first word."""
    last: int
    """Index after its last word."""
    names: tuple[str, ...]
    """Likest first."""
    score: float
    """Likeness to the first of them, in [0, 1]."""
    ordinary: bool = False
    """Whether all its words are ordinary ones, which the engine hardly believed."""


class Index:
    """A vocabulary made ready to be searched by sound; never changes."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._names = {spelling(entry.name): entry.name for entry in vocabulary.entries}
        forms = (
            (sounds(form), entry.name)
            for entry in vocabulary.entries
            for form in (entry.name, *entry.aliases)
        )
        self._forms = [(spoken, name) for spoken, name in forms if weight(spoken) >= LEAST_WEIGHT]
        self._codes = coded([spoken for spoken, _ in self._forms])
        self._weights = np.array([weight(spoken) for spoken, _ in self._forms], np.float32)
        bags = [_bag(spoken) for spoken, _ in self._forms]
        self._bags = np.array(bags, np.float32).reshape(-1, len(_CLASSES))

    def __len__(self) -> int:
        return len(self.vocabulary.entries)

    def spelt(self, letters: str) -> str | None:
        """The name with this :func:`spelling`, also in the plural; ``None`` if there is none."""
        return self._names.get(letters) or self._names.get(letters.removesuffix("s"))

    def like(self, spoken: Sequence[str], least: Sequence[float]) -> Iterator[tuple[int, float, str]]:
        """The names that sound enough like one of ``spoken``: which one, the likeness, the name.

        ``least``: for each of ``spoken`` the likeness that is enough.
        """
        if not spoken or not self._forms:
            return
        needed = np.array(least, np.float32)[:, None]
        heavy = np.array([weight(each) for each in spoken], np.float32)[:, None]
        # Cheap and for all at once: what differs in weight, or in how many sounds of each kind it has, is not like it.
        larger = np.maximum(self._weights, heavy)
        near = np.abs(self._weights - heavy) <= (1 - needed) * 1.4 * larger
        rows, columns = np.nonzero(near)
        bags = np.array([_bag(each) for each in spoken], np.float32)
        apart = np.abs(self._bags[columns] - bags[rows]).sum(axis=1)
        kept = apart <= 2 * (1 - needed[rows, 0]) * larger[rows, columns] + 1
        rows, columns = rows[kept], columns[kept]
        scores = likenesses(coded(spoken)[rows], self._codes[columns])
        for at in np.flatnonzero(scores >= needed[rows, 0]):
            yield int(rows[at]), float(scores[at]), self._forms[columns[at]][1]


@dataclass(frozen=True, slots=True)
class Search:
    """What a conversation is searched for."""

    indexes: tuple[Index, ...] = ()
    """The clinic's, and the session's own."""
    ordinary: AbstractSet[str] = frozenset()
    """Words in lower case that need no help."""

    def named(self, words: Sequence[Word]) -> Iterator[tuple[int, int, str]]:
        """The names that the words spell, in order: first word, the one after the last, name."""
        at = 0
        while at < len(words):
            joined, hit = "", None
            for end in range(at, min(at + MOST_WORDS, len(words))):
                joined += spelling(words[end].text)
                name = next(filter(None, (index.spelt(joined) for index in self.indexes)), None)
                hit = (at, end + 1, name) if name else hit
            if hit:
                yield hit
            at = hit[1] if hit else at + 1

    def suspects(
        self, words: Sequence[Word], said: AbstractSet[str] = frozenset(), language: str = "en"
    ) -> tuple[Suspect, ...]:
        """The spans that may be names, in order, none overlapping another.

        ``said``: names that the conversation has had.  In another ``language`` than English nobody knows which words
        are ordinary, so all count as such.
        """
        settled = {at for first, last, _ in self.named(words) for at in range(first, last)}
        spans = [
            (first, last, spoken, ordinary)
            for first, last, ordinary in self._spans(words, settled, any_odd=language == "en")
            if weight(spoken := sounds(" ".join(word.text for word in words[first:last]))) >= LEAST_WEIGHT
        ]
        least = [
            LIKE if weight(spoken) >= HEAVY and not ordinary else LIKE_IF_SHORT
            for _, _, spoken, ordinary in spans
        ]
        lower = [
            LIKE_IF_SAID if said and not ordinary else enough
            for enough, (*_, ordinary) in zip(least, spans, strict=True)
        ]
        found = [
            (score, *spans[at][:2], name, spans[at][3])
            for index in self.indexes
            for at, score, name in index.like([spoken for _, _, spoken, _ in spans], lower)
            if score >= least[at] or name in said
        ]
        return tuple(sorted(_apart(found), key=lambda suspect: suspect.first))

    def _spans(
        self, words: Sequence[Word], settled: AbstractSet[int], *, any_odd: bool
    ) -> Iterator[tuple[int, int, bool]]:
        """Spans to be looked at, each with whether all its words are ordinary."""
        for first in range(len(words)):
            odd, believed = False, 0.0
            for last in range(first + 1, min(first + LONGEST_SPAN, len(words)) + 1):
                word = words[last - 1]
                if last - 1 in settled:
                    break
                odd = odd or (any_odd and not self._is_ordinary(word.text))
                believed += word.probability
                if odd or (last - first > 1 and believed < HARDLY_BELIEVED * (last - first)):
                    yield first, last, not odd
                if word.text.endswith((".", "?", "!")):
                    break

    def _is_ordinary(self, word: str) -> bool:
        """Of "they're" the first part decides."""
        stem = re.split(r"['\u2019]", word.lower().strip("'\u2019"))[0]
        return all(
            part in self.ordinary or part in HESITATIONS or part.isdigit()
            for part in re.split(r"[\W_]+", stem)
            if part
        )


def _bag(spoken: str) -> list[float]:
    """How much of each kind of sound there is."""
    return [
        sum(spoken.count(sound) for sound in kind) * (0.5 if kind == "aiou" else 1.0) for kind in _CLASSES
    ]


_Found = tuple[float, int, int, str, bool]
"""Likeness, first word, the one after the last, name, whether all words are ordinary."""


def _apart(found: Sequence[_Found]) -> Iterator[Suspect]:
    """Rule 4."""
    left = sorted(found, key=lambda each: (-each[0], each[2] - each[1], each[1], each[3]))
    while left:
        best, first, last, _, ordinary = left[0]
        names = [
            name
            for score, start, end, name, _ in left
            if start < last and first < end and score >= best - CLOSE
        ]
        yield Suspect(first, last, tuple(dict.fromkeys(names))[:MOST_NAMES], round(best, 3), ordinary)
        left = [each for each in left if each[1] >= last or each[2] <= first]
