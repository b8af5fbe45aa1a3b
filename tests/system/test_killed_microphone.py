"""A session at a microphone whose process is killed at random: the words outside the gaps are right.

A few kills in half a minute; for a thorough run say ``AMBIENTD_MICROPHONE_KILLS=100 AMBIENTD_MICROPHONE_SECONDS=600``,
as ``make unplug`` does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
from killed_microphone import Account, Room, Witness
from running import DATA

from ambientd.capture.microphone import Choice, open_microphone
from ambientd.core.alignment import matches, plain
from ambientd.core.audio import RATE, to_pcm16
from ambientd.core.record import EndReason
from ambientd.core.segmenter import Rules
from ambientd.core.transcript import Line, Word
from ambientd.engine.lanes import open_lanes
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper
from ambientd.session.ledger import StoredLedger
from ambientd.session.microphone import open_recorder
from ambientd.session.registry import Registry, open_registry
from ambientd.session.session import Session
from ambientd.session.terms import Terms
from ambientd.session.trial import Trial
from ambientd.store.database import Database, open_database
from ambientd.store.lines import Lines
from ambientd.store.recording import Recordings
from ambientd.store.sessions import Sessions

pytestmark = pytest.mark.model

KILLS = int(os.environ.get("AMBIENTD_MICROPHONE_KILLS", "4"))
SECONDS = float(os.environ.get("AMBIENTD_MICROPHONE_SECONDS", "25"))
SEED = int(os.environ.get("AMBIENTD_SEED", "20260115"))

MARGIN = RATE // 2
"""Samples round a gap in which a word may be cut."""


@pytest.fixture
async def box(models: Path, tmp_path: Path) -> AsyncIterator[tuple[Registry, Database]]:
    detector = VoiceDetector(models / "silero-vad.onnx")
    async with AsyncExitStack() as stack:
        lanes = await stack.enter_async_context(
            open_lanes(
                lambda: Whisper(models / "base-q8_0.bin", name="base-q8_0", threads=1), count=1, limit=60
            )
        )
        database = await stack.enter_async_context(open_database(tmp_path / "test.db"))
        registry = await stack.enter_async_context(
            open_registry(
                most=2,
                model="base-q8_0",
                detector=detector.stream,
                decoder=lanes,
                ledger=StoredLedger(Sessions(database), Lines(database)),
                patience=60,
            )
        )
        yield registry, database


async def ended(registry: Registry, database: Database, session: Session) -> list[Line]:
    await registry.end(session.id, EndReason.CLIENT)
    return await Lines(database).lines(session.id)


async def heard_whole(registry: Registry, database: Database, audio: np.ndarray) -> list[Word]:
    """What a session writes down that misses nothing."""
    session = await registry.open(None, Terms(rules=Rules(), language="en"), client="test")
    for begin in range(0, len(audio), RATE):
        await session.feed(to_pcm16(audio[begin : begin + RATE]))
    return [word for line in await ended(registry, database, session) for word in line.words]


async def test_every_gap_is_marked_and_the_words_outside_the_gaps_are_right(
    box: tuple[Registry, Database], models: Path, tmp_path: Path
):
    registry, database = box
    visit, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    pcm = tmp_path / "room.raw"
    pcm.write_bytes(to_pcm16(visit))
    detector = VoiceDetector(models / "silero-vad.onnx")

    async def no_trial(*_heard: object, **_terms: object) -> Trial:
        raise AssertionError("nobody tries it out")

    room = Room(pcm)
    # In the short run the pauses between attempts are short too, so that there is something to be heard.
    choice = Choice() if SECONDS > 60 else Choice(restart_first=0.5, restart_most=1.0)
    async with (
        open_microphone(choice, start=room.start) as microphone,
        open_recorder(
            source=(witness := Witness(microphone, room)),
            registry=registry,
            diary=Recordings(database),
            amend=Sessions(database).amend,
            judge=no_trial,
            detector=detector.stream,
            # Room for all of it: what a slow machine's session has no room for is a gap that no kill has made.
            terms=lambda: Terms(rules=Rules(), language="en", inbox=round(2 * SECONDS + 60) * RATE),
            grace=0,
        ) as recorder,
    ):
        session = await recorder.start()
        await witness.while_killed(seconds=SECONDS, kills=KILLS, life=(2.1, 8), seed=SEED)
        await recorder.stop()
    account, taken = witness.account, session.taken
    lines = await Lines(database).lines(session.id)
    gaps = (await Lines(database).so_far(session.id))[1]

    assert account.kills == KILLS
    assert account.wrong == 0
    assert account.told == (account.captured, account.missing)
    assert abs(account.captured + account.missing - account.passed * RATE) < 0.2 * RATE
    # In the session: every sample received, and every gap where it was.
    assert taken == account.captured + account.missing == session.metrics.received_samples
    assert joined((gap.start, gap.end) for gap in gaps if gap.reason == "lost") == account.gaps

    whole = await heard_whole(registry, database, unbroken(visit, account))
    right, expected, extra = compare(whole, [word for line in lines for word in line.words], account)
    words = f"words outside the gaps: {right} of {expected} as in an unbroken session, {extra} others"
    print(f"\n{account}\n{words}")  # noqa: T201 - the figures of a thorough run

    # The engine itself hears a sentence differently when it is cut differently; in half a minute that is much.
    assert expected > 20
    assert right / expected > (0.85 if SECONDS > 60 else 0.7)
    assert extra / expected < (0.2 if SECONDS > 60 else 0.4)


def joined(gaps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The gaps with neighbours put together: one that goes on comes in parts."""
    found: list[tuple[int, int]] = []
    for start, end in gaps:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def unbroken(visit: np.ndarray, account: Account) -> np.ndarray:
    """What the room sounded like from the first sample captured to the last."""
    return visit[
        np.arange(account.first, account.first + account.captured + account.missing) % len(visit)
    ].astype(np.float32)


def compare(whole: list[Word], heard: list[Word], account: Account) -> tuple[int, int, int]:
    """How many words of ``whole`` that lie clear of gaps were heard, how many there are, and what else was heard."""
    clear = {
        index
        for index, word in enumerate(whole)
        if all(word.end < start - MARGIN or word.start > end + MARGIN for start, end in account.gaps)
    }
    same = matches([plain(word.text) for word in whole], [plain(word.text) for word in heard])
    extra = [
        word
        for index, word in enumerate(heard)
        if index not in same
        and all(word.end < start - MARGIN or word.start > end + MARGIN for start, end in account.gaps)
    ]
    return len(clear & set(same.values())), len(clear), len(extra)
