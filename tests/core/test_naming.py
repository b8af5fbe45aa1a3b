"""Names that the audio speaks for are put in, and nothing else is changed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.decoding import Heard, Weighed
from ambientd.core.naming import confirmed, is_believed, suggestions, with_names
from ambientd.core.prompt import MOST_PROMPT, most_tokens_of, naming_prompt
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Segment, Suggestion, Word


def heard(*segments: str) -> Heard:
    made, at = [], 0
    for text in segments:
        words = tuple(
            Word(word, 100 * (at + n), 100 * (at + n) + 100, 0.5) for n, word in enumerate(text.split())
        )
        made.append(Segment(text, words[0].start, words[-1].end, words))
        at += len(words)
    return Heard(tuple(made), "en", 1.0, "scripted", tokens=9, log_probability=-0.3)


def put(text: Heard, *names: tuple[int, int, str], certainty: float = -0.1) -> Heard:
    """``text`` with names weighed for the words from one index to another, and put in if believed."""
    weighed = tuple(Weighed(text.words[a:b], name, certainty) for a, b, name in names)
    return with_names(text, confirmed(replace(text, weighed=weighed)))


def test_a_name_takes_the_place_and_the_time_of_what_was_misheard():
    first = heard("I take own, prazole, in the", "morning, you know.")

    named = put(first, (2, 4, "omeprazole"))

    assert [segment.text for segment in named.segments] == ["I take omeprazole, in the", "morning, you know."]
    word = named.words[2]
    assert (word.text, word.start, word.end) == ("omeprazole,", 200, 400)
    assert named.segments[1] is first.segments[1]
    assert (named.tokens, named.log_probability) == (9, -0.3)


def test_what_the_audio_does_not_speak_for_stays_as_it_was():
    first = heard("I take own prazole.")

    assert put(first, (2, 4, "omeprazole"), certainty=-3.0).segments == first.segments
    assert put(first, (2, 4, "omeprazole"), certainty=-0.2).text == "I take omeprazole."


def test_the_less_it_sounds_like_the_name_the_more_certain_the_audio_must_be():
    def least(said: str, name: str) -> float:
        word = Word(said, 0, 100, 0.5)
        enough = (nats / 20 for nats in range(-60, 1))
        return min(each for each in enough if is_believed(Weighed((word,), name, each)))

    assert (
        least("metamizole", "methimazole")
        < least("own prazole", "omeprazole")
        < least("searcher line", "sertraline")
    )


def test_no_certainty_is_enough_for_what_does_not_sound_like_it():
    word = Word("hospital", 0, 100, 0.5)

    assert not is_believed(Weighed((word,), "Crestor", 0.0))


def test_what_was_heard_with_certainty_stands():
    def put_in(probability: float) -> bool:
        word = Word("hypothyroidism", 0, 100, probability)
        return is_believed(Weighed((word,), "hyperthyroidism", -0.1))

    assert put_in(0.6)
    assert not put_in(0.95)


def test_what_a_name_replaced_is_told():
    text = heard("I take own, prazole.")
    [found] = confirmed(replace(text, weighed=(Weighed(text.words[2:4], "omeprazole", -0.1),)))

    [put] = [word.put for word in found.words]
    assert put
    assert (found.first, found.last, put.said, put.name) == (2, 4, "own, prazole.", "omeprazole")
    assert put.score > 0.75


def test_a_name_whose_words_are_no_longer_there_is_left_out():
    text = heard("I take own prazole.")
    weighed = (Weighed(text.words[2:4], "omeprazole", -0.1),)

    assert confirmed(replace(heard("I take it."), weighed=weighed)) == ()


def test_a_name_of_two_words_is_put_in_whole():
    named = put(heard("It was helicopter pylori."), (2, 4, "Helicobacter pylori"))

    assert [(word.text, word.start, word.end) for word in named.words[2:]] == [
        ("Helicobacter", 200, 200 + 200 * 12 // 18),
        ("pylori.", 200 + 200 * 12 // 18, 400),
    ]


def test_a_name_is_written_as_the_vocabulary_has_it_and_large_where_a_sentence_begins():
    assert put(heard("the simbacourt"), (1, 2, "Symbicort")).text == "the Symbicort"
    assert put(heard("Own prazole."), (0, 2, "omeprazole")).text == "Omeprazole."
    assert put(heard("Yes. Own prazole."), (1, 3, "omeprazole")).text == "Yes. Omeprazole."


def test_a_name_across_two_segments_belongs_to_the_first():
    named = put(heard("I take own", "prazole now."), (2, 4, "omeprazole"))

    assert [segment.text for segment in named.segments] == ["I take omeprazole", "now."]


@pytest.mark.parametrize(("log_probability", "expected"), [(0.0, 1.0), (-0.2231, 0.8)])
def test_the_words_of_a_name_have_its_probability(log_probability: float, expected: float):
    text = heard("own prazole")
    weighed = (Weighed(text.words, "omeprazole", log_probability),)

    [found] = confirmed(replace(text, weighed=weighed))

    assert found.words[0].probability == pytest.approx(expected, abs=1e-3)


syllables = st.sampled_from(
    ["own", "prazole", "lysinopril", "the", "symbi", "court", "omeprazole.", "Lisinopril", "a"]
)
texts = st.lists(st.lists(syllables, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=3)


@given(texts, st.lists(st.tuples(st.integers(0, 15), st.integers(1, 3)), max_size=4), st.floats(-9, 0))
def test_words_stay_in_order_and_all_others_stay_as_they_are(
    first: list[str], spans: list[tuple[int, int]], certainty: float
):
    before = heard(*first)
    places, at = [], 0
    for start, length in sorted(spans):
        if at <= start and start + length <= len(before.words):
            places.append((start, start + length, "omeprazole"))
            at = start + length

    after = put(before, *places, certainty=certainty)

    starts = [word.start for word in after.words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end for word in after.words)
    assert all(segment.text == " ".join(word.text for word in segment.words) for segment in after.segments)
    new = [word for word in after.words if word not in before.words]
    assert all(word.text.strip(".").lower() == "omeprazole" for word in new)
    touched = {n for start, end, _ in places for n in range(start, end)}
    assert all(word in after.words for n, word in enumerate(before.words) if n not in touched)


def test_a_suggestion_tells_what_was_said_and_what_may_be_meant():
    words = heard("I take a pick sabon.").words
    told = suggestions([Suspect(2, 5, ("apixaban", "Ativan"), 0.9), Suspect(0, 1, ("Imuran",), 0.74)], words)

    assert told == (Suggestion(2, 5, "a pick sabon.", "apixaban", 0.9),)


names = st.lists(st.text(alphabet="abcdefghilmnoprstuxyzéß -1", min_size=1, max_size=60), max_size=40)


@given(names, st.sampled_from(["en", "de", "ja"]))
def test_names_never_need_more_tokens_than_a_prompt_has(many: list[str], language: str):
    many = list(dict.fromkeys(name for each in many if (name := " ".join(each.split()))))
    prompt = naming_prompt(language, many)

    took = next(n for n in range(len(many), -1, -1) if prompt == naming_prompt(language, many[:n]))
    least = next(n for n in range(took + 1) if prompt == naming_prompt(language, many[:n]))
    assert 3 * sum(map(most_tokens_of, many[:least])) <= MOST_PROMPT


def test_the_first_names_are_kept_where_there_are_too_many():
    prompt = naming_prompt("en", [f"name{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"])

    assert "namea" in prompt
    assert "namez" not in prompt
    assert naming_prompt("en", []) == ""


def test_in_another_language_no_english_surrounds_the_names():
    assert naming_prompt("de", ["Marcumar"]) == "Marcumar, Marcumar. Marcumar."
