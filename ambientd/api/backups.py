"""REST for backups: whoever is on the box takes one away."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict
from typing import Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import OCTETS, Binary, described
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission

routes = web.RouteTableDef()

BLOCK: Final = 1 << 20
"""Bytes read at once."""


@routes.post("/api/v1/backup")
@allows(Permission.RUN_BOX)
@described(content={OCTETS: Binary}, errors=(507,))
async def backup(request: web.Request) -> web.StreamResponse:
    """A backup of the database as it is now, encrypted, and opened again before the first byte is sent.

    ``Content-Digest`` tells the receiver whether all of it arrived.  Source: RFC 9530.
    """
    async with request.app[SERVICES].backups.make(
        actor=actor(request, "operator"), origin=peer(request)
    ) as made:
        digest = base64.b64encode(bytes.fromhex(made.sha256)).decode()
        about = {"name": made.name, "recoverable": made.recoverable, **asdict(made.contents)}
        answer = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Digest": f"sha-256=:{digest}:",
                "Ambientd-Backup": json.dumps(about),
            }
        )
        answer.content_length = made.size
        await answer.prepare(request)
        with made.path.open("rb") as file:
            while block := await asyncio.to_thread(file.read, BLOCK):
                await answer.write(block)
        await answer.write_eof()
        return answer
