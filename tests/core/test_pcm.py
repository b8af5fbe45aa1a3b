"""Audio in the wrong format is told from speech, and speech is never mistaken for it."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientd.core.pcm import container, is_8bit, is_float32, wav_header

RNG = np.random.default_rng(7)


def speechlike(level: float, count: int = 4096) -> np.ndarray:
    """Coloured noise with a slow envelope: as near to speech as a formula needs to be."""
    noise = np.convolve(RNG.standard_normal(count + 32), np.ones(16) / 4, "same")[:count]
    return level * noise * (0.6 + 0.4 * np.sin(np.arange(count) / 900))


@pytest.mark.parametrize("level", [0.0003, 0.003, 0.03, 0.3])
class TestFormats:
    def test_float_audio_is_seen(self, level: float):
        assert is_float32(speechlike(level).astype("<f4").tobytes())

    def test_16_bit_audio_passes(self, level: float):
        pcm = np.clip(speechlike(level) * 32767, -32768, 32767).astype("<i2").tobytes()

        assert not is_float32(pcm)
        assert not is_8bit(pcm)

    def test_8_bit_audio_is_seen(self, level: float):
        block = np.clip(128 + speechlike(min(level, 0.1)) * 127, 0, 255).astype(np.uint8).tobytes()

        assert is_8bit(block)
        assert not is_float32(block)


def test_16_bit_silence_passes():
    assert not is_float32(bytes(4096))
    assert not is_8bit(bytes(4096))


def test_8_bit_silence_is_seen():
    assert is_8bit(b"\x80" * 4096)


def test_full_scale_16_bit_noise_passes():
    noise = RNG.integers(-32768, 32768, 4096).astype("<i2").tobytes()

    assert not is_float32(noise)
    assert not is_8bit(noise)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_can_be_asked_about(block: bytes):
    assert is_float32(block) in {True, False}
    assert is_8bit(block) in {True, False}
    assert container(block) is None or isinstance(container(block), str)
    assert wav_header(block) is None or wav_header(block).channels >= 0


def wav(rate: int, channels: int, bits: int, *, extra: bytes = b"") -> bytes:
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + extra + b"data\0\0\0\0"


def test_a_wav_header_is_read_with_its_length():
    header = wav_header(wav(44_100, 2, 16) + bytes(100))

    assert header is not None
    assert (header.sample_rate, header.channels, header.bits, header.audio_format) == (44_100, 2, 16, 1)
    assert header.size == 44


def test_chunks_before_the_data_are_passed_over():
    header = wav_header(wav(16_000, 1, 16, extra=b"LIST" + struct.pack("<I", 5) + b"hello\0") + bytes(100))

    assert header is not None
    assert header.size == 58


def test_half_a_header_is_no_header_but_still_a_file():
    half = wav(16_000, 1, 16)[:30]

    assert wav_header(half) is None
    assert container(half) == "WAV"


@pytest.mark.parametrize(("magic", "name"), [(b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"ID3", "MP3")])
def test_other_files_are_known_by_their_first_bytes(magic: bytes, name: str):
    assert container(magic + bytes(100)) == name
