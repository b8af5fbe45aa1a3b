"""A session that is only recorded: its audio is stored sealed, to be transcribed when the box has time.

For whoever feeds it, listens to it, pauses it or ends it, it is a session like any other.

    Rule 1  What was taken is on the disk after two seconds of audio; a crash loses no more than that and what waits in
            the inbox.
    Rule 2  When the disk or the store has no more room the recording ends: what is stored stays, what is not is a gap,
            and whoever records is told at once.
    Rule 3  Where silence ends a session, as at the room's microphone, it ends this one after the same silence.
    Rule 4  A prompt and names of its own are stored as they are told, and serve whoever transcribes it.

Silence is what the segmenter finds no speech in, as in a session that is heard live: 0.3 % of a core, measured, and
only where there is such a limit.  The level would cost nothing, and will not do: no threshold parts quiet talk at the
far end of a room from its ventilation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np

from ambientd.core.audio import RATE, Samples, to_pcm16
from ambientd.core.metrics import SessionMetrics
from ambientd.core.protocol import CLOSE_OVERLOADED, Message, Wishes
from ambientd.core.record import EndReason, Manner, Refinement, Transcription
from ambientd.core.transcript import Gap
from ambientd.errors import ClientError
from ambientd.session.inbox import Hole
from ambientd.session.session import Session
from ambientd.store.spool import Piece

PIECE: Final = 2 * RATE
"""Samples stored at once."""


class Tape(Protocol):
    """The part of the store that recording needs; each call returns once the disk has it."""

    async def begin(self, session_id: str) -> None:
        """From now on the audio of this open session is kept."""
        ...

    async def append(self, session_id: str, piece: Piece, metrics: SessionMetrics) -> int:
        """Stores the next audio; gives the samples kept of all sessions."""
        ...

    async def note(self, session_id: str, manner: Manner, *, language: str) -> None:
        """Stores how it is to be heard; what ``manner`` leaves out stays as noted before."""
        ...

    async def close(
        self,
        session_id: str,
        *,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
        language: str,
        monotonic_end: float | None = None,
    ) -> None:
        """The recording has ended, and waits."""
        ...


class Shelf:
    """Where recordings go, and how much of them may be there at once."""

    def __init__(
        self, tape: Tape, *, enabled: bool, most: int, room: Callable[[], None], waits: Callable[[], None]
    ) -> None:
        """``enabled``: whether new sessions may be recorded; those a crash cut off go on in any case.

        ``most``: samples that may be kept.  ``room``: raises a ``ClientError`` when the disk is nearly full.
        ``waits``: called when a recording has ended.
        """
        self.tape = tape
        self.enabled = enabled
        self.waits = waits
        self.kept = 0
        """Samples of all sessions, as last known."""
        self._most = most
        self._room = room

    def check(self) -> None:
        """Returns if there is room for more.

        Raises:
            ClientError: there is not.
        """
        self._room()
        if self.kept >= self._most:
            raise ClientError(
                "recordings_full",
                f"the {self._most / RATE / 3600:g} h of audio this box may keep until it is transcribed are full",
                hint="Wait until some of it is transcribed, or raise later.max_hours.",
                close_code=CLOSE_OVERLOADED,
                retry_after=60.0,
            )


class RecordedSession(Session):
    """See above; made by the registry, after ``Tape.begin``."""

    def __init__(self, session_id: str, *args: Any, shelf: Shelf, **options: Any) -> None:
        super().__init__(session_id, *args, **options)
        self._shelf = shelf
        self._at = self._spoken
        """Samples: how far it is stored, and marked as missing."""
        self._waiting: list[Samples] = []
        self._wished: Manner | None = None
        """What is told of it and not yet stored."""

    @property
    def later(self) -> bool:
        """It is."""
        return True

    @property
    def lag(self) -> float:
        """Nobody waits for its text."""
        return 0.0

    def info(self) -> Message:
        """The ``session_info`` message."""
        return {**super().info(), "transcription": Transcription.RECORDING}

    def configure(self, wishes: Wishes) -> None:
        """As in any session; it counts for all of the audio, since nothing of it is heard before its end.

        Raises:
            ClientError: the model does not know the language; nothing is changed.
        """
        super().configure(wishes)
        wished = Manner(wishes.prompt, wishes.vocabulary)
        self._wished = wished if self._wished is None else self._wished.amended(wished)
        self._inbox.stir()

    async def _converse(self) -> None:
        while True:
            await self._note()
            while self._inbox:
                await self._store(self._inbox.take())
                self._expire()
                await asyncio.sleep(0)
            if self.ending:
                break
            await self._wait()
        if self._unwanted is None and self._reason is not EndReason.ERROR:
            await self._note()
            await self._flush()

    async def _note(self) -> None:
        if self._wished is not None:
            wished, self._wished = self._wished, None
            await self._shelf.tape.note(self.id, wished, language=self.language)

    async def _mark_rest(self, reason: str) -> None:
        """Nothing: how much more was received than is stored is told by the figures, and a gap once it is heard."""

    async def _store(self, audio: Samples | Hole) -> None:
        if isinstance(audio, Hole):
            await self._flush()
            if audio.samples and not self._failed:
                await self._scribe.mark(Gap(self._at, self._at + audio.samples, "lost"))
                self._at += audio.samples
            if self.terms.limits.silence:
                self._segmenter.skip(audio.samples)
            return
        if self.terms.limits.silence:
            async with self._capacity.turn:
                self._hark(self._segmenter.receive(audio))
                await asyncio.sleep(0)  # as in a session that is heard live
        self._waiting.append(audio)
        if sum(len(each) for each in self._waiting) >= PIECE:
            await self._flush()

    @property
    def _failed(self) -> bool:
        return self._reason is EndReason.ERROR

    async def _flush(self) -> None:
        if not self._waiting:
            return
        audio = np.concatenate(self._waiting)
        shelf = self._shelf
        shelf.kept = await shelf.tape.append(self.id, Piece(self._at, to_pcm16(audio)), self.metrics)
        self._waiting.clear()
        self._at += len(audio)
        self._arrivals.forget(before=self._at)
        try:
            shelf.check()
        except ClientError as error:
            if not self.ending:
                self._fail(error)

    async def _finalise(self, reason: EndReason, ended_at: datetime, refinement: Refinement) -> None:
        del refinement
        await self._shelf.tape.close(
            self.id,
            reason=reason,
            ended_at=ended_at,
            metrics=self.metrics,
            language=self.language,
            monotonic_end=time.monotonic(),
        )
        self._shelf.waits()
