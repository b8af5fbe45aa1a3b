"""Lines to store, as an engine would make them: times in ticks of 10 ms, two segments, a few pauses."""

from __future__ import annotations

from datetime import UTC, datetime

from ambientd.core.metrics import SessionMetrics
from ambientd.core.transcript import Gap, Line, Segment, Word
from ambientd.store.sessions import Sessions

THIRTY_WORDS = (
    "The patient reports intermittent chest pain radiating to her left arm since Monday, and takes "
    "metoprolol twenty five milligrams twice daily with some relief and no breathlessness at all today."
)
TICK = 160
BEGAN = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


def line(index: int, text: str = THIRTY_WORDS) -> Line:
    """Line ``index`` of a session whose every line says ``text``; no two lines have the same times."""
    start = index * 200_000 + 37
    words = []
    tick = 3
    for place, spelling in enumerate(text.split(" ")):
        length = 9 + (len(spelling) * 7 + index + place) % 40
        words.append(
            Word(spelling, start + tick * TICK, start + (tick + length) * TICK, (7001 + 83 * place) / 10_000)
        )
        tick += length + (place * 5 + index) % 4
    half = len(words) // 2
    segments = tuple(
        Segment(" ".join(word.text for word in part), part[0].start, part[-1].end, tuple(part))
        for part in (words[:half], words[half:])
        if part
    )
    return Line(
        index=index,
        text=text,
        start=start,
        end=words[-1].end + 11,
        segments=segments,
        confidence=0.912345678,
        language="en",
        model="base-q8_0",
        processing_ms=812.345 + index,
    )


def gap(index: int) -> Gap:
    """A gap of 3.2 s before line ``index``."""
    return Gap(index * 200_000 - 51_200, index * 200_000, "decode_timeout")


def figures(lines: list[Line]) -> SessionMetrics:
    """The figures of a session that said these lines."""
    metrics = SessionMetrics(received_samples=200_000, decoded_samples=190_000, decode_seconds=1.5)
    for each in lines:
        metrics = metrics.with_line(each)
    return metrics


async def begin(sessions: Sessions, session_id: str, connected_at: datetime = BEGAN) -> None:
    await sessions.create(
        session_id, connected_at=connected_at, client="192.0.2.7", language="en", model="base-q8_0"
    )
