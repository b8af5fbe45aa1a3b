"""The settings of what is recorded now and transcribed later."""

from __future__ import annotations

from pydantic import Field

from ambientd.config.kinds import Count, Table


class Later(Table):
    """Sessions that are recorded, sealed, when the box is too busy to transcribe them as they are spoken."""

    enabled: bool = False
    """Whether a session that would be refused because the box is too busy is recorded instead, and transcribed when it
    is idle; its audio is kept on the disk until then, and destroyed when its text is stored."""
    max_hours: Count = Field(default=20, ge=1, le=1_000)
    """Hours of audio kept at once over all sessions, 0.12 GB each; what is more is refused, or ends."""
