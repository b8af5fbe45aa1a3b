"""The traps of the binding, each with real weights: what would go wrong, does not."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import DATA

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import AUTO, Request
from ambientd.core.prompt import most_tokens_of, naming_prompt
from ambientd.core.vocabulary import parse
from ambientd.engine import whisper
from ambientd.engine.whisper import MOST_POSITIONS, Whisper, positions
from ambientd.errors import DecodeFailed, EngineUnavailable

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def visit() -> Samples:
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    return audio


@pytest.fixture(scope="module")
def model(models: Path) -> Whisper:
    return Whisper(models / "base-q8_0.bin", name="base-q8_0", threads=1)


def stretch(audio: Samples, start: float, end: float) -> Samples:
    return np.ascontiguousarray(audio[int(start * RATE) : int(end * RATE)])


def ask(audio: Samples, *, start: int = 0, language: str = "en", prompt: str = "") -> Request:
    return Request(audio, start, len(audio), language, prompt)


def test_words_carry_times_and_probabilities_within_the_request(model: Whisper, visit: Samples):
    heard = model.hear(ask(stretch(visit, 0, 8), start=5 * RATE))

    assert "burning pain in my stomach" in heard.text
    assert [word.text for word in heard.words][:2] == ["Good", "morning,"]
    assert all(5 * RATE <= word.start <= word.end <= 13 * RATE for word in heard.words)
    assert all(a.start <= b.start for a, b in zip(heard.words, heard.words[1:], strict=False))
    assert all(0 < word.probability <= 1 for word in heard.words)
    assert " ".join(word.text for word in heard.words) == heard.text


def test_what_was_heard_before_does_not_change_what_is_heard(model: Whisper, visit: Samples):
    """Flash attention with a trimmed window would attend rows of the decode before."""
    short, long = ask(stretch(visit, 0, 4)), ask(stretch(visit, 14, 34))
    alone = model.hear(short)
    model.hear(long)
    after = model.hear(short)

    assert after.segments == alone.segments


def test_one_requests_prompt_does_not_reach_the_next(model: Whisper, visit: Samples):
    audio = stretch(visit, 22, 39)
    plain = model.hear(ask(audio))
    prompted = model.hear(ask(audio, prompt="The doctor stops ibuprofen and starts omeprazole."))
    again = model.hear(ask(audio))

    assert "omeprazole" in prompted.text
    assert again.segments == plain.segments


def test_an_aborted_decode_is_a_failure_and_not_silence(model: Whisper, visit: Samples):
    with pytest.raises(DecodeFailed, match="aborted"):
        model.hear(ask(stretch(visit, 0, 8)), aborted=lambda: True)


def test_an_abort_takes_effect_within_the_decode(model: Whisper, visit: Samples):
    request = ask(stretch(visit, 0, 20))
    began = time.monotonic()
    model.hear(request)
    whole = time.monotonic() - began
    answers = iter([False, False])

    def after_the_encoder() -> bool:
        return next(answers, True)

    began = time.monotonic()
    with pytest.raises(DecodeFailed):
        model.hear(request, aborted=after_the_encoder)
    assert time.monotonic() - began < 1.5 * whole


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(RATE, np.int16),
        np.zeros(RATE, np.float64),
        np.zeros((RATE, 2), np.float32),
        np.zeros(2 * RATE, np.float32)[::2],
    ],
    ids=["int16", "float64", "stereo", "strided"],
)
def test_audio_the_binding_would_misread_is_refused(model: Whisper, audio: np.ndarray):
    with pytest.raises(ValueError, match="float32"):
        model.hear(ask(audio))


def test_an_unknown_language_is_an_error_and_not_a_detection(model: Whisper, visit: Samples):
    with pytest.raises(DecodeFailed, match="unknown language"):
        model.hear(ask(stretch(visit, 0, 2), language="xx"))


def test_the_language_can_be_detected(model: Whisper, visit: Samples):
    assert model.hear(ask(stretch(visit, 0, 8), language=AUTO)).language == "en"


def test_letters_spread_over_several_tokens_come_out_whole(model: Whisper, visit: Samples):
    """A Chinese prompt makes the model write letters of three bytes, which its tokens cut apart."""
    heard = model.hear(ask(stretch(visit, 0, 8), language="zh"))

    assert heard.words
    assert "\ufffd" not in "".join(word.text for word in heard.words)


def test_a_file_that_is_no_model_is_refused_and_does_not_end_the_process(tmp_path: Path):
    path = tmp_path / "broken.bin"
    path.write_bytes(b"not a model" * 1000)

    with pytest.raises(EngineUnavailable, match="cannot load"):
        Whisper(path, name="broken", threads=1)


def test_a_missing_file_is_never_downloaded(tmp_path: Path):
    with pytest.raises(EngineUnavailable, match="no model file"):
        Whisper(tmp_path / "base", name="base", threads=1)


def test_the_fitted_window_covers_the_audio_and_is_never_too_small():
    for seconds in np.arange(0.1, 30, 0.37):
        count = positions(int(seconds * RATE))
        assert min(MOST_POSITIONS, seconds * 50 + 64) <= count <= MOST_POSITIONS
        assert count >= whisper.LEAST_POSITIONS


def test_a_prompt_of_names_is_never_longer_than_whisper_takes(model: Whisper):
    found = parse((DATA.parent.parent / "config" / "vocabulary.txt").read_text("utf-8"))
    listed = [entry.name for entry in found.entries]

    def tokens(text: str) -> int:
        # Given room for none whisper.cpp writes none, and answers how many there are, below zero.
        return -int(whisper.cpp.whisper_tokenize(model._context, text, 0, 0))

    for at in range(0, len(listed), 20):
        for language in ("en", "fr"):
            assert 0 < tokens(naming_prompt(language, listed[at:] + listed[:at])) <= 200
    assert all(tokens(f" {name}") <= most_tokens_of(name) for name in listed)
