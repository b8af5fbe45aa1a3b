"""Recorded audio and its text survive kill -9 at any moment: audio or text, never neither and never both."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from spool_until_killed import PIECES, sound

from ambientd.core.record import EndReason, SessionState, Transcription
from ambientd.errors import OperatorError
from ambientd.store.database import open_database
from ambientd.store.deliveries import Outbox
from ambientd.store.lines import Lines
from ambientd.store.sessions import Sessions
from ambientd.store.spool import Spool

PROGRAM = Path(__file__).with_name("spool_until_killed.py")


def run_and_kill(path: Path, what: str, chance: random.Random) -> list[str]:
    """All it had said when it was killed in the midst of its work."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, path, what], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        said = [program.stdout.readline().strip() for _ in range(chance.randint(2, 12))]
        time.sleep(chance.uniform(0, 0.03))
        program.kill()
        said += program.stdout.read().splitlines()
    return said


@pytest.mark.parametrize("seed", range(3))
async def test_every_piece_stored_is_there_and_is_to_be_transcribed(path: Path, seed: int) -> None:
    said = run_and_kill(path, "record", random.Random(seed))  # noqa: S311 - when to kill is no secret

    async with open_database(path) as database:
        sessions, spool = Sessions(database), Spool(database)
        assert await sessions.recover() == []
        kept = await spool.next()
        assert kept is not None
        assert list(kept.pieces) == list(range(len(kept.pieces)))
        assert 0 <= len(kept.pieces) - len(said) <= 1
        for index in kept.pieces:
            piece = await spool.read("visit", index)
            assert piece is not None
            assert (piece.start, piece.pcm) == (index * 16_000, sound(index))
        assert kept.end == 16_000 * len(kept.pieces)
        assert await spool.complete("visit", lines=[], gaps=[], metrics=kept.record.metrics, language="en")
        record = await sessions.get("visit")
    assert record is not None
    assert (record.state, record.reason) == (SessionState.INTERRUPTED, EndReason.CRASH)


@pytest.mark.parametrize("seed", range(3))
async def test_a_session_has_its_audio_or_its_text(path: Path, seed: int) -> None:
    said = run_and_kill(path, "transcribe", random.Random(seed))  # noqa: S311
    done = [word for word in said if word.startswith("done")]

    async with open_database(path) as database:
        sessions, lines, spool = Sessions(database), Lines(database), Spool(database)
        await sessions.recover()
        outbox = Outbox(database)
        for record in await sessions.list_sessions(100):
            name = record.session_id
            audio = [await spool.read(name, index) for index in range(PIECES)]
            text, delivery = await lines.lines(name), await outbox.named(name)
            if record.transcription is Transcription.DONE:
                assert (audio, len(text), len(delivery)) == ([None] * PIECES, 3, 1)
                assert record.state is SessionState.ENDED
            elif record.transcription is Transcription.WAITING:
                assert (text, delivery, record.state) == ([], [], SessionState.OPEN)
        finished = [
            record
            for record in await sessions.list_sessions(100)
            if record.transcription is Transcription.DONE
        ]
        assert any(said)
        assert 0 <= len(finished) - len(done) <= 1


async def test_a_wrong_key_refuses_the_start_and_leaves_the_audio_alone(path: Path) -> None:
    run_and_kill(path, "record", random.Random(1))  # noqa: S311
    key = next(each for each in path.parent.iterdir() if "key" in each.name)
    right = key.read_text()
    key.write_text(right[::-1] if not right.endswith("\n") else right[-2::-1] + "\n")
    with pytest.raises(OperatorError):
        async with open_database(path):
            pass
    key.write_text(right)

    async with open_database(path) as database:
        await Sessions(database).recover()
        kept = await Spool(database).next()
        assert kept is not None
        assert await Spool(database).read("visit", 0) is not None
