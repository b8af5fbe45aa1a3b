"""When to try again, and what an answer of the centre means for the row that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

LONGEST_RETRY_AFTER: Final = 3_600.0
"""Seconds of a ``Retry-After`` that are believed: a mistyped one must not silence a box for a year."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, with full jitter, and without an end: a clinical record never expires.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the kinds compared there, full
    jitter makes the fewest calls when many clients were turned away at the same moment.
    """

    first: float = 5.0
    """Seconds that the first pause lasts at most."""
    most: float = 900.0
    """Seconds that any pause lasts at most."""

    def pause(self, attempts: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row; ``chance`` is drawn from [0, 1)."""
        doubled = self.first * 2.0 ** min(max(attempts, 1) - 1, 62)
        return chance * min(self.most, doubled)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for; ``None`` if it is missing or means nothing.

    now: aware, by the clock of the server that sent it.
    Source: RFC 9110 section 10.2.3: a number of seconds, or a date.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_RETRY_AFTER)


class Verdict(StrEnum):
    """What an HTTP status asks of the box."""

    DONE = "done"
    LATER = "later"
    """Time may heal it."""
    LOG_IN = "log_in"
    PERSON = "person"
    """Sent again it would be refused again."""


def verdict(status: int) -> Verdict:
    """What to do about a status.  A redirection is somebody between us and the centre, or a wrong address: later."""
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
        return Verdict.DONE
    if status in {401, 403}:
        return Verdict.LOG_IN
    if 400 <= status < 500 and status not in {407, 408, 425, 429}:  # noqa: PLR2004
        return Verdict.PERSON
    return Verdict.LATER


def may_have_been_taken(status: int) -> bool:
    """Whether the request may have been worked off although its answer has this status, which is not a success.

    A 500 may come after the upload was stored and only its extraction could not be started.
    """
    return status >= 500 or status == 408  # noqa: PLR2004
