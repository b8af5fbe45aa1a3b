"""A transcript as text, subtitles and JSON, that a person or a player can read."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.cues import LONGEST, ROWS, SHORTEST, cues, rows
from ambientd.core.export import as_dict, as_srt, as_text, as_vtt
from ambientd.core.metrics import SessionMetrics
from ambientd.core.record import EndReason, SessionRecord, SessionState
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word

RATE = 16_000
BEGAN = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
SESSION = SessionRecord(
    session_id="visit-1",
    state=SessionState.INTERRUPTED,
    connected_at=BEGAN,
    ended_at=BEGAN + timedelta(minutes=5),
    reason=EndReason.CRASH,
    client="192.0.2.7",
    language="en",
    model="base-q8_0",
    sample_rate=RATE,
    boot_id=None,
    monotonic_start=None,
    transcript_length=0,
    metrics=SessionMetrics(),
)


def spoken(index: int, start: float, *phrases: str, word_seconds: float = 0.4) -> Line:
    """A line that begins at ``start`` seconds, a segment for each phrase, its words evenly paced."""
    segments = []
    at = round(start * RATE)
    for phrase in phrases:
        words = []
        for text in phrase.split(" "):
            words.append(Word(text, at, at + round(word_seconds * RATE * 0.9), 0.9))
            at += round(word_seconds * RATE)
        segments.append(Segment(phrase, words[0].start, words[-1].end, tuple(words)))
    return Line(
        index=index,
        text=" ".join(phrases),
        start=round(start * RATE),
        end=at,
        segments=tuple(segments),
        confidence=0.87654321,
        language="en",
        model="base-q8_0",
        processing_ms=812.34,
    )


class TestText:
    def test_a_time_before_each_line_and_gaps_in_their_place(self) -> None:
        lines = [spoken(0, 3.2, "Good morning."), spoken(1, 3725.9, "Where does", "it hurt?")]
        gaps = [Gap(10 * RATE, 10 * RATE + 51_200, "decode_timeout")]

        assert as_text(SESSION, lines, gaps).splitlines() == [
            "Session visit-1",
            "Started 2026-01-15T10:00:00Z",
            "Interrupted 2026-01-15T10:05:00Z (crash)",
            "",
            "[00:00:03] Good morning.",
            "[00:00:10] [gap: 3.2 s not heard]",
            "[01:02:05] Where does it hurt?",
        ]

    def test_an_open_session_has_no_end(self) -> None:
        session = replace(SESSION, state=SessionState.OPEN, ended_at=None, reason=None)

        assert as_text(session, [], []) == "Session visit-1\nStarted 2026-01-15T10:00:00Z\n\n"

    def test_a_line_is_one_row(self) -> None:
        """Line breaks an engine put in cannot be mistaken for a new line of the session."""
        line = replace(spoken(0, 0, "x"), text="one\n[00:00:09] two\r\n\nthree")

        assert as_text(SESSION, [line], []).splitlines()[-1] == "[00:00:00] one [00:00:09] two three"


def named(start: float, said: str = "own prazole") -> Line:
    """A line with a name that was put in for what was heard."""
    line = spoken(0, start, "I take omeprazole, daily.")
    return replace(line, corrections=(Suggestion(2, 3, said, "omeprazole", 0.9),))


class TestNamesPutIn:
    def test_a_text_ends_with_what_was_heard_in_their_place(self) -> None:
        lines = [spoken(0, 3.2, "Good morning."), named(64.2), named(3725.9, "old prazole,")]

        assert as_text(SESSION, lines, []).split("\n\n", 2)[2].splitlines() == [
            "Names of the vocabulary that were written in place of what was heard:",
            'heard "own prazole", written "omeprazole" at 1:05',
            'heard "old prazole", written "omeprazole" at 1:02:06',
        ]

    def test_without_any_nothing_is_added(self) -> None:
        suggested = replace(named(0), corrections=(), suggestions=named(0).corrections)

        assert as_text(SESSION, [suggested], []).endswith("[00:00:00] I take omeprazole, daily.\n")
        assert "NOTE" not in as_vtt([suggested])

    def test_webvtt_has_them_in_a_comment_that_no_words_can_end(self) -> None:
        written = as_vtt([named(0, "own --> \n\nprazole")])

        assert written.split("\n\n")[2] == (
            "NOTE Names of the vocabulary that were written in place of what was heard:\n"
            'heard "own - -> prazole", written "omeprazole" at 0:00\n'
        )

    def test_json_has_them_with_their_line(self) -> None:
        [line] = as_dict(SESSION, [named(0)], [])["lines"]

        [told] = line["corrections"]
        assert (told["word"], told["words"], told["start"]) == (2, 1, 0.8)
        assert (told["said"], told["suggested"], told["score"]) == ("own prazole", "omeprazole", 0.9)


class TestSrt:
    def test_numbered_blocks(self) -> None:
        lines = [spoken(0, 1.5, "Good morning."), spoken(1, 3600, "Where does it hurt?")]

        assert as_srt(lines) == (
            "1\n00:00:01,500 --> 00:00:02,333\nGood morning.\n"
            "\n"
            "2\n01:00:00,000 --> 01:00:01,560\nWhere does it hurt?\n"
        )

    def test_gaps_are_shown_when_given(self) -> None:
        assert "00:00:10,000 --> 00:00:13,200\n[gap: 3.2 s not heard]\n" in as_srt(
            [spoken(0, 1, "Hello.")], [Gap(10 * RATE, 10 * RATE + 51_200, "inbox_full")]
        )

    @pytest.mark.parametrize("text", ["a --> b", "--->", "---->>"])
    def test_an_arrow_in_the_words_is_no_timing(self, text: str) -> None:
        assert as_srt([spoken(0, 0, text)]).count("-->") == 1

    def test_nothing_said(self) -> None:
        assert as_srt([]) == ""


class TestVtt:
    def test_header_then_cues(self) -> None:
        assert as_vtt([spoken(0, 1.5, "Good morning.")]) == (
            "WEBVTT\n\n00:00:01.500 --> 00:00:02.333\nGood morning.\n"
        )

    def test_nothing_said(self) -> None:
        assert as_vtt([]) == "WEBVTT\n"

    def test_markup_is_escaped(self) -> None:
        """Words that look like tags, entities or timings are shown as words."""
        text = as_vtt([spoken(0, 0, "<v Bob> R&D &lt; a --> b")])

        assert "&lt;v Bob&gt; R&amp;D &amp;lt; a --&gt; b" in text
        assert text.count("-->") == 1


class TestCues:
    def test_a_short_line_is_one_cue(self) -> None:
        """Two phrases that fit are not torn apart."""
        assert [cue.text for cue in cues([spoken(0, 0, "Good morning.", "Sit down.")])] == [
            "Good morning. Sit down."
        ]

    def test_a_long_line_is_cut_at_its_segments(self) -> None:
        """Each cue has the times of what is said in it."""
        first = "I have had this pain in my chest since Monday evening."
        second = "It goes down the left arm when I climb the stairs."
        found = cues([spoken(0, 2, first, second, word_seconds=0.3)])

        assert [cue.text for cue in found] == [first, second]
        assert [cue.start for cue in found] == [2 * RATE, round((2 + 11 * 0.3) * RATE)]

    def test_a_long_segment_is_cut_between_words(self) -> None:
        words = " ".join(["metoprolol"] * 20)
        found = cues([spoken(0, 0, words)])

        assert [cue.text.count("metoprolol") for cue in found] == [6, 6, 6, 2]

    def test_slow_speech_is_cut_by_time(self) -> None:
        """Few words spread over half a minute do not stand on the screen for half a minute."""
        found = cues([spoken(0, 0, "a b c d e f", word_seconds=5)])

        assert len(found) == 6
        assert max(cue.end - cue.start for cue in found) <= LONGEST

    def test_words_without_times(self) -> None:
        """Where the engine gave none, each word has time by its length."""
        text = " ".join(["word"] * 40)
        line = replace(spoken(0, 0, text), end=40 * RATE)
        bare = replace(line, segments=(Segment(text, 0, 40 * RATE, ()),))
        found = cues([bare])

        assert " ".join(cue.text for cue in found) == text
        assert [cue.start % RATE for cue in found] == [0] * len(found)

    def test_the_text_is_what_was_committed(self) -> None:
        """Segments that say something else than the line do not get their say."""
        line = replace(spoken(0, 0, "something", "else"), text="What was shown.")

        assert [cue.text for cue in cues([line])] == ["What was shown."]

    def test_a_short_word_can_be_read(self) -> None:
        """A cue of a tenth of a second is held, unless the next one begins."""
        yes, no = (spoken(0, 0, "Yes.", word_seconds=0.1), spoken(1, 0.5, "No.", word_seconds=0.1))
        found = cues([yes, no])

        assert [(cue.start, cue.end) for cue in found] == [
            (0, RATE // 2),
            (RATE // 2, RATE // 2 + SHORTEST),
        ]


PHRASE = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=20)
    | st.sampled_from(["&", "<", "-->", "&amp;", "WEBVTT", "NOTE", "7"]),
    min_size=1,
    max_size=30,
).map(" ".join)


@st.composite
def conversations(draw: st.DrawFn, orderly: bool = True) -> list[Line]:  # noqa: FBT001, FBT002 - a test's switch
    """Lines one after the other; unless orderly, their words' times are anything."""
    lines = []
    at = 0.0
    for index in range(draw(st.integers(0, 5))):
        at += draw(st.floats(0, 20))
        phrases = draw(st.lists(PHRASE, min_size=1, max_size=3))
        line = spoken(index, at, *phrases, word_seconds=draw(st.floats(0, 2)))
        at = line.end / RATE
        if not orderly:
            line = draw(st.sampled_from([scattered(line, draw), line, replace(line, segments=())]))
        lines.append(line)
    return lines


def scattered(line: Line, draw: st.DrawFn) -> Line:
    """Its words at any time, ends before starts included."""
    time = st.integers(0, 10**7)
    segments = tuple(
        replace(
            segment,
            start=draw(time),
            end=draw(time),
            words=tuple(replace(word, start=draw(time), end=draw(time)) for word in segment.words),
        )
        for segment in line.segments
    )
    return replace(line, segments=segments)


GAPS = st.lists(st.builds(Gap, st.integers(0, 10**7), st.integers(0, 10**7), st.just("decode_timeout")))


class TestAnyConversation:
    @pytest.mark.parametrize(
        ("write", "point", "head"), [(as_vtt, ".", "WEBVTT\n\n"), (as_srt, ",", "")], ids=["vtt", "srt"]
    )
    @given(lines=conversations(orderly=False), gaps=GAPS)
    def test_subtitles_are_well_formed(
        self,
        write: Callable[[list[Line], list[Gap]], str],
        point: str,
        head: str,
        lines: list[Line],
        gaps: list[Gap],
    ) -> None:
        """Whatever times the engine gave: every block is a timing and one or more rows, none blank; each cue
        ends after it begins and before the next one begins."""
        written = write(lines, gaps)
        if not lines and not gaps:
            return
        assert written.startswith(head)
        times = []
        for number, block in enumerate(written.removeprefix(head).rstrip("\n").split("\n\n"), start=1):
            rows = block.split("\n")
            if write is as_srt:
                assert rows.pop(0) == str(number)
            else:
                assert "<" not in "".join(rows[1:])
                assert re.sub("&(amp|lt|gt);", "", "".join(rows[1:])).count("&") == 0
            assert re.fullmatch(
                rf"(\d\d+:\d\d:\d\d\{point}\d\d\d) --> (\d\d+:\d\d:\d\d\{point}\d\d\d)", rows[0]
            )
            assert all(row.strip() for row in rows[1:])
            assert len(rows) > 1
            times += [milliseconds(stamp) for stamp in rows[0].split(" --> ")]
        begins, ends = times[0::2], times[1::2]

        assert all(begin < end for begin, end in zip(begins, ends, strict=True))
        assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))

    @given(conversations())
    def test_every_word_is_shown_once_and_in_order(self, lines: list[Line]) -> None:
        shown = re.sub(r"^.* --> .*$", "", as_vtt(lines).removeprefix("WEBVTT"), flags=re.MULTILINE)

        assert "".join(html.unescape(shown).split()) == "".join("".join(line.text.split()) for line in lines)

    @given(conversations())
    def test_a_cue_can_be_read(self, lines: list[Line]) -> None:
        """Two rows and seven seconds at most, unless a single word is longer than that."""
        for cue in cues(lines):
            if " " in cue.text:
                assert cue.end - cue.start <= LONGEST
                assert len(rows(cue.text)) <= ROWS

    @given(conversations(orderly=False))
    def test_cues_stand_in_order(self, lines: list[Line]) -> None:
        found = cues(lines)

        assert all(first.end <= second.start for first, second in pairwise(found))
        assert all(cue.end - cue.start >= RATE // 1000 for cue in found)


def milliseconds(stamp: str) -> int:
    hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


class TestDict:
    def test_everything_in_seconds(self) -> None:
        """JSON carries the fields of the transcript messages, the whole text, and the gaps."""
        found = as_dict(
            SESSION, [spoken(0, 1.5, "Good", "day.")], [Gap(RATE * 10, RATE * 12, "decode_timeout")]
        )

        assert json.loads(json.dumps(found)) == found
        assert found == {
            "session_id": "visit-1",
            "state": "interrupted",
            "reason": "crash",
            "connected_at": "2026-01-15T10:00:00Z",
            "ended_at": "2026-01-15T10:05:00Z",
            "language": "en",
            "model": "base-q8_0",
            "text": "Good day.",
            "lines": [
                {
                    "chunk_index": 0,
                    "text": "Good day.",
                    "start_time": 1.5,
                    "end_time": 2.3,
                    "confidence": 0.8765,
                    "language": "en",
                    "model_used": "base-q8_0",
                    "processing_time_ms": 812.3,
                    "segments": [
                        {
                            "text": "Good",
                            "language": "en",
                            "start": 1.5,
                            "end": 1.86,
                            "words": [{"word": "Good", "start": 1.5, "end": 1.86, "probability": 0.9}],
                        },
                        {
                            "text": "day.",
                            "language": "en",
                            "start": 1.9,
                            "end": 2.26,
                            "words": [{"word": "day.", "start": 1.9, "end": 2.26, "probability": 0.9}],
                        },
                    ],
                }
            ],
            "gaps": [{"start_time": 10.0, "end_time": 12.0, "reason": "decode_timeout"}],
        }

    def test_an_open_session(self) -> None:
        found = as_dict(replace(SESSION, state=SessionState.OPEN, ended_at=None, reason=None), [], [])

        assert (found["state"], found["reason"], found["ended_at"]) == ("open", None, None)
