"""A few seconds of the microphone, in memory only: how loud it is, and what is understood."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Decoder
from ambientd.core.microphone import NO_SIGNAL, Gap, Level, Sound
from ambientd.core.prompt import prompt_for
from ambientd.core.segmenter import Detect, Rules, Segmenter
from ambientd.errors import DecodeFailed
from ambientd.session.ear import hear

SECONDS: Final = 5.0
"""How long a trial lasts."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    seconds: float
    lost_seconds: float
    """Of which nothing was captured."""
    speech_seconds: float
    """In which somebody spoke."""
    level: Level
    """Over the whole of it."""
    text: str
    language: str


def together(heard: Sequence[Sound | Gap]) -> tuple[Samples, int]:
    """What was captured in one, and how many samples were lost."""
    sounds = [each.samples for each in heard if isinstance(each, Sound)]
    lost = sum(each.samples for each in heard if isinstance(each, Gap))
    return (np.concatenate(sounds) if sounds else np.empty(0, np.float32)), lost


async def judged(
    heard: Sequence[Sound | Gap],
    level: Level,
    *,
    decoder: Decoder,
    detector: Callable[[], Detect],
    rules: Rules,
    language: str,
    prompt: str | None,
) -> Trial:
    """What can be said of what the microphone gave.

    ``level``: the meter's own at the end: it knows the signal before it was resampled.
    """
    audio, lost = together(heard)
    segmenter = Segmenter(detector(), rules)
    pieces = [*segmenter.receive(audio), *segmenter.finish()]
    texts, found = [], language
    for piece in pieces:
        try:
            hearing = await hear(
                decoder,
                piece,
                language=language,
                prompt=prompt_for(language, prompt),
                may_carry=False,
            )
        except DecodeFailed:
            continue
        texts.append(hearing.heard.text)
        found = hearing.heard.language
    return Trial(
        len(audio) / RATE,
        lost / RATE,
        sum(piece.speech for piece in pieces) / RATE,
        Level(_decibels(_rms(audio)), _decibels(_peak(audio)), level.clipping, level.silent),
        " ".join(text for text in texts if text),
        found,
    )


def _rms(audio: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if len(audio) else 0.0


def _peak(audio: Samples) -> float:
    return float(np.abs(audio).max()) if len(audio) else 0.0


def _decibels(amplitude: float) -> float:
    return round(max(NO_SIGNAL, 20 * math.log10(amplitude)), 1) if amplitude > 0 else NO_SIGNAL
