"""Whose sessions a request reaches: what is out of reach is answered as what is not there, word for word.

Somebody from the network names sessions in a space of his own: what he calls ``visit-1`` is ``visit-1.ID`` with the id
of his principal behind it, and he may use either.  So a name he chooses can collide with none of another's, and he
learns from no refusal that there is one.  Programs on the box share one space without an ending, as the seed's clients
expect.
"""

from __future__ import annotations

from aiohttp import web

from ambientd.api.access import caller
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission, Principal, reaches, reaches_all
from ambientd.core.protocol import check_session_id
from ambientd.core.record import SessionRecord
from ambientd.errors import ClientError
from ambientd.session.session import Session
from ambientd.store.refusals import NoSuchSession


def own_id(principal: Principal, name: str) -> str:
    """The id of the session that somebody calls ``name``.

    Raises:
        ClientError: nothing can be called so.
    """
    if principal.is_local:
        return check_session_id(name)
    ending = f".{principal.id}"
    return check_session_id(name.removesuffix(ending)) + ending


async def stored(request: web.Request, permission: Permission) -> SessionRecord:
    """The stored session that the address names.

    Raises:
        NoSuchSession: there is none, or it is out of reach.
    """
    sessions = request.app[SERVICES].sessions
    # Both are looked up in any case: one that is out of reach takes as long as one that is not there.
    found = [await sessions.get(session_id) for session_id in _candidates(request)]
    for record in found:
        if record is not None and within_reach(request, permission, record.owner):
            return record
    if any(record is not None for record in found):
        _note(request)
    raise NoSuchSession


def live(request: web.Request, permission: Permission) -> Session:
    """The session under way that the address names.

    Raises:
        ClientError: there is none, or it is out of reach.
    """
    registry = request.app[SERVICES].registry
    for session_id in _candidates(request):
        session = registry.find(session_id)
        if session is not None and within_reach(request, permission, session.owner):
            return session
        if session is not None:
            _note(request)
    raise ClientError("no_such_session", "no live session has this id")


def _note(request: web.Request) -> None:
    """Somebody named a session of another's: he learns nothing of it, and the audit does."""
    request.app[SERVICES].gate.turned_away(caller(request), request.match_info["session_id"], peer(request))


def within_reach(request: web.Request, permission: Permission, owner: str) -> bool:
    """Whether what ``owner`` opened is in reach of whoever calls."""
    return reaches(caller(request), permission, owner, shared=request.app[SERVICES].gate.terms.shared_visits)


def only_owner(request: web.Request, permission: Permission) -> str | None:
    """Whose sessions alone a list may hold; ``None`` for everybody's."""
    principal = caller(request)
    everybody = reaches_all(principal, permission, shared=request.app[SERVICES].gate.terms.shared_visits)
    return None if everybody else principal.id


def _candidates(request: web.Request) -> tuple[str, ...]:
    """The ids that the name in the address may stand for; one's own first."""
    name, principal = request.match_info["session_id"], caller(request)
    return (
        (name,) if principal.is_local else (f"{name.removesuffix(f'.{principal.id}')}.{principal.id}", name)
    )
