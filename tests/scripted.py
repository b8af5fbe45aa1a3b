"""An engine and a voice detector that do as they are told, for tests of what lies above them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Heard, Load, Request, Weighed
from ambientd.core.segmenter import FRAME, Rules
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Segment, Word
from ambientd.session.limits import Limits
from ambientd.session.terms import Terms

RULES = Rules(
    pre_roll=4 * FRAME,
    post_roll=2 * FRAME,
    pause=6 * FRAME,
    least=RATE,
    most=4 * RATE,
    patience=RATE // 2,
    search=RATE,
    min_speech=3 * FRAME,
)


def detect(frame: Samples) -> float:
    return 0.9 if abs(frame).max() > 0.1 else 0.0


def speech(seconds: float) -> Samples:
    return np.full(round(seconds * RATE), 0.5, np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def heard(request: Request, text: str = "It hurts here.", language: str = "en") -> Heard:
    words = tuple(
        Word(word, request.start + 1600 * i, request.start + 1600 * (i + 1), 0.9)
        for i, word in enumerate(text.split())
    )
    segments = (Segment(text, request.start, request.end, words),) if words else ()
    return Heard(segments, language, 0.01, "scripted")


def weighed(
    text: Heard, suspects: Sequence[Suspect], certainty: Callable[[str, str], float]
) -> tuple[Weighed, ...]:
    """What an engine finds that is so certain of the first name of each suspect."""
    words = text.words
    spans = [(words[each.first : each.last], each.names[0]) for each in suspects]
    return tuple(Weighed(span, name, certainty(" ".join(w.text for w in span), name)) for span, name in spans)


@dataclass
class Engine:
    """Answers each request from a script; without one, always the same words."""

    script: Callable[[Request], Heard] = heard
    certainty: Callable[[str, str], float] = lambda _said, _name: -9.0
    """The log probability of a name in place of what was said."""
    weighed: list[str] = field(default_factory=list)
    """The names that were weighed."""
    requests: list[Request] = field(default_factory=list)
    delay: float = 0.0
    waiting: int = 0
    busy: int = 0
    count: int = 1
    idle: bool = True
    overdue: float = 0.0
    load: Load = field(default_factory=Load)

    async def decode(self, request: Request) -> Heard:
        self.requests.append(request)
        await asyncio.sleep(self.delay)
        text = request.text or self.script(request)
        if request.suspected is None:
            return text
        suspects = request.suspected(text)
        self.weighed += [name for each in suspects for name in each.names]
        return replace(text, weighed=weighed(text, suspects, self.certainty))


def terms_of(**options: Any) -> Terms:
    """Terms for a scripted session; limits may stand among the options by their own names."""
    names = ("grace", "idle", "longest", "pause", "silence")
    limits = {name: options.pop(name) for name in names if name in options}
    return Terms(rules=RULES, limits=Limits(**limits), **{"language": "en", **options})
