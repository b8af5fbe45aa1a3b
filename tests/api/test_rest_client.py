"""The typed client of the REST interface, against the service."""

from pathlib import Path

import pytest
from aiohttp import web
from scripted import speech
from served import Box, Open

from ambientd.client import DaemonUnreachable, Refused
from ambientd.client_rest import box as spoken_to
from ambientd.control import open_control
from ambientd.core.audio import to_pcm16

DATA = Path(__file__).parent.parent / "data"


async def held(box: Box, name: str) -> None:
    socket = await box.connect(f"/ws/transcribe/{name}")
    await socket.send_bytes(to_pcm16(speech(3)))
    await socket.send_json({"type": "end_session"})
    async for _ in socket:
        pass


async def test_sessions_their_text_and_their_details_are_typed(box: Box):
    await held(box, "visit-1")
    async with spoken_to(box.url) as here:
        page = await here.sessions(limit=5, state="ended")
        assert [each.session_id for each in page.sessions] == ["visit-1"]
        assert (await here.session("visit-1")).metrics.received_samples == 48_000
        told = await here.transcript("visit-1")
        assert told.lines[0].segments[0].words[0].word == "It"
        assert (await here.amend("visit-1", encounter="E-1")).encounter == "E-1"
        assert (await here.details("visit-1")).encounter == "E-1"
        assert (await here.search("hurts")).sessions[0].passage
        assert (await here.delete("visit-1", undelivered=True)).session_id == "visit-1"
        with pytest.raises(Refused) as refused:
            await here.session("visit-1")
        assert refused.value.code == 404


async def test_the_box_itself_is_typed(box: Box):
    async with spoken_to(box.url) as here:
        assert (await here.me()).local
        assert (await here.status()).engine.lanes == 1
        assert {each.id for each in (await here.checks()).checks} >= {"store.disk"}
        assert (await here.sync()).state == "off"
        assert (await here.deliveries(state="parked")).total == 0
        assert (await here.live()).sessions == []
        assert (await here.microphone()).session is None


async def test_a_recordings_text_comes_when_it_was_heard(box: Box):
    async with spoken_to(box.url) as here:
        assert (await here.transcribe(DATA / "names.webm", language="en")).startswith("It hurts here.")
        with pytest.raises(Refused, match="no such language"):
            await here.transcribe(DATA / "names.webm", language="klingon")


async def test_it_speaks_over_the_control_socket_too(open_box: Open, tmp_path: Path):
    box = await open_box()
    async with open_control(box.runner, tmp_path / "c.sock"), spoken_to(f"unix:{tmp_path}/c.sock") as here:
        assert (await here.me()).local


async def test_nobody_there_and_somebody_else_there_are_told_apart_from_a_refusal():
    async with spoken_to("http://127.0.0.1:1") as here:
        with pytest.raises(DaemonUnreachable):
            await here.status()

    async def other(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_get("/api/v1/status", other)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with spoken_to(f"http://127.0.0.1:{runner.addresses[0][1]}") as here:
            with pytest.raises(DaemonUnreachable, match="another version"):
                await here.status()
    finally:
        await runner.cleanup()
