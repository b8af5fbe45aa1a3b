"""What the model is told was said before: a few sentences in the style of the talk to come.

Whisper goes on in the style of its prompt.  A bare list of drug names makes it terse and drop words; running text of
the same conversation makes it loop; a fixed conversational passage with hesitations makes it keep the small words.
Source: measured, docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CONVERSATIONS: Final = {
    "en": (
        "A doctor talks with a patient. Um, yeah, so I've been having, uh, some pain, you know, for like two weeks. "
        "Okay. And, um, any fever or chills? No, no, not that I know of."
    )
}
"""Language -> passage.  A passage in another language than the one spoken does harm, so the others have none."""


def prompt_for(language: str, own: str | None) -> str:
    """The prompt for a conversation in ``language``: the clinic's ``own``, which may be empty; without one, ours."""
    return CONVERSATIONS.get(language, "") if own is None else own


MOST_PROMPT: Final = 200
"""Tokens of names in a prompt.  Whisper takes 224, and cuts off the beginning of what is longer.
Source: whisper.cpp, ``n_text_ctx / 2``."""

_SAYING: Final = {"en": "We talked about {0}, you know, {0}. Yeah, {0}."}
_ANY_SAYING: Final = "{0}, {0}. {0}."
"""Thrice, because once makes the small models spell a name nearly right.  Names are names in any language."""


def naming_prompt(language: str, names: Iterable[str]) -> str:
    """A prompt that has had these names, the first ones if there are too many for it; empty without names.

    It makes the text around the names worse: see :mod:`ambientd.core.naming`.
    """
    saying = _SAYING.get(language, _ANY_SAYING)
    parts, left = [], MOST_PROMPT
    for name in dict.fromkeys(names):
        left -= 3 * most_tokens_of(name) + len(saying.split()) + saying.count(",") + saying.count(".")
        if left < 0:
            break
        parts.append(saying.format(name))
    return " ".join(parts)


def most_tokens_of(name: str) -> int:
    """More tokens than Whisper needs for ``name``: two letters each, one for every other byte, one a word on top."""
    letters = sum(letter.isascii() and letter.isalpha() for letter in name)
    return -(-letters // 2) + len(name.encode()) - letters + len(name.split())
