"""What a session is opened with."""

from __future__ import annotations

from dataclasses import dataclass, field

from ambientd.core.audio import RATE
from ambientd.core.record import BOX
from ambientd.core.segmenter import Rules
from ambientd.core.suspects import Search
from ambientd.errors import ClientError
from ambientd.session.limits import Limits
from ambientd.session.names import Names


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one session; most of it is the box's settings."""

    rules: Rules
    language: str
    prompt: str | None = None
    """``None`` takes a passage that fits the language."""
    multilingual: bool = True
    """Whether the model knows any language but English."""
    sample_rate: int = RATE
    """Hz: what the client sends."""
    channels: int = 1
    inbox: int = 30 * RATE
    """Samples that may wait to be judged before :meth:`Session.feed` waits."""
    limits: Limits = field(default_factory=Limits)
    ephemeral: bool = False
    """Whether nothing of the session is kept once it has ended."""
    owner: str = BOX
    """Id of the principal that opens it."""
    search: Search = field(default_factory=Search)
    """The clinic's vocabulary."""
    put_in: bool = True
    """Whether its names are put in for what was heard, or only suggested."""
    later: bool = False
    """Whether it is to be recorded now, and transcribed when the box has time."""

    def names(self) -> Names:
        """What a conversation knows of names at its beginning."""
        return Names(self.search, put_in=self.put_in)

    def check(self, language: str | None) -> None:
        """Refuses a language that the model does not know.

        Raises:
            ClientError: it does not.
        """
        if language not in {None, "en"} and not self.multilingual:
            raise ClientError("bad_language", "this box's model knows English only", hint='Use "en".')
