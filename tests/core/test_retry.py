"""Pauses, Retry-After, and what a status asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.retry import (
    LONGEST_RETRY_AFTER,
    Backoff,
    Verdict,
    may_have_been_taken,
    retry_after,
    verdict,
)

NOW = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_never_passes_the_limit_and_there_is_no_last_one(attempts: int, chance: float) -> None:
    assert 0 <= Backoff(5, 900).pause(attempts, chance) <= 900


def test_the_limit_doubles_and_the_jitter_is_full() -> None:
    assert [Backoff(5, 900).pause(n, 1) for n in (1, 2, 3, 8, 9, 5_000)] == [5, 10, 20, 640, 900, 900]
    assert Backoff(5, 900).pause(9, 0) == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 15 Jan 2026 10:02:00 GMT", 120),
        ("Thu, 15 Jan 2026 09:00:00 GMT", 0),
        ("99999999999999999999", LONGEST_RETRY_AFTER),
        ("Thu, 15 Jan 2099 10:00:00 GMT", LONGEST_RETRY_AFTER),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_what_the_server_asks_for_is_honoured_within_reason(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.DONE),
        (201, Verdict.DONE),
        (302, Verdict.LATER),
        (400, Verdict.PERSON),
        (401, Verdict.LOG_IN),
        (403, Verdict.LOG_IN),
        (404, Verdict.PERSON),
        (407, Verdict.LATER),
        (408, Verdict.LATER),
        (409, Verdict.PERSON),
        (413, Verdict.PERSON),
        (422, Verdict.PERSON),
        (425, Verdict.LATER),
        (429, Verdict.LATER),
        (500, Verdict.LATER),
        (503, Verdict.LATER),
    ],
)
def test_each_status_asks_for_one_thing(status: int, expected: Verdict) -> None:
    assert verdict(status) is expected


def test_only_a_server_error_or_a_time_out_may_have_been_taken() -> None:
    """What the server has said no to was not worked off."""
    assert [status for status in range(300, 600) if may_have_been_taken(status)] == [408, *range(500, 600)]
