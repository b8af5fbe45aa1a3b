"""The page's other views: visits and the box."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from chromium import OpenPage
from playwright.async_api import Page, Route, expect
from recorded import asked, look_again, visit
from running import Daemon

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ATTACK = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"


async def opened(open_page: OpenPage, room: Daemon, session_id: str, **options: object) -> Page:
    page = await open_page(f"{room.url}/#visits/{session_id}", may_complain_of="404", **options)
    await expect(page.locator(".sheet .line").first).to_be_visible()
    return page


async def test_a_visit_is_corrected_and_what_was_heard_stays(open_page: OpenPage, room: Daemon) -> None:
    session_id = await visit(room)
    page = await opened(open_page, room, session_id)
    await page.click("#edit")
    area = page.locator("textarea").first
    heard = await area.input_value()

    await area.fill(heard.replace("Good morning", "Good evening"))
    await expect(page.locator("#edit-count")).to_have_text("1 line changed")
    await page.click("#edit-save")

    await expect(page.locator(".sheet")).to_contain_text("Good evening")
    await page.click("text=corrected")
    await expect(page.locator(".original")).to_contain_text(heard)
    await expect(page.locator(".history")).to_contain_text("Correction 1")
    kept = await asked(room, f"/api/v1/sessions/{session_id}/transcript")
    assert kept["text"].startswith("Good evening")
    page.on("dialog", lambda dialog: dialog.accept())


async def test_uncertain_words_are_marked_and_say_how_uncertain(open_page: OpenPage, room: Daemon) -> None:
    page = await opened(open_page, room, await visit(room))
    unsure = page.locator(".sheet .unsure")
    await expect(unsure).to_have_count(1)
    await expect(unsure).to_have_text("knee")
    await expect(unsure).to_have_attribute("title", "Unsure: 60 %")


async def test_going_back_to_what_was_heard_is_one_tap(open_page: OpenPage, room: Daemon) -> None:
    page = await opened(open_page, room, await visit(room))
    await page.click("#edit")
    area = page.locator("textarea").first
    heard = await area.input_value()
    await area.fill("Something else.")
    await page.locator(".editor button").first.click()
    assert await area.input_value() == heard
    await expect(page.locator("#edit-count")).to_have_text("")


async def test_no_line_is_cut_off_when_a_tablet_is_turned(open_page: OpenPage, room: Daemon) -> None:
    page = await opened(open_page, room, await visit(room), viewport={"width": 1180, "height": 820})
    await page.click("#edit")
    area = page.locator("textarea").first
    await area.fill(f"{await area.input_value()} And so on, and so on." * 3)
    hidden = "node => node.scrollHeight - node.clientHeight"
    assert await area.evaluate(hidden) <= 0
    await page.set_viewport_size({"width": 400, "height": 820})
    await page.wait_for_function(
        "() => [...document.querySelectorAll('textarea')].every((node) => node.scrollHeight <= node.clientHeight)"
    )


async def test_unsaved_corrections_are_not_left_by_accident(open_page: OpenPage, room: Daemon) -> None:
    page = await opened(open_page, room, await visit(room))
    await page.click("#edit")
    await page.locator("textarea").first.fill("Something else.")
    await page.click("#edit-cancel")
    await page.click("dialog button:text-is('Stay')")
    assert await page.locator("textarea").first.input_value() == "Something else."
    await page.click("#edit-cancel")
    await page.click("dialog button:text-is('Leave')")
    await expect(page.locator("textarea")).to_have_count(0)


async def test_a_visit_is_found_by_its_words_and_by_its_state(open_page: OpenPage, room: Daemon) -> None:
    session_id = await visit(room)
    page = await open_page(f"{room.url}/#visits", may_complain_of="404")
    await page.fill("#search", '"swollen since"')
    await page.press("#search", "Enter")
    row = page.locator(f"[data-id='{session_id}']")
    await expect(row.locator(".passage")).to_contain_text("swollen since")

    await page.fill("#search", "Wolpertinger")
    await page.press("#search", "Enter")
    await expect(page.locator(".visit-list")).to_contain_text("These words were said in no visit")
    await page.select_option("#filter", "answered")
    await expect(page.locator(".visit-list")).to_contain_text("No visit is in this state")
    await page.select_option("#filter", "recorded")
    await expect(row).to_be_visible()


@pytest.mark.parametrize(
    ("form", "begin"), [("Text", "Session"), ("Subtitles (SRT)", "1\n"), ("FHIR bundle", "{")]
)
async def test_a_visit_is_exported(
    open_page: OpenPage, room: Daemon, tmp_path: Path, form: str, begin: str
) -> None:
    page = await opened(open_page, room, await visit(room))
    await page.click("summary:has-text('Export')")
    async with page.expect_download() as download:
        await page.click(f".menu-list button:text-is('{form}')")
    await (await download.value).save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_text().startswith(begin)


async def test_a_visit_is_deleted_after_a_question(open_page: OpenPage, room: Daemon) -> None:
    session_id = await visit(room)
    page = await opened(open_page, room, session_id)
    await page.click("#delete")
    await expect(page.locator("dialog")).to_contain_text("the only copy of its text")
    await page.keyboard.press("Escape")
    assert (await asked(room, f"/api/v1/sessions/{session_id}"))["session_id"] == session_id
    await page.click("#delete")
    await page.click("text=Delete it")
    await expect(page.locator("#notices")).to_contain_text("The visit is deleted.")
    assert (await asked(room, f"/api/v1/sessions/{session_id}"))["code"] == "no_such_session"


async def test_what_people_write_is_never_markup(open_page: OpenPage, room: Daemon) -> None:
    consent = {"given_by": ATTACK, "version": "1"}
    session_id = await visit(room, encounter=ATTACK, patient=ATTACK, consent=consent)
    page = await opened(open_page, room, session_id)
    await expect(page.locator(".said")).to_contain_text("onerror")
    assert await page.locator(".said img, .said b").count() == 0
    await page.click("#edit")
    await page.locator("textarea").first.fill(ATTACK)
    await page.click("#edit-save")
    await expect(page.locator(".sheet")).to_contain_text("<b>bold</b>")
    assert await page.locator(".sheet img, .sheet b").count() == 0
    assert "owned" not in await page.title()


def with_names(correction: dict) -> dict:
    """What the box tells of a visit in which two names are marked: one that may be meant, one that was put in."""
    first = correction["lines"][0]
    words = [word["word"] for segment in first["segments"] for word in segment["words"]]
    said = {"words": 1, "start": 0, "end": 1, "score": 0.9}
    first["suggestions"] = [
        {**said, "word": words.index("seat."), "said": "seat.", "suggested": "Seatadol"},
        {**said, "word": 0, "said": "Good", "suggested": "Godamine"},
    ]
    first["corrections"] = [
        {**said, "word": words.index("morning,"), "said": "mourning,", "suggested": "morning"}
    ]
    return correction


async def test_names_that_may_be_meant_are_marked_and_taken_or_left(
    open_page: OpenPage, room: Daemon
) -> None:
    session_id = await visit(room)
    page = await open_page(f"{room.url}/#now", may_complain_of="404")

    async def marked(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=with_names(await answer.json()))

    await page.route(
        "**/correction", lambda route: marked(route) if route.request.method == "GET" else route.continue_()
    )
    await page.evaluate("(id) => { location.hash = `#visits/${id}`; }", session_id)
    rows = page.locator(".names li")
    await expect(rows).to_have_count(3)
    await expect(page.locator(".named")).to_have_text(["Good", "morning,", "seat."])
    await expect(rows.first).to_contain_text("“seat”: may be “Seatadol”.")

    await rows.nth(1).get_by_role("button", name="Leave it").click()
    await expect(rows).to_have_count(2)
    await rows.first.get_by_role("button", name="Take it").click()
    await expect(page.locator(".sheet")).to_contain_text("please take a Seatadol.")
    await expect(rows).to_have_count(1)
    await rows.get_by_role("button", name="As heard").click()
    await expect(page.locator(".sheet")).to_contain_text("Good mourning, please take a Seatadol.")
    await expect(rows).to_have_count(0)
    kept = await asked(room, f"/api/v1/sessions/{session_id}/transcript")
    assert kept["text"].startswith("Good mourning, please take a Seatadol.")


ANSWERS = {
    "status": "done",
    "received_at": "2026-01-15T10:00:00+00:00",
    "answers": [
        {
            "question_id": "1",
            "question": "What hurts?",
            "category": "assessment",
            "answer": "The left knee",
            "confidence": 0.91,
            "snippet": "It is the KNEE again, the left one!",
            "confident": True,
            "review": False,
            "part": 0,
            "others": [],
        },
        {
            "question_id": "2",
            "question": "How is the mood?",
            "category": "assessment",
            "answer": "Calm",
            "confidence": 0.4,
            "snippet": "words that nobody said",
            "confident": False,
            "review": True,
            "part": 0,
            "others": [{"answer": "Tired", "confidence": 0.2, "snippet": None}],
        },
    ],
    "missing": [{"id": "3", "question": "Which allergies?", "category": "allergies"}],
}


async def test_answers_stand_beside_the_passage_they_came_from(open_page: OpenPage, room: Daemon) -> None:
    session_id = await visit(room)
    page = await open_page(f"{room.url}/#now", may_complain_of="404")
    await page.route("**/answers", lambda route: route.fulfill(body=json.dumps(ANSWERS)))
    await page.evaluate("(id) => { location.hash = `#visits/${id}`; }", session_id)

    cited = page.locator(".sheet .cited")
    await expect(cited).to_have_count(1)
    await expect(cited.locator(".text").first).to_contain_text("knee again")
    await expect(cited.locator(".answer")).to_contain_text("The left knee")
    await expect(page.locator(".loose")).to_contain_text("Calm")
    await expect(page.locator(".loose")).to_contain_text("please check")
    await expect(page.locator(".loose")).to_contain_text("Tired")
    await expect(page.locator(".missing")).to_contain_text("Which allergies?")


async def test_the_box_tells_its_problems_with_their_remedies_and_its_load(
    open_page: OpenPage, room: Daemon
) -> None:
    page = await open_page(f"{room.url}/#box", may_complain_of="404")
    checks = (await asked(room, "/api/v1/checks"))["checks"]
    await expect(page.locator(".health .verdict")).to_be_visible()
    for each in [check for check in checks if check["severity"] in {"warning", "critical"}]:
        await expect(page.locator(".health")).to_contain_text(each["remedy"])
    await expect(page.locator(".load .chart")).to_have_count(4)
    await expect(page.locator(".chart polyline").first).to_have_attribute("points", re.compile(r"^\S+ \S+"))
    await expect(page.locator(".engine")).to_contain_text("base")
    await expect(page.locator(".storage")).to_contain_text("GB")


async def test_the_rooms_microphone_is_tried_and_its_level_and_words_are_shown(
    open_page: OpenPage, room: Daemon
) -> None:
    page = await open_page(f"{room.url}/#box", may_complain_of="404")
    card = page.locator(".card.microphone")
    await expect(card).to_contain_text("USB Audio Device")
    before = (await asked(room, "/api/v1/sessions?limit=500"))["sessions"]
    await card.get_by_role("button", name="Try it").click()
    await expect(card.get_by_role("status")).to_have_text("Say something …")
    # The meter moves meanwhile.
    moved = (
        "() => /scaleX\\(0\\.[1-9]/.test(document.querySelector('.microphone .level-fill').style.transform)"
    )
    await page.wait_for_function(moved)
    told = card.get_by_role("status")
    await expect(told).to_contain_text("Understood: “Good morning, please take a seat.")
    assert re.match(r"Level -1\d dB\. Understood", await told.inner_text())
    await expect(card.get_by_role("button", name="Try it")).to_be_enabled()
    assert (await asked(room, "/api/v1/sessions?limit=500"))["sessions"] == before
    assert (await asked(room, "/api/v1/microphone"))["state"] == "off"


async def test_the_names_are_read_again_and_the_audit_is_verified(open_page: OpenPage, room: Daemon) -> None:
    page = await open_page(f"{room.url}/#box", may_complain_of="404")
    await page.click(".vocabulary button")
    await expect(page.locator("#notices")).to_contain_text("names are in force")
    await page.click("text=Verify the chain")
    await expect(page.locator(".audit")).to_contain_text("Unbroken")


async def test_a_tablet_that_asks_is_let_in_and_an_account_is_made_and_revoked(
    open_page: OpenPage, room: Daemon
) -> None:
    page = await open_page(f"{room.url}/#box", may_complain_of="404")
    people = page.locator(".people")
    await expect(people).to_contain_text("Nobody asks")
    code = await page.evaluate("""async () => {
        const answer = await fetch('/api/v1/pairings', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ name: 'Tablet, room 3' }),
        });
        return (await answer.json()).code;
    }""")
    await look_again(page)
    await expect(people.locator(".asking")).to_contain_text("Tablet, room 3")
    await expect(people.locator(".asking .code")).to_have_text(code)
    await people.locator(".asking >> text=Let in").click()
    await expect(people.locator(".item")).to_contain_text("Tablet, room 3")

    await people.locator("summary").click()
    await people.locator("input").fill("ann")
    await people.locator(".new-account button").click()
    await expect(people).to_contain_text("Password of ann")
    await people.get_by_role("button", name="Revoke ann").click()
    await page.click("dialog button:text-is('Revoke')")
    await expect(people).to_contain_text("There is no account yet")


async def test_a_visit_that_waits_is_looked_at_again_without_being_read_again(
    open_page: OpenPage, room: Daemon
) -> None:
    session_id = await visit(room)
    path = f"{room.url}/api/v1/sessions/{session_id}"
    read: list[str] = []
    looks: list[str | None] = []

    async def waiting(route: Route) -> None:
        looks.append(route.request.headers.get("ambientd-background"))
        answer = await route.fetch()
        await route.fulfill(
            json=await answer.json() | {"refinement": "done" if len(looks) > 2 else "waiting"}
        )

    page = await open_page(f"{room.url}/")
    await page.route(path, waiting)
    page.on("request", lambda request: read.append(request.url) if "/correction" in request.url else None)
    await page.evaluate("hash => { location.hash = hash }", f"#visits/{session_id}")
    await expect(page.locator(".sheet .line").first).to_be_visible()
    await page.focus("#edit")
    await page.wait_for_timeout(5_000)
    assert looks[:2] == [None, "1"]
    assert len(read) == 1
    assert await page.evaluate("document.activeElement.id") == "edit"

    # What changed is read, and nobody has touched anything for it.
    await page.wait_for_timeout(4_000)
    assert looks[2:] == ["1", "1"]
    assert len(read) == 2


async def test_what_is_approved_is_the_text_on_the_screen(open_page: OpenPage, room: Daemon) -> None:
    session_id = await visit(room)
    path = f"{room.url}/api/v1/sessions/{session_id}"
    sent: list[object] = []

    async def unread(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json=await answer.json() | {"progress": "review"})

    async def review(route: Route) -> None:
        sent.append(route.request.post_data_json)
        await route.fulfill(status=409, json={"code": "corrected_meanwhile", "detail": "changed"})

    page = await open_page(f"{room.url}/", may_complain_of="status of 4")
    await page.route(path, unread)
    await page.route(f"{path}/review", review)
    await page.evaluate("hash => { location.hash = hash }", f"#visits/{session_id}")
    words = await asked(room, f"/api/v1/sessions/{session_id}/correction")
    await page.click("#approve")
    await expect(page.locator("#notices")).to_contain_text("The text has changed since you opened it")
    assert sent == [{"tier": words["tier"], "revision": words["revision"]}]
    await expect(page.locator("#approve")).to_be_enabled()
