"""REST over the audit, for whoever is on the box: the rows, and whether their chain holds."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from ambientd.api.access import actor, allows
from ambientd.api.described import PlainText, described
from ambientd.api.models.box import AuditQuery, AuditVerdict
from ambientd.api.origin import peer
from ambientd.api.services import SERVICES
from ambientd.core.access import Permission
from ambientd.errors import ClientError
from ambientd.store.audit import Action
from ambientd.store.chain import Entry, Verdict

routes = web.RouteTableDef()

COLUMNS: Final = ("number", "at", "actor", "action", "object", "origin", "outcome", "hash")
TYPES: Final = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
PAGE: Final = 1_000
"""Rows read at once: an audit of 90 days does not have to fit into memory."""


@routes.get("/api/v1/audit")
@allows(Permission.AUDIT)
@described(content={"application/x-ndjson": PlainText, "text/csv": PlainText}, query=AuditQuery)
async def export(request: web.Request) -> web.StreamResponse:
    """All rows, oldest first, as ``format``: csv or ndjson (default)."""
    form = request.query.get("format", "ndjson")
    if form not in TYPES:
        raise ClientError("bad_format", "no such format of the audit", hint="Use csv or ndjson.")
    audit = request.app[SERVICES].audit
    await audit.record(actor=actor(request, "operator"), action=Action.AUDIT_EXPORTED, origin=peer(request))
    last = (await audit.head()).number
    answer = web.StreamResponse(headers={"Content-Type": f"{TYPES[form]}; charset=utf-8"})
    await answer.prepare(request)
    if form == "csv":
        await answer.write(",".join(COLUMNS).encode() + b"\n")
    number = 0
    # Up to the row of the export itself: on a busy box the end would else run ahead of it.
    while number < last and (page := await audit.entries(after=number, limit=PAGE)):
        number = page[-1].number
        await answer.write(written([entry for entry in page if entry.number <= last], form).encode())
    await answer.write_eof()
    return answer


@routes.get("/api/v1/audit/verify")
@allows(Permission.AUDIT)
@described(AuditVerdict)
async def verify(request: web.Request) -> web.Response:
    """Follows the chain; ``broken_at`` names the first row whose link does not hold."""
    return web.json_response(told(await request.app[SERVICES].audit.verify()))


def written(entries: list[Entry], form: str) -> str:
    """Rows as text, in the order of ``COLUMNS``."""
    rows = [{**asdict(entry), "hash": entry.hash.hex()} for entry in entries]
    if form == "ndjson":
        return "".join(json.dumps(row) + "\n" for row in rows)
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerows(rows)
    return text.getvalue()


def told(verdict: Verdict) -> dict[str, Any]:
    """A verdict, ready for JSON."""
    return {
        "rows": verdict.rows,
        "anchor": {"number": verdict.anchor.number, "hash": verdict.anchor.hash.hex()},
        "end": {"number": verdict.end.number, "hash": verdict.end.hash.hex()},
        "broken_at": verdict.broken_at,
        "why": verdict.why,
    }
