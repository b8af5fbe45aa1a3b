"""The REST interface from a program's side, typed: each answer is the model that the box's own document is made of.

async with box("unix:/run/ambientd/control.sock") as here:
    for session in (await here.sessions(limit=10)).sessions:
        print(session.session_id, (await here.transcript(session.session_id)).text)

A box of a later version may tell more than these models have; that is passed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ValidationError

from ambientd.api.models.box import BoxStatus, Checks, Deliveries, Delivery, SyncStanding
from ambientd.api.models.people import Me
from ambientd.api.models.recordings import CompatibleText
from ambientd.api.models.room import MicrophoneStanding, TakeBegun, TrialHeard
from ambientd.api.models.sessions import (
    CentreAnswers,
    Destroyed,
    DetailsKept,
    Discarded,
    Ended,
    Found,
    LiveSessions,
    Session,
    Sessions,
    Transcript,
)
from ambientd.client import DaemonUnreachable
from ambientd.client_address import DEFAULT_URL, connecting
from ambientd.client_call import call

ANSWER_SECONDS: Final = 60.0
"""Patience for the next byte of an answer."""

HEARD_SECONDS: Final = 7_200.0
"""Patience for the text of a recording: as long as one may last, on a box that hears as fast as people speak."""

M = TypeVar("M", bound=BaseModel)


class Rest:
    """A box, spoken to.  Use :func:`box`.

    Every method raises :class:`~ambientd.client.Refused`, whose ``code`` is the HTTP status, where the box does not do
    what was asked, and :class:`~ambientd.client.DaemonUnreachable` where none answers.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def me(self) -> Me:
        """Who calls, and what he may."""
        return await self._ask(Me, "GET", "/api/v1/me")

    async def status(self) -> BoxStatus:
        """The box in figures."""
        return await self._ask(BoxStatus, "GET", "/api/v1/status")

    async def checks(self) -> Checks:
        """What is wrong with it, and what mends it."""
        return await self._ask(Checks, "GET", "/api/v1/checks")

    async def sessions(self, **wanted: str | int) -> Sessions:
        """Stored sessions, newest first; ``wanted``: see :class:`~ambientd.api.models.sessions.SessionsQuery`."""
        return await self._ask(Sessions, "GET", "/api/v1/sessions", query=wanted)

    async def session(self, session_id: str) -> Session:
        """One of them."""
        return await self._ask(Session, "GET", _session(session_id))

    async def transcript(self, session_id: str, *, tier: str = "final") -> Transcript:
        """What was said: ``final``, ``live`` or ``refined``."""
        return await self._ask(Transcript, "GET", f"{_session(session_id)}/transcript", query={"tier": tier})

    async def search(self, *words: str, limit: int = 20) -> Found:
        """The newest sessions that hold all the words."""
        body = {"words": list(words), "limit": limit}
        return await self._ask(Found, "POST", "/api/v1/sessions/search", body=body)

    async def details(self, session_id: str) -> DetailsKept:
        """What the clinic has said of a session."""
        return await self._ask(DetailsKept, "GET", f"{_session(session_id)}/details")

    async def amend(self, session_id: str, **fields: Any) -> DetailsKept:
        """Changes the fields named: ``encounter``, ``patient``, ``consent``, ``withdrawal``; ``None`` takes away."""
        return await self._ask(DetailsKept, "PATCH", f"{_session(session_id)}/details", body=fields)

    async def answers(self, session_id: str) -> CentreAnswers:
        """What the centre answered about it."""
        return await self._ask(CentreAnswers, "GET", f"{_session(session_id)}/answers")

    async def discard(self, session_id: str) -> Discarded:
        """Destroys a session, live or ended, of which the centre has nothing."""
        return await self._ask(Discarded, "POST", f"{_session(session_id)}/discard")

    async def delete(self, session_id: str, *, undelivered: bool = False) -> Destroyed:
        """Destroys a session that has ended; ``undelivered``: even if nobody else has it."""
        return await self._ask(Destroyed, "DELETE", _session(session_id), body={"force": undelivered})

    async def live(self) -> LiveSessions:
        """The sessions under way."""
        return await self._ask(LiveSessions, "GET", "/api/v1/websocket/sessions")

    async def end(self, session_id: str) -> Ended:
        """Ends one; returns when its last line is stored."""
        return await self._ask(Ended, "POST", f"/api/v1/websocket/sessions/{quote(session_id, safe='')}/end")

    async def microphone(self) -> MicrophoneStanding:
        """How the room's microphone does, and what it records."""
        return await self._ask(MicrophoneStanding, "GET", "/api/v1/microphone")

    async def record(self, **wanted: Any) -> TakeBegun:
        """Opens a session for what it hears; ``wanted``: see :class:`~ambientd.api.models.room.TakeWanted`."""
        return await self._ask(TakeBegun, "POST", "/api/v1/microphone/start", body=wanted)

    async def pause(self) -> MicrophoneStanding:
        """Time stands still for it."""
        return await self._ask(MicrophoneStanding, "POST", "/api/v1/microphone/pause")

    async def resume(self) -> MicrophoneStanding:
        """It goes on."""
        return await self._ask(MicrophoneStanding, "POST", "/api/v1/microphone/resume")

    async def stop(self) -> MicrophoneStanding:
        """It ends; returns when all that was heard is stored."""
        return await self._ask(MicrophoneStanding, "POST", "/api/v1/microphone/stop", patience=HEARD_SECONDS)

    async def discard_recording(self) -> MicrophoneStanding:
        """It is destroyed, with all that was heard."""
        return await self._ask(MicrophoneStanding, "POST", "/api/v1/microphone/discard")

    async def try_microphone(self) -> TrialHeard:
        """Five seconds of it, in memory only."""
        return await self._ask(TrialHeard, "POST", "/api/v1/microphone/test")

    async def sync(self) -> SyncStanding:
        """How the deliveries stand."""
        return await self._ask(SyncStanding, "GET", "/api/v1/sync")

    async def deliveries(self, **wanted: str | int) -> Deliveries:
        """Rows of the outbox; ``wanted``: see :class:`~ambientd.api.models.box.DeliveriesQuery`."""
        return await self._ask(Deliveries, "GET", "/api/v1/sync/items", query=wanted)

    async def retry(self, delivery_id: str) -> Delivery:
        """Tries one again at once."""
        return await self._ask(Delivery, "POST", f"/api/v1/sync/items/{quote(delivery_id, safe='')}/retry")

    async def transcribe(self, file: Path, *, language: str | None = None, prompt: str | None = None) -> str:
        """The text of a recording, once all of it has been heard."""
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in (("language", language), ("prompt", prompt)):
            if value is not None:
                form.add_field(name, value)
        with file.open("rb") as opened:
            form.add_field("file", opened, filename=file.name)
            heard = await self._ask(
                CompatibleText, "POST", "/v1/audio/transcriptions", form=form, patience=HEARD_SECONDS
            )
        return heard.text

    async def _ask(
        self,
        model: type[M],
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        form: aiohttp.FormData | None = None,
        patience: float = ANSWER_SECONDS,
    ) -> M:
        async def whole(answer: aiohttp.ClientResponse) -> str:
            return await answer.text()

        text = await call(
            self._http, self._url, method, path, whole, query=query, body=body, form=form, patience=patience
        )
        try:
            return model.model_validate_json(text, extra="ignore")
        except ValidationError as error:
            raise DaemonUnreachable(
                "What answers is no ambientd, or one of another version.", hint="Look at its address."
            ) from error


@asynccontextmanager
async def box(url: str = DEFAULT_URL, *, token: str | None = None) -> AsyncIterator[Rest]:
    """A box to speak to for the length of the block.

    ``url``: its address, or ``unix:PATH`` of its control socket.  ``token``: one that it has given out; on the box
    itself none is needed.

    A wrong ``url`` is told by the first question.
    """
    async with connecting(url, aiohttp.ClientTimeout(total=None)) as http:
        if token is not None:
            http.headers["Authorization"] = f"Bearer {token}"
        yield Rest(http, url)


def _session(session_id: str) -> str:
    return f"/api/v1/sessions/{quote(session_id, safe='')}"
