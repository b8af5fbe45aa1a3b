"""A stored session as people and programs take it away: plain text, SRT, WebVTT, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from ambientd.core.audio import RATE
from ambientd.core.cues import cues, gap_mark, one_row, rows
from ambientd.core.fields import mark_fields, seconds, segments_fields
from ambientd.core.naming import bare
from ambientd.core.record import SessionRecord, full_text
from ambientd.core.transcript import Gap, Line

NAMES_PUT_IN: Final = "Names of the vocabulary that were written in place of what was heard:"


def as_text(session: SessionRecord, lines: Sequence[Line], gaps: Sequence[Gap]) -> str:
    """What was said, a row a line with its time in front, gaps marked where they are.

    Names that were put in are listed at the end, where there are any.
    """
    head = [f"Session {session.session_id}", f"Started {_moment(session.connected_at)}"]
    if session.ended_at is not None:
        head.append(f"{session.state.capitalize()} {_moment(session.ended_at)} ({session.reason})")
    said = [(line.start, one_row(line.text)) for line in lines]
    said += [(gap.start, gap_mark(gap)) for gap in gaps]
    said.sort(key=lambda row: row[0])
    body = [f"[{_clock(start)}] {text}" for start, text in said]
    names = names_put_in(lines)
    note = ["", NAMES_PUT_IN, *names] if names else []
    return "\n".join([*head, "", *body, *note, ""])


def names_put_in(lines: Sequence[Line]) -> list[str]:
    """A row for each name that stands in ``lines`` in place of what was heard, in order."""
    found = []
    for line in lines:
        words = line.words
        for mark in line.corrections:
            now = bare(" ".join(word.text for word in words[mark.first : mark.last]))
            at = _minutes(words[mark.first].start)
            found.append(f'heard "{one_row(bare(mark.said))}", written "{one_row(now)}" at {at}')
    return found


def as_srt(lines: Sequence[Line], gaps: Sequence[Gap] = ()) -> str:
    """SubRip subtitles.  The format has no escapes: ``&`` and ``<`` stand as they are.

    Nor has it comments: which names were put in, it cannot tell.
    """
    blocks = []
    for number, cue in enumerate(cues(lines, gaps), start=1):
        # An arrow in the words would make some players see a second timing row.
        text = "\n".join(rows(cue.text)).replace("-->", "- ->")
        blocks.append(f"{number}\n{_timing(cue.start, ',')} --> {_timing(cue.end, ',')}\n{text}\n")
    return "\n".join(blocks)


def as_vtt(lines: Sequence[Line], gaps: Sequence[Gap] = ()) -> str:
    """WebVTT subtitles; names that were put in are listed in a comment at the end, which players do not show.

    Source: https://www.w3.org/TR/webvtt1/ sections 4.1 and 4.2.2.
    """
    blocks = ["WEBVTT\n"]
    for cue in cues(lines, gaps):
        text = "\n".join(rows(cue.text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_timing(cue.start, '.')} --> {_timing(cue.end, '.')}\n{text}\n")
    if names := names_put_in(lines):
        # A comment has no escapes, and an arrow would end it.
        rest = "\n".join(names).replace("-->", "- ->")
        blocks.append(f"NOTE {NAMES_PUT_IN}\n{rest}\n")
    return "\n".join(blocks)


def as_dict(session: SessionRecord, lines: Sequence[Line], gaps: Sequence[Gap]) -> dict[str, Any]:
    """Everything, ready for JSON; times in seconds since the session started.

    The fields of ``lines`` bear the names they had in the ``transcript`` messages.
    """
    return {
        "session_id": session.session_id,
        "state": str(session.state),
        "reason": None if session.reason is None else str(session.reason),
        "connected_at": _moment(session.connected_at),
        "ended_at": None if session.ended_at is None else _moment(session.ended_at),
        "language": session.language,
        "model": session.model,
        "text": full_text(line.text for line in lines),
        "lines": [line_fields(line) for line in lines],
        "gaps": [gap_fields(gap) for gap in gaps],
    }


def gap_fields(gap: Gap) -> dict[str, Any]:
    """One gap, ready for JSON."""
    return {"start_time": seconds(gap.start), "end_time": seconds(gap.end), "reason": gap.reason}


def line_fields(line: Line) -> dict[str, Any]:
    """One line, ready for JSON."""
    return {
        "chunk_index": line.index,
        "text": line.text,
        "start_time": seconds(line.start),
        "end_time": seconds(line.end),
        "confidence": round(line.confidence, 4),
        "language": line.language,
        "model_used": line.model,
        "processing_time_ms": round(line.processing_ms, 1),
        "segments": segments_fields([line]),
        **mark_fields([line]),
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _clock(count: int) -> str:
    minutes, seconds = divmod(count // RATE, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def _minutes(count: int) -> str:
    """Samples as ``m:ss``, ``h:mm:ss`` from an hour on."""
    return _clock(count).removeprefix("00:").removeprefix("0")


def _timing(count: int, point: str) -> str:
    """Samples as ``HH:MM:SS.mmm``, whole milliseconds rounded down so that order is kept."""
    return f"{_clock(count)}{point}{count % RATE * 1000 // RATE:03}"
