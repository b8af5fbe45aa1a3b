"""Loops, noise markers and subtitle phrases are told from what people say."""

from dataclasses import replace
from hashlib import sha256

import pytest

from ambientd.core.audio import RATE
from ambientd.core.decoding import Heard
from ambientd.core.plausibility import cleaned, doubt, is_guess, is_subtitle, said_once, unlooped
from ambientd.core.transcript import Segment, Word


def heard(*texts: str, probability: float = 0.9) -> Heard:
    segments, at = [], 0
    for text in texts:
        words = tuple(
            Word(word, at + i * 1600, at + i * 1600 + 1600, probability)
            for i, word in enumerate(text.split())
        )
        end = at + 1600 * max(1, len(words))
        segments.append(Segment(text, at, end, words))
        at = end
    return Heard(tuple(segments), "en", 0.1, "test", tokens=sum(len(text.split()) for text in texts))


class TestMarkers:
    @pytest.mark.parametrize(
        "marker", ["[BLANK_AUDIO]", "(coughing)", "(dishes clattering loudly)", "*music*", "♪", "[ Silence ]"]
    )
    def test_a_segment_of_nothing_but_a_marker_vanishes(self, marker: str):
        assert cleaned(heard(marker)).segments == ()

    def test_words_around_a_marker_stay(self):
        (segment,) = cleaned(heard("I feel [coughing hard] better today.")).segments

        assert segment.text == "I feel better today."
        assert [word.text for word in segment.words] == ["I", "feel", "better", "today."]

    @pytest.mark.parametrize(
        "spoken",
        [
            "Take 20 mg twice a day.",
            "I took 2 * 50 mg and 3 * 20 mg daily.",
            "Once a day (not three times) please.",
            "Take it [twice] daily.",
        ],
    )
    def test_what_was_said_is_untouched(self, spoken: str):
        text = heard(spoken)

        assert cleaned(text) == text


class TestLoops:
    @pytest.mark.parametrize(
        "text",
        [
            "so my fellow Americanism, and " * 6,
            "I have a pain in my chest " * 4,
            "yes " * 9,
            "We will, we will, we will, we will, we will, we will see.",
        ],
    )
    def test_a_loop_is_doubted(self, text: str):
        assert doubt(heard(text), speech=60 * RATE, reached=60 * RATE) == "loop"

    @pytest.mark.parametrize(
        "text",
        [
            "No, no, no, no, that's fine.",
            "Yeah. Yeah. Yeah, OK.",
            "Um, so it's, it's, it's been hurting for, for two weeks.",
            "Any fever? No. Any chills? No. Any cough? No. Any weight loss? No.",
        ],
    )
    def test_what_people_say_twice_is_believed(self, text: str):
        assert doubt(heard(text), speech=5 * RATE, reached=5 * RATE) is None

    def test_more_words_than_anyone_can_say_are_doubted(self):
        text = " ".join(sha256(bytes([n])).hexdigest()[:5] for n in range(40))

        assert doubt(heard(text), speech=3 * RATE, reached=3 * RATE) == "babble"
        assert doubt(heard(text), speech=12 * RATE, reached=12 * RATE) is None

    def test_a_loop_is_cut_off_after_its_first_saying(self):
        looping = heard("It hurts here.", "I have a pain in my chest " * 4)

        rest = unlooped(looping)

        assert rest.text == "It hurts here. I have a pain in my chest"
        assert rest.segments[-1].end == rest.segments[-1].words[-1].end

    def test_text_without_a_loop_is_left_alone(self):
        text = heard("It hurts here.", "And there.")

        assert unlooped(text) is text


class TestInaudible:
    @pytest.mark.parametrize("text", ["", "reason."])
    def test_hardly_a_word_for_seconds_of_speech_is_doubted(self, text: str):
        assert doubt(heard(text) if text else heard(), speech=6 * RATE, reached=6 * RATE) == "inaudible"

    def test_a_short_answer_is_not(self):
        assert doubt(heard("No."), speech=RATE, reached=RATE) is None


class TestSaidTwice:
    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("So it's like a sharp. So it's like a sharp.", "So it's like a sharp."),
            ("Okay. Yes, it is. Yes, it is. Yes, it is. Good.", "Okay. Yes, it is. Good."),
        ],
    )
    def test_what_nobody_could_say_twice_in_that_time_is_there_once(self, text: str, left: str):
        assert said_once(heard(text), speech=RATE).text == left

    def test_who_takes_the_time_repeats_himself(self):
        text = heard("Tear down the fence. Tear down the fence.")
        assert said_once(text, speech=2 * RATE) is text

    @pytest.mark.parametrize(
        "text", ["No, no, no, no, no.", "The doctor who said so said so much more than that."]
    )
    def test_fast_speech_without_a_phrase_said_twice_stays(self, text: str):
        assert said_once(heard(text), speech=RATE).text == text


class TestGuesses:
    def test_a_text_the_model_hardly_believes_is_a_guess(self):
        text = heard("That's about exactly five.")

        assert is_guess(replace(text, log_probability=-2.0))
        assert not is_guess(replace(text, log_probability=-0.5))


class TestSubtitles:
    @pytest.mark.parametrize("text", ["Thank you.", "you", "Thanks for watching!", "Bye."])
    def test_a_subtitle_phrase_on_hardly_any_speech_is_silence(self, text: str):
        assert is_subtitle(heard(text), speech=RATE // 4)

    def test_the_same_phrase_clearly_spoken_is_speech(self):
        assert not is_subtitle(heard("Thank you."), speech=RATE)

    def test_any_other_phrase_is_speech(self):
        assert not is_subtitle(heard("It hurts."), speech=RATE // 4)
