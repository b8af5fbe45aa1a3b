"""The wiring of the room: its microphone, what records it, and how people in the room see and steer that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from ambientd.capture.button import Press, open_button
from ambientd.capture.microphone import open_microphone
from ambientd.config import Settings
from ambientd.core.audio import RATE
from ambientd.core.decoding import Decoder
from ambientd.core.room import Recording
from ambientd.core.segmenter import Detect
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.indicator import Indicator, open_indicator
from ambientd.session.microphone import Recorder, Wish, open_recorder
from ambientd.session.registry import Registry
from ambientd.session.terms import Terms
from ambientd.session.trial import judged
from ambientd.store.database import Database
from ambientd.store.recording import Recordings
from ambientd.store.sessions import Sessions
from ambientd.supervision import Supervision
from ambientd.terms import chosen_microphone

logger = logging.getLogger(__name__)

GLANCE: Final = 0.25
"""Seconds between two looks at what the light is to show."""


@asynccontextmanager
async def open_room(
    settings: Settings,
    *,
    supervision: Supervision,
    registry: Registry,
    database: Database,
    sessions: Sessions,
    decoder: Decoder,
    detector: Callable[[], Detect],
    terms: Callable[[], Terms],
) -> AsyncIterator[Recorder]:
    """The recorder of the room's microphone, with its button, its light and its voice."""
    recording = settings.recording

    def of_the_room() -> Terms:
        usual = terms()
        limits = replace(usual.limits, silence=recording.stop_after_silence)
        return replace(usual, sample_rate=RATE, channels=1, limits=limits)

    async with (
        open_microphone(chosen_microphone(settings)) as microphone,
        open_recorder(
            source=microphone,
            registry=registry,
            diary=Recordings(database),
            amend=sessions.amend,
            judge=partial(judged, decoder=decoder, detector=detector),
            terms=of_the_room,
            detector=detector,
            grace=settings.server.resume_grace if recording.continue_after_restart else 0,
            by_voice=recording.start_by_voice,
        ) as recorder,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(supervision.watching("microphone", lambda: microphone.alive))
        if recording.hook:
            light = await stack.enter_async_context(
                open_indicator(Path(recording.hook), recording.hook_timeout)
            )
            await stack.enter_async_context(running(_shown(recorder, light)))
        if recording.button:
            presses: asyncio.Queue[Press] = asyncio.Queue(1)
            await stack.enter_async_context(running(_steered(recorder, presses)))
            await stack.enter_async_context(
                open_button(Path(recording.button), recording.button_key, partial(_note, presses))
            )
        yield recorder


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """``work`` at work for as long as the block lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _shown(recorder: Recorder, light: Indicator) -> None:
    while True:
        light.show(recorder.condition)
        await asyncio.sleep(GLANCE)


def _note(presses: asyncio.Queue[Press], press: Press) -> None:
    with suppress(asyncio.QueueFull):  # one who presses again and again means it once
        presses.put_nowait(press)


async def _steered(recorder: Recorder, presses: asyncio.Queue[Press]) -> None:
    """Does what the button says, one press after the other."""
    while True:
        press = await presses.get()
        try:
            await act(recorder, press)
        except (ClientError, StoreUnavailable) as error:
            logger.warning("the button was pressed in vain", extra={"error": error})


async def act(recorder: Recorder, press: Press) -> None:
    """What a press means: a short one starts and stops, a long one pauses and resumes.

    None discards: what destroys a conversation is decided by somebody who sees what it is.

    Raises:
        ClientError: it cannot be done, and why.
        StoreUnavailable: the end is not on record.
    """
    session = recorder.session
    match press:
        case Press.SHORT if session is None:
            await recorder.start(Wish(origin="button"))
        case Press.SHORT:
            await recorder.stop()
        case Press.LONG if session is not None:
            await (recorder.resume() if session.state is Recording.PAUSED else recorder.pause())
