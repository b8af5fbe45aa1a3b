"""Everything that can go wrong, sorted by who must act.

    AmbientError
    ├── OperatorError          whoever installs the box
    │   ├── ConfigError            the settings are wrong: the daemon refuses to start (exit status 78)
    │   ├── EngineUnavailable      no usable speech engine: the build or the machine must change
    │   ├── ModelError             weights missing, damaged or of the wrong kind
    │   └── StoreUnavailable       the database cannot be opened, written or trusted
    │       └── DiskFull               nothing can be written until space is freed
    ├── ClientError            the program at the other end of a socket or request
    ├── MicrophoneLost         time: the microphone is tried again
    ├── CentralUnavailable     time: the delivery is tried again
    ├── CentralRejected        a person: the delivery is parked
    └── DecodeFailed           nobody: the session marks a gap and goes on

Each message says what happened; each ``hint`` says what to do about it.  Neither ever holds words of a
conversation: messages are logged, and logs are not protected health information.
"""

from __future__ import annotations

EXIT_CONFIG = 78
"""Exit status for faulty settings.  Source: EX_CONFIG in sysexits.h; systemd knows it by that name too."""


class AmbientError(Exception):
    """Base of all errors raised on purpose; never raised itself."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """``message``: what happened, one sentence.  ``hint``: what to do, one sentence or empty."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}  {self.hint}" if self.hint else self.message


class OperatorError(AmbientError):
    """The person who runs the box must change something; retrying alone will not help."""


class ConfigError(OperatorError):
    """The settings are wrong; ``faults`` lists every one of them as ``table.key: reason``."""

    def __init__(self, faults: list[str], *, hint: str = "") -> None:
        super().__init__(
            "the settings are faulty:\n" + "\n".join(f"  {fault}" for fault in faults), hint=hint
        )
        self.faults = faults


class EngineUnavailable(OperatorError):
    """The speech engine cannot be loaded on this machine."""


class ModelError(OperatorError):
    """Model weights are missing, damaged, or not what their name or checksum promises."""


class StoreUnavailable(OperatorError):
    """The database cannot be opened, written, or does not keep its durability promise."""


class DoesNotOpen(StoreUnavailable):
    """Something that was kept sealed does not open, and never will: it was altered, or its key is gone."""


class DiskFull(StoreUnavailable):
    """The disk takes nothing more; what was written stays."""


class ClientError(AmbientError):
    """A client sent something this service cannot accept.

    ``code`` is a stable machine-readable word for the ``error`` message.  ``close_code`` is the WebSocket
    close code where the connection cannot go on (RFC 6455 section 7.4), ``None`` where it can.  ``retry_after``:
    seconds after which the same request may succeed, ``None`` where waiting does not help.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        close_code: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.close_code = close_code
        self.retry_after = retry_after


class MicrophoneLost(AmbientError):
    """The room's microphone gives no sound; it is tried again by itself."""


class CentralUnavailable(AmbientError):
    """The centre cannot be reached, is busy, or does not make sense at the moment.

    ``certain``: whether the request has certainly not been worked off; otherwise that must be found out.
    ``everyone``: whether it would go every other delivery just so.
    ``retry_after``: seconds the centre asked us to wait, if it did.  ``status``: its HTTP status, if there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        certain: bool,
        everyone: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.certain = certain
        self.everyone = everyone
        self.retry_after = retry_after
        self.status = status


class CentralRejected(AmbientError):
    """The centre does not want this, and would not want it if it was sent again."""


class DecodeFailed(AmbientError):
    """One decode gave no usable text (aborted, timed out, failed in the engine); its audio becomes a gap."""
