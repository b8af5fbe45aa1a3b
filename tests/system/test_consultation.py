"""A recorded consultation through the whole box: nothing lost, nothing made up, and on record what was shown."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import aiohttp
import jiwer
import numpy as np
import pytest
import soundfile
from running import DATA, Daemon
from whisper_normalizer.english import EnglishTextNormalizer

from ambientd.audiofile import read_audio
from ambientd.core.audio import to_pcm16

pytestmark = pytest.mark.model

SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "data"


async def transcribe(daemon: Daemon, name: str, blocks: list[bytes]) -> list[dict]:
    """All messages of a session that is sent these blocks as fast as it takes them."""
    messages = []
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/transcribe/{name}") as socket,
    ):

        async def send() -> None:
            for block in blocks:
                for at in range(0, len(block), 65_536):
                    await socket.send_bytes(block[at : at + 65_536])
            await socket.send_json({"type": "end_session"})

        sender = asyncio.create_task(send())
        while (message := await asyncio.wait_for(socket.receive(), 120)).type is aiohttp.WSMsgType.TEXT:
            messages.append(message.json())
        await sender
    return messages


async def get(daemon: Daemon, path: str) -> dict:
    async with aiohttp.ClientSession() as http, http.get(daemon.url + path) as answer:
        assert answer.status == 200
        return await answer.json()


def words(text: str) -> str:
    return EnglishTextNormalizer()(text).replace("milligrams", "mg")


async def test_the_visit_is_written_with_less_than_8_percent_of_its_words_wrong(daemon: Daemon):
    audio, _ = soundfile.read(DATA / "visit.flac", dtype="float32")
    script = " ".join(turn["text"] for turn in json.loads((DATA / "visit.turns.json").read_text()))

    messages = await transcribe(daemon, "the-visit", [to_pcm16(audio)])
    text = " ".join(m["text"] for m in messages if m["type"] == "transcript")

    assert jiwer.wer(words(script), words(text)) < 0.08
    assert "[" not in text


async def test_two_minutes_of_a_consultation_are_on_record_as_they_were_shown(daemon: Daemon):
    recording = SHARED / "medical_en" / "CAR0001.mp3"
    if not recording.is_file():
        pytest.skip("no recorded consultations beside the project")
    pcm = b"".join(read_audio(recording))[: 120 * 32_000]

    messages = await transcribe(daemon, "consultation", [pcm])
    shown = [m for m in messages if m["type"] == "transcript"]
    stored = await get(daemon, "/api/v1/sessions/consultation/transcript?tier=live")
    session = await get(daemon, "/api/v1/sessions/consultation")

    assert [line["text"] for line in stored["lines"]] == [m["text"] for m in shown]
    assert [m["chunk_index"] for m in shown] == list(range(len(shown)))
    assert session["metrics"]["received_samples"] == len(pcm) // 2
    assert session["metrics"]["gap_samples"] == sum(
        round(16_000 * (m["end_time"] - m["start_time"])) for m in messages if m["type"] == "gap"
    )
    assert all(a["end_time"] <= b["start_time"] for a, b in pairwise(shown))


async def test_silence_noise_dishes_and_music_give_not_one_word(daemon: Daemon):
    folder = SHARED / "non_speech"
    if not folder.is_dir():
        pytest.skip("no recordings of noise beside the project")
    blocks = []
    for path in sorted(folder.glob("*.flac")):
        blocks += [*read_audio(path), to_pcm16(np.zeros(16_000, np.float32))]

    messages = await transcribe(daemon, "noise", blocks)

    assert [m["type"] for m in messages] == ["connected", "session_ended"]
