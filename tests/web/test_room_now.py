"""A visit on the room's page, with this device's microphone: from the consent to the stored text."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from chromium import OpenPage
from playwright.async_api import Page, expect
from proxied import Proxy
from recorded import asked, box_at
from running import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


ABSENT = "404"
"""What a box without a part answers to a page that asks for it."""


async def start(page: Page, encounter: str = "") -> None:
    await page.check("#source-device")
    await page.fill("#encounter", encounter)
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")


async def stop(page: Page) -> None:
    await page.click("#bar-stop")
    await expect(page.locator(".done")).to_be_visible(timeout=15_000)


async def newest(box: Daemon) -> dict:
    return (await asked(box, "/api/v1/sessions?limit=1"))["sessions"][0]


async def test_a_visit_from_consent_to_its_end(open_page: OpenPage, room: Daemon, spoken: Path) -> None:
    page = await open_page(f"{room.url}/", microphone=spoken, may_complain_of=ABSENT)
    await page.click("#start")
    await expect(page.locator("#consent-error")).to_have_text("Ask for consent first, and tick the box.")
    assert await page.evaluate("document.activeElement.id") == "consent"

    await start(page, "E-2048")
    await expect(page.locator(".open .text")).to_contain_text("Good")
    await expect(page.locator(".lines .line").first).to_contain_text("Good morning, please take")
    assert (await page.title()).startswith("● ")
    await page.click("#nav-visits")
    await expect(page.locator("#bar-stop")).to_be_visible()
    await expect(page.locator(".bar-time")).to_have_text(_clock())
    await page.click(".bar-state")
    await stop(page)

    record = await newest(room)
    details = await asked(room, f"/api/v1/sessions/{record['session_id']}/details")
    assert (record["state"], record["reason"]) == ("ended", "client")
    assert details["encounter"] == "E-2048"
    assert (details["consent"]["given_by"], details["consent"]["version"]) == ("the patient", "en-1")
    await expect(page.locator(".done")).to_contain_text("the text is final")
    await page.click("text=Read and correct")
    await expect(page.locator(".sheet")).to_contain_text("Good morning, please take")


def _clock() -> object:
    import re  # noqa: PLC0415

    return re.compile(r"^\d+:\d\d$")


async def test_a_pause_records_nothing_and_the_visit_goes_on_behind_it(
    open_page: OpenPage, room: Daemon, spoken: Path
) -> None:
    page = await open_page(f"{room.url}/", microphone=spoken, may_complain_of=ABSENT)
    await start(page)
    await asyncio.sleep(2)
    await page.click("#bar-pause")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "paused")
    shown = await page.inner_text(".bar-time")
    await asyncio.sleep(0.5)
    before = (await newest(room))["metrics"]["received_samples"]
    await asyncio.sleep(2)
    assert (await newest(room))["metrics"]["received_samples"] == before
    assert await page.inner_text(".bar-time") == shown

    await page.click("#bar-resume")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await asyncio.sleep(2)
    await stop(page)
    assert (await newest(room))["metrics"]["received_samples"] >= before + 20_000


async def test_a_discarded_visit_leaves_nothing(open_page: OpenPage, room: Daemon, spoken: Path) -> None:
    page = await open_page(f"{room.url}/", microphone=spoken, may_complain_of=ABSENT)
    await start(page)
    record = await newest(room)

    await page.click("#bar-discard")
    await page.click("text=Go on recording")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await page.click("#bar-discard")
    await page.click("text=Discard it")

    await expect(page.locator("#start")).to_be_visible()
    await expect(page.locator("#consent")).not_to_be_checked()
    assert (await asked(room, f"/api/v1/sessions/{record['session_id']}"))["code"] == "no_such_session"


async def test_a_network_that_is_away_loses_nothing(open_page: OpenPage, room: Daemon, spoken: Path) -> None:
    wire = Proxy(room.port)
    await wire.open()
    page = await open_page(f"{wire.url}/", microphone=spoken, may_complain_of="ERR_")
    await start(page)
    began = time.monotonic()
    await asyncio.sleep(2)

    wire.close()
    await expect(page.locator("#problems")).to_contain_text("Recording goes on here")
    await asyncio.sleep(5)
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await wire.open()
    await expect(page.locator("#problems")).not_to_contain_text("Recording goes on here", timeout=15_000)
    await asyncio.sleep(1)
    spent = time.monotonic() - began
    await stop(page)

    record = await newest(room)
    kept = await asked(room, f"/api/v1/sessions/{record['session_id']}/transcript")
    assert record["metrics"]["received_samples"] / 16_000 >= spent - 0.5
    assert kept["gaps"] == []
    wire.close()


async def test_away_for_longer_than_the_box_waits_the_visit_goes_on_as_a_second_one(
    open_page: OpenPage, tmp_path: Path, spoken: Path
) -> None:
    box = box_at(tmp_path, AMBIENTD_SERVER__RESUME_GRACE="1")
    await asyncio.to_thread(box.start)
    wire = Proxy(box.port)
    await wire.open()
    page = await open_page(f"{wire.url}/", microphone=spoken, may_complain_of="ERR_")
    await start(page, "E-7")
    began = time.monotonic()
    await asyncio.sleep(2)
    wire.close()
    await asyncio.sleep(4)
    await wire.open()
    await expect(page.locator("#problems")).to_contain_text("goes on as a second one", timeout=15_000)
    await asyncio.sleep(1)
    spent = time.monotonic() - began
    await stop(page)

    records = (await asked(box, "/api/v1/sessions"))["sessions"]
    heard = [record["metrics"]["received_samples"] / 16_000 for record in records]
    assert len(records) == 2
    assert spent - 0.5 <= sum(heard) <= spent + 2
    details = [await asked(box, f"/api/v1/sessions/{each['session_id']}/details") for each in records]
    assert [each["encounter"] for each in details] == ["E-7", "E-7"]
    wire.close()
    await asyncio.to_thread(box.stop)


async def test_a_reloaded_page_goes_on_with_its_visit(
    open_page: OpenPage, room: Daemon, spoken: Path
) -> None:
    page = await open_page(f"{room.url}/", microphone=spoken, may_complain_of=ABSENT)
    await start(page)
    await expect(page.locator(".lines .line").first).to_contain_text("Good morning")
    before = await newest(room)
    asking: list[str] = []

    async def leave(dialog: object) -> None:
        asking.append(dialog.type)  # type: ignore[attr-defined]
        await dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", leave)
    await page.reload()
    assert asking == ["beforeunload"]
    await page.click("#go-on")

    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await expect(page.locator(".lines .line").first).to_contain_text("Good morning")
    await asyncio.sleep(1)
    await stop(page)
    after = await newest(room)
    assert after["session_id"] == before["session_id"]
    assert after["metrics"]["received_samples"] > before["metrics"]["received_samples"]


async def test_following_stops_when_one_scrolls_up_and_a_button_goes_back(
    open_page: OpenPage, room: Daemon, spoken: Path
) -> None:
    page = await open_page(
        f"{room.url}/", microphone=spoken, may_complain_of=ABSENT, viewport={"width": 420, "height": 420}
    )
    await start(page)
    paper, newest_button = page.locator(".paper"), page.locator(".newest")
    await page.wait_for_function(
        "() => { const box = document.querySelector('.paper'); return box.scrollHeight > box.clientHeight + 120; }",
        timeout=40_000,
    )
    at_end = "(box) => box.scrollHeight - box.scrollTop - box.clientHeight < 48"
    assert await paper.evaluate(at_end)

    await paper.evaluate("(box) => { box.scrollTop = 0; }")
    count = await page.locator(".lines .line").count()
    await expect(newest_button).to_be_visible()
    await expect(page.locator(".lines .line")).not_to_have_count(count, timeout=15_000)
    assert await paper.evaluate("(box) => box.scrollTop") == 0
    await newest_button.click()
    assert await paper.evaluate(at_end)
    await stop(page)


REFUSALS = {
    "NotAllowedError": "set the microphone to “Allow”",
    "NotFoundError": "No microphone was found",
    "NotReadableError": "in use by another program",
    "WolpertingerError": "could not be started",
}


async def test_a_microphone_that_cannot_be_had_is_told_in_place_with_what_to_do(
    open_page: OpenPage, room: Daemon
) -> None:
    page = await open_page(f"{room.url}/", may_complain_of=ABSENT)
    await page.check("#source-device")
    await page.check("#consent")
    for name, words in REFUSALS.items():
        await page.evaluate(
            "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }",
            name,
        )
        await page.click("#start")
        await expect(page.locator("#start-note [role=alert]")).to_contain_text(words)
        await expect(page.locator("#start")).to_be_enabled()
        await expect(page.locator("#consent")).to_be_checked()


async def test_an_insecure_page_says_why_it_has_no_microphone(open_page: OpenPage, room: Daemon) -> None:
    page = await open_page(
        f"{room.url}/",
        script="Object.defineProperty(window, 'isSecureContext', { value: false });",
        may_complain_of=ABSENT,
    )
    await expect(page.locator("#device-state")).to_contain_text("Open this page by https://")
    await expect(page.locator("#source-device")).to_be_disabled()
    await expect(page.locator("#source-room")).to_be_checked()


async def test_a_muted_microphone_is_noticed_while_it_records(
    open_page: OpenPage, room: Daemon, tmp_path: Path
) -> None:
    from recorded import speech, write_wav  # noqa: PLC0415

    silence = write_wav(tmp_path / "silence.wav", speech(30) * 0)
    page = await open_page(f"{room.url}/", microphone=silence, may_complain_of=ABSENT)
    await start(page)
    await expect(page.locator("#problems")).to_contain_text("The microphone is muted", timeout=12_000)
    await expect(page.locator(".level")).to_have_attribute("aria-valuetext", "silence")
    await stop(page)


async def test_a_microphone_that_is_taken_away_comes_back_by_itself(
    open_page: OpenPage, room: Daemon, spoken: Path
) -> None:
    script = """
        const media = navigator.mediaDevices;
        const real = media.getUserMedia.bind(media);
        globalThis.streams = [];
        media.getUserMedia = async (wanted) => {
          if (globalThis.unplugged) throw new DOMException('', 'NotFoundError');
          const stream = await real(wanted);
          streams.push(stream);
          return stream;
        };
    """
    page = await open_page(f"{room.url}/", microphone=spoken, script=script, may_complain_of=ABSENT)
    await start(page)
    await asyncio.sleep(1.5)
    await page.evaluate("""() => {
        globalThis.unplugged = true;
        const [track] = streams.at(-1).getAudioTracks();
        track.stop();
        track.dispatchEvent(new Event('ended'));
    }""")
    await expect(page.locator("#problems")).to_contain_text("unplugged")
    await asyncio.sleep(3)
    await page.evaluate("""() => {
        globalThis.unplugged = false;
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
    }""")
    await expect(page.locator("#problems")).not_to_contain_text("unplugged")
    await asyncio.sleep(2)
    await stop(page)

    record = await newest(room)
    gaps = (await asked(room, f"/api/v1/sessions/{record['session_id']}/transcript"))["gaps"]
    assert [gap["reason"] for gap in gaps] == ["lost"]
    assert 2 < gaps[0]["end_time"] - gaps[0]["start_time"] < 6


async def test_a_visit_with_the_rooms_microphone_is_steered_and_followed_from_two_pages(
    open_page: OpenPage, room: Daemon
) -> None:
    page = await open_page(f"{room.url}/", may_complain_of=ABSENT)
    await expect(page.locator("#source-room")).to_be_checked()
    await expect(page.locator("#room-state")).to_have_text("USB Audio Device")
    await page.fill("#encounter", "E-9")
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    await expect(page.locator(".open .text, .lines .text").first).to_contain_text("Good morning")
    await expect(page.locator(".level")).to_have_attribute("aria-valuetext", "good")
    state = await asked(room, "/api/v1/microphone")
    session_id = state["session"]["session_id"]

    other = await open_page(f"{room.url}/", may_complain_of=ABSENT)
    await other.click("text=Show it")
    await expect(other.locator(".lines .line").first).to_contain_text("Good morning")
    await other.click("#bar-pause")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "paused")
    shown = await page.inner_text(".bar-time")
    await asyncio.sleep(1.5)
    assert await page.inner_text(".bar-time") == shown
    await page.click("#bar-resume")
    await expect(other.locator("#bar")).to_have_attribute("data-phase", "recording")
    await page.click("#bar-stop")
    for each in (page, other):
        await expect(each.locator(".done")).to_be_visible()

    details = await asked(room, f"/api/v1/sessions/{session_id}/details")
    assert (details["encounter"], details["consent"]["given_by"]) == ("E-9", "the patient")


async def test_a_visit_with_the_rooms_microphone_is_discarded(open_page: OpenPage, room: Daemon) -> None:
    page = await open_page(f"{room.url}/", may_complain_of=ABSENT)
    await expect(page.locator("#source-room")).to_be_checked()
    await page.check("#consent")
    await page.click("#start")
    await expect(page.locator("#bar")).to_have_attribute("data-phase", "recording")
    session_id = (await asked(room, "/api/v1/microphone"))["session"]["session_id"]
    await page.click("#bar-discard")
    await page.click("text=Discard it")
    await expect(page.locator("#start")).to_be_visible()
    assert (await asked(room, f"/api/v1/sessions/{session_id}"))["code"] == "no_such_session"
    assert (await asked(room, "/api/v1/microphone"))["session"] is None
