"""``GET /api/v1/checks``: what the daemon finds wrong with itself, and what other rooms add."""

from served import Box, Open
from test_microphone_rest import start

from ambientd.core.checks import Finding, Severity
from ambientd.core.microphone import Reason


async def test_a_sound_box_says_so_for_each_thing_looked_at(box):
    async with box.http.get(f"{box.url}/api/v1/checks") as answer:
        told = await answer.json()
    assert answer.status == 200
    assert told["status"] == "ok"
    assert {each["id"] for each in told["checks"]} >= {
        "store.writable",
        "store.disk",
        "store.damaged",
        "clock.trusted",
        "audit.owed",
        "engine.load",
        "sync.outbox",
    }


async def test_a_full_disk_is_critical_and_comes_first(open_box: Open):
    box = await open_box(low_water=2**60)
    async with box.http.get(f"{box.url}/api/v1/checks") as answer:
        told = await answer.json()
    assert told["status"] == "critical"
    assert told["checks"][0]["id"] == "store.disk"
    assert told["checks"][0]["command"]


async def test_other_rooms_findings_are_there_and_a_check_that_fails_is_one_itself(open_box: Open):
    async def lamp() -> list[Finding]:
        return [Finding("room.lamp", "Lamp", Severity.NOTE, "It is off.")]

    async def broken() -> list[Finding]:
        raise ValueError("Maria Gonzalez")

    box = await open_box(checks=(lamp, broken))
    async with box.http.get(f"{box.url}/api/v1/checks") as answer:
        text = await answer.text()
        told = {each["id"]: each for each in (await answer.json())["checks"]}
    assert told["room.lamp"]["severity"] == "note"
    assert told["checks.broken"]["severity"] == "critical"
    assert "Gonzalez" not in text


async def test_a_microphone_pulled_out_while_it_records_is_a_warning_and_not_a_note(box: Box):
    async def told() -> tuple[str, list[str]]:
        async with box.http.get(f"{box.url}/api/v1/checks") as answer:
            checks = (await answer.json())["checks"]
        async with box.http.get(f"{box.url}/readyz") as answer:
            warnings = (await answer.json())["warnings"]
        (found,) = [each for each in checks if each["id"] == "capture.microphone"]
        return found["severity"], warnings

    box.microphone.fail(Reason.NO_DEVICE)
    assert await told() == ("note", [])
    box.microphone.mend()
    await start(box)
    box.microphone.fail(Reason.NO_DEVICE)
    severity, warnings = await told()
    assert severity == "warning"
    assert "no_device" in str(warnings)


async def test_a_room_that_cannot_be_recorded_by_speaking_is_a_warning(box: Box):
    box.recorder.voiceless = "RuntimeError"
    async with box.http.get(f"{box.url}/api/v1/checks") as answer:
        (found,) = [each for each in (await answer.json())["checks"] if each["id"] == "capture.voice"]
    assert found["severity"] == "warning"
    assert "RuntimeError" in found["reason"]
