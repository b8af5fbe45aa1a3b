"""What is taken from a second decode: names, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core import naming
from ambientd.core.decoding import Heard
from ambientd.core.naming import suggestions
from ambientd.core.prompt import MOST_PROMPT, most_tokens_of, naming_prompt
from ambientd.core.suspects import Index, Search, Suspect
from ambientd.core.transcript import Segment, Suggestion, Word
from ambientd.core.vocabulary import parse

SEARCH = Search((Index(parse("lisinopril\nomeprazole\nSymbicort\nHelicobacter pylori\nlevothyroxine")),))


def with_names(first: Heard, second: Heard, search: Search) -> Heard:
    return naming.with_names(first, naming.confirmed(first, second, search))


def heard(*segments: str) -> Heard:
    made, at = [], 0
    for text in segments:
        words = tuple(
            Word(word, 100 * (at + n), 100 * (at + n) + 100, 0.5) for n, word in enumerate(text.split())
        )
        made.append(Segment(text, words[0].start, words[-1].end, words))
        at += len(words)
    return Heard(tuple(made), "en", 1.0, "scripted", tokens=9, log_probability=-0.3)


def test_a_name_takes_the_place_and_the_time_of_what_was_misheard():
    first = heard("I take own, prazole, in the", "morning, you know.")

    named = with_names(first, heard("Take omeprazole every morning."), SEARCH)

    assert [segment.text for segment in named.segments] == ["I take omeprazole, in the", "morning, you know."]
    word = named.words[2]
    assert (word.text, word.start, word.end) == ("omeprazole,", 200, 400)
    assert named.segments[1] is first.segments[1]
    assert (named.tokens, named.log_probability) == (9, -0.3)


def test_nothing_but_the_name_is_taken():
    named = with_names(
        heard("Um, I, uh, take lysinopril."), heard("We talked about it. I took lisinopril"), SEARCH
    )

    assert named.text == "Um, I, uh, take lisinopril."


def test_a_name_that_nothing_sounded_like_is_not_put_in():
    first = heard("I take the yellow tablet at night.")

    assert with_names(first, heard("I take the omeprazole at night."), SEARCH) is first


def test_a_name_that_the_second_decode_does_not_confirm_stays_as_it_was():
    first = heard("I take lysinopperl.")

    assert with_names(first, heard("I take lisinopprel."), SEARCH) is first


def test_a_name_that_stood_there_is_not_replaced_by_another():
    first = heard("I take levothyroxine.")

    assert with_names(first, heard("I take lisinopril."), SEARCH) is first


def test_what_a_name_replaced_is_told():
    [found] = naming.confirmed(heard("I take own, prazole."), heard("omeprazole"), SEARCH)

    assert (found.first, found.last, found.said) == (2, 4, "own, prazole.")
    assert found.score > 0.75


def test_a_name_of_two_words_is_put_in_whole():
    named = with_names(heard("It was helicopter pylori."), heard("It was Helicobacter pylori."), SEARCH)

    assert [(word.text, word.start, word.end) for word in named.words[2:]] == [
        ("Helicobacter", 200, 200 + 200 * 12 // 18),
        ("pylori.", 200 + 200 * 12 // 18, 400),
    ]


def test_a_name_is_written_as_the_vocabulary_has_it_and_large_where_a_sentence_begins():
    assert with_names(heard("the simbacourt"), heard("the symbicort"), SEARCH).text == "the Symbicort"
    assert with_names(heard("Own prazole."), heard("Omeprazole."), SEARCH).text == "Omeprazole."


def test_a_name_across_two_segments_belongs_to_the_first():
    named = with_names(heard("I take own", "prazole now."), heard("I take omeprazole now."), SEARCH)

    assert [segment.text for segment in named.segments] == ["I take omeprazole", "now."]


def test_an_ordinary_word_is_not_replaced_by_a_name_that_sounds_like_it():
    search = Search((Index(parse("Crestor")),), frozenset({"crystal", "he", "took"}))
    first = heard("He took crystal")

    assert with_names(first, heard("He took Crestor"), search) is first
    assert with_names(heard("He took crustor"), heard("He took Crestor"), search).text == "He took Crestor"


syllables = st.sampled_from(
    ["own", "prazole", "lysinopril", "the", "symbi", "court", "omeprazole.", "Lisinopril", "a"]
)
texts = st.lists(st.lists(syllables, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=3)


@given(texts, texts)
def test_words_stay_in_order_and_all_others_stay_as_they_are(first: list[str], second: list[str]):
    before = heard(*first)

    after = with_names(before, heard(*second), SEARCH)

    starts = [word.start for word in after.words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end for word in after.words)
    assert all(segment.text == " ".join(word.text for word in segment.words) for segment in after.segments)
    names = {"omeprazole", "lisinopril", "symbicort", "helicobacter", "pylori", "levothyroxine"}
    new = [word for word in after.words if word not in before.words]
    assert all(word.text.strip(".").lower() in names for word in new)


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
