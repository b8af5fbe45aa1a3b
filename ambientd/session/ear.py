"""Hearing one piece: decode, doubt, decode again more carefully, or give up what cannot be believed.

    Rule 1  Noise markers are never text, nor is a phrase said twice faster than anybody speaks.
    Rule 2  A doubtful decode is repeated once, without the prompt and with some chance: what leads into a loop is
            the likeliest word each time, or the prompt.
    Rule 3  What is still a loop is cut off where it begins to repeat; the rest, and speech that gave hardly a word, is
            a marked gap.
    Rule 4  A subtitle phrase said to hardly any speech, and a text the model itself hardly believes, is silence.

    Rule 5  Where Whisper stopped early, so that speech lies behind its last time token, that speech is *unheard*: it
            is to be heard again together with what follows, from the breath before.  One piece in twelve loses a
            clause that way otherwise.  See :mod:`~ambientd.core.seam`.

    Rule 6  Names that seem misheard are weighed against what was heard, while the audio is at hand, if the text is not
            doubtful otherwise: see :mod:`~ambientd.session.names`.

So no piece costs more than one ordinary decode and one careful one; what is unheard is heard again as part of the next,
and whoever calls may say that enough has been carried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ambientd.core import plausibility
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder, Heard, Rank, Request
from ambientd.core.seam import MARGIN, breath
from ambientd.core.segmenter import Piece
from ambientd.core.transcript import Gap
from ambientd.session.names import Names

CHANCE: Final = 0.4
"""Temperature of the second decode.  Source: measured, docs/benchmarks.md: at 0.2 the same loops come again."""


WORTH_HEARING: Final = RATE * 35 // 100
"""Samples of speech behind the last time token that are worth another decode."""
LEAST_HEARD: Final = RATE
"""A text that reaches less far is no progress: hearing the rest again would hear the same, so it is a gap.
Source of both: measured, docs/benchmarks.md."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was made of one piece."""

    heard: Heard
    seconds: float
    """Engine seconds, both decodes together."""
    gap: Gap | None = None
    """The part of the piece whose text could not be believed."""
    unheard: Piece | None = None
    """The end of the piece, if it holds speech that the text does not reach."""


async def hear(
    decoder: Decoder,
    piece: Piece,
    *,
    language: str,
    prompt: str = "",
    since: float = 0.0,
    may_carry: bool = True,
    from_breath: bool = True,
    rank: Rank = Rank.FINAL,
    first: Heard | None = None,
    otherwise: str | None = None,
    names: Names | None = None,
    names_after: int = 0,
) -> Hearing:
    """The believable words in ``piece``.

    ``since``: when the piece came in, see :class:`Request`.
    ``first``: what the first decode would give, where that is known.
    ``otherwise``: the language to try where ``language`` gave hardly a word; without one, the same.
    ``names``: those of the conversation, where there are any; ``names_after``: see :meth:`Names.suspected`.
    ``may_carry``: whether what is unheard may be left for later; otherwise it is a gap.
    ``from_breath``: whether it is to be taken up at the breath before, see :mod:`~ambientd.core.seam`.

    Raises:
        DecodeFailed: the engine gave no answer at all.
    """
    request = Request(piece.audio, piece.start, piece.speech, language, prompt, rank, since=since)
    spent = 0.0
    if first is None:
        suspected = names.suspected(after=names_after) if names else None
        first = await decoder.decode(replace(request, suspected=suspected))
        spent = first.seconds
    elif names:
        first, spent = await names.weighed(decoder, request, first, after=names_after)
    heard = plausibility.cleaned(first)
    doubt = _doubt(heard, piece)
    if doubt:
        careful = replace(request, prompt="", temperature=CHANCE)
        if doubt == "inaudible" and otherwise:
            careful = replace(careful, language=otherwise)
        heard = plausibility.cleaned(await decoder.decode(careful))
        spent += heard.seconds
        doubt = _doubt(heard, piece)
    elif names and heard.words and not is_silence(heard, piece):
        heard = names.put_in(heard)
    gap = None
    if doubt:
        heard, gap = _believable(heard, piece, doubt)
    else:
        heard = plausibility.said_once(heard, speech=piece.speech)
    if is_silence(heard, piece):
        heard = replace(heard, segments=())
    if gap or not heard.segments:
        return Hearing(heard, spent, gap)
    return _with_rest(Hearing(heard, spent), piece, may_carry=may_carry, from_breath=from_breath)


def is_silence(heard: Heard, piece: Piece) -> bool:
    """Whether the text is one that Whisper makes up where nothing was said."""
    return plausibility.is_subtitle(heard, speech=piece.speech) or plausibility.is_guess(heard)


def _doubt(heard: Heard, piece: Piece) -> str | None:
    reached = heard.segments[-1].end if heard.segments else piece.end
    return plausibility.doubt(heard, speech=piece.speech, reached=piece.speech - piece.after(reached).speech)


def _believable(heard: Heard, piece: Piece, doubt: str) -> tuple[Heard, Gap | None]:
    """What can be kept of a text that is doubtful even at the second decode, and the gap for the rest."""
    kept = plausibility.unlooped(heard)
    if kept is heard and doubt == "loop":
        return heard, None  # something was said twice, and heard twice
    if kept is heard and not (doubt == "inaudible" and heard.words and not plausibility.is_guess(heard)):
        kept = replace(heard, segments=())
    end = kept.segments[-1].end if kept.segments else piece.start
    return kept, Gap(end, piece.end, doubt) if end < piece.end else None


def _with_rest(hearing: Hearing, piece: Piece, *, may_carry: bool, from_breath: bool) -> Hearing:
    """Rule 5: what to do with speech that the text does not reach."""
    reached = hearing.heard.segments[-1].end
    if piece.after(reached).speech < WORTH_HEARING:
        return hearing
    if may_carry and reached >= piece.start + LEAST_HEARD:
        again = breath(piece, reached, after=piece.start + LEAST_HEARD) if from_breath else reached - MARGIN
        return replace(hearing, unheard=piece.after(again))
    return replace(hearing, gap=Gap(reached, piece.end, "inaudible"))
