"""What a conversation asks of the engine, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from ambientd.core.audio import Samples
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Segment, Word

AUTO = "auto"
"""In place of a language code: let the engine find out, at the cost of a second pass of the encoder."""


class Rank(IntEnum):
    """Whose turn it is: of two requests that wait, the one of the lower rank goes first, whatever their age."""

    FINAL = 0
    """Text to commit: somebody's line waits for it, and with it all of that room's later lines."""
    PARTIAL = 1
    """A look at an open utterance: worth nothing once its final is there."""
    BACKGROUND = 2
    """A conversation heard again, or a file: runs where a lane would be idle and gives way to any final."""


@dataclass(frozen=True, slots=True)
class Request:
    """One stretch of one conversation to be heard.

    Everything a decode depends on is in here: nothing is kept in the engine between two requests, so one
    patient's words cannot colour another's.
    """

    audio: Samples
    start: int
    """Samples since the session started: where ``audio`` begins."""
    speech: int
    """Samples of ``audio`` that hold speech: what bounds how much can have been said."""
    language: str
    """ISO 639-1 code, or :data:`AUTO`."""
    prompt: str = ""
    """Text the model is to believe was said before; style and vocabulary, never another session's words."""
    rank: Rank = Rank.FINAL
    since: float = 0.0
    """When the audio came in, seconds of a monotonic clock: among equals the oldest goes first."""
    temperature: float = 0.0
    """0 takes the likeliest word each time; more lets chance in, which is what ends a loop."""
    suspected: Callable[[Heard], Sequence[Suspect]] | None = None
    """Finds in a text the words that may be names; they are weighed at once, while the audio is at hand.  Called in the
    engine's thread."""
    spare: int = 0
    """Lanes that stand idle meanwhile, so that their cores may help; the engine's affair, whoever asks leaves it."""
    text: Heard | None = None
    """What the audio says, where that is known: it is not decoded again, only its suspects are weighed."""

    @property
    def end(self) -> int:
        """Samples since the session started, exclusive."""
        return self.start + len(self.audio)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Words that may be a name, and how likely the audio is to say it."""

    said: tuple[Word, ...]
    """As heard."""
    name: str
    """The likeliest, as the vocabulary spells it."""
    log_probability: float
    """Of the name's tokens, mean, natural logarithm; of a model that was told the name."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the engine made of one request."""

    segments: tuple[Segment, ...]
    """In session time, oldest first; empty when there were no words."""
    language: str
    """ISO 639-1 code: as requested, or as detected."""
    seconds: float
    """Wall seconds the engine worked, waiting for a lane not included."""
    model: str
    """Name of the model that heard it."""
    tokens: int = 0
    """Tokens of text it took."""
    log_probability: float = 0.0
    """Mean over these tokens, natural logarithm; 0 is certain."""
    weighed: tuple[Weighed, ...] = ()
    """The suspects among its words, in order, where they were asked for."""

    @property
    def words(self) -> tuple[Word, ...]:
        """All words, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def text(self) -> str:
        """The segments' texts as one line."""
        return " ".join(segment.text for segment in self.segments)


def nothing(language: str) -> Heard:
    """The answer of an engine that heard no word."""
    return Heard((), language, 0.0, "")


class Decoder(Protocol):
    """Hears one request at a time for whoever asks; how many at once is the engine's affair."""

    @property
    def idle(self) -> bool:
        """Whether a request would be heard at once."""
        ...

    async def decode(self, request: Request) -> Heard:
        """The words in ``request``; one of rank BACKGROUND may take as long as the box is busy.

        Raises:
            DecodeFailed: no usable answer; the caller marks a gap and goes on.
        """
        ...


@dataclass(slots=True)
class Load:
    """What an engine has done so far; read by status and metrics."""

    finals: int = 0
    partials: int = 0
    background: int = 0
    evictions: int = 0
    """Background decodes that gave way to a final, and began again."""
    failures: int = 0
    busy_seconds: float = 0.0
    """Sum over lanes of the time spent decoding."""
    audio_seconds: float = 0.0
    """Audio decoded, of all ranks."""
