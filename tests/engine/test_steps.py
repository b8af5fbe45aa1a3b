"""The decoder's single steps agree with whisper.cpp's own decode, and names are weighed on the audio that was heard."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import DATA

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Heard, Request
from ambientd.core.suspects import Suspect
from ambientd.core.transcript import Segment
from ambientd.engine.whisper import Whisper

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model(models: Path) -> Whisper:
    return Whisper(models / "base-q8_0.bin", name="base-q8_0", threads=1)


@pytest.fixture(scope="module")
def audio() -> Samples:
    """ "… take ibuprofen for my back …" """
    samples, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    return np.ascontiguousarray(samples[14 * RATE : 26 * RATE])


def request_of(audio: Samples, **options: object) -> Request:
    return replace(Request(audio, 0, len(audio), "en"), **options)


def place(heard: Heard, word: str) -> int:
    return next(at for at, each in enumerate(heard.words) if each.text.strip(".,?") == word)


def misheard(heard: Heard, at: int, said: str) -> Heard:
    """The same text with another word at that place."""
    words = list(heard.words)
    words[at] = replace(words[at], text=said)
    text = " ".join(word.text for word in words)
    return replace(heard, segments=(Segment(text, words[0].start, words[-1].end, tuple(words)),))


def test_tokens_give_back_their_text(model: Whisper):
    tokens = model._steps.tokens(" I take omeprazole, für den Magen.")

    assert len(tokens) > 5
    assert max(tokens) < model._first_special


def test_what_follows_is_a_distribution_and_going_back_forgets(model: Whisper, audio: Samples):
    heard = model.hear(request_of(audio))
    steps = model._steps
    prefix = [model._first_special + 1, *steps.tokens(" " + heard.text.split()[0])]

    first = steps.take(prefix, 0).copy()
    steps.take(steps.tokens(" quite another text"), len(prefix))
    again = steps.take(prefix, 0)

    assert np.exp(first, dtype=np.float64).sum() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(first, again, atol=1e-4)


def test_the_name_that_was_said_is_likelier_than_one_that_sounds_like_it(model: Whisper, audio: Samples):
    heard = model.hear(request_of(audio))
    at = place(heard, "ibuprofen")
    wrong = misheard(heard, at, "eyebuprofane")

    def find(_: Heard) -> Sequence[Suspect]:
        return [Suspect(at, at + 1, ("ibuprofen", "bupropion"), 0.8)]

    [found] = model.hear(request_of(audio, text=wrong, suspected=find)).weighed

    assert (found.name, [word.text for word in found.said]) == ("ibuprofen", ["eyebuprofane"])
    assert -1 < found.log_probability <= 0


def test_a_name_that_was_not_said_is_not(model: Whisper, audio: Samples):
    heard = model.hear(request_of(audio))
    at = place(heard, "ibuprofen")

    [found] = model.hear(
        request_of(audio, suspected=lambda _: [Suspect(at, at + 1, ("bupropion",), 0.8)])
    ).weighed

    assert found.log_probability < -1


def test_the_text_is_the_same_whether_it_is_weighed_or_not(model: Whisper, audio: Samples):
    plain = model.hear(request_of(audio))
    weighed = model.hear(request_of(audio, suspected=lambda _: [Suspect(0, 1, ("ibuprofen",), 0.8)]))
    after = model.hear(request_of(audio))

    assert weighed.segments == plain.segments == after.segments


def test_more_suspects_than_the_decoder_has_room_for_are_left_out(model: Whisper, audio: Samples):
    heard = model.hear(request_of(audio))
    names = tuple(f"{'supercalifragilistic' * 8}{letter}" for letter in "abc")
    many = [Suspect(at, at + 1, names, 0.9) for at in range(len(heard.words))]

    found = model.hear(request_of(audio, suspected=lambda _: many)).weighed

    assert len(found) <= 6


def test_an_abort_leaves_the_rest_unweighed(model: Whisper, audio: Samples):
    asked = 0

    def suspected(heard: Heard) -> Sequence[Suspect]:
        nonlocal asked
        asked = 1
        return [Suspect(at, at + 1, ("ibuprofen",), 0.8) for at in range(3)]

    heard = model.hear(request_of(audio, suspected=suspected), aborted=lambda: bool(asked))

    assert heard.weighed == ()
    assert heard.segments
