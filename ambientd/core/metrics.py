"""The figures kept for each session, as the clients of the seed protocol read them."""

from __future__ import annotations

from dataclasses import dataclass

from ambientd.core.audio import RATE
from ambientd.core.transcript import Line


@dataclass(frozen=True, slots=True)
class SessionMetrics:
    """Figures of one session so far; ``chunks`` are committed lines."""

    chunks_processed: int = 0
    processing_ms_total: float = 0.0
    processing_ms_max: float = 0.0
    processing_ms_min: float = 0.0
    confidence_total: float = 0.0
    received_samples: int = 0
    """All audio accepted, speech or not."""
    decoded_samples: int = 0
    """Audio that was given to the engine."""
    gap_samples: int = 0
    """Audio lost to gaps."""
    decode_seconds: float = 0.0
    """Wall seconds the engine worked for this session, partials included."""

    @property
    def avg_processing_time_ms(self) -> float:
        """Mean wall milliseconds a line took; 0 before the first."""
        return self.processing_ms_total / self.chunks_processed if self.chunks_processed else 0.0

    @property
    def avg_confidence_score(self) -> float:
        """Mean confidence of the lines, in [0, 1]; 0 before the first."""
        return self.confidence_total / self.chunks_processed if self.chunks_processed else 0.0

    @property
    def real_time_factor(self) -> float:
        """Engine seconds per second of audio received; below 1 keeps up."""
        return self.decode_seconds * RATE / self.received_samples if self.received_samples else 0.0

    def with_line(self, line: Line) -> SessionMetrics:
        """These figures with one more committed line."""
        return self + SessionMetrics(
            chunks_processed=1,
            processing_ms_total=line.processing_ms,
            processing_ms_max=line.processing_ms,
            processing_ms_min=line.processing_ms,
            confidence_total=line.confidence,
        )

    def __add__(self, other: SessionMetrics) -> SessionMetrics:
        fastest = [m.processing_ms_min for m in (self, other) if m.chunks_processed]
        return SessionMetrics(
            chunks_processed=self.chunks_processed + other.chunks_processed,
            processing_ms_total=self.processing_ms_total + other.processing_ms_total,
            processing_ms_max=max(self.processing_ms_max, other.processing_ms_max),
            processing_ms_min=min(fastest, default=0.0),
            confidence_total=self.confidence_total + other.confidence_total,
            received_samples=self.received_samples + other.received_samples,
            decoded_samples=self.decoded_samples + other.decoded_samples,
            gap_samples=self.gap_samples + other.gap_samples,
            decode_seconds=self.decode_seconds + other.decode_seconds,
        )
