"""What the page makes of everything a server can say, and of every way to part."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chromium import OpenPage
from playwright.async_api import Page, expect
from scripted_server import ScriptedServer, transcript

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def connected(open_page: OpenPage) -> Page:
    page = await open_page()
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    return page


async def test_committed_lines_stay_and_the_open_utterance_follows_them(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)

    await server.say(type="partial", text="Good mor", stable_text="Good", start_time=0.2, end_time=0.9)
    await expect(page.locator("#open .stable")).to_have_text("Good")
    await expect(page.locator("#open .tentative")).to_have_text(" mor")
    await server.say(**transcript(0, "Good morning.", 0.2, 1.4))
    await server.say(type="partial", text="How are", stable_text="How", start_time=1.6, end_time=2.1)

    await expect(page.locator("#lines .line .text")).to_have_text(["Good morning."])
    await expect(page.locator("#lines .line .time")).to_have_text(["0:00"])
    await expect(page.locator("#lines .confidence")).to_have_text(["93 %"])
    await expect(page.locator("#open")).to_contain_text("How are")
    await expect(page.get_by_role("log", name="Committed lines")).to_have_attribute("aria-live", "polite")


async def test_a_line_ends_its_own_partial_but_not_the_one_that_began_after_it(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)

    await server.say(type="partial", text="How are", stable_text="", start_time=1.6, end_time=2.1)
    await server.say(**transcript(0, "Good morning.", 0.2, 1.4))
    await expect(page.locator("#open")).to_contain_text("How are")
    await server.say(**transcript(1, "How are you?", 1.6, 2.6))

    await expect(page.locator("#open")).to_be_empty()


async def test_doubt_is_visible_by_line_and_by_word(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await connected(open_page)
    doubtful = transcript(0, "Take own prazole daily.", 0, 2, confidence=0.55)
    for word, probability in zip(doubtful["segments"][0]["words"], (0.9, 0.3, 0.2, 0.8), strict=True):
        word["probability"] = probability

    await server.say(**doubtful)
    await server.say(**transcript(1, "Good.", 2, 3))

    await expect(page.locator("#lines .poor .unsure")).to_have_text(["own", "prazole"])
    await expect(page.locator("#lines .poor .text")).to_have_text("Take own prazole daily.")
    await expect(page.locator("#lines .line").nth(1)).not_to_have_class("line poor")


async def test_words_that_do_not_add_up_to_the_line_are_not_shown_in_its_place(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)

    await server.say(**(transcript(0, "Something else entirely", 0, 1) | {"text": "The line itself."}))

    await expect(page.locator("#lines .text")).to_have_text("The line itself.")


async def test_a_gap_is_a_marked_line(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await connected(open_page)

    await server.say(type="gap", start_time=61.0, end_time=64.5, reason="the decode took too long")

    gap = page.locator("#lines .gap")
    await expect(gap).to_contain_text("Not transcribed until 1:04: the decode took too long")
    await expect(gap.locator(".time")).to_have_text("1:01")


async def test_markup_in_anything_the_server_says_is_inert(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    attack = (
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><b>bold</b>"
    )
    server.config["whisper_model"] = attack
    page = await connected(open_page)

    await server.say(**transcript(0, attack, 0, 1, confidence=0.3))
    await server.say(type="partial", text=attack, stable_text="<img", start_time=1, end_time=2)
    await server.say(type="gap", start_time=1, end_time=2, reason=attack)
    await server.say(type="error", code=attack, message=attack)
    await server.say(type="session_info", connected_at=attack, total_chunks=attack, metrics={attack: attack})
    await server.say(type=attack, message=attack)

    await expect(page.locator("#open")).to_contain_text("onerror")
    await expect(page.locator("#lines")).to_contain_text("<b>bold</b>")
    await expect(page.locator("#notices .notice")).to_have_count(2)
    assert (
        await page.locator("main img, #notices img, main b, #notices b, body > :not(script) script").count()
        == 0
    )
    await asyncio.sleep(0.1)
    assert "owned" not in await page.title()


async def test_an_error_shows_its_code_and_message_and_the_session_goes_on(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)

    await server.say(type="error", code="bad_json", message="The text was no JSON. Send an object.")

    await expect(page.get_by_role("alert")).to_contain_text("bad_json: The text was no JSON. Send an object.")
    await expect(page.locator("#state")).to_have_text("Connected")


async def test_a_broadcast_is_shown(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await connected(open_page)

    await server.say(type="announcement", message="System maintenance in 5 minutes")

    await expect(page.locator("#notices")).to_contain_text("announcement: System maintenance in 5 minutes")


CLOSES = {
    1000: "The session has ended.",
    1001: "going away",
    1003: "It wants 16-bit PCM at 16 kHz",
    1008: "sign-in is missing or wrong, or this session id is already in use",
    1009: "too big",
    1011: "error of its own",
    1013: "The server is full",
    4321: "The server closed the connection.",
}


async def test_every_close_code_is_said_in_words_with_the_servers_reason(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    notice = page.locator("[data-key=connection]")
    for code, words in CLOSES.items():
        await page.click("#connect")
        await expect(page.locator("#state")).to_have_text("Connected")
        await expect(notice).to_have_count(0)

        await server.close(code, "because")

        await expect(notice).to_contain_text(words)
        await expect(notice).to_contain_text(f"It says: “because” (close code {code})")
        await expect(page.locator("#state")).to_have_text("Not connected")
        await expect(page.locator("#start")).to_be_enabled()


async def test_a_server_that_dies_without_a_word_is_told_from_one_that_never_answered(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)
    assert server.session is not None
    server.session._req.transport.abort()  # type: ignore[union-attr]
    await expect(page.locator("[data-key=connection]")).to_contain_text("broke without a goodbye")


async def test_a_server_that_refuses_the_connection_is_named_with_what_to_check(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page(may_complain_of="WebSocket connection to")
    await page.fill("#address", f"127.0.0.1:{server.port}/no/such/place")

    await page.click("#connect")

    await expect(page.locator("[data-key=connection]")).to_contain_text("Is the service running")


async def test_ending_by_the_server_stops_the_microphone(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await open_page()
    await page.click("#start")
    await expect(page.locator("#state")).to_have_text("Recording")

    await server.say(type="session_ended", message="Ended by an operator")
    await server.close(1000)

    await expect(page.locator("#state")).to_have_text("Session ended")
    await expect(page.locator("#notices")).to_contain_text("Ended by an operator")
    assert await page.evaluate("source") is None


async def test_ping_and_session_info_show_their_answers(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await connected(open_page)

    await page.click("#ping")
    await page.click("#info")

    await expect(page.locator("#round-trip")).to_contain_text(" ms")
    facts = page.locator("#info-list")
    for fact in ("2024-01-15T10:00:00Z", "avg processing time ms", "431.25", "0.08"):
        await expect(facts).to_contain_text(fact)
    assert server.orders == ["ping", "session_info"]


async def test_figures_follow_the_messages(open_page: OpenPage, server: ScriptedServer) -> None:
    page = await connected(open_page)
    await page.evaluate("connection.sendAudio(new ArrayBuffer(64000))")
    await asyncio.sleep(0.5)

    await server.say(**transcript(0, "One.", 0.0, 1.0) | {"processing_time_ms": 400})
    await server.say(**transcript(1, "Two.", 1.0, 2.0) | {"processing_time_ms": 600})

    await expect(page.locator("#chunks")).to_have_text("2")
    await expect(page.locator("#last-ms")).to_have_text("600 ms")
    await expect(page.locator("#avg-ms")).to_have_text("500 ms")
    await expect(page.locator("#audio-sent")).to_have_text("0:02.0")
    await expect(page.locator("#bytes")).to_have_text("64 kB")
    behind = float((await page.inner_text("#behind")).removesuffix(" s"))
    assert 0.4 <= behind <= 2.0


async def test_the_transcript_is_saved_as_text(
    open_page: OpenPage, server: ScriptedServer, tmp_path: Path
) -> None:
    page = await open_page()
    await page.fill("#session-id", "visit-7")
    await page.click("#connect")
    await expect(page.locator("#state")).to_have_text("Connected")
    await server.say(**transcript(0, " Good morning.", 0.2, 1.4))
    await server.say(type="gap", start_time=1.4, end_time=2.0, reason="overload")
    await server.say(**transcript(1, "How are you?", 62.0, 63.25))
    await expect(page.locator("#lines li")).to_have_count(3)

    async with page.expect_download() as download:
        await page.click("#download")
    saved = await download.value
    await saved.save_as(tmp_path / "saved.txt")

    assert saved.suggested_filename == "transcript-visit-7.txt"
    assert (tmp_path / "saved.txt").read_text(encoding="utf-8") == (
        "Session visit-7\n\n"
        "[0:00.2 - 0:01.4] Good morning.\n"
        "[0:01.4 - 0:02.0] (not transcribed: overload)\n"
        "[1:02.0 - 1:03.2] How are you?\n"
    )


async def test_the_message_log_is_bounded_and_shows_both_ways(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)
    await page.click("#ping")
    for i in range(250):
        await server.say(type="partial", text=f"word {i}", stable_text="", start_time=0, end_time=1)
    await page.click("#ping")

    await expect(page.locator("#open")).to_contain_text("word 249")
    await expect(page.locator("#log-list .out").last).to_contain_text('{"type":"ping"}')
    assert await page.locator("#log-list li").count() == 200


async def test_the_address_carries_the_session_id_and_asks_for_partials_only_when_wanted(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)
    assert server.target == "/ws/transcribe?partials=1"
    await page.click("#end")
    await expect(page.locator("#state")).to_have_text("Session ended")

    await page.fill("#session-id", "room-2.visit_9")
    await page.uncheck("#partials")
    await page.click("#connect")

    await expect(page.locator("#session-facts")).to_contain_text("Session room-2.visit_9")
    assert server.target == "/ws/transcribe/room-2.visit_9"


async def test_an_impossible_address_is_refused_before_anything_is_sent(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await open_page()
    own = await page.input_value("#address")
    for address, session_id, advice in (
        ("http://[", "", "That is no address"),
        ("ftp://box/ws", "", "must begin with ws:// or wss://"),
        (own, "Jane Doe", "1 to 64 letters, digits, dots"),
    ):
        await page.fill("#address", address)
        await page.fill("#session-id", session_id)

        await page.click("#connect")

        await expect(page.get_by_role("alert")).to_contain_text(advice)
        await expect(page.locator("#state")).to_have_text("Not connected")
    assert server.target == ""


async def test_a_server_that_wants_another_rate_is_not_fed_the_wrong_one(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    server.config["sample_rate"] = 48000
    page = await open_page()

    await page.click("#start")

    await expect(page.get_by_role("alert")).to_contain_text(
        "This page sends 16000 Hz mono; the server wants 48000 Hz"
    )
    await expect(page.locator("#state")).to_have_text("Not connected")
    assert server.pcm == b""


async def test_anything_that_is_no_json_object_is_reported_not_obeyed(
    open_page: OpenPage, server: ScriptedServer
) -> None:
    page = await connected(open_page)
    assert server.session is not None

    await server.session.send_str("hello")

    await expect(page.get_by_role("alert")).to_contain_text("no JSON object")
    await expect(page.locator("#state")).to_have_text("Connected")
