"""Hearing one piece: decode, doubt, decode again more carefully, or give up what cannot be believed.

    Rule 1  Noise markers are never text.
    Rule 2  A doubtful decode is repeated once, without the prompt and with some chance: what leads into a loop is
            the likeliest word each time, or the prompt.
    Rule 3  What is still a loop is cut off where it begins to repeat; the rest is a marked gap.
    Rule 4  A subtitle phrase said to hardly any speech is silence.

So no piece ever costs more than one ordinary and one careful decode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ambientd.core import plausibility
from ambientd.core.decoding import Decoder, Heard, Request
from ambientd.core.segmenter import Piece
from ambientd.core.transcript import Gap

CHANCE: Final = 0.4
"""Temperature of the second decode.  Source: measured, docs/benchmarks.md: at 0.2 the same loops come again."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was made of one piece."""

    heard: Heard
    seconds: float
    """Engine seconds, both decodes together."""
    gap: Gap | None
    """The part of the piece whose text could not be believed."""


async def hear(decoder: Decoder, piece: Piece, *, language: str, prompt: str = "") -> Hearing:
    """The believable words in ``piece``.

    Raises:
        DecodeFailed: the engine gave no answer at all.
    """
    request = Request(piece.audio, piece.start, language, prompt)
    heard = plausibility.cleaned(await decoder.decode(request))
    spent = heard.seconds
    doubt = plausibility.doubt(heard, speech=piece.speech)
    gap = None
    if doubt:
        careful = replace(request, prompt="", temperature=CHANCE)
        again = plausibility.cleaned(await decoder.decode(careful))
        spent += again.seconds
        heard = again
        doubt = plausibility.doubt(again, speech=piece.speech)
    if doubt:
        heard = plausibility.unlooped(heard)
        if plausibility.doubt(heard, speech=piece.speech):
            heard = replace(heard, segments=())
        end = heard.segments[-1].end if heard.segments else piece.start
        gap = Gap(min(end, piece.end), piece.end, doubt)
    if plausibility.is_subtitle(heard, speech=piece.speech):
        heard = replace(heard, segments=())
    return Hearing(heard, spent, gap)
