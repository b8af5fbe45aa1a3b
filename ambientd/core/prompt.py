"""What the model is told was said before: a few sentences in the style of the talk to come.

Whisper goes on in the style of its prompt.  A bare list of drug names makes it terse and drop words; running text of
the same conversation makes it loop; a fixed conversational passage with hesitations makes it keep the small words.
Source: measured, docs/benchmarks.md.
"""

from __future__ import annotations

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
