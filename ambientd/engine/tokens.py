"""Whisper's tokens as phrases and words.

Whisper writes ``<|0.00|> Good morning.<|1.20|><|2.04|> What brings you in?<|3.00|>``: the times are tokens among the
text.  They bound phrases; within a phrase the words are placed by their length.  whisper.cpp can compute finer times,
but not for a decode that is kept to a single window (they come out stretched over 30 s), and they are too coarse to be
worth more windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ambientd.core.audio import RATE
from ambientd.core.transcript import Segment, Word

STEP: Final = RATE // 50
"""Samples between two time tokens.  Source: Whisper, 20 ms."""

UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages written without spaces: there each letter stands alone.  Source: OpenAI Whisper, tokenizer.py."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of text, or one time."""

    letters: bytes
    """UTF-8, perhaps only part of a letter; empty for a time."""
    probability: float
    time: int | None = None
    """Samples since the audio began, for a time token."""


def segments(tokens: Sequence[Token], *, start: int, length: int, language: str) -> tuple[Segment, ...]:
    """The phrases in ``tokens``, in session time.

    ``start``: samples, where the audio begins in the session.  ``length``: samples of the audio; no time lies beyond.
    """
    found: list[Segment] = []
    begin, text = 0, []
    for token in [*tokens, Token(b"", 1.0, length)]:
        if token.time is None:
            text.append(token)
            continue
        time = min(max(begin, token.time), length)
        if text:
            words = tuple(
                _placed(list(_split(text, spaced=language not in UNSPACED)), start + begin, start + time)
            )
            line = b"".join(part.letters for part in text).decode("utf-8", "replace").strip()
            if words and line:
                found.append(Segment(line, start + begin, start + time, words))
            text = []
        begin = time
    return tuple(found)


def _split(tokens: Sequence[Token], *, spaced: bool) -> Iterator[tuple[bytes, float]]:
    """Words as their letters and mean probability.

    A token that opens with a space opens a word.  A letter may be spread over several tokens, so bytes are joined
    before they are decoded.
    """
    letters = b""
    probabilities: list[float] = []
    for token in tokens:
        if probabilities and (token.letters.startswith(b" ") if spaced else _is_whole(letters)):
            yield letters, sum(probabilities) / len(probabilities)
            letters, probabilities = b"", []
        letters += token.letters
        probabilities.append(token.probability)
    if probabilities:
        yield letters, sum(probabilities) / len(probabilities)


def _is_whole(letters: bytes) -> bool:
    """Whether the bytes end at the end of a letter."""
    try:
        letters.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _placed(words: list[tuple[bytes, float]], begin: int, end: int) -> Iterator[Word]:
    """The words one after the other between two times, each as long as its share of the letters."""
    known = [(letters.decode("utf-8", "replace").strip(), probability) for letters, probability in words]
    known = [(text, probability) for text, probability in known if text]
    total = sum(len(text) + 1 for text, _ in known)
    edges = [begin]
    spoken = 0
    for text, _ in known:
        spoken += len(text) + 1
        edges.append(begin + (end - begin) * spoken // total)
    for (text, probability), (first, last) in zip(known, pairwise(edges), strict=True):
        yield Word(text, first, last, probability)
