"""``ambientctl setup``, ``pair``, ``accounts``, ``devices`` and ``access`` at a box."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from entered import PASSWORD

from ambientd.ctl import main


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


async def run(box: Any, *arguments: str, typed: str | None = None) -> str:
    """What a command prints; it must succeed."""
    done = await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "--url", box.box.url], input=typed)
    assert done.exit_code == 0, done.output
    return done.output


async def refused(box: Any, *arguments: str) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "--url", box.box.url])
    assert done.exit_code == 1
    return done.output


async def test_the_set_up_code_is_shown_until_there_is_an_account(lan):
    box = await lan()
    assert f"Set-up code: {box.box.joining.setup_code}" in await run(box, "setup")
    assert json.loads(await run(box, "setup", "--json"))["setup_needed"] is True
    await box.operator()
    assert "The box is set up" in await run(box, "setup")
    assert json.loads(await run(box, "setup", "--json")) == {"setup_needed": False}


async def test_an_account_is_added_used_given_another_password_and_revoked(lan):
    box = await lan()
    assert "There are no accounts" in await run(box, "accounts", "list")
    made = re.search(r"Password: (\S+)", await run(box, "accounts", "add", "Anna", "--role", "clinician"))
    assert made is not None
    browser = await box.browser()
    assert (await browser.post("/api/v1/login", {"name": "Anna", "password": made[1]}))[0] == 200
    await run(box, "accounts", "password", "anna", "--ask", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert (await browser.get("/api/v1/me"))[0] == 401
    assert (await browser.post("/api/v1/login", {"name": "Anna", "password": PASSWORD}))[0] == 200
    assert "Anna" in await run(box, "accounts", "list")
    await run(box, "accounts", "revoke", "Anna")
    assert (await browser.get("/api/v1/me"))[0] == 401
    assert "Anna" not in await run(box, "accounts", "list")
    assert "revoked" in await run(box, "accounts", "list", "--all")
    assert "No account in force" in await refused(box, "accounts", "revoke", "Anna")


async def test_a_program_gets_a_token_and_loses_it(lan):
    box = await lan()
    made = re.search(r"Token: (\S+)", await run(box, "devices", "add", "records", "--days", "30"))
    assert made is not None
    browser, header = await box.browser(), {"Authorization": f"Bearer {made[1]}"}
    assert (await browser.get("/api/v1/me", headers=header))[1]["role"] == "integration"
    assert "records" in await run(box, "devices", "list")
    await run(box, "devices", "revoke", "records")
    assert (await browser.get("/api/v1/me", headers=header))[0] == 401


async def test_a_tablet_is_let_in_by_its_number(lan):
    box = await lan()
    tablet = await box.browser()
    _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
    assert [each["code"] for each in json.loads(await run(box, "pair", "--json"))["pairings"]] == [
        asked["code"]
    ]
    wrong = "000000" if asked["code"] != "000000" else "111111"
    assert "No tablet that asks shows this number" in await refused(box, "pair", wrong)
    assert "Room 3 is let in as clinician" in await run(box, "pair", asked["code"])
    address = f"/api/v1/pairings/{asked['pairing_id']}"
    await tablet.get(address, headers={"X-Pairing-Secret": asked["secret"]})
    assert (await tablet.get("/api/v1/me"))[1]["name"] == "Room 3"


async def test_a_tablet_is_asked_about_and_turned_away(lan):
    box = await lan()
    tablet = await box.browser()
    _, asked = await tablet.post("/api/v1/pairings", {"name": "Room 3"})
    output = await run(box, "pair", typed="no\n")
    assert f"shows {asked['code']}" in output
    assert "Room 3 is turned away" in output
    assert f"Set-up code for the box's page: {box.box.joining.setup_code}" in output
    assert "No tablet asks" in await run(box, "pair")


async def test_the_glass_is_broken_on_the_box_and_mended(lan):
    box = await lan()
    sealed = re.search(r"^    (\S+)$", await run(box, "access", "seal"), re.MULTILINE)
    assert sealed is not None
    made = re.search(r"Token: (\S+)", await run(box, "access", "break-glass", typed=f"{sealed[1]}\n"))
    assert made is not None
    browser, header = await box.browser(), {"Authorization": f"Bearer {made[1]}"}
    assert (await browser.get("/api/v1/me", headers=header))[1]["role"] == "emergency"
    listed = await run(box, "devices", "list")
    name = re.search(r"(e-\w+)  EMERGENCY", listed)
    assert name is not None
    await run(box, "devices", "revoke", name[1])
    assert (await browser.get("/api/v1/me", headers=header))[0] == 401
