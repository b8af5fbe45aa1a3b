"""A stored session as FHIR R4: a bundle that a clinic's archive can file.

The bundle is a *collection*.  A *document* would have to open with a Composition, which is a clinical statement
somebody answers for, and nobody has read this text yet; a *transaction* would have to know which server it is for.
Source: https://hl7.org/fhir/R4/bundle.html, documentreference.html, device.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from ambientd.core.export import as_dict, as_text, as_vtt, names_put_in
from ambientd.core.record import Details, SessionRecord
from ambientd.core.transcript import Gap, Line

SESSION_IDS: Final = uuid.UUID("6b1f3a52-6a2e-4c0f-9d0e-3a1c8f3f9a11")
BOX_IDS: Final = uuid.UUID("e7d06c0c-2f0b-4f0e-8a57-1d1e6c5c2a6d")
"""Ours, made at random: the name spaces of session ids and of box ids."""

TYPE: Final = {
    "coding": [{"system": "http://loinc.org", "code": "34108-1", "display": "Outpatient Note"}],
    "text": "Transcript of the conversation",
}
"""LOINC has no code for a transcript.  Not 11488-4, Consult note: that answers another provider's request.
Source: https://loinc.org/34108-1"""

_LITERAL: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}|urn:(uuid|oid):\S+|https?://\S+")
"""What FHIR takes as the address of a resource.  Source: https://hl7.org/fhir/R4/references.html section 2.3.0"""


def as_bundle(
    session: SessionRecord,
    lines: Sequence[Line],
    gaps: Sequence[Gap],
    *,
    details: Details,
    version: str,
    at: datetime,
) -> dict[str, Any]:
    """The transcript and the box that heard it, ready for JSON (``application/fhir+json``).

    version: of the program.  at: now, aware.

    The same session gets the same ids each time, so that an archive sees a second export for what it is.
    """
    document = _uuid(SESSION_IDS, f"{session.box_id or ''}/{session.session_id}", session.session_id)
    box = _uuid(BOX_IDS, session.box_id or "", session.box_id or "")
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(at),
        "entry": [
            {
                "fullUrl": f"urn:uuid:{document}",
                "resource": _document(session, lines, gaps, details=details, document=document, box=box),
            },
            {"fullUrl": f"urn:uuid:{box}", "resource": _device(session, lines, version, box)},
        ],
    }


def _document(
    session: SessionRecord,
    lines: Sequence[Line],
    gaps: Sequence[Gap],
    *,
    details: Details,
    document: uuid.UUID,
    box: uuid.UUID,
) -> dict[str, Any]:
    made = session.ended_at or session.connected_at
    # An open session's end is not known, and a period without an end says just that.
    period = {"start": _instant(session.connected_at)}
    if session.ended_at is not None:
        period["end"] = _instant(session.ended_at)
    context: dict[str, Any] = {"period": period}
    if details.encounter:
        context["encounter"] = [_reference("Encounter", details.encounter)]
    resource: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "id": str(document),
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{document}"},
        "identifier": [{"system": f"urn:uuid:{SESSION_IDS}", "value": session.session_id}],
        "status": "current",
        # "May be incomplete or unverified": so it is until a clinician has read it, and they file that themselves.
        "docStatus": "preliminary",
        "type": TYPE,
        "date": _instant(made),
        "author": [{"reference": f"urn:uuid:{box}"}],
        "description": _description(lines),
        "content": [
            {
                "attachment": _attachment(
                    "text/plain; charset=utf-8", as_text(session, lines, gaps), "Transcript", session, made
                )
            },
            {
                "attachment": _attachment(
                    "text/vtt; charset=utf-8", as_vtt(lines, gaps), "Transcript with times", session, made
                )
            },
            {
                # With each word, and the names that were put in or may be meant.  R4 has no element for those, and an
                # extension is asked to have a published definition.  Source: https://hl7.org/fhir/R4/extensibility.html
                "attachment": _attachment(
                    "application/json",
                    json.dumps(as_dict(session, lines, gaps), ensure_ascii=False),
                    "Transcript with words and marked names",
                    session,
                    made,
                )
            },
        ],
        "context": context,
    }
    if details.patient:
        resource["subject"] = _reference("Patient", details.patient)
    return resource


def _device(session: SessionRecord, lines: Sequence[Line], version: str, box: uuid.UUID) -> dict[str, Any]:
    # The lines know best: a second, slower hearing may have used another model than the session began with.
    models = sorted({line.model for line in lines}) or [session.model]
    resource: dict[str, Any] = {
        "resourceType": "Device",
        "id": str(box),
        "status": "active",
        "deviceName": [{"name": "ambientd", "type": "model-name"}],
        "type": {"text": "Speech-to-text appliance"},
        "version": [{"value": version}],
        "property": [{"type": {"text": "Speech model"}, "valueCode": [{"text": model} for model in models]}],
    }
    if session.box_id:
        resource["identifier"] = [{"system": f"urn:uuid:{BOX_IDS}", "value": session.box_id}]
    if session.room:
        resource["location"] = {"display": session.room}
    return resource


def _description(lines: Sequence[Line]) -> str:
    told = "Automatic transcript of a conversation, not checked by a person"
    names = len(names_put_in(lines))
    if not names:
        return told
    count = "1 name" if names == 1 else f"{names} names"
    return (
        f"{told}. {count} of a vocabulary written in place of what was heard: listed at the end of the text"
    )


def _attachment(kind: str, text: str, title: str, session: SessionRecord, made: datetime) -> dict[str, Any]:
    data = text.encode()
    attachment: dict[str, Any] = {
        "contentType": kind,
        "data": base64.b64encode(data).decode(),
        "size": len(data),
        # SHA-1 is what R4 asks for here; it guards against accidents, not against people.
        "hash": base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode(),
        "title": title,
        "creation": _instant(made),
    }
    if session.language != "auto":
        attachment["language"] = session.language
    return attachment


def _reference(kind: str, given: str) -> dict[str, Any]:
    """A clinic's reference as the address it is, or else as the name it must be."""
    if _LITERAL.fullmatch(given):
        return {"reference": given}
    return {"type": kind, "identifier": {"value": given}}


def _uuid(space: uuid.UUID, name: str, perhaps: str) -> uuid.UUID:
    """``perhaps`` if that is a UUID already, else one made from ``name``: the same each time."""
    try:
        return uuid.UUID(perhaps)
    except ValueError:
        return uuid.uuid5(space, name)


def _instant(moment: datetime) -> str:
    """To the millisecond, with its offset, as FHIR writes an ``instant``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
