"""The names of one conversation: heard again where they seem to have been misheard, suggested where that did not help.

Rule 1  The first decode knows no names: a prompt with names in it makes ordinary words worse.
Rule 2  A text with suspects is decoded once more, with the suspected names as its prompt.
Rule 3  Of that second decode only names are taken: see :mod:`ambientd.core.naming`.
Rule 4  What remains suspect is suggested, never put in.
Rule 5  Names that were said are expected again, in this session only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ambientd.core import plausibility
from ambientd.core.decoding import Decoder, Heard, Request
from ambientd.core.naming import Confirmed, confirmed, suggestions, with_names
from ambientd.core.prompt import naming_prompt
from ambientd.core.suspects import Index, Search
from ambientd.core.transcript import Line, Suggestion, Word
from ambientd.core.vocabulary import Vocabulary
from ambientd.errors import DecodeFailed

MOST_SAID: Final = 64
"""Names of one conversation that are expected again."""


class Names:
    """What one session knows of names."""

    def __init__(self, search: Search | None = None) -> None:
        self._clinic = search or Search()
        self._search = self._clinic
        self._said: dict[str, None] = {}
        self._put: tuple[Confirmed, ...] = ()
        """The names put in of late."""

    def own(self, names: Sequence[str]) -> None:
        """Names of this session, besides the clinic's; replaces those given before."""
        index = Index(Vocabulary().with_names(names))
        indexes = (index, *self._clinic.indexes) if len(index) else self._clinic.indexes
        self._search = replace(self._clinic, indexes=indexes)

    async def heard_again(
        self, decoder: Decoder, request: Request, heard: Heard, *, after: int = 0
    ) -> tuple[Heard, float]:
        """``heard`` with its names right, as far as a second decode of ``request`` confirms them, and its seconds.

        ``after``: samples; what was said before stands in a line already.
        """
        search = self._search
        if not any(map(len, search.indexes)):
            return heard, 0.0
        # A long text against a long list takes longer than the event loop may stand still.
        suspects = await asyncio.to_thread(
            search.suspects, heard.words, frozenset(self._said), heard.language
        )
        suspects = tuple(each for each in suspects if heard.words[each.last - 1].end > after)
        likely = sorted(suspects, key=lambda suspect: -suspect.score)
        depth = max((len(suspect.names) for suspect in suspects), default=0)
        # The likest of every suspect before anybody's second.
        names = [each.names[rank] for rank in range(depth) for each in likely if rank < len(each.names)]
        spent = 0.0
        if prompt := naming_prompt(heard.language, names):
            try:
                again = await decoder.decode(
                    replace(request, prompt=prompt, language=heard.language, temperature=0.0)
                )
            except DecodeFailed:
                again = None  # the first decode stands
            if again:
                spent = again.seconds
                found = confirmed(heard, plausibility.cleaned(again), search)
                heard = with_names(heard, found)
                self._put = (*self._put[-MOST_SAID:], *found)
        self._remember(heard.words)
        return heard, spent

    async def suggestions(self, words: Sequence[Word], language: str) -> tuple[Suggestion, ...]:
        """Names that may have been meant; ``words`` with the engine's own probabilities."""
        if not any(map(len, self._search.indexes)):
            return ()
        found = await asyncio.to_thread(self._search.suspects, words, frozenset(self._said), language)
        return suggestions(found, words)

    def corrections(self, words: Sequence[Word]) -> tuple[Suggestion, ...]:
        """Which of these ``words`` were put in, and what stood there before."""
        first = {each.words[0]: each for each in self._put}
        return tuple(
            Suggestion(
                at, at + len(put.words), put.said, " ".join(each.text for each in put.words), put.score
            )
            for at, word in enumerate(words)
            if (put := first.get(word)) and tuple(words[at : at + len(put.words)]) == put.words
        )

    async def marked(self, line: Line, words: Sequence[Word]) -> Line:
        """The line with its marks: names that may have been meant, names that were put in.

        words: the line's, with the engine's own probabilities: calibrated ones would name other suspects.
        """
        return replace(
            line,
            suggestions=await self.suggestions(words, line.language),
            corrections=self.corrections(words),
        )

    def _remember(self, words: Sequence[Word]) -> None:
        for _, _, name in self._search.named(words):
            self._said.pop(name, None)
            self._said[name] = None
        while len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
