"""One whisper.cpp context, used by one thread at a time.

This is the only module that knows the binding.  It calls whisper.cpp's own functions rather than the binding's
``Model``: that class drops the return code of a decode, so a failure looks like silence, and keeps the parameters
of one call for the next, so one session's prompt would reach another.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ambientd.core.audio import RATE
from ambientd.core.decoding import AUTO, Heard, Request, Weighed
from ambientd.core.plausibility import most_tokens
from ambientd.core.suspects import Suspect
from ambientd.engine.kernels import load as load_kernels
from ambientd.engine.steps import Steps
from ambientd.engine.tokens import STEP, Token, segments
from ambientd.engine.weighing import Marks, weigh
from ambientd.errors import DecodeFailed, EngineUnavailable

try:
    import _pywhispercpp as cpp
except ImportError as error:
    raise EngineUnavailable(
        f"the whisper.cpp binding does not load ({error.name or type(error).__name__})",
        hint="Install it again: make run in a checkout, apt install --reinstall ambientd on a box.",
    ) from error

POSITIONS_PER_SECOND: Final = 50
"""Encoder positions a second of audio takes.  Source: Whisper, 1500 positions for 30 s."""

MOST_POSITIONS: Final = 1500
LEAST_POSITIONS: Final = 384
"""Below this small models loop ("so my fellow Americanism, and so ...").  Source: measured, docs/benchmarks.md."""

SPARE_POSITIONS: Final = 128
"""Kept beyond the audio's end, so that the model sees silence follow the last word."""

FALLBACK_STEP: Final = 0.5
"""Added to the temperature when a decode fails whisper.cpp's checks.  0.2 loops again, and from 0.5 on whisper.cpp
leaves out the prompt, which may be what led into the loop.  Source: measured, docs/benchmarks.md; whisper.cpp,
``WHISPER_HISTORY_CONDITIONING_TEMP_CUTOFF``."""

_LOG_ERROR: Final = 4
"""``ggml_log_level`` of an error.  Source: ggml.h."""

_native_errors: list[str] = []
"""Errors of the load going on; whisper.cpp tells the reason only to its log."""


def _receive_log(level: int, text: str) -> None:
    # Nothing of it reaches our log: at its lower levels whisper.cpp prints prompts and tokens, a patient's words.
    if level == _LOG_ERROR:
        _native_errors.append(text.strip())


cpp.whisper_log_set(_receive_log)  # first of all: by itself ggml tells standard error what it loads
# The binding keeps the function in a C++ static; releasing it after the interpreter has gone aborts.
atexit.register(cpp.whisper_log_set, None)
load_kernels(Path(cpp.__file__).parent)


def positions(samples: int) -> int:
    """Encoder positions (``audio_ctx``) for so many samples of audio.

    Fewer than the full 1500 cost less in proportion; too few cut the audio or make the model loop.
    """
    needed = samples * POSITIONS_PER_SECOND // RATE + SPARE_POSITIONS
    return min(MOST_POSITIONS, max(LEAST_POSITIONS, -(-needed // 64) * 64))


def kernels() -> tuple[str, ...]:
    """The instruction sets and libraries whisper.cpp was built with and this processor has, such as ``AVX2``."""
    features = (item.split("=") for item in cpp.whisper_print_system_info().split("|") if "=" in item)
    return tuple(name.split(":")[-1].strip() for name, value in features if value.strip() == "1")


def languages() -> tuple[str, ...]:
    """The codes of all languages a multilingual model knows."""
    return tuple(cpp.whisper_lang_str(number) for number in range(cpp.whisper_lang_max_id() + 1))


class Whisper:
    """A model loaded into memory, ready to hear.

    Not safe for two threads at once: :mod:`ambientd.engine.lanes` gives each context a thread of its own.
    """

    def __init__(self, path: Path, *, name: str, threads: int) -> None:
        """Loads the ggml file at ``path``; ``name`` is what lines will say heard them.

        The path is always a file: given a bare name the binding would download one.

        Raises:
            EngineUnavailable: whisper.cpp cannot load the file.
        """
        if not path.is_file():
            raise EngineUnavailable(
                f"no model file {path.name}", hint="Fetch it: ambientctl model fetch base"
            )
        self.name = name
        self._threads = threads
        options = cpp.whisper_context_default_params()
        options.use_gpu = False
        # With a trimmed encoder window flash attention attends stale rows of an earlier decode: one patient's text
        # can depend on another's.  Source: whisper.cpp pull request 3941.
        options.flash_attn = False
        _native_errors.clear()
        self._context: Any = cpp.whisper_init_from_file_with_params(str(path), options)
        if _native_errors:
            # The binding hands out a null pointer inside a live object; touching it would end the process.
            raise EngineUnavailable(
                f"whisper.cpp cannot load {path.name}: {_native_errors[0]}",
                hint="Check it: ambientctl model verify",
            )
        self.multilingual = bool(cpp.whisper_is_multilingual(self._context))
        self._first_special = int(cpp.whisper_token_eot(self._context))
        self._first_time = int(cpp.whisper_token_beg(self._context))
        self._steps = Steps(
            cpp.__file__, self._context, size=cpp.whisper_n_vocab(self._context), threads=threads
        )

    def close(self) -> None:
        """Gives the memory back; the object may not be used afterwards."""
        cpp.whisper_free(self._context)
        self._context = None

    def hear(self, request: Request, *, aborted: Callable[[], bool] = lambda: False) -> Heard:
        """The words in ``request``; blocks for as long as that takes, without the GIL.

        ``aborted`` is asked after the encoder and after each token.

        Raises:
            ValueError: the audio is not float32[n], mono, contiguous: the caller's fault.
            DecodeFailed: aborted, or whisper.cpp failed.
        """
        audio = request.audio
        if audio.dtype != np.float32 or audio.ndim != 1 or not audio.flags.c_contiguous:
            # The binding would read the raw pointer all the same, and misread it.
            raise ValueError("audio must be float32[n], C-contiguous")
        parameters = self._parameters(request)
        if request.text is not None:
            parameters.max_tokens = 1  # only to have it encoded
        parameters.set_abort_callback(lambda *_: aborted())
        began = time.monotonic()
        status = cpp.whisper_full(self._context, parameters, audio, len(audio))
        if status != 0:
            raise DecodeFailed(f"whisper.cpp gave status {status}" + (" (aborted)" if aborted() else ""))
        heard = request.text or self._heard(request)
        if request.suspected:
            heard = replace(heard, weighed=self._weighed(heard, request.suspected, aborted))
        return replace(heard, seconds=time.monotonic() - began)

    def _heard(self, request: Request) -> Heard:
        """The text of the decode just done."""
        language = request.language
        if language == AUTO:
            language = str(cpp.whisper_lang_str(cpp.whisper_full_lang_id(self._context)))
        found = list(self._tokens())
        text = [likelihood for token, likelihood in found if token.time is None]
        return Heard(
            segments(
                [token for token, _ in found],
                start=request.start,
                length=len(request.audio),
                language=language,
            ),
            language,
            0.0,
            self.name,
            tokens=len(text),
            log_probability=sum(text) / len(text) if text else 0.0,
        )

    def _weighed(
        self,
        heard: Heard,
        suspected: Callable[[Heard], Sequence[Suspect]],
        aborted: Callable[[], bool],
    ) -> tuple[Weighed, ...]:
        """The suspects in a text of the audio that was encoded last, weighed."""
        suspects = suspected(heard)
        if not suspects:
            return ()
        tokens = [cpp.whisper_token_sot(self._context)]
        if self.multilingual:
            language = cpp.whisper_lang_id(heard.language)
            tokens += [
                cpp.whisper_token_lang(self._context, language),
                cpp.whisper_token_transcribe(self._context),
            ]
        marks = Marks(
            before=cpp.whisper_token_prev(self._context),
            opening=(*tokens, cpp.whisper_token_not(self._context)),
        )
        words = heard.words
        found = weigh(self._steps, words, suspects, language=heard.language, marks=marks, aborted=aborted)
        return tuple(found)

    def _parameters(self, request: Request) -> Any:
        """Fresh parameters: what is set on one object stays set, and would reach the next session."""
        parameters = cpp.whisper_full_default_params(cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        parameters.n_threads = self._threads * (1 + request.spare)
        parameters.print_progress = parameters.print_realtime = parameters.print_timestamps = False
        parameters.no_context = True
        # One window for one piece: left to itself whisper.cpp seeks to the last time token and encodes the tail again,
        # at full cost and without the prompt, which is where loops are born.
        parameters.single_segment = True
        # A loop shows in the entropy of its last tokens.  The cure is chance, not a larger window: whisper.cpp decodes
        # again, from the same encoding, at the next temperature.  Source: measured, docs/benchmarks.md.
        parameters.temperature = request.temperature
        parameters.temperature_inc = FALLBACK_STEP
        parameters.greedy = {"best_of": 1}
        parameters.max_tokens = most_tokens(request.speech)
        parameters.audio_ctx = positions(len(request.audio))
        if request.prompt:
            parameters.initial_prompt = request.prompt
        if not self.multilingual:
            if request.language != "en":
                raise DecodeFailed(
                    f"model {self.name} knows English only",
                    hint="Set engine.language to en, or engine.model to base.",
                )
            parameters.language = "en"
        elif request.language == AUTO:
            parameters.language = ""
        elif cpp.whisper_lang_id(request.language) < 0:
            # Unchecked, it would silently become a detection, at the cost of a second pass.
            raise DecodeFailed(
                f"unknown language {request.language!r}", hint="Use an ISO 639-1 code such as en."
            )
        else:
            parameters.language = request.language
        return parameters

    def _tokens(self) -> Iterator[tuple[Token, float]]:
        """The tokens of the decode just done, each with its log probability; end and language marks left out."""
        for segment in range(cpp.whisper_full_n_segments(self._context)):
            for index in range(cpp.whisper_full_n_tokens(self._context, segment)):
                data = cpp.whisper_full_get_token_data(self._context, segment, index)
                if data.id >= self._first_time:
                    yield Token(b"", data.p, (data.id - self._first_time) * STEP), data.plog
                elif data.id < self._first_special:
                    yield Token(cpp.whisper_token_to_bytes(self._context, data.id), data.p), data.plog
