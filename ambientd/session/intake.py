"""A client's bytes as the box's audio: checked, put together, mixed, resampled.

Rule 1  A byte is never dropped: half a sample waits for its other half in the next frame.
Rule 2  Audio is never misread: what is plainly not signed 16-bit PCM is refused with the reason.
Rule 3  What the settings promise (rate, channels) is converted; 16 kHz mono passes untouched.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soxr

from ambientd.core import pcm
from ambientd.core.audio import BYTES_PER_SAMPLE, RATE, Samples, from_pcm16
from ambientd.core.protocol import CLOSE_UNSUPPORTED
from ambientd.errors import ClientError

LONGEST_HEADER: Final = 44
"""Bytes of the header that nearly every WAV file has: RIFF, one format chunk of 16 bytes, the data chunk's start."""


class Intake:
    """The door of one session: give it frames in order, take samples out."""

    def __init__(self, *, sample_rate: int = RATE, channels: int = 1, taken: int = 0) -> None:
        """``sample_rate`` in Hz and ``channels`` (interleaved) are what the client sends.

        ``taken``: samples at the box's own rate that an earlier life of the session had.
        """
        self._rate = sample_rate
        self._channels = channels
        self.taken = taken * sample_rate // RATE
        """Whole samples taken from the client, counted per channel and at the client's own rate."""
        self._carried = b""
        self._first = taken == 0
        self._start = b""
        """The beginning of what may be a WAV header."""
        self._resampler: Any = soxr.ResampleStream(sample_rate, RATE, 1) if sample_rate != RATE else None

    def receive(self, frame: bytes) -> Samples:
        """The samples in ``frame``, and in what was carried over from the frame before.

        Raises:
            ClientError: the frame is empty or plainly not signed 16-bit PCM; it was not taken.
        """
        if not frame:
            raise ClientError(
                "empty_frame",
                "a binary frame held no audio",
                hint="Send PCM, or end_session when there is no more.",
            )
        if self._first:
            frame = self._start + frame
            if len(frame) < LONGEST_HEADER and frame.startswith((b"RIFF"[: len(frame)], b"RIFF")):
                self._start = frame  # perhaps a header cut in two: the next frame will tell
                return np.empty(0, np.float32)
            self._start = b""
            frame = self._without_wav_header(frame)
            self._first = False
        if pcm.is_float32(frame):
            raise ClientError(
                "float_audio",
                "the audio is 32-bit float, and this frame was not taken",
                hint="Send signed 16-bit little-endian samples: round(32767 * sample).",
            )
        if pcm.is_8bit(frame):
            raise ClientError(
                "8bit_audio",
                "the audio is 8-bit, and this frame was not taken",
                hint="Send signed 16-bit little-endian samples.",
            )
        whole = self._carried + frame
        size = BYTES_PER_SAMPLE * self._channels
        end = len(whole) - len(whole) % size
        self._carried = whole[end:]
        self.taken += end // size
        audio = from_pcm16(whole[:end])
        if self._channels > 1:
            audio = audio.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            audio = self._resampler.resample_chunk(audio)
        return np.ascontiguousarray(audio, np.float32)

    def interrupt(self) -> None:
        """The client is gone and will go on from :attr:`taken`: the half sample it sent last comes again."""
        self._carried = self._start = b""

    def skip(self, count: int) -> int:
        """Counts ``count`` samples of the client's that will never come; gives them at the box's own rate."""
        before = self.taken * RATE // self._rate
        self.taken += count
        self._first = False
        return self.taken * RATE // self._rate - before

    def finish(self) -> Samples:
        """What the resampler still holds; the intake may not be used afterwards."""
        if self._resampler is None:
            return np.empty(0, np.float32)
        return np.ascontiguousarray(
            self._resampler.resample_chunk(np.empty(0, np.float32), last=True), np.float32
        )

    def _without_wav_header(self, frame: bytes) -> bytes:
        """The audio behind a WAV header that describes what the session expects; any other file is refused."""
        header = pcm.wav_header(frame)
        if header and (header.audio_format, header.channels, header.sample_rate, header.bits) == (
            1,
            self._channels,
            self._rate,
            8 * BYTES_PER_SAMPLE,
        ):
            return frame[header.size :]
        kind = pcm.container(frame)
        if kind is None:
            return frame
        described = (
            f" ({header.sample_rate} Hz, {header.channels} channels, {header.bits} bits)" if header else ""
        )
        raise ClientError(
            "file_not_pcm",
            f"this is the start of a {kind} file{described}, not bare PCM",
            hint=f"Decode it first: send signed 16-bit samples at {self._rate} Hz, {self._channels} channel(s).",
            close_code=CLOSE_UNSUPPORTED,
        )
