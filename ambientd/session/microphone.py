"""The room's microphone and the one session it goes into: started, paused, stopped and discarded by whoever may.

Rule 1  One microphone, one session at a time.  While one is open nobody starts another.
Rule 2  A start succeeds when sound has come and the session is on record; otherwise the reason is said.
Rule 3  What the microphone is doing is on the disk: after a crash a session goes on by itself, if it has not been
        away for longer than a client may be, and one that was paused stays paused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from ambientd.core import details
from ambientd.core.audio import RATE
from ambientd.core.microphone import WHAT, Microphone, Reason, State, Status
from ambientd.core.protocol import Message, Wishes
from ambientd.core.record import BOX, Details, EndReason
from ambientd.core.room import MICROPHONE, Last, Recording, microphone, microphone_fields
from ambientd.core.room import Take as Shown
from ambientd.core.segmenter import Detect
from ambientd.core.voice import REST, Voice
from ambientd.errors import AmbientError, ClientError, StoreUnavailable
from ambientd.session.bookmark import Bookmark, Diary
from ambientd.session.registry import Registry
from ambientd.session.session import Session
from ambientd.session.take import Take, length
from ambientd.session.terms import Terms
from ambientd.session.trial import Trial

logger = logging.getLogger(__name__)

PATIENCE: Final = 20.0
"""Seconds a start waits for sound: a process has to start, and a device to open."""

TOLD_EVERY: Final = 0.25
"""Seconds between two messages about the level."""

MARKED_EVERY: Final = 10.0
"""Seconds between two notes on the disk of what is being recorded."""

AGAIN: Final = 10.0
"""Seconds after which a room is listened to again for a voice, where that failed; and that prove that it works."""

SOON: Final = 0.05
"""Seconds between two looks at the microphone while it starts."""


Amend = Callable[..., Awaitable[Details]]
"""See :meth:`ambientd.store.sessions.Sessions.amend`."""


Judge = Callable[..., Awaitable[Trial]]
"""See :func:`ambientd.session.trial.judged`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody who starts a recording says of it."""

    wishes: Wishes = field(default_factory=Wishes)
    ephemeral: bool = False
    later: bool = False
    """Whether it is only to be recorded, and transcribed when the box has time."""
    owner: str = BOX
    """Whose the session is."""
    actor: str = "client"
    origin: str | None = None
    """Who wishes it and where it comes from, for the audit."""


class Recorder:
    """Use :func:`open_recorder`."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        source: Microphone,
        registry: Registry,
        diary: Diary,
        amend: Amend,
        judge: Judge,
        detector: Callable[[], Detect],
        terms: Callable[[], Terms],
    ) -> None:
        """``judge``: what a trial is heard with.  ``detector``: who hears whether somebody speaks.

        ``terms``: of a session of the microphone.
        """
        self.microphone = source
        self.last: Last | None = None
        """The session before, and what ended it ..."""
        self.last_owner: str | None = None
        """... and whose it was."""
        self.voiceless: str | None = None
        """Why no recording can be started by voice, where that is wanted."""
        self._tasks = tasks
        self._registry = registry
        self._bookmark = Bookmark(diary)
        self._amend = amend
        self._judge = judge
        self._detector = detector
        self._terms = terms
        self._take: Take | None = None
        self._running: asyncio.Task[None] | None = None
        """What captures for it, and then waits for the end of its session."""
        self._steering = asyncio.Lock()
        """Of those who pause, resume and stop at once, one after the other."""
        self._closing = False

    @property
    def session(self) -> Session | None:
        """The session that takes what the microphone gives, if one does."""
        session = self._take.session if self._take else None
        return None if session is None or session.ending else session

    @property
    def busy(self) -> bool:
        """Whether somebody records, or is about to."""
        return self._take is not None and not self.armed

    @property
    def wanted(self) -> bool:
        """Whether sound is needed now: somebody records, is about to, or would by voice."""
        return self._take is not None

    @property
    def armed(self) -> bool:
        """Whether a recording begins when somebody speaks."""
        return self._take is not None and self._take.voice is not None

    @property
    def condition(self) -> str:
        """The state in one word, for a light."""
        state, session = self.microphone.state, self.session
        if session is not None:
            if session.state is Recording.PAUSED:
                return "paused"
            return "recording" if state.status is Status.LIVE and not state.level.silent else "trouble"
        if state.status is Status.UNAVAILABLE and state.reason is not Reason.DISABLED:
            return "unavailable"
        take = self._take
        if take is None or take.session is not None or take.over:
            return "off"
        return "armed" if take.by_voice else "listening"

    def fields(self) -> Message:
        """All that can be told, ready for JSON."""
        session = self.session
        shown = None
        if session is not None:
            limit = session.terms.limits.silence
            quiet = session.quiet if limit else None
            shown = Shown(
                session.id,
                session.state,
                session.connected_at,
                session.duration,
                quiet,
                None if quiet is None else max(0.0, limit - quiet),
                session.reopened,
            )
        return microphone_fields(self.microphone.state, shown, self.last, armed=self.armed)

    async def start(self, wish: Wish | None = None) -> Session:
        """Opens a session for what the microphone hears from now on; returns once it hears.

        Raises:
            ClientError: it records already, gives no sound, or the session may not be opened.
            StoreUnavailable: the session cannot be recorded.
        """
        wish = wish or Wish()
        terms = self._terms()
        terms.check(wish.wishes.language)
        terms = replace(
            terms,
            ephemeral=wish.ephemeral,
            later=wish.later,
            owner=wish.owner,
            language=wish.wishes.language or terms.language,
        )
        take, running = self._begin()
        return await self._open(take, running, terms, wish)

    async def _open(self, take: Take, running: asyncio.Task[None], terms: Terms, wish: Wish) -> Session:
        """Opens the session for a take that has begun; where that fails, the take is over."""
        try:
            await self._sound(take, running)
            session = await self._registry.open(None, terms, client=MICROPHONE)
            await self._prepare(session, take, wish)
        except BaseException:
            running.cancel()
            await asyncio.wait({running})
            raise
        take.go_into(session)
        logger.info("microphone records", extra={"session": session.id})
        return session

    async def pause(self, only: str | None = None) -> Session:
        """Time stands still for the session; nothing said from now on is heard, until it is resumed.

        only: id of the session that is meant, here and below; without it, whichever is being recorded.

        Raises:
            ClientError: nothing is being recorded, or another session.
        """
        async with self._steering:
            session, take = self._current(only)
            await take.pause()
            if not session.ending:
                session.pause()
                await self._bookmark.keep(session, paused=take.paused)
        return session

    async def resume(self, only: str | None = None) -> Session:
        """The session goes on after a pause.

        Raises:
            ClientError: nothing is being recorded, or another session.
        """
        async with self._steering:
            session, take = self._current(only)
            session.go_on()
            take.go_on()
            await self._bookmark.keep(session, paused=take.paused)
        return session

    async def stop(self, only: str | None = None, *, reason: EndReason = EndReason.CLIENT) -> Session:
        """Ends the session; returns when all that was heard is stored.

        Raises:
            ClientError: nothing is being recorded, or another session.
            StoreUnavailable: its end is not on record.
        """
        async with self._steering:
            session, take = self._current(only)
            await take.finish()
            session.end(reason)
            running = self._running
        await self._let_go(running)
        if not session.stored:
            raise StoreUnavailable(
                f"the end of session {session.id} could not be stored",
                hint="It is closed as interrupted at the next start; the log tells why.",
            )
        return session

    async def discard(
        self, only: str | None = None, *, actor: str = "client", origin: str | None = None
    ) -> str:
        """Destroys the session with all that was heard; returns its id when nothing of it is left.

        Raises:
            ClientError: nothing is being recorded, or another session.
            StoreUnavailable: it takes nothing more, but is not destroyed yet.
        """
        session, _ = self._current(only)
        running = self._running
        await self._registry.discard(session.id, actor=actor, origin=origin)
        await self._let_go(running)
        return session.id

    async def _let_go(self, running: asyncio.Task[None] | None) -> None:
        """Waits until nobody captures for a session that has ended, and its end is known."""
        if running is not None:
            await asyncio.wait({running})

    async def try_out(self, seconds: float) -> Trial:
        """Listens for so long, in memory; tells how loud it was, and what was understood.

        Raises:
            ClientError: a session is being recorded, or no sound comes.
        """
        take, running = self._begin()
        try:
            await self._sound(take, running)
            deadline = time.monotonic() + seconds + PATIENCE
            while True:
                left = seconds - sum(map(length, take.kept)) / RATE
                if left <= 0 or time.monotonic() > deadline:
                    break
                await asyncio.sleep(max(SOON, left))
            heard, level = list(take.kept), self.microphone.state.level
        finally:
            running.cancel()
            await asyncio.wait({running})
        terms = self._terms()
        return await self._judge(
            heard, level, rules=terms.rules, language=terms.language, prompt=terms.prompt
        )

    async def go_on(self, within: float) -> Session | None:
        """Takes up the session that a crash cut off, if it happened less than ``within`` seconds ago.

        What was said since is marked as lost.
        """
        left = await self._bookmark.left(within)
        if left is None:
            return None
        mark, age = left
        terms = replace(self._terms(), language=mark.language)
        try:
            session = await self._registry.open(mark.session_id, terms, client=MICROPHONE, again=True)
        except (ClientError, StoreUnavailable) as error:
            logger.warning(
                "microphone session stays interrupted", extra={"session": mark.session_id, "error": error}
            )
            await self._bookmark.remove()
            return None
        take, _ = self._begin(paused=mark.paused)
        if mark.paused:
            session.make_up(max(0, mark.received - session.taken))
            session.pause()
        else:
            take.make_up(mark.received + round(age * RATE))
        take.go_into(session)
        logger.warning(
            "microphone session goes on after a crash",
            extra={"session": session.id, "seconds": round(age, 1)},
        )
        return session

    async def close(self) -> None:
        """Nobody starts any more; what records has all that was captured, and ends."""
        self._closing = True
        async with self._steering:
            if (take := self._take) is not None:
                await take.finish()
                if take.session is not None:
                    take.session.end(EndReason.SHUTDOWN)

    async def tell(self) -> None:
        """Tells those who follow the session how the microphone does, for ever."""
        while True:
            await asyncio.sleep(TOLD_EVERY)
            session = self._take.session if self._take else None
            if session is not None and session.hub.wants("microphone"):
                session.hub.publish(microphone(self.fields()))

    async def mark(self) -> None:
        """Notes on the disk how far the session is, for ever."""
        while True:
            await asyncio.sleep(MARKED_EVERY)
            if (session := self.session) is not None and self._take is not None:
                await self._bookmark.keep(session, paused=self._take.paused)

    async def attend(self) -> None:
        """Starts a recording whenever somebody speaks, for ever; where that fails, it is tried again."""
        rest = 0
        while True:
            try:
                rest = await self._await_voice(rest)
            # The task boundary: one defect must not leave a room unrecorded until somebody notices.
            except Exception as error:  # noqa: BLE001 - what the take met is in the log with its trace
                if self._closing:
                    return
                before, self.voiceless = self.voiceless, named(error)
                if before != self.voiceless:  # once, however often it is tried again
                    logger.warning("no recording can be started by voice", extra={"error": self.voiceless})
                await asyncio.sleep(AGAIN)

    async def _await_voice(self, rest: int) -> int:
        """Waits until somebody has spoken and is recorded, or the recording of another is over.

        ``rest``: samples of silence there must be before; gives those before the next one.

        Raises:
            Exception: nobody could be listened to.
        """
        if self.busy and self._running is not None:
            await asyncio.wait({self._running})
            return 0 if self.last is None or self.last.reason == EndReason.SILENCE else REST
        terms = self._terms()
        take, running = self._begin(voice=Voice(self._detector(), terms.rules, rest=rest))
        speaking = asyncio.create_task(take.spoken.wait())
        try:
            over, _ = await asyncio.wait(
                {speaking, running}, timeout=AGAIN, return_when=asyncio.FIRST_COMPLETED
            )
            if not over:
                self.voiceless = None
                await asyncio.wait({speaking, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            speaking.cancel()
        if take.failure is not None:
            raise take.failure
        self.voiceless = None
        if take.spoken.is_set() and self._take is take:
            take.voice = None  # from now on nobody takes it over
            try:
                await self._open(take, running, terms, Wish(origin="voice"))
            except (ClientError, StoreUnavailable) as error:
                logger.warning("somebody speaks and is not recorded", extra={"error": error})
                return REST
        return rest

    def _begin(self, *, paused: bool = False, voice: Voice | None = None) -> tuple[Take, asyncio.Task[None]]:
        if self._closing:
            raise ClientError("going_away", "the service is stopping", hint="Try again in a minute.")
        waiting = self._running if self.armed else None
        if self._take is not None and waiting is None:
            raise ClientError(
                "microphone_in_use",
                "the microphone records a session already",
                hint="Stop or discard that one first.",
            )
        take = self._take = Take(self.microphone, paused=paused, voice=voice)
        self._running = self._tasks.create_task(self._run(take), name="take")
        if waiting is not None:
            waiting.cancel()  # behind it, so that the device is not closed in between
        return take, self._running

    async def _run(self, take: Take) -> None:
        try:
            await take.run()
        except ClientError as error:
            take.failure = error
            if take.session is not None:
                logger.warning("the microphone may not be used any more", extra={"error": error})
                take.session.end(EndReason.ERROR)
        # One defect of the microphone must not end the daemon; the session ends with what it has.
        except Exception as error:
            logger.exception("listening failed", extra={"error": type(error).__name__})
            take.failure = error
            if take.session is not None:
                take.session.end(EndReason.ERROR)
        finally:
            if self._take is take:  # and not one that was begun while this waited for a voice
                self._take = None
        if take.session is not None:
            await self._after(take.session)

    async def _after(self, session: Session) -> None:
        """Notes what became of a session that takes nothing more."""
        await session.finished.wait()
        self.last, self.last_owner = Last(session.id, session.reason or EndReason.ERROR), session.owner
        if not self.busy:
            await self._bookmark.remove()

    async def _sound(self, take: Take, running: asyncio.Task[None]) -> None:
        """Waits for the first sound.

        Raises:
            ClientError: none comes, and why.
        """
        before, deadline = self.microphone.state, time.monotonic() + PATIENCE
        while not take.sounding.is_set():
            await asyncio.sleep(SOON)
            state = self.microphone.state
            if isinstance(take.failure, ClientError):
                raise take.failure
            # A reason that it had before may be out of date, until it has tried again.
            news = before.reason is None or state.restarts > before.restarts
            hopeless = state.status is Status.UNAVAILABLE and news
            if running.done() or hopeless or time.monotonic() > deadline:
                raise _unavailable(state)

    async def _prepare(self, session: Session, take: Take, wish: Wish) -> None:
        """Takes over what was said of the session; without it there is no session."""
        try:
            if (wish.wishes.prompt, wish.wishes.vocabulary) != (None, None):
                session.configure(Wishes(prompt=wish.wishes.prompt, vocabulary=wish.wishes.vocabulary))
            if wish.wishes.details:
                now = datetime.now(UTC)
                await self._amend(
                    session.id,
                    lambda before: details.changed(before, wish.wishes.details, now=now),
                    actor=wish.actor,
                    origin=wish.origin,
                )
            await self._bookmark.put(session, paused=take.paused)
            if take.over or take.failure:
                raise _unavailable(self.microphone.state)  # noqa: TRY301 - as all that undoes it
        except BaseException:
            session.discard(wish.origin, actor=wish.actor)
            raise

    def _current(self, only: str | None) -> tuple[Session, Take]:
        session = self.session
        if session is None or self._take is None or only not in (None, session.id):
            raise not_recording()
        return session, self._take


def named(error: Exception) -> str:
    """What can be told of an error: of one that is not ours no more than its name."""
    return str(error) if isinstance(error, AmbientError) else type(error).__name__


def not_recording() -> ClientError:
    """Nothing is being recorded, or not what was meant."""
    return ClientError(
        "not_recording", "the microphone records nothing of the kind", hint="Start a recording first."
    )


def _unavailable(state: State) -> ClientError:
    return ClientError(
        "microphone_unavailable",
        "no sound comes from the microphone" if state.reason is None else WHAT[state.reason],
        hint=state.remedy or "Look at ambientctl mic devices.",
    )


@asynccontextmanager
async def open_recorder(
    *,
    source: Microphone,
    registry: Registry,
    diary: Diary,
    amend: Amend,
    judge: Judge,
    detector: Callable[[], Detect],
    terms: Callable[[], Terms],
    grace: float,
    by_voice: bool = False,
) -> AsyncIterator[Recorder]:
    """The recorder at work; a session that a crash cut off less than ``grace`` seconds ago goes on, none if it is 0.

    ``by_voice``: whether a recording begins by itself when somebody speaks.

    On leaving nothing is captured any more; the session is ended, and finished by its registry.
    """
    async with asyncio.TaskGroup() as tasks:
        recorder = Recorder(
            tasks,
            source=source,
            registry=registry,
            diary=diary,
            amend=amend,
            judge=judge,
            detector=detector,
            terms=terms,
        )
        await recorder.go_on(grace)
        chores = [
            tasks.create_task(recorder.tell(), name="microphone told"),
            tasks.create_task(recorder.mark(), name="microphone noted"),
        ]
        if by_voice:
            chores.append(tasks.create_task(recorder.attend(), name="voice"))
        try:
            yield recorder
        finally:
            for chore in chores:
                chore.cancel()
            await recorder.close()
