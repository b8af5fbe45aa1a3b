"""A session from its first moment to its end, and what a crash leaves of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from stored_speech import BEGAN, begin, figures, gap, line

from ambientd.core.delivery import UploadStatus
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import Box, EndReason, Progress, Refinement, SessionRecord, SessionState
from ambientd.errors import ClientError
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.listing import Wanted, cursor
from ambientd.store.refusals import BadCursor, SessionExists, SessionNotOpen
from ambientd.store.sessions import Sessions


async def end(sessions: Sessions, session_id: str, reason: EndReason = EndReason.CLIENT) -> None:
    await sessions.finalise(
        session_id,
        state=SessionState.ENDED,
        reason=reason,
        ended_at=BEGAN + timedelta(minutes=5),
        metrics=SessionMetrics(),
    )


class TestCreate:
    async def test_gives_back_what_was_said(self, sessions: Sessions) -> None:
        """Every fact of the beginning is there, times in UTC whatever zone they came in."""
        await sessions.create(
            "visit-1",
            connected_at=datetime(2026, 1, 15, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
            client="192.0.2.7",
            language="en",
            model="base-q8_0",
            sample_rate=44_100,
            boot_id="b1",
            monotonic_start=12.5,
        )

        assert await sessions.get("visit-1") == SessionRecord(
            session_id="visit-1",
            state=SessionState.OPEN,
            connected_at=datetime(2026, 1, 15, 10, 0, 0, 5, tzinfo=UTC),
            ended_at=None,
            reason=None,
            client="192.0.2.7",
            language="en",
            model="base-q8_0",
            sample_rate=44_100,
            boot_id="b1",
            monotonic_start=12.5,
            transcript_length=0,
            progress=Progress.RECORDING,
            metrics=SessionMetrics(),
        )

    async def test_an_id_is_used_once(self, sessions: Sessions) -> None:
        """Neither an open nor an ended session is overwritten by another of its name."""
        await begin(sessions, "s")
        with pytest.raises(SessionExists):
            await begin(sessions, "s")
        await end(sessions, "s")
        with pytest.raises(SessionExists) as refusal:
            await begin(sessions, "s")

        assert isinstance(refusal.value, ClientError)
        assert (refusal.value.code, refusal.value.close_code) == ("session_exists", 1008)
        assert await sessions.count() == 1

    async def test_of_many_at_once_one_wins(self, sessions: Sessions) -> None:
        results = await asyncio.gather(*(begin(sessions, "s") for _ in range(5)), return_exceptions=True)

        assert [type(result) for result in results].count(SessionExists) == 4

    async def test_a_time_without_zone_is_refused(self, sessions: Sessions) -> None:
        with pytest.raises(ValueError, match="time zone"):
            await begin(sessions, "s", datetime(2026, 1, 15, 10, 0))  # noqa: DTZ001 - the point of it

    async def test_nobody_is_none(self, sessions: Sessions) -> None:
        assert await sessions.get("nobody") is None
        assert await sessions.text("nobody") == ""


class TestFinalise:
    async def test_keeps_state_text_and_figures(self, sessions: Sessions, lines: Lines) -> None:
        said = [line(0, "Good morning."), line(1, "Where does it hurt?")]
        await begin(sessions, "s")
        for each in said:
            await lines.append_line("s", each, figures([each]))
        await sessions.finalise(
            "s",
            state=SessionState.ENDED,
            reason=EndReason.REST,
            ended_at=BEGAN + timedelta(minutes=5),
            metrics=figures(said),
        )
        record = await sessions.get("s")

        assert record is not None
        assert (record.state, record.reason) == (SessionState.ENDED, EndReason.REST)
        assert record.ended_at == BEGAN + timedelta(minutes=5)
        assert record.metrics == figures(said)
        assert record.total_chunks == 2
        assert await sessions.text("s") == "Good morning. Where does it hurt?"
        assert record.transcript_length == len("Good morning. Where does it hurt?")

    async def test_the_text_is_there_before(self, sessions: Sessions, lines: Lines) -> None:
        """While it is open the text is that of the lines so far, and its length is known."""
        await begin(sessions, "s")
        await lines.append_line("s", line(0, "Good"), figures([]))
        await lines.append_line("s", line(1, "morning."), figures([]))
        record = await sessions.get("s")

        assert record is not None
        assert await sessions.text("s") == "Good morning."
        assert record.transcript_length == 13

    async def test_a_second_end_is_refused(self, sessions: Sessions) -> None:
        """The first reason stands."""
        await begin(sessions, "s")
        await end(sessions, "s", EndReason.IDLE)
        with pytest.raises(SessionNotOpen):
            await end(sessions, "s", EndReason.SHUTDOWN)
        record = await sessions.get("s")

        assert record is not None
        assert record.reason is EndReason.IDLE

    async def test_one_that_never_began(self, sessions: Sessions) -> None:
        with pytest.raises(SessionNotOpen, match="nobody"):
            await end(sessions, "nobody")


class TestRecover:
    async def test_ends_what_a_crash_left_open(self, path: Path) -> None:
        """Open sessions become interrupted with figures counted from their lines and gaps; others stay."""
        said = [line(0), line(1)]
        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
            await begin(sessions, "late", BEGAN + timedelta(hours=1))
            await begin(sessions, "early")
            await begin(sessions, "well")
            await end(sessions, "well")
            for each in said:
                # As if the daemon had died before the figures of the line were right.
                await lines.append_line("early", each, SessionMetrics(decoded_samples=7, decode_seconds=0.5))
            await lines.append_gap("early", gap(3), SessionMetrics(decoded_samples=9, decode_seconds=0.75))
        async with open_database(path) as database:
            sessions = Sessions(database)
            recovered = await sessions.recover()
            early, late, well = [await sessions.get(name) for name in ("early", "late", "well")]
            text = await sessions.text("early")

        assert recovered == ["early", "late"]
        assert early is not None
        assert late is not None
        assert well is not None
        assert (early.state, early.reason) == (SessionState.INTERRUPTED, EndReason.CRASH)
        assert early.metrics == SessionMetrics(
            chunks_processed=2,
            processing_ms_total=said[0].processing_ms + said[1].processing_ms,
            processing_ms_max=said[1].processing_ms,
            processing_ms_min=said[0].processing_ms,
            confidence_total=said[0].confidence + said[1].confidence,
            received_samples=gap(3).end,
            decoded_samples=9,
            gap_samples=51_200,
            decode_seconds=0.75,
        )
        assert text == f"{said[0].text} {said[1].text}"
        assert early.ended_at == BEGAN + timedelta(seconds=gap(3).end / 16_000)
        assert late.ended_at == late.connected_at
        assert (well.state, well.reason) == (SessionState.ENDED, EndReason.CLIENT)

    async def test_has_nothing_to_do_twice(self, sessions: Sessions) -> None:
        await begin(sessions, "s")

        assert await sessions.recover() == ["s"]
        assert await sessions.recover() == []

    async def test_audio_received_is_not_forgotten(self, sessions: Sessions, lines: Lines) -> None:
        """Silence after the last line was received too, as the stored figures say."""
        await begin(sessions, "s")
        await lines.append_line("s", line(0), SessionMetrics(received_samples=16_000_000))
        await sessions.recover()
        record = await sessions.get("s")

        assert record is not None
        assert record.ended_at == BEGAN + timedelta(seconds=1000)


class TestList:
    @pytest.fixture
    async def week(self, sessions: Sessions) -> None:
        """Seven sessions, two of them at the same moment; even ones have ended."""
        for number in range(7):
            await begin(sessions, f"s{number}", BEGAN + timedelta(hours=min(number, 5)))
            if number % 2 == 0:
                await end(sessions, f"s{number}")

    async def names(self, sessions: Sessions, limit: int = 50, **place: str | None) -> list[str]:
        page = await sessions.list_sessions(limit, before=place.get("before"), after=place.get("after"))
        return [record.session_id for record in page]

    @pytest.mark.usefixtures("week")
    async def test_newest_first(self, sessions: Sessions) -> None:
        assert await self.names(sessions) == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
        assert await self.names(sessions, 2) == ["s6", "s5"]

    @pytest.mark.usefixtures("week")
    async def test_pages_forth_and_back(self, sessions: Sessions) -> None:
        """Each page goes on where the last ended, without a session twice or none, even of one moment."""
        there: list[str] = []
        before = None
        while page := await sessions.list_sessions(2, before=before):
            there += [record.session_id for record in page]
            before = cursor(page[-1])
        fifth = (await sessions.list_sessions(5))[4]

        assert there == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
        assert await self.names(sessions, 2, after=cursor(fifth)) == ["s4", "s3"]
        assert await self.names(sessions, 9, after=cursor(fifth)) == ["s6", "s5", "s4", "s3"]

    @pytest.mark.usefixtures("week")
    async def test_a_cursor_outlives_its_session(self, sessions: Sessions) -> None:
        """A page can be turned although the last session of the former one has been purged since."""
        gone = await sessions.get("s0")
        assert gone is not None
        await begin(sessions, "older", BEGAN - timedelta(days=1))

        assert await self.names(sessions, before=cursor(gone).replace("~s0", "~s")) == ["older"]

    @pytest.mark.usefixtures("week")
    async def test_of_one_state(self, sessions: Sessions) -> None:
        ended = await sessions.list_sessions(50, wanted=Wanted(state=SessionState.ENDED))

        assert [record.session_id for record in ended] == ["s6", "s4", "s2", "s0"]
        assert await sessions.count() == 7
        assert await sessions.count(Wanted(SessionState.ENDED)) == 4
        assert await sessions.count(Wanted(SessionState.INTERRUPTED)) == 0

    @pytest.mark.parametrize(
        "cursor", ["", "nonsense", "2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z~s", "~s"]
    )
    async def test_a_cursor_made_up(self, sessions: Sessions, cursor: str) -> None:
        with pytest.raises(BadCursor) as refusal:
            await sessions.list_sessions(5, before=cursor)

        assert refusal.value.code == "bad_cursor"


async def test_the_list_is_narrowed_by_room_refinement_and_delivery(
    sessions: Sessions, lines: Lines, database: Database
) -> None:
    """Each alone and all together; the total counts the same ones."""
    for number, room in enumerate(["A", "B", "A", "B", "A"]):
        name = f"s{number}"
        await sessions.create(
            name, connected_at=BEGAN, client="x", language="en", model="m", box=Box(room=room)
        )
        if number:
            await lines.append_line(name, line(0), figures([line(0)]))
        await sessions.finalise(
            name,
            state=SessionState.ENDED,
            reason=EndReason.CLIENT,
            ended_at=BEGAN,
            metrics=figures([]),
            refinement=Refinement.WAITING if number > 2 else Refinement.NONE,
        )

    async def found(**wanted: Any) -> list[str]:
        page = await sessions.list_sessions(50, wanted=Wanted(**wanted))
        assert await sessions.count(Wanted(**wanted)) == len(page)
        return sorted(record.session_id for record in page)

    assert await found(room="A") == ["s0", "s2", "s4"]
    assert await found(refinement=Refinement.WAITING) == ["s3", "s4"]
    assert await found(delivery=UploadStatus.HELD) == ["s3", "s4"]
    assert await found(delivery=UploadStatus.PENDING) == ["s1", "s2"]
    assert await found(room="A", delivery=UploadStatus.HELD, state=SessionState.ENDED) == ["s4"]
    assert await found(room="C") == []
    deliveries = [record.delivery for record in await sessions.list_sessions(50)]
    assert deliveries.count(None) == 1
