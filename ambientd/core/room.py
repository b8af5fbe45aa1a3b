"""What those who follow a session are told besides its words: how it stands, and how the microphone does.

Pure, like :mod:`ambientd.core.protocol`, whose messages these are too.
"""

from __future__ import annotations

from enum import StrEnum

from ambientd.core.protocol import Message


class Recording(StrEnum):
    """Whether a session takes audio."""

    RECORDING = "recording"
    PAUSED = "paused"
    ENDING = "ending"
    """What came in is being decoded; nothing more is taken."""
    ENDED = "ended"


def listening(session_id: str, *, state: Recording, elapsed: float, ephemeral: bool, live: bool) -> Message:
    """The first message to a listener; the lines that are stored follow.

    ``elapsed``: seconds of the session, pauses left out.  ``live``: whether more will come; otherwise the stored
    session is told and the connection closes.
    """
    return {
        "type": "listening",
        "session_id": session_id,
        "state": state,
        "elapsed_seconds": round(elapsed, 3),
        "ephemeral": ephemeral,
        "live": live,
    }


def recording(session_id: str, *, state: Recording, elapsed: float) -> Message:
    """The session was paused, or goes on."""
    return {
        "type": "recording",
        "session_id": session_id,
        "state": state,
        "elapsed_seconds": round(elapsed, 3),
    }
