"""What is on record of a session in whose middle the daemon stopped: where it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ambientd.core.metrics import SessionMetrics
from ambientd.core.transcript import Gap, Line


@dataclass(frozen=True, slots=True)
class Past:
    """Of a new session, nothing."""

    connected_at: datetime | None = None
    """When the session began; ``None``: now."""
    cut_off: bool = False
    """Whether the daemon stopped in its middle."""
    owner: str = ""
    """Id of the principal that opened it; empty: whoever opens it now."""
    lines: tuple[Line, ...] = ()
    gaps: tuple[Gap, ...] = ()
    recorded: int | None = None
    """Samples: where its audio ends, if it is one that is recorded to be transcribed later."""
    metrics: SessionMetrics = field(default_factory=SessionMetrics)

    @property
    def end(self) -> int:
        """Samples: how far it reaches.  What had come in behind that was lost with the daemon's memory."""
        return max([self.recorded or 0, *(line.end for line in self.lines), *(gap.end for gap in self.gaps)])
