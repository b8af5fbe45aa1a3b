"""Audio files as the daemon wants to hear them: PCM, signed 16 bit, mono, 16 kHz.

A file is decoded, mixed and resampled piece by piece: an hour takes no more memory than a second.
What libsndfile reads is read: WAV, FLAC, MP3, Ogg and others, at any rate, with any number of channels; of recordings
that were sent also WebM, as browsers make it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import soundfile
import soxr

from ambientd import webm
from ambientd.core.audio import BYTES_PER_SAMPLE, RATE, Samples, to_pcm16
from ambientd.errors import AmbientError

BLOCK: Final = 4096
"""Samples in one block: 8192 bytes, the seed protocol's WEBSOCKET_AUDIO_BUFFER_SIZE."""

_READ_FRAMES: Final = 4096
"""Frames decoded at a time: a decoder that stumbles loses the whole read, so it is kept near 0.1 s."""

_SLOWEST: Final = 4_000
_FASTEST: Final = 768_000
"""Sample rates believed.  Outside lies a damaged header, and a resampler asked for gigabytes."""

_UNREAD_SHARE: Final = 0.05
"""Share of an MP3 left unread above which its length was misjudged; tags at the end are far smaller."""

_CONVERT: Final = "Convert it first, for example with: ffmpeg -i FILE visit.flac"


class AudioUnreadable(AmbientError):
    """A file is not audio this program can decode, or not all of it is."""


def read_audio(path: Path, *, block: int = BLOCK) -> Generator[bytes, None, None]:
    """The audio of a file as PCM16 mono 16 kHz, in blocks of ``block`` samples; the last may be shorter.

    The file is checked before this returns, so that a wrong one is refused before anything else happens;
    it stays open until the end, or until the generator is closed.
    Channels are averaged.  A WAV, Ogg or MP3 file that was cut short is played as far as it goes: recorders
    that lose power leave such files, and their headers do not reliably tell them from complete ones.

    Raises:
        AudioUnreadable: at the call, if the file cannot be opened, holds no audio, or is of an unknown
            format; while iterating, after all that could be decoded, if the rest cannot be.
    """
    _check(path)
    return _blocks(path, block * BYTES_PER_SAMPLE)


def read_recording(
    content: BinaryIO, *, block: int = BLOCK, copied: Callable[[], None] = lambda: None
) -> tuple[float, Iterator[bytes]]:
    """The length in seconds of a recording that was sent, and its audio as :func:`read_audio` gives it.

    ``content``: the whole file.  The length is what the file's head says: of an MP3 it may be a guess.
    ``copied``: called once no file will be written any more, and before any decoder sees the recording.

    Raises:
        AudioUnreadable: as :func:`read_audio`.
    """
    data = content.read()
    if not data:
        raise AudioUnreadable(
            "the file is empty", hint="Send the recording as the body, or as the part named file."
        )
    data = _readable(data)
    size = len(data)
    # A file in memory and not an object with read(): for those the library makes machine code at run time, which
    # MemoryDenyWriteExecute= forbids.
    descriptor = os.memfd_create("recording")
    with open(descriptor, "wb", closefd=False) as copy:
        copy.write(data)
    del data
    copied()

    def position() -> int:
        return os.lseek(descriptor, 0, os.SEEK_CUR)

    def blocks() -> Iterator[bytes]:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            yield from _decoded("the file", descriptor, size, position, block * BYTES_PER_SAMPLE)
        finally:
            os.close(descriptor)

    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        length = _length("the file", descriptor)
    except AudioUnreadable:
        os.close(descriptor)
        raise
    return length, blocks()


def _readable(data: bytes) -> bytes:
    """The file; for a browser's WebM the same Opus in a wrapping that libsndfile reads."""
    if not data.startswith(webm.MAGIC):
        return data
    try:
        return webm.to_ogg(data)
    except webm.NotOpus as error:
        raise AudioUnreadable(f"{error}.", hint=_CONVERT) from error


def _check(path: Path) -> None:
    if not path.is_file():
        raise AudioUnreadable(f"{path.name} is not a file.")
    if path.stat().st_size == 0:
        raise AudioUnreadable(f"{path.name} is empty.", hint="The recording did not reach the disk.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise AudioUnreadable(f"{path.name} cannot be opened: {error.strerror}.") from error
    _length(path.name, path)


def _length(name: str, source: Path | int) -> float:
    """Seconds that a recording's head promises; checks all that its head can tell."""
    try:
        with _decoder_notes_hidden(), soundfile.SoundFile(source, closefd=False) as file:
            rate, frames = file.samplerate, file.frames
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw, its rate unknown
        raise AudioUnreadable(f"{name} is in no audio format known here.", hint=_CONVERT) from error
    if not _SLOWEST <= rate <= _FASTEST:
        raise AudioUnreadable(f"{name} claims {rate} samples a second: it is damaged.", hint=_CONVERT)
    if frames == 0:
        raise AudioUnreadable(f"{name} holds no audio.", hint="The recording was never finished.")
    return float(frames / rate)


def _blocks(path: Path, size: int) -> Generator[bytes, None, None]:
    # The descriptor is our own, because its position tells at the end how much of the file was read.
    with path.open("rb") as handle:
        descriptor = handle.fileno()

        def position() -> int:
            return os.lseek(descriptor, 0, os.SEEK_CUR)

        yield from _decoded(path.name, descriptor, os.fstat(descriptor).st_size, position, size)


def _decoded(name: str, source: int, length: int, position: Callable[[], int], size: int) -> Iterator[bytes]:
    """PCM16 in blocks of ``size`` bytes; then, if the file of ``length`` bytes is damaged, the error that says so."""
    with _decoder_notes_hidden():
        file = soundfile.SoundFile(source, closefd=False)
    with file:
        rate: int = file.samplerate
        resampler = None if rate == RATE else soxr.ResampleStream(rate, RATE, 1, dtype="float32")
        waiting = bytearray()
        done = 0
        fault: AudioUnreadable | None = None
        last = False
        while not last:
            try:
                audio = _next_mono(file)
            except soundfile.LibsndfileError as error:
                fault = AudioUnreadable(
                    f"{name} is damaged or cut off: only its first {done / rate:.1f} s can be read."
                )
                fault.__cause__ = error
                audio = np.zeros(0, dtype=np.float32)
            last = not len(audio)
            done += len(audio)
            # The resampler holds back half a filter's length; ``last`` makes it give that too.
            heard = audio if resampler is None else resampler.resample_chunk(audio, last=last)
            waiting += to_pcm16(heard)
            while len(waiting) >= size:
                yield bytes(waiting[:size])
                del waiting[:size]
        if waiting:
            yield bytes(waiting)
        if fault is not None:
            raise fault
        # Without a length tag the length of an MP3 is a guess from its first frame, and reading stops
        # there: with a variable bit rate most of the file can be missing and nothing would say so.
        if file.format == "MP3" and length - position() > _UNREAD_SHARE * length:
            raise AudioUnreadable(
                f"{name} hides its length: only its first {done / rate:.1f} s can be read.", hint=_CONVERT
            )


def _next_mono(file: soundfile.SoundFile) -> Samples:
    """The next frames, channels averaged, at the file's own rate; none at the end of the file."""
    with _decoder_notes_hidden():
        frames = file.read(_READ_FRAMES, dtype="float32", always_2d=True)
    mixed: Samples = frames.mean(axis=1, dtype=np.float32)
    # Files of floats may hold NaN; a single one would stay in the resampler's filter and silence the rest.
    return np.nan_to_num(mixed, nan=0.0, posinf=1.0, neginf=-1.0)


@contextmanager
def _decoder_notes_hidden() -> Iterator[None]:
    """Keep libsndfile's MP3 decoder from writing on the terminal while it works.

    mpg123 notes every odd frame on file descriptor 2, hundreds for an ordinary recording, across whatever is
    being shown there; libsndfile offers no switch.  The whole process has no standard error meanwhile, which
    is why this surrounds single calls and never a ``yield``.
    """
    try:
        kept = os.dup(2)
    except OSError:  # closed by whoever started the program: nothing to protect
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
