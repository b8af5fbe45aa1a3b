"""A centre designed for boxes: the box names each transcript, and putting it twice is putting it once."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ambientd.core.answers import Answer, Question
from ambientd.core.delivery import Part
from ambientd.core.record import Details, Refinement, SessionRecord
from ambientd.errors import CentralRejected, CentralUnavailable, OperatorError
from ambientd.store.parcels import Parcel
from ambientd.sync import secrets
from ambientd.sync.central import Central, Reply, nonsense, settle
from ambientd.sync.profiles import Claimed, Receipt
from ambientd.sync.route import Route


class Ingest:
    """One centre of this kind."""

    most = None
    repeatable = True
    answers = False

    def __init__(self, central: Central, route: Route) -> None:
        self._central = central
        self._route = route

    async def push(self, parcel: Parcel, part: Part) -> Receipt:
        """Put the transcript under its name.  201: new.  200, or 409, with the same digest: it was there.

        A 200 must name the digest: a portal or proxy in between says 200 to everything.
        """
        body = document(parcel, part, self._box_id(parcel))
        digest = content_digest(body)
        headers = {"Content-Type": "application/json", "Content-Digest": digest}
        if self._route.secret:
            try:
                headers["Authorization"] = f"Bearer {secrets.read(self._route.secret)}"
            except OperatorError as error:
                raise CentralUnavailable(
                    error.message, certain=True, everyone=True, hint=error.hint
                ) from error
        reply = await self._central.call("PUT", self._path(parcel, part), body=body, headers=headers)
        if reply.status == 409:  # noqa: PLR2004 - Conflict
            # The name is of our making, and the text under it never changes: after an attempt that may have arrived
            # it is that one, sent before the clinic noted something else of the session.
            if digest in _digests(reply) or not parcel.fresh:
                return Receipt()
            raise CentralRejected("the central server holds another transcript under this name.")
        if reply.status in {401, 403}:
            raise CentralUnavailable(
                f"the central server refuses the box (status {reply.status}).",
                certain=True,
                everyone=True,
                status=reply.status,
                hint="Check the token in the secret named in sync.secret.",
            )
        settle(reply)
        if reply.status != 201 and digest not in _digests(reply):  # noqa: PLR2004 - Created
            raise nonsense()
        return Receipt()

    async def look(
        self, parcel: Parcel, part: Part, since: datetime | None, claimed: Claimed
    ) -> Receipt | None:
        """Not needed: a repeat changes nothing."""
        del parcel, part, since, claimed
        return None

    async def answered(self, part: Part) -> list[Answer] | None:
        """This kind has no answers."""
        del part
        return None

    async def questions(self) -> list[Question]:
        """This kind asks nothing."""
        return []

    def _box_id(self, parcel: Parcel) -> str:
        return parcel.record.box_id or self._route.box_id

    def _path(self, parcel: Parcel, part: Part) -> str:
        name = parcel.upload.id
        if len(parcel.upload.parts) > 1:  # cut for a centre of another kind, before the settings were changed
            name = str(uuid.uuid5(uuid.UUID(name), str(part.number)))
        return f"/api/v1/boxes/{quote(self._box_id(parcel), safe='')}/transcripts/{name}"


def profile(central: Central, route: Route) -> Ingest:
    """The profile for a centre."""
    return Ingest(central, route)


def document(parcel: Parcel, part: Part, box_id: str) -> bytes:
    """The transcript as JSON: the same bytes each time, for their digest is what a repeat is known by."""
    fields = {
        "version": 1,
        "box_id": box_id,
        "session_id": parcel.record.session_id,
        "part": part.number,
        "parts": len(parcel.upload.parts),
        "text": parcel.words(part),
        **_names(parcel, part),
        **_circumstances(parcel.record),
        **_particulars(parcel.details),
    }
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content_digest(body: bytes) -> str:
    """The header's value.  Source: RFC 9530 section 2."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _names(parcel: Parcel, part: Part) -> dict[str, Any]:
    """The names that stand in the text in place of what was heard, where there are any."""
    names = [
        {"start": each.start, "end": each.end, "said": each.said, "suggested": each.name}
        for each in parcel.names(part)
    ]
    return {"corrections": names} if names else {}


def _circumstances(record: SessionRecord) -> dict[str, Any]:
    """What orders and explains the transcript; boot and monotonic times do so for a box whose clock was wrong."""
    return {
        "state": record.state,
        "reason": record.reason,
        "started_at": record.connected_at.isoformat(),
        "ended_at": record.ended_at.isoformat() if record.ended_at else None,
        "boot_id": record.boot_id,
        "monotonic_start": record.monotonic_start,
        "monotonic_end": record.monotonic_end,
        "room": record.room,
        "language": record.language,
        "model": record.model,
        "quantisation": record.quantisation,
        "refined": record.refinement is Refinement.DONE,
    }


def _particulars(details: Details) -> dict[str, Any]:
    """What the clinic says of the session."""
    consent = details.consent
    return {
        "encounter": details.encounter,
        "patient": details.patient,
        "consent": None
        if consent is None
        else {
            "given_by": consent.given_by,
            "at": consent.at.isoformat(),
            "version": consent.version,
            "withdrawn_at": consent.withdrawn_at.isoformat() if consent.withdrawn_at else None,
        },
    }


def _digests(reply: Reply) -> set[str]:
    """The digests that an answer names, in its header or its body."""
    found = {each.strip() for each in reply.headers.get("Content-Digest", "").split(",")}
    try:
        told = json.loads(reply.body)
    except ValueError:
        return found
    if isinstance(told, dict) and isinstance(told.get("digest"), str):
        found.add(told["digest"])
    return found
