"""``ambientctl status``, ``doctor`` and ``diag`` while the daemon answers."""

import asyncio
import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripted import Engine, heard, speech
from served import Open

from ambientd.core.audio import to_pcm16
from ambientd.core.checks import Finding, Severity
from ambientd.ctl import main


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


async def run(*arguments: str):
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def test_the_daemons_own_findings_count(open_box: Open):
    box = await open_box(low_water=2**60)
    done = await run("doctor", "--json", "--url", box.url)
    found = {each["id"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 2
    assert found["daemon.running"]["severity"] == "ok"
    assert (
        found["store.disk"]["severity"] == "critical"
    )  # the daemon's low water, not that of the settings here
    assert "server.port" not in found


async def test_status_tells_each_part_on_one_screen(open_box: Open):
    box = await open_box(engine=Engine(count=2))
    done = await run("status", "--url", box.url)
    headings = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert headings[:9] == [
        "Service",
        "Model",
        "Lanes",
        "Sessions",
        "Microphone",
        "Queue",
        "Disk",
        "Certificate",
        "Clock",
    ]
    assert len(done.stdout.splitlines()) <= 24
    assert f"at {box.url}" in done.stdout
    assert "of 2 busy" in done.stdout
    told = json.loads((await run("status", "--json", "--url", box.url)).stdout)
    assert told["running"] is True
    assert told["daemon"]["disk"]["free_bytes"] > 0


async def test_status_exits_as_bad_as_the_worst_finding(open_box: Open, tmp_path: Path):
    async def late() -> list[Finding]:
        return [
            Finding(
                "lan.certificate", "Certificate", Severity.WARNING, "box.local holds for 3 days.", "Renew it."
            )
        ]

    box = await open_box(checks=(late,))
    done = await run("status", "--url", box.url)
    assert done.exit_code == 1
    assert "Certificate   box.local holds for 3 days.  [warning]" in done.stdout
    (tmp_path / "full").mkdir()
    full = await open_box(low_water=2**60, folder=tmp_path / "full")
    assert (await run("status", "--url", full.url)).exit_code == 2


JOURNAL = [
    {"_PID": "1", "SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "Started ambientd.service."},
    {"MESSAGE": "ambientd.session.registry: session opened session=canary-session live=3 remote=10.0.0.7"},
    {"MESSAGE": "somebody.else: canary-word"},
    {"MESSAGE": 'ambientd.daemon: cannot run error="canary-secret is wrong"'},
    {
        "MESSAGE": "ambientd.api.faults: request failed error=ValueError\nValueError: canary-word\n  at a/b.py:3 in f"
    },
    {"MESSAGE": "ambientd.session: canary-word was said"},
]


async def test_nothing_of_a_patient_and_no_secret_is_in_a_diagnosis(
    open_box: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Words, names, ids of encounters and sessions, passwords: each a canary, none in any file of the archive."""
    box = await open_box(engine=Engine(lambda request: heard(request, "canary-word here.")))
    socket = await box.connect("/ws/transcribe/canary-session")
    await socket.send_json(
        {
            "type": "configure",
            "encounter": "canary-encounter",
            "patient": "canary-patient",
            "vocabulary": ["canary-name"],
        }
    )
    await socket.send_bytes(to_pcm16(speech(3)))
    await socket.send_json({"type": "end_session"})
    seen = [message.json()["type"] async for message in socket]
    assert {"configured", "transcript", "session_ended"} <= set(seen)
    for name, value in {
        "SYNC__PROFILE": "ambientai",
        "SYNC__URL": "https://canary-centre.example",
        "SYNC__EMAIL": "canary-user@clinic.example",
        "SYNC__SECRET": "canary-secret",
        "ENGINE__PROMPT": "Doctor canary-name speaks.",
        "BOX__ROOM": "canary-room",
        "VOCABULARY__SPECIALITIES": "canary-list",
    }.items():
        monkeypatch.setenv(f"AMBIENTD_{name}", value)
    programs = tmp_path / "bin"
    programs.mkdir()
    lines = "\n".join(json.dumps({"__REALTIME_TIMESTAMP": "1780000000000000", **each}) for each in JOURNAL)
    (programs / "journalctl").write_text(f"#!/bin/sh\ncat <<'EOF'\n{lines}\nEOF\n")
    (programs / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (tmp_path / "ambientd.db").symlink_to(box.database.path)  # where the settings of the command say

    file = tmp_path / "diag.zip"
    done = await run("diag", str(file), "--json", "--url", f"{box.url}/?token=canary-token")

    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name for name, text in parts.items() if "canary" in text} == set()
    assert "canary" not in done.stdout
    assert json.loads(parts["missing.json"]) == {}
    assert json.loads(parts["tables.json"])["rows"]["realtime_sessions"] == 1
    assert "ambientd_sessions_opened_total 1.0" in parts["metrics.txt"]
    assert json.loads(parts["status.json"])["daemon"]["version"]
    assert json.loads(parts["checks.json"])["checks"]
    assert "systemd: Started ambientd.service." in parts["journal.txt"]
    assert "ambientd.session.registry: session opened live=3" in parts["journal.txt"]
    assert "ValueError\n  at a/b.py:3 in f" in parts["journal.txt"]
    assert "2 other lines are withheld." in parts["journal.txt"]
    assert file.stat().st_mode & 0o077 == 0
