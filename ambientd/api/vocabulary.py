"""REST over the clinic's list of names: what is in force, and reading it again."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import described
from ambientd.api.models.box import VocabularyCounts, VocabularyNames
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.core.vocabulary import Vocabulary
from ambientd.errors import ClientError, OperatorError

routes = web.RouteTableDef()


@routes.get("/api/v1/vocabulary")
@allows(Permission.RECORD, Permission.SEE_BOX)
@described(VocabularyNames)
async def names(request: web.Request) -> web.Response:
    """The clinic's names and how many of each speciality; never those a session brought itself."""
    vocabulary = request.app[SERVICES].glossary.vocabulary
    return web.json_response({**_counts(vocabulary), "names": [entry.name for entry in vocabulary.entries]})


@routes.post("/api/v1/vocabulary/reload")
@allows(Permission.RUN_BOX)
@described(VocabularyCounts)
async def reload(request: web.Request) -> web.Response:
    """Read the list again, for sessions that open from now on."""
    services = request.app[SERVICES]
    try:
        await asyncio.to_thread(services.glossary.reload)
    except OperatorError as error:
        # Asked on the box itself, so it may name the file.
        raise ClientError("bad_vocabulary", error.message, hint=error.hint) from error
    await services.audit.record(
        actor=actor(request, "operator"), action="vocabulary.read", origin=peer(request)
    )
    return web.json_response(_counts(services.glossary.vocabulary))


def _counts(vocabulary: Vocabulary) -> dict[str, object]:
    return {
        "count": len(vocabulary.entries),
        "specialities": Counter(entry.speciality for entry in vocabulary.entries if entry.speciality),
        "unusable_lines": len(vocabulary.faults),
    }
