"""The one audio format inside the box, and its units.

Everything past the door is mono, 16 kHz.  Time is an integer count of samples since the session started:
it adds up exactly, which seconds in a float do not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""float32[n], mono, 16 kHz, in [-1, 1], C-contiguous: the engine's binding reads the raw pointer."""

RATE: Final = 16_000
"""Samples per second.  Source: Whisper and Silero VAD are both trained at 16 kHz."""

BYTES_PER_SAMPLE: Final = 2
"""Signed 16-bit little-endian on the wire."""


def samples(seconds: float) -> int:
    """Seconds as a count of samples, to the nearest."""
    return round(seconds * RATE)


def seconds(count: int) -> float:
    """A count of samples as seconds."""
    return count / RATE


def from_pcm16(pcm: bytes) -> Samples:
    """Signed 16-bit little-endian PCM as samples; an even number of bytes is the caller's duty."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768.0)


def to_pcm16(audio: Samples) -> bytes:
    """Samples as signed 16-bit little-endian PCM; what lies outside [-1, 1] is clipped."""
    scaled = np.clip(np.rint(audio * np.float32(32768.0)), -32768, 32767).astype("<i2")
    return bytes(scaled.data)
