"""Word errors, loops and cost of one way of hearing a recording: a plain offline decode, the seed's fixed chunks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import _pywhispercpp as cpp
import numpy as np

from ambientd.core.audio import RATE, Samples
from bench.recordings import Recording
from bench.score import Score, score


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of decoding made of one recording."""

    name: str
    way: str
    score: Score
    cpu: float
    """CPU seconds."""
    text: str


def plain(context: object, audio: Samples, **options: object) -> str:
    """whisper.cpp as it comes: greedy, its own 30 s windows and fallback, no prompt."""
    parameters = cpp.whisper_full_default_params(cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
    parameters.n_threads = 1
    parameters.print_progress = parameters.print_realtime = parameters.print_timestamps = False
    parameters.language = "en"
    for name, value in options.items():
        setattr(parameters, name, value)
    assert cpp.whisper_full(context, parameters, audio, len(audio)) == 0
    texts = [
        cpp.whisper_full_get_segment_text(context, index).decode("utf-8", "replace").strip()
        for index in range(cpp.whisper_full_n_segments(context))
    ]
    return " ".join(texts)


def seed(context: object, audio: Samples) -> str:
    """The seed's scheme to the letter: chunks of 2.0 s, 0.5 s overlap, texts joined."""
    step, length = round(1.5 * RATE), 2 * RATE
    chunks = [np.ascontiguousarray(audio[at : at + length]) for at in range(0, len(audio), step)]
    return " ".join(plain(context, chunk, no_context=True) for chunk in chunks if len(chunk) > RATE // 4)


def load_plain(path: Path) -> object:
    """A bare whisper.cpp context, flash attention off as in the daemon."""
    options = cpp.whisper_context_default_params()
    options.use_gpu = options.flash_attn = False
    return cpp.whisper_init_from_file_with_params(str(path), options)


def outcome(recording: Recording, way: str, text: str, cpu: float) -> Outcome:
    """Counts the errors of ``text``; ``cpu``: seconds it took."""
    return Outcome(recording.name, way, score(recording.reference, text), cpu, text)


def run(way: str, decode: Callable[[Samples], str], recording: Recording) -> Outcome:
    """Decodes one recording one way, and counts errors and CPU."""
    began = time.process_time()
    text = decode(recording.audio)
    return outcome(recording, way, text, time.process_time() - began)
