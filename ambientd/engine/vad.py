"""Voice activity detection: Silero on onnxruntime.

The network is recurrent: each stream of audio needs a state of its own, while the weights are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from ambientd.core.audio import RATE, Samples
from ambientd.core.segmenter import FRAME
from ambientd.errors import EngineUnavailable

CONTEXT: Final = 64
"""Samples of the frame before that are put in front of each frame.  Source: silero-vad 6.2, utils_vad.py."""

STATE_SHAPE: Final = (2, 1, 128)
"""Shape of the recurrent state of one stream.  Source: the network's own input."""


class VoiceDetector:
    """The network, loaded once; :meth:`stream` gives each session its own ear."""

    def __init__(self, path: Path) -> None:
        """Loads the 16 kHz Silero network from ``path``.

        Raises:
            EngineUnavailable: the file is missing or is not that network.
        """
        options = onnxruntime.SessionOptions()
        # One frame is a tenth of a millisecond of work: a second thread would only cost, and onnxruntime's
        # default of one spinning thread per core would starve the lanes.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._network: Any = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            inputs = {entry.name for entry in self._network.get_inputs()}
        # onnxruntime has no public base class for what loading can raise.
        except Exception as error:
            raise EngineUnavailable(
                f"cannot load the voice detector {path.name}: {type(error).__name__}",
                hint="Fetch it again: ambientctl model fetch silero-vad",
            ) from error
        if inputs != {"input", "state", "sr"}:
            raise EngineUnavailable(
                f"{path.name} is not the Silero voice detector",
                hint="Fetch it again: ambientctl model fetch silero-vad",
            )

    def stream(self) -> Callable[[Samples], float]:
        """A detector for one stream: call it with consecutive frames, float32[512]; gives P(speech) in [0, 1]."""
        state = np.zeros(STATE_SHAPE, np.float32)
        window = np.zeros((1, CONTEXT + FRAME), np.float32)
        rate = np.array(RATE, np.int64)

        def detect(frame: Samples) -> float:
            nonlocal state
            window[0, :CONTEXT] = window[0, -CONTEXT:]
            window[0, CONTEXT:] = frame
            output, state = self._network.run(None, {"input": window, "state": state, "sr": rate})
            return float(output[0, 0])

        return detect
