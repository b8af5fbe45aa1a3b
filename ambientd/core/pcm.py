"""Whether bytes that claim to be signed 16-bit PCM plainly are something else.

Misread audio is worse than refused audio: float samples read as integers are loud noise, and the model finds words
in noise.  Each test looks for a pattern that speech in the right format cannot show.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

ENOUGH: Final = 512
"""Bytes below which a block is not judged: too few to be sure."""

_NEARLY_ALL: Final = 0.98
_FAINTEST: Final = 100
_LOUDEST: Final = 127
"""Biased exponents of float32 from 2**-27, fainter than any converter's noise, to just below 2."""
_MIDDLE: Final = 128
"""The silence of unsigned 8-bit audio."""

_CONTAINERS: Final = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\x1aE\xdf\xa3": "WebM or Matroska",
}
"""First bytes of files that people send by mistake.  Source: each format's own specification."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a RIFF header says of the audio behind it."""

    audio_format: int
    """1 is integer PCM, 3 is float."""
    channels: int
    sample_rate: int
    bits: int
    size: int
    """Bytes from the start of the header to the first sample."""


def wav_header(block: bytes) -> WavHeader | None:
    """The RIFF/WAVE header ``block`` opens with; ``None`` if it opens with none, or one cut short."""
    if block[:4] != b"RIFF" or block[8:12] != b"WAVE":
        return None
    position, header = 12, None
    while position + 8 <= len(block):
        name, size = block[position : position + 4], struct.unpack_from("<I", block, position + 4)[0]
        if name == b"fmt " and position + 24 <= len(block):
            audio_format, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", block, position + 8)
            header = (audio_format, channels, rate, bits)
        if name == b"data":
            return WavHeader(*header, position + 8) if header else None
        position += 8 + size + size % 2
    return None


def container(block: bytes) -> str | None:
    """The name of the file format whose first bytes ``block`` opens with; ``None`` if none is known."""
    if block[:4] == b"RIFF" and block[8:12] == b"WAVE":
        return "WAV"
    return next((name for magic, name in _CONTAINERS.items() if block.startswith(magic)), None)


def is_float32(block: bytes) -> bool:
    """Whether ``block`` is plainly 32-bit float PCM in [-1, 1].

    As integers, every second sample of such audio would be an exponent, between 14,000 and 16,300 or the same
    below zero: no microphone does that.
    """
    if len(block) < ENOUGH:
        return False
    values = np.frombuffer(block[: len(block) - len(block) % 4], "<f4")
    exponents = (values.view("<u4") >> 23) & 0xFF
    sounding = values != 0
    if np.count_nonzero(sounding) < len(values) // 2:
        return False
    plausible = (exponents[sounding] >= _FAINTEST) & (exponents[sounding] <= _LOUDEST)
    return bool(np.mean(plausible) > _NEARLY_ALL)


def is_8bit(block: bytes) -> bool:
    """Whether ``block`` is plainly unsigned 8-bit PCM, whose silence is the byte 128.

    In 16-bit audio the low bytes are spread over all values; here all bytes keep to the middle.
    """
    if len(block) < ENOUGH:
        return False
    values = np.frombuffer(block, np.uint8)
    central = np.mean((values >= _MIDDLE // 2) & (values < _MIDDLE * 3 // 2))
    return bool(central > _NEARLY_ALL and abs(float(values.mean()) - _MIDDLE) < _MIDDLE // 16)
