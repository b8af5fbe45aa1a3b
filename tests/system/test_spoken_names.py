"""Names of medicines through the whole box: a short visit in two synthetic voices, and the list that comes with it."""

import asyncio
import json

import aiohttp
import pytest
import soundfile
from bench.naming import right
from bench.spoken import names, visits
from running import DATA, Daemon

from ambientd.core.audio import to_pcm16

pytestmark = pytest.mark.model

VISIT = visits()[1]
EXPECTED = [name for _, text in VISIT for name in names(text)]


async def lines(daemon: Daemon, session: str, **configure: object) -> list[dict]:
    audio, _ = soundfile.read(DATA / "names.flac", dtype="float32")
    pcm = to_pcm16(audio)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{daemon.ws}/ws/transcribe/{session}") as socket,
    ):
        for at in range(0, len(pcm), 65_536):
            await socket.send_bytes(pcm[at : at + 65_536])
        await socket.send_json({"type": "end_session"})
        messages = []
        while (message := await asyncio.wait_for(socket.receive(), 120)).type is aiohttp.WSMsgType.TEXT:
            messages.append(message.json())
    return [message for message in messages if message["type"] == "transcript"]


async def test_medicines_are_written_as_the_list_has_them(daemon: Daemon):
    text = " ".join(line["text"] for line in await lines(daemon, "names"))

    assert right(EXPECTED, text).total() >= len(EXPECTED) - 1


async def test_what_was_put_right_is_what_is_stored(daemon: Daemon):
    shown = [line["text"] for line in await lines(daemon, "stored")]

    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{daemon.url}/api/v1/sessions/stored/transcript?tier=live") as answer,
    ):
        stored = json.dumps(await answer.json(), ensure_ascii=False)
    assert all(text in stored for text in shown)
