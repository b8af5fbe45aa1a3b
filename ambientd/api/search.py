"""REST: which stored conversations hold certain words."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.body import json_object
from ambientd.api.described import described
from ambientd.api.history import record_fields
from ambientd.api.models.sessions import Found, Search
from ambientd.api.origin import peer
from ambientd.api.reach import only_owner
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.errors import ClientError
from ambientd.store.search import search

routes = web.RouteTableDef()

USUAL: Final = 20
MOST: Final = 100
MOST_WORDS: Final = 10
LONGEST: Final = 200
"""Characters of a word or phrase."""


@routes.post("/api/v1/sessions/search")
@allows(Permission.READ)
@described(Found, body=Search)
async def find(request: web.Request) -> web.Response:
    """``{"words": ["…"], "limit": 20}``: the newest ended sessions that hold all the words, with a passage.

    A POST although it changes nothing: what is searched for may name a patient, and addresses end up in logs.
    """
    words, limit = _asked(await json_object(request))
    services = request.app[SERVICES]
    await services.audit.record(
        actor=actor(request, "client"), action="transcript.searched", origin=peer(request)
    )
    found = await search(services.database, words, limit=limit, owner=only_owner(request, Permission.READ))
    return web.json_response(
        {
            "sessions": [
                {**record_fields(each.record, delivers=services.sync.delivers), "passage": each.passage}
                for each in found
            ]
        }
    )


def _asked(given: dict[str, object]) -> tuple[list[str], int]:
    words, limit = given.get("words"), given.get("limit", USUAL)
    if (
        not isinstance(words, list)
        or not 1 <= len(words) <= MOST_WORDS
        or not all(isinstance(word, str) and word.strip() and len(word) <= LONGEST for word in words)
    ):
        raise ClientError("bad_words", f"words must be a list of 1 to {MOST_WORDS} words or phrases")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST:
        raise ClientError("bad_limit", f"limit must be a number from 1 to {MOST}")
    return [word.strip() for word in words], limit
