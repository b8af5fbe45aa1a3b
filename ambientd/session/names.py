"""The names of one conversation: weighed where they seem to have been misheard, suggested where that did not help.

Rule 1  The decode knows no names: a prompt with names in it makes ordinary words worse.
Rule 2  Where a text has suspects, the engine weighs the suspected names against what was heard, on the same audio.
Rule 3  A name is put in if audio and sound speak for it: see :mod:`ambientd.core.naming`.
Rule 4  What remains suspect is suggested, never put in.
Rule 5  Where the clinic wants no name put in, nothing is weighed, and Rule 4 holds for all.
Rule 6  Names that were said are expected again, in this session only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ambientd.core.decoding import Decoder, Heard, Request
from ambientd.core.marks import corrections
from ambientd.core.naming import confirmed, suggestions, with_names
from ambientd.core.suspects import Index, Search, Suspect
from ambientd.core.transcript import Line, Suggestion, Word
from ambientd.core.vocabulary import Vocabulary
from ambientd.errors import DecodeFailed

MOST_SAID: Final = 64
"""Names of one conversation that are expected again."""


class Names:
    """What one session knows of names."""

    def __init__(self, search: Search | None = None, *, put_in: bool = True) -> None:
        """``put_in``: whether names are put in at all; else nothing is weighed, and all suspects are suggested."""
        self._puts_in = put_in
        self._clinic = search or Search()
        self._search = self._clinic
        self._said: dict[str, None] = {}

    def own(self, names: Sequence[str]) -> None:
        """Names of this session, besides the clinic's; replaces those given before."""
        index = Index(Vocabulary().with_names(names))
        indexes = (index, *self._clinic.indexes) if len(index) else self._clinic.indexes
        self._search = replace(self._clinic, indexes=indexes)

    def suspected(self, *, after: int = 0) -> Callable[[Heard], Sequence[Suspect]] | None:
        """Finds the suspects in a text; ``None`` where none would be put in.  May be called in any thread.

        ``after``: samples; what was said before stands in a line already.
        """
        search, said = self._search, frozenset(self._said)
        if not self._puts_in or not any(map(len, search.indexes)):
            return None

        def find(heard: Heard) -> list[Suspect]:
            words = heard.words
            found = search.suspects(words, said, heard.language)
            return [each for each in found if words[each.last - 1].end > after]

        return find

    async def weighed(
        self, decoder: Decoder, request: Request, heard: Heard, *, after: int = 0
    ) -> tuple[Heard, float]:
        """What is known to be said, its suspects weighed, and the engine's seconds for that; ``request``: its audio."""
        find = self.suspected(after=after)
        # A long text against a long list takes longer than the event loop may stand still.
        if find is None or not await asyncio.to_thread(find, heard):
            return heard, 0.0
        try:
            again = await decoder.decode(
                replace(request, language=heard.language, text=heard, suspected=find, temperature=0.0)
            )
        except DecodeFailed:
            return heard, 0.0  # the text stands
        return replace(heard, weighed=again.weighed), again.seconds

    def put_in(self, heard: Heard) -> Heard:
        """``heard`` with the names that its audio speaks for."""
        if self._puts_in:
            heard = with_names(heard, confirmed(heard))
        self._remember(heard.words)
        return heard

    async def suggestions(self, words: Sequence[Word], language: str) -> tuple[Suggestion, ...]:
        """Names that may have been meant; ``words`` with the engine's own probabilities."""
        if not any(map(len, self._search.indexes)):
            return ()
        found = await asyncio.to_thread(self._search.suspects, words, frozenset(self._said), language)
        return suggestions(found, words)

    async def marked(self, line: Line, words: Sequence[Word]) -> Line:
        """The line with its marks: names that may have been meant, names that were put in.

        words: the line's, with the engine's own probabilities: calibrated ones would name other suspects.
        """
        return replace(
            line,
            suggestions=await self.suggestions(words, line.language),
            corrections=corrections(line.words),
        )

    def _remember(self, words: Sequence[Word]) -> None:
        for _, _, name in self._search.named(words):
            self._said.pop(name, None)
            self._said[name] = None
        while len(self._said) > MOST_SAID:
            del self._said[next(iter(self._said))]
