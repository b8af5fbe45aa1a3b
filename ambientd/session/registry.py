"""All live sessions: who may open one, where to find it, and their common end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from ambientd.core import protocol
from ambientd.core.decoding import Decoder
from ambientd.core.metrics import SessionMetrics
from ambientd.core.protocol import CLOSE_GOING_AWAY, CLOSE_OVERLOADED, CLOSE_POLICY, Message
from ambientd.core.record import BOX, Box, EndReason
from ambientd.core.segmenter import Detect
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.session.capacity import NO_CEILING, Capacity
from ambientd.session.ledger import Ledger
from ambientd.session.past import Past
from ambientd.session.recorded import RecordedSession, Shelf
from ambientd.session.refiner import Refiner
from ambientd.session.session import Session
from ambientd.session.terms import Terms
from ambientd.store.refusals import SessionExists

logger = logging.getLogger(__name__)


LOAD_EVERY: Final = 5.0
"""Seconds between two ``load`` messages."""

STORE_AGAIN: Final = 5.0
"""Seconds between two attempts to store the end of a session that the disk did not take."""

LAST_WORD: Final = 3.0
"""Seconds an abandoned session may take to write down what it could not do."""


class Registry:
    """The live sessions.  Use :func:`open_registry`."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        *,
        most: int,
        model: str,
        detector: Callable[[], Detect],
        decoder: Decoder,
        ledger: Ledger,
        box: Box,
        capacity: Capacity,
        refiner: Refiner | None = None,
        shelf: Shelf | None = None,
        admit: Callable[[], None],
    ) -> None:
        self.most = most
        self.model = model
        """Name of the model that hears the sessions."""
        self.opened = 0
        """Sessions opened since the start."""
        self.ends: Counter[str] = Counter()
        """Sessions ended since the start, by reason."""
        self.faults: Counter[str] = Counter()
        """Errors told to clients since the start, by code."""
        self._past = SessionMetrics()
        """The figures of all sessions that have ended."""
        self._tasks = tasks
        self._detector = detector
        self._decoder = decoder
        self._ledger = ledger
        self._box = box
        self.capacity = capacity
        capacity.watchers = lambda: sum(session.hub.wants("partial") for session in self if not session.later)
        self.refiner = refiner
        """Who hears sessions a second time, if anybody does."""
        self._admit = admit
        self._shelf = shelf
        self._live: dict[str, Session] = {}
        self._late: dict[str, Session] = {}
        """Those that have ended, and of which the disk does not take the end."""
        self._opening: set[str] = set()
        """Ids whose record is being written."""
        self._closing = False
        self._stopping = asyncio.Event()

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._live.values()))

    def find(self, session_id: str) -> Session | None:
        """The live session of that id."""
        return self._live.get(session_id)

    async def open(
        self, session_id: str | None, terms: Terms, *, client: str, again: bool = False
    ) -> Session:
        """A session, running and on record: a new one, or one that a crash cut off and that can go on.

        ``session_id``: ``None`` has one made up that cannot be guessed.

        ``client``: where it comes from, for the record.  ``again``: only if it is one that can go on.

        Raises:
            ClientError: too many sessions, one more would be too much for the box, the id is in use or was used before,
                or the service is stopping.
            StoreUnavailable: it cannot be recorded.
        """
        if self._closing:
            raise _going_away()
        self._admit()
        if session_id in self._live or session_id in self._opening:
            raise ClientError(
                "session_in_use",
                "a live session has this id already",
                hint="Choose another id, or end the other session first.",
                close_code=CLOSE_POLICY,
            )
        if len(self._live) + len(self._opening) >= self.most:
            raise ClientError(
                "too_many_sessions",
                f"all {self.most} sessions this server allows are in use",
                hint="Try again when another session has ended, or raise server.max_connections.",
                close_code=CLOSE_OVERLOADED,
                retry_after=self.capacity.ceiling.retry,
            )
        later = terms.later or self._is_to_be_later(terms)
        if terms.later:
            self._check_later(terms)
        name = session_id or new_id(terms.owner)
        # Taken before the first await: of two clients with one id only one can get here.
        self._opening.add(name)
        try:
            past = await self._record_again(name) if again else await self._record(name, terms, client=client)
            session = await self._made(name, terms, past, later=later or past.recorded is not None)
            if self._closing:
                # Its record is closed as interrupted at the next start, and the client can go on then.
                raise _going_away()
            self._live[name] = session
        finally:
            self._opening.discard(name)
        self.opened += 1
        self._tasks.create_task(self._run(session), name=f"session {name}")
        logger.info("session opened", extra={"session": name, "live": len(self._live)})
        return session

    async def _made(self, session_id: str, terms: Terms, past: Past, *, later: bool) -> Session:
        if later and self._shelf is not None:
            if past.recorded is None:
                await self._shelf.tape.begin(session_id)
            return RecordedSession(
                session_id,
                terms,
                detect=self._detector(),
                decoder=self._decoder,
                ledger=self._ledger,
                past=past,
                capacity=self.capacity,
                shelf=self._shelf,
            )
        return Session(
            session_id,
            terms,
            detect=self._detector(),
            decoder=self._decoder,
            ledger=self._ledger,
            past=past,
            capacity=self.capacity,
            refiner=None if terms.ephemeral else self.refiner,
        )

    def _is_to_be_later(self, terms: Terms) -> bool:
        """Whether one session more would be too much for the box, but can be recorded.

        Raises:
            ClientError: it would be, and cannot.
        """
        reason = self.capacity.refusal(
            [*(session.duration for session in self if not session.later), *(0.0 for _ in self._opening)],
            [session.lag for session in self],
        )
        if not reason:
            return False
        try:
            self._check_later(terms)
        except ClientError:
            self.capacity.refused += 1
            logger.warning("session refused: too busy", extra={"live": len(self._live)})
            raise ClientError(
                "overloaded",
                f"the box is too busy for another session: {reason}",
                hint="Try again when another session has ended; the running ones are not affected.",
                close_code=CLOSE_OVERLOADED,
                retry_after=self.capacity.ceiling.retry,
            ) from None
        logger.info("session is recorded, to be transcribed later: too busy", extra={"live": len(self._live)})
        return True

    def _check_later(self, terms: Terms) -> None:
        """Returns if a session may be recorded to be transcribed later.

        Raises:
            ClientError: it may not.
        """
        if self._shelf is None or not self._shelf.enabled:
            raise ClientError(
                "later_off",
                "this box does not keep audio to transcribe it later",
                hint="Open the session without later, or set later.enabled.",
                close_code=CLOSE_POLICY,
            )
        if terms.ephemeral:
            raise ClientError(
                "later_ephemeral",
                "a session of which nothing is kept cannot be transcribed later",
                hint="Choose one of the two.",
                close_code=CLOSE_POLICY,
            )
        self._shelf.check()

    async def _record(self, session_id: str, terms: Terms, *, client: str) -> Past:
        """Opens a session's record; gives what is on it already."""
        began = datetime.now(UTC)
        try:
            await self._ledger.create(
                session_id,
                connected_at=began,
                client=client,
                language=terms.language,
                model=self.model,
                sample_rate=terms.sample_rate,
                # With these two the centre can order the sessions of a box whose clock was wrong.
                boot_id=boot_id(),
                monotonic_start=time.monotonic(),
                box=self._box,
                ephemeral=terms.ephemeral,
                owner=terms.owner,
            )
        except SessionExists:
            return await self._record_again(session_id)
        return Past(connected_at=began)

    async def _record_again(self, session_id: str) -> Past:
        past = await self._ledger.reopen(session_id)
        if past is None:
            raise SessionExists(session_id)
        logger.info("session goes on after a crash", extra={"session": session_id})
        return past

    def resume(self, session_id: str, token: str = "") -> Session | None:
        """The live session of that id, if its client may take it up again; ``None`` if there is none.

        Once the box knows that the client has vanished, the id is enough; before, only the session's ``token`` shows
        that this is the same client on a new connection.  Of a session that is ending it hears the rest.
        """
        session = self._live.get(session_id)
        if session is None or session.finished.is_set() or not (session.deserted or session.knows(token)):
            return None
        logger.info("session resumed", extra={"session": session_id})
        return session

    async def end(self, session_id: str, reason: EndReason) -> Session:
        """Ends a live session and waits until it is stored.

        Raises:
            ClientError: no live session has this id.
            StoreUnavailable: it has ended, but its end is not on record.
        """
        session = self._live.get(session_id)
        if session is None:
            raise ClientError("no_such_session", "no live session has this id")
        session.end(reason)
        await session.finished.wait()
        if not session.stored:
            raise StoreUnavailable(
                f"the end of session {session_id} could not be stored",
                hint="It is closed as interrupted at the next start; the log tells why.",
            )
        return session

    async def discard(self, session_id: str, *, actor: str = "client", origin: str | None) -> None:
        """Destroys a session with all that was heard, live or ended, as long as the centre has nothing of it.

        ``origin``: where the wish comes from; ``actor``: whose it is, for the audit.

        Raises:
            ClientError: there is no such session, or something of it was sent.
            StoreUnavailable: it takes no more audio, but is not destroyed yet.
        """
        session = self._live.get(session_id)
        if session is not None:
            session.discard(origin, actor=actor)
            await session.finished.wait()
            if session.destroyed:
                return
            if not session.stored:
                raise StoreUnavailable(
                    f"session {session_id} could not be destroyed yet",
                    hint="It is tried again every few seconds while the service runs; the log tells why.",
                )
        late = self._late.get(session_id)
        if late is not None:
            late.discard(origin, actor=actor)  # what closes its record later destroys it instead
        # It had ended already, or its end was being stored.
        await self._ledger.discard(session_id, actor=actor, origin=origin, still_open=late is not None)
        if self.refiner:
            self.refiner.forget(session_id)
        logger.info("session discarded", extra={"session": session_id})

    def broadcast(self, message: Message, *, reaches: Callable[[Session], bool] = lambda _: True) -> int:
        """Tells every listener of every session in reach; gives the number of sessions told."""
        told = [session for session in self if reaches(session)]
        for session in told:
            session.hub.publish(message)
        return len(told)

    async def tell_load(self, *, every: float = LOAD_EVERY) -> None:
        """Tells how busy the box is to those who asked, for ever."""
        while True:
            await asyncio.sleep(every)
            for session in self:
                if session.hub.wants("load"):
                    session.hub.publish(
                        protocol.load(
                            sessions=self._seen_from(session),
                            lag=session.lag,
                            box_lag=self.capacity.lag,
                            utilisation=self.capacity.utilisation,
                            preview_interval=self.capacity.preview_interval,
                            thinned=self.capacity.thinned,
                        )
                    )

    def _seen_from(self, session: Session) -> int:
        """How many sessions one may know of: those of its owner; on the box itself all."""
        return sum(session.owner in (BOX, other.owner) for other in self)

    async def close(self, *, within: float) -> None:
        """Ends all sessions, decoding what they hold, but for no longer than ``within`` seconds."""
        self._closing = True
        self._stopping.set()
        sessions = list(self)
        for session in sessions:
            session.end(EndReason.SHUTDOWN)
        try:
            async with asyncio.timeout(within):
                for session in sessions:
                    await session.finished.wait()
        except TimeoutError:
            logger.warning("sessions cut short at shutdown", extra={"live": len(self._live)})
            for session in self:
                session.abandon()
            async with asyncio.timeout(LAST_WORD):
                for session in sessions:
                    await session.finished.wait()

    @property
    def totals(self) -> SessionMetrics:
        """The figures of all sessions since the start, the live ones included."""
        return sum((session.metrics for session in self), self._past)

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except StoreUnavailable as error:
            logger.error(  # noqa: TRY400  # the operator needs the sentence, not the stack
                "session not closed on record", extra={"session": session.id, "error": error}
            )
            self._tasks.create_task(self._close_later(session), name=f"end of session {session.id}")
        # One room's defect must not close the others.
        except Exception as error:
            logger.exception("session failed", extra={"session": session.id, "error": type(error).__name__})
        finally:
            del self._live[session.id]
            self._past += session.metrics
            self.ends[session.reason or EndReason.ERROR] += 1

    async def _close_later(self, session: Session) -> None:
        """Stores the end of a session as soon as the store takes it; a last attempt is made at the stop."""
        self._late[session.id] = session
        while not session.stored:
            stopping = self._closing
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_AGAIN):
                    await self._stopping.wait()
            with suppress(StoreUnavailable):  # told when it failed first
                await session.close_record()
            if stopping:
                return
        del self._late[session.id]


def new_id(owner: str) -> str:
    """An id that cannot be guessed, in its owner's own space."""
    return secrets.token_urlsafe(16) + ("" if owner == BOX else f".{owner}")


def _going_away() -> ClientError:
    return ClientError(
        "going_away",
        "the service is stopping",
        hint="Try again in a minute.",
        close_code=CLOSE_GOING_AWAY,
    )


@cache
def boot_id() -> str | None:
    """The kernel's id of this boot; ``None`` where the kernel does not tell."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else None


@asynccontextmanager
async def open_registry(
    *,
    most: int,
    model: str,
    detector: Callable[[], Detect],
    decoder: Decoder,
    ledger: Ledger,
    patience: float,
    box: Box | None = None,
    capacity: Capacity | None = None,
    refiner: Refiner | None = None,
    shelf: Shelf | None = None,
    admit: Callable[[], None] = lambda: None,
) -> AsyncIterator[Registry]:
    """The registry; on leaving, all sessions are ended within ``patience`` seconds.

    ``box``: what sessions note of the appliance that heard them.  ``capacity``: its account, by default one that
    refuses nobody.  ``refiner``: who hears them a second time.  ``shelf``: where sessions are recorded that are
    transcribed later; without one there are none.
    ``admit``: raises a ``ClientError`` when anything outside the sessions forbids another.
    """
    async with asyncio.TaskGroup() as tasks:
        registry = Registry(
            tasks,
            most=most,
            model=model,
            detector=detector,
            decoder=decoder,
            ledger=ledger,
            box=box or Box(),
            capacity=capacity or Capacity(1, NO_CEILING),
            refiner=refiner,
            shelf=shelf,
            admit=admit,
        )
        teller = tasks.create_task(registry.tell_load(), name="load")
        try:
            yield registry
        finally:
            teller.cancel()
            await registry.close(within=patience)
