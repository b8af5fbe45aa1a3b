"""Tokens as phrases and words: nothing lost, times in order, letters whole."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.audio import RATE
from ambientd.engine.tokens import Token, segments


def text(letters: str | bytes, probability: float = 0.9) -> Token:
    return Token(letters if isinstance(letters, bytes) else letters.encode(), probability)


def time(seconds: float) -> Token:
    return Token(b"", 1.0, round(seconds * RATE))


def test_phrases_lie_between_their_times_in_session_time():
    tokens = [
        time(0),
        text(" Good"),
        text(" morning"),
        text("."),
        time(1.2),
        time(2),
        text(" Hello"),
        time(2.5),
    ]

    first, second = segments(tokens, start=RATE, length=3 * RATE, language="en")

    assert (first.text, first.start, first.end) == ("Good morning.", RATE, round(2.2 * RATE))
    assert (second.text, second.start, second.end) == ("Hello", 3 * RATE, round(3.5 * RATE))
    assert [word.text for word in first.words] == ["Good", "morning."]


def test_words_share_the_phrase_by_their_length():
    (phrase,) = segments(
        [time(0), text(" I"), text(" understand"), time(1.3)], start=0, length=2 * RATE, language="en"
    )

    first, second = phrase.words
    assert first.start == 0
    assert first.end == second.start == round(1.3 * RATE) * 2 // 13
    assert second.end == round(1.3 * RATE)


def test_text_without_a_closing_time_lasts_until_the_audio_ends():
    (phrase,) = segments([time(0.5), text(" cut"), text(" off")], start=0, length=RATE, language="en")

    assert (phrase.text, phrase.start, phrase.end) == ("cut off", RATE // 2, RATE)


def test_a_word_has_the_mean_probability_of_its_tokens():
    (phrase,) = segments(
        [time(0), text(" ome", 1.0), text("prazole", 0.5), time(1)], start=0, length=RATE, language="en"
    )

    assert phrase.words[0].probability == 0.75


def test_letters_spread_over_tokens_come_out_whole():
    raw = "你好".encode()
    tokens = [time(0), text(raw[:2]), text(raw[2:4]), text(raw[4:]), time(1)]

    (phrase,) = segments(tokens, start=0, length=RATE, language="zh")

    assert phrase.text == "你好"
    assert "".join(word.text for word in phrase.words) == "你好"


def test_no_tokens_are_no_phrases():
    assert segments([], start=0, length=RATE, language="en") == ()
    assert segments([time(0), time(1)], start=0, length=RATE, language="en") == ()
    assert segments([time(0), text(" "), time(1)], start=0, length=RATE, language="en") == ()


anything = st.lists(
    st.builds(
        text, st.sampled_from([" a", "b", " word", ".", " ", "é", b"\xe4\xbd", b"\xa0"]), st.floats(0, 1)
    )
    | st.builds(time, st.floats(0, 40)),
    max_size=30,
)


@given(anything, st.integers(1, 30 * RATE), st.sampled_from(["en", "zh"]))
def test_whatever_the_tokens_times_are_in_order_and_within_the_audio(tokens, length, language):
    found = segments(tokens, start=1000, length=length, language=language)

    for phrase in found:
        assert 1000 <= phrase.start <= phrase.end <= 1000 + length
        assert phrase.words[0].start == phrase.start
        assert phrase.words[-1].end == phrase.end
        assert all(a.end == b.start for a, b in pairwise(phrase.words))
    assert all(a.end <= b.start for a, b in pairwise(found))
