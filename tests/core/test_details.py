"""What the clinic says of a session, taken bit by bit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.details import as_fields, changed
from ambientd.core.record import Consent, Details
from ambientd.errors import ClientError

NOW = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
CONSENT = {"given_by": "mother", "version": "2026-01"}


def test_absent_leaves_and_null_takes_away() -> None:
    details = changed(Details(), {"encounter": "e-1", "patient": "p-1"}, now=NOW)
    assert changed(details, {}, now=NOW) == details
    assert changed(details, {"patient": None}, now=NOW) == Details("e-1")


def test_a_consent_is_given_now_unless_it_says_when() -> None:
    given_now = changed(Details(), {"consent": CONSENT}, now=NOW)
    assert given_now.consent == Consent("mother", NOW, "2026-01")

    earlier = changed(Details(), {"consent": {**CONSENT, "at": "2026-01-15T11:30:00+02:00"}}, now=NOW)
    assert earlier.consent is not None
    assert earlier.consent.at == datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def test_a_withdrawal_stays_beside_the_consent() -> None:
    """It says when, not merely that; and a mistake can be taken back."""
    details = changed(Details(), {"consent": CONSENT}, now=NOW)
    withdrawn = changed(details, {"withdrawal": True}, now=NOW)
    assert withdrawn.consent == Consent("mother", NOW, "2026-01", NOW)
    assert changed(withdrawn, {"withdrawal": None}, now=NOW) == details


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Jane Roe"},
        {"encounter": 7},
        {"patient": ""},
        {"patient": " "},
        {"patient": "x" * 257},
        {"encounter": "a\nb"},
        {"consent": "yes"},
        {"consent": {}},
        {"consent": {"given_by": "mother"}},
        {"consent": {**CONSENT, "name": "Jane Roe"}},
        {"consent": {**CONSENT, "at": "2026-01-15T10:00:00"}},
        {"consent": {**CONSENT, "at": 7}},
        {"consent": {**CONSENT, "at": "0001-01-01T00:00:00+23:59"}},
        {"withdrawal": True},
        {"consent": CONSENT, "withdrawal": False},
    ],
)
def test_what_cannot_be_is_refused_without_being_quoted(fields: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refusal:
        changed(Details(), fields, now=NOW)

    assert refusal.value.code == "bad_details"
    assert "Roe" not in str(refusal.value)


REFERENCES = st.none() | st.from_regex(r"[A-Za-z0-9|:/. -]{0,40}[A-Za-z0-9]", fullmatch=True)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
DETAILS = st.builds(
    Details,
    REFERENCES,
    REFERENCES,
    st.none() | st.builds(Consent, st.just("she"), MOMENTS, st.just("1"), st.none() | MOMENTS),
)


@given(DETAILS)
def test_what_is_shown_can_be_sent_back(details: Details) -> None:
    fields = as_fields(details)
    if fields["consent"] is None:
        del fields["withdrawal"]

    assert changed(Details(), fields, now=NOW) == details
