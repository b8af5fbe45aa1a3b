"""What the store refuses although the file is well."""

from __future__ import annotations

from ambientd.errors import AmbientError, ClientError, DoesNotOpen


class SessionExists(ClientError):
    """A client asked for a session id that was used before, by whomever."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            "session_exists",
            f"The session id {session_id} was used before.",
            hint="Choose another, or connect without one to be given one.",
            close_code=1008,
        )


class NoSuchSession(ClientError):
    """A client asked something of a session that is not in the store."""

    def __init__(self) -> None:
        super().__init__("no_such_session", "no session has this id")


class NoSuchCopy(ClientError):
    """Somebody wants a file deleted that is no copy of the database."""

    def __init__(self) -> None:
        super().__init__(
            "no_such_copy",
            "no copy of the database has this name",
            hint="ambientctl purge --dry-run names the old ones.",
        )


class ClockDoubtful(ClientError):
    """A purge by a clock that may be wrong."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "clock_doubtful",
            f"the clock is {why}, compared with when the box last purged: by a wrong clock, what is young would go",
            hint="Set the clock.  If it is right: ambientctl purge --clock-is-right.",
        )


class StillOpen(ClientError):
    """Somebody wants a session deleted that has not ended."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            "session_in_use", f"the session {session_id} is still open", hint="End it first, then delete it."
        )


class NotDelivered(ClientError):
    """Somebody wants a session deleted that exists nowhere else."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            "not_delivered",
            f"the session {session_id} has not been delivered: this is the only copy of it",
            hint="Wait until it is delivered, or insist: ambientctl purge --session ID --force.",
        )


class AlreadySent(ClientError):
    """Somebody wants a session discarded that is at the centre, or may be."""

    def __init__(self) -> None:
        super().__init__(
            "already_sent",
            "the session was sent to the central server, so it cannot be discarded here alone",
            hint="Have it deleted there; an operator deletes the box's own copy.",
        )


class Discarded(ClientError):
    """A client comes back to a session that was discarded."""

    def __init__(self) -> None:
        super().__init__(
            "session_discarded",
            "this session was discarded, and nothing of it is kept",
            hint="Do not send its audio again; open a new session.",
            close_code=1008,
        )


class TextSent(ClientError):
    """Somebody wants to correct what the centre has, or may have."""

    def __init__(self) -> None:
        super().__init__(
            "already_sent",
            "the text was sent to the central server, or may have been, so it can be changed no more",
            hint="Correct it there.",
        )


class CorrectedMeanwhile(ClientError):
    """Somebody corrects or approves a text that is another than the one he read."""

    def __init__(self) -> None:
        super().__init__(
            "corrected_meanwhile",
            "the text has changed since it was read, or it is not said which one was read",
            hint="Read it again first.",
        )


class UnusableText(ClientError):
    """A correction that would not leave a transcript of this session."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("bad_correction", message, hint=hint)


class BadCursor(ClientError):
    """A client asked for the sessions beside one it did not get from here."""

    def __init__(self) -> None:
        super().__init__(
            "bad_cursor", "The cursor is not one this service gave.", hint="Begin the list without a cursor."
        )


class SessionNotOpen(AmbientError):
    """A line, a gap or an end for a session that has ended already or never began."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"The session {session_id} is not open.")


class LineOutOfOrder(AmbientError):
    """A line whose index is not the next one: it is there already, or one before it is missing."""

    def __init__(self, session_id: str, index: int, expected: int) -> None:
        super().__init__(f"Line {index} of session {session_id} came where {expected} was due.")


class SealBroken(DoesNotOpen):
    """Something stored does not open: it was altered, moved to another place, or its key is gone."""

    def __init__(self, session_id: str, table: str) -> None:
        super().__init__(
            f"What table {table} holds of session {session_id} does not open: it was altered, or its key is gone.",
            hint="Other sessions are not touched.  Restore a backup if the disk or somebody damaged the file.",
        )


class AlreadySetUp(ClientError):
    """Somebody wants to set a box up that has accounts."""

    def __init__(self) -> None:
        super().__init__(
            "already_set_up",
            "this box has been set up",
            hint="Log in.  On the box: ambientctl accounts add.",
        )


class NameTaken(ClientError):
    """An account is to be called as another is."""

    def __init__(self) -> None:
        super().__init__("name_taken", "an account has this name already", hint="Choose another.")


class NoSuchPrincipal(ClientError):
    """An account or device that does not exist, or no longer."""

    def __init__(self) -> None:
        super().__init__("no_such_principal", "no account or device has this id, or it was revoked")


class NoSuchPairing(ClientError):
    """A pairing that nobody asked for, or asked with another secret."""

    def __init__(self) -> None:
        super().__init__("no_such_pairing", "no device asks under this id")


class NotWaiting(ClientError):
    """A pairing that was decided over, or whose time is over."""

    def __init__(self) -> None:
        super().__init__(
            "not_waiting",
            "this pairing was decided before, or its time is over",
            hint="Ask again from the device.",
        )
