"""Recordings of any make arrive as PCM16 mono 16 kHz: all of them, and nothing else."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientd.audiofile import AudioUnreadable, read_audio

Floats = npt.NDArray[np.float32]


def tone(rate: int, seconds: float, hertz: float = 440.0) -> Floats:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def noise(rate: int, seconds: float) -> Floats:
    return np.random.default_rng(1).standard_normal(round(rate * seconds), np.float32) * np.float32(0.1)


def heard(path: Path) -> Floats:
    return np.frombuffer(b"".join(read_audio(path)), "<i2").astype(np.float32) / 32768


def loudest_frequency(audio: Floats) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(audio))) * 16000 / len(audio))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_every_rate_keeps_its_length_and_its_pitch(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    audio = tone(rate, 2.03)
    soundfile.write(path, audio, rate)

    result = heard(path)

    assert abs(len(result) - len(audio) * 16000 / rate) <= 1
    assert loudest_frequency(result) == pytest.approx(440, abs=1)
    assert np.abs(result).max() == pytest.approx(0.5, abs=0.03)


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 30_000), rate=st.sampled_from([8000, 11025, 16000, 44100, 48000]))
def test_no_sample_is_lost_or_added_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, frames: int, rate: int
) -> None:
    """Any length, also shorter than the resampler's filter and around the sizes of blocks."""
    path = tmp_path_factory.mktemp("length") / "a.wav"
    soundfile.write(path, np.full(frames, 0.25, np.float32), rate)

    assert abs(sum(len(block) for block in read_audio(path)) / 2 - frames * 16000 / rate) <= 1


def test_the_last_sample_is_really_heard(tmp_path: Path) -> None:
    """The resampler's filter holds the end back; it must not be replaced by silence."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.concatenate([np.zeros(48000), tone(48000, 0.02)]), 48000)

    assert np.abs(heard(path)[-160:]).max() > 0.3


def test_pcm16_at_16_khz_passes_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    pcm = np.random.default_rng(2).integers(-32768, 32768, 12_345).astype("<i2")
    soundfile.write(path, pcm, 16000, subtype="PCM_16")

    assert b"".join(read_audio(path)) == pcm.tobytes()


def test_blocks_are_whole_but_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(44100, 3), 44100)

    sizes = [len(block) for block in read_audio(path, block=1000)]

    assert sizes == [2000] * 48


def test_channels_are_averaged(tmp_path: Path) -> None:
    """Two voices on two channels are both heard; what is in opposite phase on both cancels."""
    path = tmp_path / "a.wav"
    left, right = tone(16000, 1, 400), tone(16000, 1, 1000)
    soundfile.write(path, np.stack([left, right], axis=1), 16000, subtype="FLOAT")

    assert heard(path) == pytest.approx((left + right) / 2, abs=1e-4)


def test_five_channels_are_averaged_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(48000, 1)] * 5, axis=1), 48000)

    assert loudest_frequency(heard(path)) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.mp3", "MPEG_LAYER_III"), ("a.ogg", "VORBIS"), ("a.flac", "PCM_24")]
)
def test_compressed_files_are_read_whole(tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(44100, 5), 44100, subtype=subtype)

    result = heard(path)

    assert abs(len(result) - 80_000) <= 1
    assert loudest_frequency(result) == pytest.approx(440, abs=1)


def test_the_ending_of_a_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "dictaphone.raw"
    soundfile.write(tmp_path / "a.flac", tone(16000, 1), 16000)
    (tmp_path / "a.flac").rename(tmp_path / "dictaphone")

    assert len(heard(tmp_path / "dictaphone")) == 16000
    path.write_bytes(bytes(3200))
    with pytest.raises(AudioUnreadable, match="no audio format"):
        read_audio(path)


def test_overdriven_audio_is_clipped_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, 1.7, -1.7, 0.0], np.float32), 16000, subtype="FLOAT")

    assert heard(path) == pytest.approx([0, 1, -1, 0], abs=1e-4)


def test_one_bad_float_does_not_silence_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    audio = tone(48000, 1)
    audio[100:103] = [np.nan, np.inf, -np.inf]
    soundfile.write(path, audio, 48000, subtype="FLOAT")

    assert np.abs(heard(path)[8000:]).max() == pytest.approx(0.5, abs=0.03)


def test_an_hour_takes_no_more_memory_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 20, np.float32))  # 20 minutes are enough to tell
    tracemalloc.start()
    total = sum(len(block) for block in read_audio(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total == 20 * 60 * 32_000
    assert peak < total / 8


class TestUnreadable:
    """A wrong file is refused at once, a damaged one after all that can be heard of it."""

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(AudioUnreadable, match=r"visit\.wav is not a file"):
            read_audio(tmp_path / "visit.wav")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(AudioUnreadable, match="is not a file"):
            read_audio(tmp_path)

    @pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac"])
    def test_empty(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()

        with pytest.raises(AudioUnreadable, match="is empty"):
            read_audio(tmp_path / name)

    def test_no_frames(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), 16000)

        with pytest.raises(AudioUnreadable, match="holds no audio"):
            read_audio(tmp_path / "a.wav")

    @pytest.mark.parametrize(
        "content", [b"Dear Dr Miller, " * 500, b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(5000)]
    )
    def test_not_audio_known_here(self, tmp_path: Path, content: bytes) -> None:
        """The hint says how to make it readable."""
        (tmp_path / "a.m4a").write_bytes(content)

        with pytest.raises(AudioUnreadable, match=r"no audio format known here.*ffmpeg -i"):
            read_audio(tmp_path / "a.m4a")

    def test_absurd_rate(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", noise(16000, 1), 7)

        with pytest.raises(AudioUnreadable, match="claims 7 samples a second"):
            read_audio(tmp_path / "a.wav")

    @pytest.mark.skipif("os.geteuid() == 0", reason="root may read everything")
    def test_forbidden(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "a.wav", noise(16000, 1), 16000)
        (tmp_path / "a.wav").chmod(0)

        with pytest.raises(AudioUnreadable, match="Permission denied"):
            read_audio(tmp_path / "a.wav")

    def test_cut_flac(self, tmp_path: Path) -> None:
        """All that can be decoded comes first; then the error says how much that was."""
        path = tmp_path / "a.flac"
        soundfile.write(path, noise(16000, 20), 16000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        blocks = read_audio(path)
        heard: list[bytes] = []

        with pytest.raises(AudioUnreadable, match=r"damaged or cut off: only its first 9\.\d s"):
            heard.extend(blocks)

        assert sum(len(block) for block in heard) / 2 > 9 * 16000

    def test_cut_wav_is_played_as_far_as_it_goes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        soundfile.write(path, noise(16000, 20), 16000)
        path.write_bytes(path.read_bytes()[: 44 + 2 * 16000 * 7])

        assert len(heard(path)) == 7 * 16000

    def test_mp3_that_hides_its_length(self, tmp_path: Path) -> None:
        """With a variable bit rate and no length tag libsndfile stops early; the user must learn of it."""
        path = tmp_path / "a.mp3"
        loudness = np.repeat(np.array([0.3, 0.0001, 0.0001], np.float32), 16000 * 10)
        soundfile.write(path, noise(16000, 30) * loudness * 10, 16000, bitrate_mode="VARIABLE")
        content = path.read_bytes()
        tag = max(content.find(b"Xing"), content.find(b"Info"))
        second_frame = content.index(content[:2], tag)
        path.write_bytes(content[second_frame:])

        blocks = read_audio(path)
        with pytest.raises(AudioUnreadable, match="hides its length"):
            list(blocks)


def test_the_decoder_keeps_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """mpg123 writes its notes on descriptor 2, across whatever a terminal shows."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise(44100, 20), 44100)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    path.write_bytes(content)

    with contextlib.suppress(AudioUnreadable):
        list(read_audio(path))

    assert capfd.readouterr().err == ""
