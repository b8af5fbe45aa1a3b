"""The engine on its way: begun before all else, since a start waits longest for it.

The weights are checked, read and tried in threads of their own, while the other libraries are imported and the database
is opened: none of that needs the interpreter for long.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ambientd.config import Settings
from ambientd.core.audio import RATE
from ambientd.core.decoding import Request
from ambientd.engine import models, tune
from ambientd.engine.lanes import Loading
from ambientd.engine.machine import this_machine
from ambientd.engine.whisper import Whisper
from ambientd.errors import DecodeFailed, EngineUnavailable

logger = logging.getLogger(__name__)


class Warming:
    """The lanes as the settings and this machine want them, loading since this was made."""

    def __init__(self, settings: Settings) -> None:
        engine, directories = settings.engine, settings.models.directories
        self.tuned = tuning(settings)
        tuned = (self.tuned.lanes, self.tuned.threads) if self.tuned else None
        self.count, self.threads = engine.layout(len(os.sched_getaffinity(0)), tuned)
        self._weights = _apart(lambda: models.resolve(engine.model, engine.quantisation, *directories))
        self.loading = Loading(self._load, count=self.count)

    @property
    def weights(self) -> Path:
        """The checked file; waits for the check.

        Raises:
            ModelError: there is none, or it is not what it should be.
        """
        return self._weights.result()

    def _load(self) -> Whisper:
        context = Whisper(self.weights, name=self.weights.stem, threads=self.threads)
        try_out(context)
        return context


def try_out(context: Whisper) -> None:
    """One decode of a second of silence: whoever says "ready" has decoded, on each lane.

    A library that does not fit the processor ends the process here and not in the middle of a visit, and the first
    piece of the day does not wait for memory to be had.

    Raises:
        EngineUnavailable: it cannot decode.
    """
    silence = np.zeros(RATE, np.float32)
    try:
        context.hear(Request(silence, 0, RATE, "en"))
    except DecodeFailed as error:
        raise EngineUnavailable(
            f"the model is loaded and cannot decode: {error.message}",
            hint="Check it: ambientctl model verify",
        ) from error


def _apart(work: Callable[[], Path]) -> Future[Path]:
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="weights")
    future = thread.submit(work)
    thread.shutdown(wait=False)
    return future


def tuning(settings: Settings) -> tune.Tuning | None:
    """What ``ambientctl tune`` found, if it was on this machine and with these weights."""
    found = tune.load(settings.store.directory)
    if found is None:
        return None
    asked = (settings.engine.model, settings.engine.quantisation)
    if found.machine == this_machine() and (found.model, found.quantisation) == asked:
        return found
    logger.warning("what tuning found is of another machine or model: run ambientctl tune again")
    return None
