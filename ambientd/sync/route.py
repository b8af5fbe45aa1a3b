"""What the sync is told by the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, time, timedelta, tzinfo
from pathlib import Path

from ambientd.core.retry import Backoff


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of the day in which the centre may be called; equal ends mean all day."""

    opens: time = time(0)
    closes: time = time(0)

    def holds(self, at: time) -> bool:
        """Whether ``at`` is inside; a window may go over midnight."""
        if self.opens == self.closes:
            return True
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes


@dataclass(frozen=True, slots=True)
class Route:
    """The line to one centre: everything the sync must know; made once by the wiring."""

    profile: str
    """Name of the profile: a module of :mod:`ambientd.sync.profiles`."""
    url: str
    box_id: str
    email: str = ""
    """Empty sends without logging in."""
    secret: str = ""
    """Name of the credential, or path of the file, with the password or token."""
    questions: Path | None = None
    """File of the clinic's own questions."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    client_certificate: Path | None = None
    """Certificate and key in one PEM file."""
    proxy: str = ""
    """Empty takes the environment's."""
    connect_timeout: float = 10.0
    """Seconds."""
    request_timeout: float = 60.0
    """Seconds for a whole call."""
    backoff: Backoff = field(default_factory=Backoff)
    settle: timedelta = timedelta(seconds=120)
    """How old an attempt must be before a look that does not find it is believed."""
    server_errors: int = 20
    """Answers 500 in a row after which a row is parked."""
    answers_for: timedelta = timedelta(days=3)
    """How long answers are asked for."""
    schedule: str = "interval 300"
    """``interval SECONDS``, or five fields of cron."""
    jitter: float = 60.0
    """Seconds that each alarm of the schedule is late at most, by chance."""
    window: Window = field(default_factory=Window)
    zone: tzinfo = UTC
    """Of the window and of a cron schedule."""
