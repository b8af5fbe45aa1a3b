"""A session as FHIR R4: accepted by models made from the specification, and true to what was said."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.export import as_dict, as_text, as_vtt
from ambientd.core.fhir import as_bundle
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import Details, EndReason, SessionRecord, SessionState
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word

RATE = 16_000
BEGAN = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
LATER = BEGAN + timedelta(days=1)
SESSION = SessionRecord(
    session_id="visit-1",
    state=SessionState.ENDED,
    connected_at=BEGAN,
    ended_at=BEGAN + timedelta(minutes=5),
    reason=EndReason.CLIENT,
    client="192.0.2.7",
    language="en",
    model="base-q8_0",
    sample_rate=RATE,
    boot_id=None,
    monotonic_start=None,
    transcript_length=0,
    metrics=SessionMetrics(),
    box_id="a6f3ba0e-55ab-4f8f-8a4b-0b5a4a3a7f10",
    room="Exam room 3",
)
WORD = Word("Grüße.", RATE, 2 * RATE, 0.9)
SEGMENT = Segment("Grüße.", RATE, 2 * RATE, (WORD,))
LINES = [Line(0, "Grüße.", RATE, 2 * RATE, (SEGMENT,), 0.9, "en", "small-q8_0", 100.0)]
GAPS = [Gap(3 * RATE, 4 * RATE, "decode_timeout")]


def bundle(session: SessionRecord = SESSION, lines: list[Line] = LINES, **details: Any) -> dict[str, Any]:
    return as_bundle(session, lines, GAPS, details=Details(**details), version="0.1.0", at=LATER)


def resources(made: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    document, device = (entry["resource"] for entry in made["entry"])
    return document, device


def accepted_by_r4b_models(made: dict[str, Any]) -> None:
    # R4B (4.3.0) left Bundle, DocumentReference and Device as they are in R4 (4.0.1).
    read = Bundle.model_validate_json(json.dumps(made))
    assert json.loads(read.model_dump_json())["entry"][0]["fullUrl"] == made["entry"][0]["fullUrl"]


def accepted_by_r4_models(made: dict[str, Any]) -> None:
    models = pytest.importorskip("fhirclient.models.bundle", reason="no fhirclient installed")
    assert models.Bundle(made).as_json() == made


@pytest.mark.parametrize("accepted", [accepted_by_r4b_models, accepted_by_r4_models])
@pytest.mark.parametrize(
    "made",
    [
        bundle(),
        bundle(patient="MRN 0042", encounter="Encounter/7"),
        bundle(replace(SESSION, ended_at=None, state=SessionState.OPEN, box_id=None, room=None)),
        bundle(lines=[]),
    ],
    ids=["plain", "with references", "open", "silent"],
)
def test_models_made_from_the_specification_accept_it(accepted: Any, made: dict[str, Any]):
    accepted(made)


def test_the_models_would_have_refused_a_mistake():
    made = bundle()
    del resources(made)[0]["status"]
    with pytest.raises(ValueError, match="status"):
        Bundle.model_validate(made)


@given(st.text(min_size=1), st.text(), st.text())
def test_any_words_and_any_references_are_accepted(words: str, patient: str, encounter: str):
    said = replace(LINES[0], text=words)
    accepted_by_r4b_models(bundle(lines=[said], patient=patient or None, encounter=encounter or None))


def test_the_attachments_hold_the_transcript_byte_for_byte():
    document, _ = resources(bundle())
    plain, timed, whole = (each["attachment"] for each in document["content"])

    assert base64.b64decode(plain["data"]).decode() == as_text(SESSION, LINES, GAPS)
    assert base64.b64decode(timed["data"]).decode() == as_vtt(LINES, GAPS)
    assert json.loads(base64.b64decode(whole["data"])) == as_dict(SESSION, LINES, GAPS)
    for attachment in (plain, timed, whole):
        data = base64.b64decode(attachment["data"])
        assert attachment["size"] == len(data)
        assert base64.b64decode(attachment["hash"]) == hashlib.sha1(data).digest()  # noqa: S324 - FHIR's choice
        assert attachment["language"] == "en"


def test_names_that_were_put_in_or_may_be_meant_are_told():
    mark = Suggestion(0, 1, "Krise.", "Grüße", 0.8)
    lines = [replace(LINES[0], corrections=(mark,), suggestions=(replace(mark, suggested="Gruse"),))]
    made = bundle(lines=lines)
    document, _ = resources(made)
    plain, _, whole = (base64.b64decode(each["attachment"]["data"]).decode() for each in document["content"])

    assert document["description"].startswith(
        "Automatic transcript of a conversation, not checked by a person. 1 name of a vocabulary written"
    )
    assert 'heard "Krise", written "Grüße" at 0:01' in plain
    [line] = json.loads(whole)["lines"]
    assert [told["said"] for told in line["corrections"]] == ["Krise."]
    assert [told["suggested"] for told in line["suggestions"]] == ["Gruse"]
    accepted_by_r4b_models(made)


def test_it_tells_when_by_whom_and_that_nobody_has_read_it():
    document, device = resources(bundle())

    assert document["context"]["period"] == {
        "start": "2026-01-15T10:00:00.000Z",
        "end": "2026-01-15T10:05:00.000Z",
    }
    assert (document["status"], document["docStatus"]) == ("current", "preliminary")
    assert document["type"]["coding"][0]["code"] == "34108-1"
    assert document["author"] == [{"reference": f"urn:uuid:{device['id']}"}]
    assert document["identifier"][0]["value"] == "visit-1"
    assert device["id"] == device["identifier"][0]["value"] == SESSION.box_id
    assert device["location"] == {"display": "Exam room 3"}
    # What was heard a second time was heard by another model than the session began with.
    assert device["property"][0]["valueCode"] == [{"text": "small-q8_0"}]


def test_who_was_not_named_is_not_in_it():
    document, _ = resources(bundle())
    assert "subject" not in document
    assert "encounter" not in document["context"]


@pytest.mark.parametrize(
    ("given_as", "stands_as"),
    [
        ("Patient/42", {"reference": "Patient/42"}),
        ("https://ehr.example/fhir/Patient/42", {"reference": "https://ehr.example/fhir/Patient/42"}),
        ("MRN 42", {"type": "Patient", "identifier": {"value": "MRN 42"}}),
    ],
)
def test_a_reference_is_an_address_or_else_a_name(given_as: str, stands_as: dict[str, Any]):
    assert resources(bundle(patient=given_as))[0]["subject"] == stands_as


def test_the_same_session_has_the_same_ids_each_time_and_another_has_others():
    def ids(session: SessionRecord) -> list[str]:
        return [entry["fullUrl"] for entry in bundle(session)["entry"]]

    assert ids(SESSION) == ids(SESSION)
    assert ids(SESSION)[0] != ids(replace(SESSION, session_id="visit-2"))[0]
    assert ids(SESSION)[0] != ids(replace(SESSION, box_id="another box"))[0]
    own = str(uuid.uuid4())
    assert ids(replace(SESSION, session_id=own))[0] == f"urn:uuid:{own}"
