"""Names weighed on the audio that was just heard: how likely is it to say them?

    Rule 1  The names are told to the model as having been said before: it has hardly met some of them.
    Rule 2  A name is weighed where it would stand, behind the words before it.
    Rule 3  Nothing is encoded again: the audio is what the context heard last.

How much likelier a name is than what was heard in its place was measured too, and tells nothing more.

Source of the idea: the rescoring of alternatives, as in recognisers before Whisper; figures and what else was tried are
in docs/benchmarks.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ambientd.core.decoding import Weighed
from ambientd.core.naming import opens_sentence, written
from ambientd.core.prompt import naming_prompt
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Word
from ambientd.engine.steps import MOST_TOKENS, LogProbabilities, Steps

MOST_WEIGHED: Final = 6
"""Suspects of one text, the likest first: a text with more is a loop, or no English."""

ROOM: Final = 64
"""Tokens left for a name."""

MOST_PROMPT: Final = MOST_TOKENS // 2 - 1
"""Tokens.  Source: whisper.cpp, which cuts off the beginning of what is longer."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Tokens that are no text."""

    before: int
    """What follows was said before."""
    opening: tuple[int, ...]
    """With these every text begins."""


def weigh(
    steps: Steps,
    words: Sequence[Word],
    suspects: Sequence[Suspect],
    *,
    language: str,
    marks: Marks,
    aborted: Callable[[], bool],
) -> Iterator[Weighed]:
    """Each suspect with the likeliest of its names, in the order of the text.

    ``aborted``: asked before each suspect; the rest is then left out.

    Raises:
        DecodeFailed: whisper.cpp failed.
    """
    likest = sorted(suspects, key=lambda suspect: -suspect.score)[:MOST_WEIGHED]
    depth = max((len(suspect.names) for suspect in likest), default=0)
    names = [each.names[rank] for rank in range(depth) for each in likest if rank < len(each.names)]
    prompt = steps.tokens(" " + naming_prompt(language, names))[-MOST_PROMPT:]
    taken, upto = 0, 0
    pending = [marks.before, *prompt, *marks.opening]
    for suspect in sorted(likest, key=lambda suspect: suspect.first):
        pending += steps.tokens("".join(f" {word.text}" for word in words[upto : suspect.first]))
        if aborted() or taken + len(pending) > MOST_TOKENS - ROOM:
            return
        ahead = steps.take(pending, taken)
        taken, upto, pending = taken + len(pending), suspect.first, []
        yield _weighed(steps, words, suspect, ahead, taken)


def _weighed(
    steps: Steps, words: Sequence[Word], suspect: Suspect, ahead: LogProbabilities, past: int
) -> Weighed:
    opens = opens_sentence(words, suspect.first)
    likelihoods = {
        name: _likelihood(steps, steps.tokens(f" {written(name, opens=opens)}"), ahead, past)
        for name in suspect.names
    }
    name = max(likelihoods, key=lambda each: likelihoods[each])
    return Weighed(tuple(words[suspect.first : suspect.last]), name, likelihoods[name])


def _likelihood(steps: Steps, tokens: Sequence[int], ahead: LogProbabilities, past: int) -> float:
    """Mean over the tokens; the least there is for a name without any."""
    if not tokens:
        return -math.inf
    found = float(ahead[tokens[0]])
    for place, (token, following) in enumerate(pairwise(tokens)):
        found += float(steps.take([token], past + place)[following])
    return found / len(tokens)
