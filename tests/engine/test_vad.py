"""Silero, run by hand: speech is speech, silence and noise are not, and streams do not mix."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from running import DATA

from ambientd.core.segmenter import FRAME
from ambientd.engine.vad import VoiceDetector
from ambientd.errors import EngineUnavailable

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def detector(models: Path) -> VoiceDetector:
    return VoiceDetector(models / "silero-vad.onnx")


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    return audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)


def test_a_conversation_is_mostly_speech(detector: VoiceDetector, frames: np.ndarray):
    detect = detector.stream()

    assert np.mean([detect(frame) > 0.5 for frame in frames]) > 0.7


@pytest.mark.parametrize("level", [0.0, 0.001, 0.1])
def test_silence_and_noise_are_not(detector: VoiceDetector, level: float):
    detect, noise = detector.stream(), np.random.default_rng(3)

    judged = [detect((level * noise.standard_normal(FRAME)).astype(np.float32)) for _ in range(100)]

    assert max(judged[10:]) < 0.5


def test_two_streams_do_not_hear_each_other(detector: VoiceDetector, frames: np.ndarray):
    alone = []
    one = detector.stream()
    alone.extend(one(frame) for frame in frames[:60])
    first, second = detector.stream(), detector.stream()
    together = []
    for index, frame in enumerate(frames[:60]):
        together.append(first(frame))
        second(frames[300 + index])

    assert together == alone


def test_a_file_that_is_not_the_network_is_refused(tmp_path: Path):
    path = tmp_path / "vad.onnx"
    path.write_bytes(b"not a network")

    with pytest.raises(EngineUnavailable, match="voice detector"):
        VoiceDetector(path)
