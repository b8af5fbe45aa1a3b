"""What the clinic may say of a session, and change: checked, and put together with what it said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from ambientd.core.record import Consent, Details
from ambientd.errors import ClientError

FIELDS: Final = ("encounter", "patient", "consent", "withdrawal")

LONGEST: Final = 256
"""Characters of a reference: a FHIR identifier with its system fits."""

_CONSENT: Final = ("given_by", "at", "version")


def changed(details: Details, fields: Mapping[str, Any], *, now: datetime) -> Details:
    """``details`` with what ``fields`` say: absent leaves, ``null`` takes away.

    ``consent`` is an object of ``given_by``, ``version`` and ``at`` (now, if absent); ``withdrawal`` is the time at
    which it was withdrawn, or ``true`` for now.

    Raises:
        ClientError: a field is unknown or holds what it cannot.
    """
    if fields.keys() - set(FIELDS):
        raise _bad("one of the fields is not known", f"Known fields: {', '.join(FIELDS)}.")
    if "encounter" in fields:
        details = replace(details, encounter=_reference(fields["encounter"], "encounter"))
    if "patient" in fields:
        details = replace(details, patient=_reference(fields["patient"], "patient"))
    if "consent" in fields:
        details = replace(details, consent=_consent(fields["consent"], now))
    if "withdrawal" in fields:
        if details.consent is None:
            raise _bad("there is no consent to withdraw", "Send the consent first.")
        withdrawn_at = _withdrawn_at(fields["withdrawal"], now)
        details = replace(details, consent=replace(details.consent, withdrawn_at=withdrawn_at))
    return details


def as_fields(details: Details) -> dict[str, Any]:
    """The details ready for JSON, under the names that ``changed`` reads."""
    consent = details.consent
    withdrawn_at = consent.withdrawn_at if consent else None
    return {
        "encounter": details.encounter,
        "patient": details.patient,
        "consent": {"given_by": consent.given_by, "at": consent.at.isoformat(), "version": consent.version}
        if consent
        else None,
        "withdrawal": withdrawn_at.isoformat() if withdrawn_at else None,
    }


def _consent(value: object, now: datetime) -> Consent | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() - set(_CONSENT):
        raise _bad("consent is an object", f"Its fields: {', '.join(_CONSENT)}.")
    given_by = _reference(value.get("given_by"), "consent.given_by")
    version = _reference(value.get("version"), "consent.version")
    if given_by is None or version is None:
        raise _bad("a consent needs given_by and version", "Who gave it, and to which version of the text.")
    return Consent(given_by, _moment(value["at"], "consent.at") if "at" in value else now, version)


def _withdrawn_at(value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    return now if value is True else _moment(value, "withdrawal")


def _reference(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or not value.isprintable():
        raise _bad(f"{name} is text of 1 to {LONGEST} printable characters")
    return value


def _moment(value: object, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _bad(f"{name} is a time with its zone", "For example 2026-01-15T10:00:00Z.")


def _bad(message: str, hint: str = "") -> ClientError:
    return ClientError("bad_details", message, hint=hint)
