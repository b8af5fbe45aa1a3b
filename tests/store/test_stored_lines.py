"""Lines and gaps: stored whole, in order, only while the session is open, and small."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_speech import BEGAN, THIRTY_WORDS, begin, figures, gap, line

from ambientd.core.marks import corrections, with_puts
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionState
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.packing import pack, unpacked
from ambientd.store.refusals import LineOutOfOrder, SessionNotOpen
from ambientd.store.sessions import Sessions

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TIME = st.integers(-(10**6), 10**9)
PROBABILITY = st.integers(0, 10_000).map(lambda steps: steps / 10_000)
WORD = st.builds(Word, TEXT, TIME, TIME, PROBABILITY)
SEGMENT = st.builds(Segment, TEXT, TIME, TIME, st.lists(WORD, max_size=4).map(tuple))


def plain_line(words: list[Word], cuts: list[int]) -> Line:
    """A line as engines make them: its text is its words, cut into segments anywhere."""
    marks = sorted({0, len(words), *(cut for cut in cuts if cut < len(words))})
    segments = tuple(
        Segment(
            " ".join(word.text for word in words[a:b]), words[a].start, words[b - 1].end, tuple(words[a:b])
        )
        for a, b in pairwise(marks)
    )
    return replace(line(0), text=" ".join(word.text for word in words), segments=segments)


PLAIN_LINE = st.builds(plain_line, st.lists(WORD, min_size=1, max_size=8), st.lists(st.integers(0, 8)))
MARKS = st.lists(
    st.builds(Suggestion, st.integers(0, 9), st.integers(1, 10), TEXT, TEXT, PROBABILITY), max_size=2
)


def any_line(
    text: str, start: int, segments: list[Segment], suggestions: list[Suggestion], puts: list[Suggestion]
) -> Line:
    """A line of any segments, names put in for any of its words."""
    marked = with_puts(segments, puts)
    words = [word for segment in marked for word in segment.words]
    return replace(
        line(0),
        text=text,
        start=start,
        segments=with_puts(segments, found := corrections(words)),
        suggestions=tuple(suggestions),
        corrections=found,
    )


ANY_LINE = st.builds(any_line, TEXT, TIME, st.lists(SEGMENT, max_size=4), MARKS, MARKS)


class TestPacking:
    @given(st.one_of(ANY_LINE, PLAIN_LINE))
    def test_gives_back_every_line(self, some: Line) -> None:
        """Whatever an engine makes of words, spaces, alphabets and times, it comes back equal."""
        bare = replace(some, segments=(), suggestions=(), corrections=())
        packed = pack(some)

        assert unpacked(packed, bare) == some
        assert "\n" not in packed  # that is where it ends in the column

    def test_a_usual_line_repeats_no_word(self) -> None:
        """The words are in the text already; beside it stand numbers only."""
        assert set(pack(line(0))) <= set("0123456789,[]")

    def test_probabilities_to_four_places(self) -> None:
        word = Word("yes", 0, 10, 0.123456)
        kept = unpacked(pack(plain_line([word], [])), replace(line(0), text="yes", start=37))

        assert kept.words[0].probability == 0.1235


class TestAppend:
    async def test_gives_back_the_line(self, sessions: Sessions, lines: Lines) -> None:
        """Text, times to the sample, words, confidence, model: all as they were shown."""
        said = [line(0), line(1, 'Ça va? 今日は "fine" & <well>\u2028\x00'), line(2, "yes")]
        await begin(sessions, "s")
        for each in said:
            await lines.append_line("s", each, figures([each]))

        assert await lines.lines("s") == said

    async def test_figures_go_with_the_line(self, sessions: Sessions, lines: Lines) -> None:
        await begin(sessions, "s")
        await lines.append_line("s", line(0), figures([line(0)]))
        record = await sessions.get("s")

        assert record is not None
        assert record.metrics == figures([line(0)])

    async def test_sessions_do_not_mix(self, sessions: Sessions, lines: Lines) -> None:
        for name in ("a", "b"):
            await begin(sessions, name)
            await lines.append_line(name, line(0, f"I am {name}."), figures([]))
            await lines.append_gap(name, Gap(0, ord(name), "inbox_full"), figures([]))

        assert [each.text for each in await lines.lines("a")] == ["I am a."]
        assert await lines.gaps("b") == [Gap(0, 98, "inbox_full")]
        assert await lines.lines("nobody") == []
        assert await lines.gaps("nobody") == []

    async def test_gaps_by_their_start(self, sessions: Sessions, lines: Lines) -> None:
        await begin(sessions, "s")
        for each in (gap(3), gap(1)):
            await lines.append_gap("s", each, SessionMetrics(gap_samples=each.end - each.start))
        record = await sessions.get("s")

        assert await lines.gaps("s") == [gap(1), gap(3)]
        assert record is not None
        assert record.metrics.gap_samples == 51_200

    @pytest.mark.parametrize("index", [0, 2, 9])
    async def test_no_line_twice_and_none_left_out(
        self, sessions: Sessions, lines: Lines, index: int
    ) -> None:
        """A committed line is never overwritten, and its number is the next one; nothing is half-written."""
        await begin(sessions, "s")
        await lines.append_line("s", line(0), figures([line(0)]))
        with pytest.raises(LineOutOfOrder, match=f"Line {index} .* 1 was due"):
            await lines.append_line("s", line(index, "Another."), figures([]))
        record = await sessions.get("s")

        assert await lines.lines("s") == [line(0)]
        assert record is not None
        assert record.metrics == figures([line(0)])

    async def test_nothing_after_the_end(self, sessions: Sessions, lines: Lines) -> None:
        """An ended session, like one that never was, takes neither line nor gap."""
        await begin(sessions, "s")
        await sessions.finalise(
            "s", state=SessionState.ENDED, reason=EndReason.CLIENT, ended_at=BEGAN, metrics=figures([])
        )
        for name in ("s", "nobody"):
            with pytest.raises(SessionNotOpen):
                await lines.append_line(name, line(0), figures([]))
            with pytest.raises(SessionNotOpen):
                await lines.append_gap(name, gap(1), figures([]))

        assert await lines.lines("s") == []
        assert await lines.gaps("s") == []

    async def test_it_is_on_the_disk_when_the_call_returns(
        self, database: Database, sessions: Sessions, lines: Lines
    ) -> None:
        """Another program reads the line at once: the commit is not on its way, it is done."""
        await begin(sessions, "s")
        with closing(sqlite3.connect(database.path)) as shell:
            for index in range(20):
                await lines.append_line("s", line(index), figures([]))
                (last,) = shell.execute("SELECT max(chunk_index) FROM realtime_transcript_chunks").fetchone()
                assert last == index


class TestSize:
    async def test_a_line_takes_less_than_a_kilobyte(self, path: Path) -> None:
        """Thirty words with their times, the copy in the full text and all that SQLite adds: under 1,000 bytes."""
        count = 300
        assert len(THIRTY_WORDS.split()) == 30

        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
        empty = size(path)
        async with open_database(path) as database:
            sessions, lines = Sessions(database), Lines(database)
            await begin(sessions, "0123456789abcdef0123456789abcdef")
            for index in range(count):
                await lines.append_line("0123456789abcdef0123456789abcdef", line(index), figures([]))
            await sessions.finalise(
                "0123456789abcdef0123456789abcdef",
                state=SessionState.ENDED,
                reason=EndReason.CLIENT,
                ended_at=BEGAN,
                metrics=figures([]),
            )

        each = (size(path) - empty) / count
        assert each < 1000


def size(path: Path) -> int:
    return path.stat().st_size
