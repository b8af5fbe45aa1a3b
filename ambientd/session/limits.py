"""When a session ends by itself: it has lasted too long, its client is silent, or its client is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ambientd.core.record import EndReason
from ambientd.errors import ClientError


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds."""

    grace: float = 60.0
    """How long a session waits for a client that vanished; 0 does not wait."""
    idle: float = 300.0
    """Without audio or message."""
    longest: float = 7200.0
    """Whatever happens."""


class Lifetime:
    """The clock of one session."""

    def __init__(self, limits: Limits, *, past: float = 0.0) -> None:
        """``past``: seconds the session has lasted already."""
        self._limits = limits
        self._last_sign = time.monotonic()
        self._began = self._last_sign - past
        self._gone_at: float | None = None

    @property
    def seconds(self) -> float:
        """Since the session began."""
        return time.monotonic() - self._began

    @property
    def deserted(self) -> bool:
        """Whether the client is gone and may come back."""
        return self._gone_at is not None

    def touch(self) -> None:
        """A sign of life: the idle time starts anew."""
        self._last_sign = time.monotonic()

    def desert(self) -> None:
        """The client is gone."""
        self._gone_at = time.monotonic()

    def resume(self) -> None:
        """The client is back."""
        self._gone_at = None
        self.touch()

    def left(self) -> float:
        """Seconds until the first limit is reached; not above 0 once it is."""
        return self._next()[0] - time.monotonic()

    def verdict(self) -> tuple[EndReason, ClientError]:
        """The limit that comes first, and what to tell the client when it is reached."""
        _, reason, why = self._next()
        return reason, ClientError(reason, f"{why}; the session ends now", hint="Open a new one.")

    def _next(self) -> tuple[float, EndReason, str]:
        limits = self._limits
        ends = [
            (
                self._began + limits.longest,
                EndReason.MAX_DURATION,
                f"the session has lasted {limits.longest:g} s",
            ),
            (
                self._last_sign + limits.idle,
                EndReason.IDLE,
                f"nothing came from the client for {limits.idle:g} s",
            ),
        ]
        if self._gone_at is not None:
            away = f"the client was gone for {limits.grace:g} s"
            ends.append((self._gone_at + limits.grace, EndReason.DISCONNECT, away))
        return min(ends)
