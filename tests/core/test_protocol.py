"""The wire protocol as pure translation: whatever comes in, an object or a reason goes out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core import protocol
from ambientd.core.protocol import check_session_id, parse_control, parse_wishes
from ambientd.core.transcript import Gap, Line, Segment, Suggestion, Word
from ambientd.errors import ClientError, StoreUnavailable


@pytest.mark.parametrize("name", ["a", "my-session-123", "A.b_c-9", "...", "x" * 64])
def test_a_session_may_be_called_so(name: str):
    assert check_session_id(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 65, "a b", "a/b", "ü", "a\n", "\0"])
def test_a_session_may_not_be_called_so(name: str):
    with pytest.raises(ClientError) as refused:
        check_session_id(name)

    assert refused.value.close_code == 1008


def outcome(parse: Callable[[Any], Any], given: object) -> Any:
    """What ``parse`` makes of it: its result, or the reason it refused."""
    try:
        return parse(given)
    except ClientError as error:
        return error


@given(st.text(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_any_text_is_a_control_message_or_a_client_error(text: str):
    answer = outcome(parse_control, text)

    assert answer.close_code is None if isinstance(answer, ClientError) else answer.type in protocol.CONTROLS


@given(
    st.dictionaries(
        st.sampled_from(["language", "prompt", "partials", "acks", "colour"]), st.from_type(object)
    )
)
def test_any_wishes_are_taken_or_refused(fields: dict[str, object]):
    answer = outcome(parse_wishes, fields)

    assert answer.close_code is None if isinstance(answer, ClientError) else "colour" not in fields


def test_a_line_as_clients_read_it():
    words = (Word("It", 16_000, 17_600, 0.9), Word("hurts.", 17_600, 24_000, 0.7))
    line = Line(
        3,
        "It hurts.",
        16_000,
        32_000,
        (Segment("It hurts.", 16_000, 24_000, words),),
        0.8,
        "en",
        "base",
        412.34,
    )

    assert protocol.transcript(line, session_time=2.5) == {
        "type": "transcript",
        "text": "It hurts.",
        "confidence": 0.8,
        "chunk_index": 3,
        "processing_time_ms": 412.3,
        "start_time": 1.0,
        "end_time": 2.0,
        "is_final": True,
        "model_used": "base",
        "language": "en",
        "segments": [
            {
                "text": "It hurts.",
                "language": "en",
                "start": 1.0,
                "end": 1.5,
                "words": [
                    {"word": "It", "start": 1.0, "end": 1.1, "probability": 0.9},
                    {"word": "hurts.", "start": 1.1, "end": 1.5, "probability": 0.7},
                ],
            }
        ],
        "session_time": 2.5,
        "audio_duration": 1.0,
        "audio_size_bytes": 32_000,
    }


def test_a_gap_says_from_when_to_when_and_why():
    assert protocol.gap(Gap(8_000, 24_000, "loop")) == {
        "type": "gap",
        "start_time": 0.5,
        "end_time": 1.5,
        "reason": "loop",
    }


def test_an_error_carries_its_code_and_its_advice():
    told = protocol.error(ClientError("bad_json", "not JSON.", hint="Send an object."))

    assert told == {"type": "error", "code": "bad_json", "message": "not JSON.  Send an object."}


def test_an_operators_error_tells_a_client_its_kind_and_no_path():
    told = protocol.error(
        StoreUnavailable("write to /var/lib/ambientd/ambientd.db: disk full", hint="Make room.")
    )

    assert told["code"] == "store_unavailable"
    assert "/" not in told["message"]


def test_suggestions_of_a_refined_text_count_its_words_over_all_lines():
    def line(index: int, text: str, *marks: Suggestion) -> Line:
        start = 16_000 * index
        words = tuple(Word(word, start, start + 1_600, 0.9) for word in text.split())
        return Line(
            index,
            text,
            start,
            start + 16_000,
            (Segment(text, start, start + 1_600, words),),
            0.9,
            "en",
            "base",
            1.0,
            marks,
        )

    mark = Suggestion(0, 2, "own prazole.", "omeprazole", 0.84)
    told = protocol.refined(
        "room-1",
        state="done",
        lines=[line(0, "I take"), line(1, "own prazole.", mark)],
        model="base",
        kept=0,
    )

    assert "corrections" not in told
    assert told["suggestions"] == [
        {
            "word": 2,
            "words": 2,
            "start": 1.0,
            "end": 1.1,
            "said": "own prazole.",
            "suggested": "omeprazole",
            "score": 0.84,
        }
    ]


def test_each_segment_says_in_which_language_it_was_heard():
    def line(index: int, language: str, *texts: str) -> Line:
        segments = tuple(Segment(text, 0, 16_000, (Word(text, 0, 16_000, 0.9),)) for text in texts)
        return Line(index, " ".join(texts), 0, 16_000, segments, 0.9, language, "base", 1.0)

    lines = [line(0, "en", "Good.", "Day."), line(1, "es", "Hola.")]
    told = protocol.refined("room-1", state="done", lines=lines, model="base", kept=0)

    assert [(each["text"], each["language"]) for each in told["segments"]] == [
        ("Good.", "en"),
        ("Day.", "en"),
        ("Hola.", "es"),
    ]
    [segment] = protocol.transcript(lines[1], session_time=1.0)["segments"]
    assert segment["language"] == "es"
