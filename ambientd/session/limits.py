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
    """Whatever happens, pauses left out."""
    pause: float = 3600.0
    """How long a session may be paused."""
    silence: float = 0.0
    """Of audio in which nobody speaks; 0 for any length."""


class Lifetime:
    """The clock of one session."""

    def __init__(self, limits: Limits, *, past: float = 0.0) -> None:
        """``past``: seconds the session has lasted already."""
        self._limits = limits
        self._last_sign = time.monotonic()
        self._began = self._last_sign - past
        self._gone_at: float | None = None
        self._paused_at: float | None = None

    @property
    def seconds(self) -> float:
        """Since the session began, pauses left out."""
        now = time.monotonic() if self._paused_at is None else self._paused_at
        return now - self._began

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused_at is not None

    def pause(self) -> None:
        """Time stands still from now on."""
        self._paused_at = time.monotonic()

    def go_on(self) -> None:
        """Time goes on after a pause, as if there had been none."""
        if self._paused_at is not None:
            self._began += time.monotonic() - self._paused_at
            self._paused_at = None
            self.touch()

    @property
    def deserted(self) -> bool:
        """Whether the client is gone and may come back."""
        return self._gone_at is not None

    def align(self, seconds: float) -> None:
        """The session has lasted so long, whatever the clock says: it went on while the daemon was away."""
        now = time.monotonic() if self._paused_at is None else self._paused_at
        self._began = now - seconds

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
        if self._paused_at is not None:
            ends = [
                (
                    self._paused_at + limits.pause,
                    EndReason.IDLE,
                    f"the session was paused for {limits.pause:g} s",
                )
            ]
        else:
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
