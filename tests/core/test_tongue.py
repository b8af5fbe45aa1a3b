"""The language is found out once, and again only when what is heard stops making sense."""

import pytest

from ambientd.core.audio import RATE
from ambientd.core.decoding import AUTO, Heard
from ambientd.core.tongue import RUN, Style, Tongue, main_language, most_said
from ambientd.core.transcript import Line, Segment, Word


def piece(language: str = "en", sense: float = -0.2, text: str = "It hurts") -> Heard:
    words = tuple(Word(word, 0, 1, 0.9) for word in text.split())
    return Heard((Segment(text, 0, 1, words),) if words else (), language, 0.1, "scripted", 3, sense)


def after(tongue: Tongue, *pieces: Heard, speech: int = 8 * RATE) -> list[str]:
    """What was asked for each of these pieces."""
    asked = []
    for heard in pieces:
        asked.append(tongue.question)
        tongue.listen(heard, speech=speech, asked=asked[-1])
    return asked


def test_a_language_that_was_set_stays_whatever_is_heard():
    tongue = Tongue("en")

    assert after(tongue, *[piece(sense=-2)] * 6) == ["en"] * 6
    assert tongue.otherwise == "en"


def test_it_is_found_out_once_and_kept():
    tongue = Tongue(AUTO)

    assert after(tongue, piece("es"), piece("es"), piece("es", -0.4)) == [AUTO, "es", "es"]
    assert tongue.language == "es"


def test_little_speech_tells_nothing():
    tongue = Tongue(AUTO)
    after(tongue, piece("cy"), speech=RATE)

    assert tongue.language == AUTO


@pytest.mark.parametrize("strange", [piece("en", -0.6), piece("en", text="")])
def test_a_run_of_pieces_that_make_no_sense_asks_again(strange):
    tongue = Tongue(AUTO)
    asked = after(tongue, piece("en"), *[strange] * RUN, piece("es"), piece("es"))

    assert asked == [AUTO, *["en"] * RUN, AUTO, "es"]


def test_one_bad_piece_is_no_run():
    tongue = Tongue(AUTO)

    assert AUTO not in after(tongue, *[piece("en"), piece("en", -0.6)] * 5)[1:]


def test_asking_in_vain_makes_the_next_question_rarer():
    tongue = Tongue(AUTO)
    asked = after(tongue, *[piece("en", -0.6)] * 32)

    assert asked.count(AUTO) <= 5


def test_a_piece_that_was_asked_openly_on_its_own_changes_the_language_at_once():
    tongue = Tongue(AUTO)
    after(tongue, piece("en"))
    tongue.listen(piece("fr"), speech=8 * RATE, asked="en")

    assert tongue.language == "fr"


def test_what_is_known_of_the_next_piece_is_followed():
    tongue = Tongue(AUTO)
    after(tongue, piece("en"), piece("en", -0.6))
    tongue.follow(Style("es", free=True))

    assert after(tongue, piece("es", -0.6), piece("es")) == [
        "es",
        "es",
    ]  # nothing strange is left of the English

    tongue.follow(Style(AUTO, free=True))
    assert (tongue.question, tongue.otherwise) == ("es", AUTO)
    tongue.follow(Style("en"))
    assert after(tongue, *[piece("en", -0.9)] * 4) == ["en"] * 4
    assert tongue.otherwise == "en"


def test_one_strange_piece_is_enough_where_it_can_be_heard_again():
    tongue = Tongue(AUTO, run=1)

    assert after(tongue, piece("en"), piece("en", -0.6), piece("es"), piece("es", -0.6), piece("fr")) == [
        AUTO,
        "en",
        AUTO,
        "es",
        AUTO,
    ]


def line(language: str, start: int, *lengths: int) -> Line:
    """One whose words are so many samples long, each followed by silence of a hundred."""
    words, at = [], start
    for length in lengths:
        words.append(Word("no", at, at + length, 0.9))
        at += length + 100
    return Line(0, "", start, at, (Segment("", start, at, tuple(words)),), 0.9, language, "scripted", 1.0)


LINES = (line("en", 0, 30, 30), line("es", 1000, 40), line("en", 2000, 5, 5, 5), line("fr", 3000))


@pytest.mark.parametrize(
    ("start", "end", "language"),
    [
        (0, 3000, "en"),
        (1000, 3000, "es"),  # speech counts, not words or lines
        (140, 1030, "es"),  # of a word and of a line, what lies within
        (20, 1005, "en"),
        (3000, 4000, None),
        (60, 130, None),
    ],
)
def test_a_stretch_has_the_language_of_most_of_its_speech(start: int, end: int, language: str | None):
    assert most_said([(each, each.language) for each in LINES], start, end) == language


def test_a_conversation_has_the_language_of_most_of_its_speech():
    assert main_language(LINES) == "en"
    assert main_language(LINES[1:3]) == "es"
    assert main_language(()) is None
