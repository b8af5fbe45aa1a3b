"""What a session writes down, and where: each call returns once the rows are safe on disk."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec, Protocol, TypeVar

from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import Box, EndReason, Refinement, SessionState, Transcription
from ambientd.core.transcript import Gap, Line
from ambientd.session.past import Past
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions

P = ParamSpec("P")
T = TypeVar("T")


class Ledger(Protocol):
    """The part of the store that live sessions need."""

    async def create(
        self,
        session_id: str,
        *,
        connected_at: datetime,
        client: str,
        language: str,
        model: str,
        sample_rate: int,
        boot_id: str | None,
        monotonic_start: float,
        box: Box,
        ephemeral: bool,
        owner: str,
    ) -> None:
        """Opens the record of a session.

        Raises:
            ClientError: the id was used before.
            StoreUnavailable: nothing was stored.
        """
        ...

    async def reopen(self, session_id: str) -> Past | None:
        """Opens the record of a session again that a crash cut off; ``None`` if that cannot be.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        ...

    async def append_line(self, session_id: str, line: Line, metrics: SessionMetrics) -> None:
        """Stores the next line, with the figures that count it in."""
        ...

    async def append_gap(self, session_id: str, gap: Gap, metrics: SessionMetrics) -> None:
        """Stores a gap, with the figures that count it in."""
        ...

    async def finalise(
        self,
        session_id: str,
        *,
        state: SessionState,
        reason: EndReason,
        ended_at: datetime,
        metrics: SessionMetrics,
        language: str,
        monotonic_end: float,
        refinement: Refinement,
    ) -> None:
        """Closes the record; of an ephemeral session it destroys it."""
        ...

    async def discard(
        self, session_id: str, *, actor: str, origin: str | None, still_open: bool = False
    ) -> None:
        """Destroys the record; ``still_open``: even one that has not ended.

        Raises:
            ClientError: there is none, it has not ended, or something of it was sent to the centre.
            StoreUnavailable: it is still there.
        """
        ...


class StoredLedger:
    """The ledger on the database."""

    def __init__(
        self, sessions: Sessions, lines: Lines, *, ended: Callable[[], object] = lambda: None
    ) -> None:
        """``ended``: called when a session has been finalised."""
        self._sessions = sessions
        self._lines = lines
        self.create = sessions.create
        self.finalise = then(sessions.finalise, ended)
        self.append_line = lines.append_line
        self.append_gap = lines.append_gap
        self.discard = sessions.discard

    async def reopen(self, session_id: str) -> Past | None:
        """As the protocol says."""
        record = await self._sessions.reopen(session_id)
        if record is None:
            return None
        recorded = None
        if record.transcription is Transcription.RECORDING:
            recorded = await self._sessions.recorded_end(session_id)
        return Past(
            record.connected_at,
            recorded=recorded,
            cut_off=True,
            lines=tuple(await self._lines.lines(session_id)),
            gaps=tuple(await self._lines.gaps(session_id)),
            metrics=record.metrics
            if recorded is None
            else replace(record.metrics, received_samples=recorded),
            owner=record.owner,
        )


def then(
    work: Callable[P, Coroutine[Any, Any, T]], after: Callable[[], object]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """``work``, and ``after`` it has succeeded."""

    async def both(*args: P.args, **kwargs: P.kwargs) -> T:
        result = await work(*args, **kwargs)
        after()
        return result

    return both
