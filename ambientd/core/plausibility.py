"""Whether a text can be what was said: loops, noise markers, and the phrases Whisper says to silence.

Whisper always answers.  To noise it answers with a marker or a phrase from its training subtitles, and now and
then it repeats itself until its token budget is spent.  None of these may reach a patient's record.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ambientd.core.audio import seconds
from ambientd.core.decoding import Heard
from ambientd.core.transcript import Segment, Word

TOKENS_PER_SECOND: Final = 8
"""More than hurried speech takes."""
SPARE_TOKENS: Final = 12
"""Allowed on top: a single word in half a second of speech may take as many."""
LEAST_LIMIT: Final = 40
"""whisper.cpp judges the entropy of 32 tokens: with fewer allowed it would never see a loop."""
MOST_TOKENS: Final = 220
"""Half of Whisper's text window, less its own marks.  Source: whisper.cpp, ``n_text_ctx / 2 - 4``."""

LEAST_LOG_PROBABILITY: Final = -1.5
"""Mean log probability of the tokens below which a text is a guess.  Source: measured on noise, docs/benchmarks.md."""

LEAST_WORDS_PER_SECOND: Final = 0.5
"""Slower than anyone talks: hesitant conversation keeps above 1."""
ENOUGH_TO_SAY: Final = 2.0
"""Seconds of speech that must hold words; a shorter one may be a cough."""

WORDS_PER_SECOND: Final = 4.5
"""Of clear speech, that hardly anybody exceeds; nearly all that did in 4,000 decodes said something twice."""
LEAST_PHRASE: Final = 3
"""Words that make a phrase.  Source of both: measured, docs/benchmarks.md."""

REPEATS: Final = {1: 8, 2: 5, 3: 4, 4: 4, 5: 3, 6: 3, 7: 3, 8: 3}
"""How often a phrase of so many words must stand in a row for the text to be cut off there."""

MOST_COMPRESSION: Final = 2.4
"""Length over zlib-compressed length above which a text repeats itself.  Source: OpenAI Whisper, transcribe.py."""

LEAST_TO_COMPRESS: Final = 120
"""Characters below which the compression ratio says nothing."""

_WHOLE_MARKER: Final = re.compile(r"\s*[\[(*♪].*[\])*♪]\s*|[♪\s]+", re.DOTALL)
"""A segment that is nothing but a description of a sound, such as [BLANK_AUDIO] or (dishes clattering)."""

_MARKER: Final = re.compile(r"[\[(]([^\])]{1,60})[\])]|(?<!\S)\*(?=\S)([^*]{1,60})(?<=\S)\*|♪[^♪]*♪?")
"""What may be such a description among words.  A lone asterisk is a multiplication: "2 * 50 mg"."""

_NOISES: Final = frozenset(
    word
    for line in (
        "applause beep beeping blank breathing chatter chuckles clears clicking cough coughing coughs cries crying",
        "footsteps gasps groans inaudible indistinct laughing laughs laughter murmurs music noise pause phone ringing",
        "rustling silence sighs silent singing sneezes sniffs sound static typing unintelligible whispering",
    )
    for word in line.split()
)
"""Words that describe a sound; brackets around others may hold what was said."""

_SUBTITLE: Final = frozenset(
    {
        "you",
        "thank you",
        "thanks for watching",
        "thank you for watching",
        "thank you very much",
        "bye",
        "so",
        "please subscribe",
        "subtitles by the amara.org community",
    }
)
"""What Whisper says to silence, stripped of case and punctuation.  Source: heard on silence and room noise, and
listed in whisper.cpp issue 1592 and openai/whisper discussion 928."""

_SHORT_SPEECH: Final = 0.7
"""Seconds of detected speech below which a lone subtitle phrase is not believed."""

_LOW_CONFIDENCE: Final = 0.55


def cleaned(heard: Heard) -> Heard:
    """``heard`` without noise markers, and without segments that held nothing else."""
    segments = tuple(segment for segment in map(_without_markers, heard.segments) if segment.text)
    return replace(heard, segments=segments)


def most_tokens(speech: int) -> int:
    """Tokens to allow for so many samples of speech: what bounds the cost of a loop."""
    return min(MOST_TOKENS, max(LEAST_LIMIT, 2 * SPARE_TOKENS + round(TOKENS_PER_SECOND * seconds(speech))))


def doubt(heard: Heard, *, speech: int, reached: int) -> str | None:
    """Why the text cannot be what was said, as one word; ``None`` where nothing speaks against it.

    ``speech``: samples of the request's audio that the voice detector called speech.  ``reached``: those of them that
    lie before the end of the text's last segment; all, where there is no text.
    """
    if is_looped([_plain(word.text) for word in heard.words]):
        return "loop"
    if len(heard.text) >= LEAST_TO_COMPRESS and compression(heard.text) > MOST_COMPRESSION:
        return "loop"
    if heard.tokens >= SPARE_TOKENS + TOKENS_PER_SECOND * seconds(speech):
        return "babble"
    if seconds(reached) >= ENOUGH_TO_SAY and (
        is_guess(heard) or len(heard.words) < LEAST_WORDS_PER_SECOND * seconds(reached)
    ):
        return "inaudible"
    return None


def is_guess(heard: Heard) -> bool:
    """Whether the model itself hardly believes its text; such text is noise that sounded like words."""
    return heard.tokens > 0 and heard.log_probability < LEAST_LOG_PROBABILITY


def is_looped(words: Sequence[str]) -> bool:
    """Whether a word stands 7 times in a row, 2 to 7 words 3 times (and at least 6 more), or 8 and more words twice.

    Stricter than people are: they do say "no, no, no, no".  What looks like a loop costs a second decode, no more.
    """
    for length in range(1, min(24, len(words) // 2) + 1):
        enough = length if length >= _LONG_PHRASE else max(2 * length, 6)
        run = 0
        for before, word in zip(words, words[length:], strict=False):
            run = run + 1 if word == before else 0
            if run >= enough:
                return True
    return False


_LONG_PHRASE: Final = 8
"""Words that nobody says twice in a row by chance."""


def is_subtitle(heard: Heard, *, speech: int) -> bool:
    """Whether the text is a phrase Whisper says to silence, and the audio held hardly any speech."""
    if re.sub(r"[^\w\s.]", "", heard.text).strip(" .").lower() not in _SUBTITLE:
        return False
    return seconds(speech) < _SHORT_SPEECH or confidence(heard.words) < _LOW_CONFIDENCE


def said_once(heard: Heard, *, speech: int) -> Heard:
    """``heard`` without the second saying of what it says twice in a row, where nobody could speak as fast as that.

    Whisper doubles a phrase that is alone in a short piece; people who repeat themselves take the time for it.
    ``speech``: as in :func:`doubt`.
    """
    words = list(heard.words)
    most = WORDS_PER_SECOND * seconds(speech)
    while len(words) > most and (again := _said_again([_plain(word.text) for word in words])):
        del words[again]
    return heard if len(words) == len(heard.words) else only(heard, words)


def confidence(words: Sequence[Word]) -> float:
    """The mean of the words' probabilities, in [0, 1]; 0 for no words."""
    return sum(word.probability for word in words) / len(words) if words else 0.0


def compression(text: str) -> float:
    """Length over compressed length: prose stays below 2, a loop goes beyond 3."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def unlooped(heard: Heard) -> Heard:
    """``heard`` cut off where its first loop begins to repeat: what came before was heard, the rest was not."""
    words = heard.words
    end = _loop_start([_plain(word.text) for word in words])
    if end is None:
        return heard
    kept = set(map(id, words[:end]))
    segments = []
    for segment in heard.segments:
        left = tuple(word for word in segment.words if id(word) in kept)
        if left:
            whole = len(left) == len(segment.words)
            text = segment.text if whole else " ".join(word.text for word in left)
            segments.append(
                replace(segment, text=text, words=left, end=segment.end if whole else left[-1].end)
            )
    return replace(heard, segments=tuple(segments))


def _plain(word: str) -> str:
    return re.sub(r"\W+", "", word).lower()


def _said_again(words: list[str]) -> slice | None:
    """The second saying of the first, and longest, phrase that is said twice in a row."""
    for begin in range(len(words)):
        for length in range((len(words) - begin) // 2, LEAST_PHRASE - 1, -1):
            middle = begin + length
            if words[begin:middle] == words[middle : middle + length]:
                return slice(middle, middle + length)
    return None


def _loop_start(words: list[str]) -> int | None:
    """Index of the word after the first saying of a phrase that is then repeated too often; ``None`` if none is."""
    for begin in range(len(words)):
        for length, times in REPEATS.items():
            phrase = words[begin : begin + length]
            end = begin + length * times
            if end <= len(words) and all(
                words[at : at + length] == phrase for at in range(begin + length, end, length)
            ):
                return begin + length
    return None


def _without_markers(segment: Segment) -> Segment:
    if _WHOLE_MARKER.fullmatch(segment.text):
        return replace(segment, text="", words=())
    line = " ".join(word.text for word in segment.words)
    spans = [found.span() for found in _MARKER.finditer(line) if _is_noise(found)]
    if not spans:
        return segment
    kept, at = [], 0
    for word in segment.words:
        if not any(start < at + len(word.text) and at < end for start, end in spans):
            kept.append(word)
        at += len(word.text) + 1
    return replace(segment, text=" ".join(word.text for word in kept), words=tuple(kept))


def _is_noise(found: re.Match[str]) -> bool:
    inside = found[1] or found[2] or ""
    words = re.findall(r"[^\W_]+", inside)
    return inside == inside.upper() or any(word.lower() in _NOISES for word in words)


def only(heard: Heard, words: Sequence[Word]) -> Heard:
    """``heard`` with no other than these of its words."""
    kept = set(map(id, words))
    segments = []
    for segment in heard.segments:
        left = tuple(word for word in segment.words if id(word) in kept)
        if len(left) == len(segment.words):
            segments.append(segment)
        elif left:
            text = " ".join(word.text for word in left)
            segments.append(replace(segment, text=text, words=left, start=left[0].start))
    return replace(heard, segments=tuple(segments))
