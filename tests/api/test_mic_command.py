"""``ambientctl mic`` and ``ambientctl listen`` against the real application, with a scripted microphone."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from scripted import silence, speech
from served import Box

from ambientd.api.models.room import SoundLevel, TrialHeard
from ambientd.core.microphone import Reason, State
from ambientd.ctl import main
from ambientd.ctl.mic import verdict


async def ctl(box: Box, *words: str, given: str | None = None) -> Result:
    arguments = [*words, "--url", box.url]
    return await asyncio.to_thread(CliRunner().invoke, main, arguments, input=given)


async def begun(box: Box, *words: str, given: str | None = None) -> Result:
    """A command that waits for sound."""
    running = asyncio.create_task(ctl(box, *words, given=given))
    async with asyncio.timeout(10):
        while not box.microphone.listening:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    box.microphone.say(silence(0.05))
    if "test" in words:
        box.microphone.say(speech(2))
        box.microphone.say(silence(4))
    return await running


async def test_a_visit_is_recorded_followed_and_stored_from_a_shell(box: Box, tmp_path: Path):
    details = tmp_path / "details.json"
    details.write_text('{"patient": "P-9", "consent": {"given_by": "patient", "version": "2"}}')
    started = await begun(box, "mic", "start", "--encounter", "E-7", "--details", str(details))
    assert started.exit_code == 0, started.output
    session_id = started.output.strip()
    kept = await box.sessions.details(session_id)
    assert (kept.encounter, kept.patient) == ("E-7", "P-9")

    following = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            "from ambientd.ctl import main; main()",
            "listen",
            session_id,
            "--url",
            box.url,
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    box.microphone.say(speech(0.6))
    paused = await ctl(box, "mic", "pause")
    assert f"paused: {session_id}" in paused.output
    assert "recording" in (await ctl(box, "mic", "resume")).output
    await asyncio.sleep(0.05)
    box.microphone.say(speech(1.5))
    box.microphone.say(silence(1))
    stopped = await ctl(box, "mic", "stop")
    assert stopped.output == f"stored {session_id}\n"
    told, _ = await asyncio.wait_for(following.communicate(), 20)

    assert following.returncode == 0
    assert told.decode().count("It hurts here.") == 2
    assert "Session ended (client)" in told.decode()


async def test_a_trial_shows_level_and_words(box: Box):
    tried = await begun(box, "mic", "test")

    assert tried.exit_code == 0, tried.output
    assert "Understood: It hurts here." in tried.output
    assert "loudest -6 dBFS: good" in tried.output
    assert json.loads((await begun(box, "mic", "test", "--json")).output)["text"] == "It hurts here."


async def test_devices_are_listed_with_the_one_in_use_and_what_is_wrong(box: Box):
    listed = await ctl(box, "mic", "devices")
    assert "* 0d8c:0014  USB Audio Device, 1 channel, 48000 Hz" in listed.output
    box.microphone.fail(Reason.NO_DEVICE, "Plug a microphone in.")
    box.microphone.devices = ()
    box.microphone.state = State(box.microphone.state.status, Reason.NO_DEVICE, "Plug a microphone in.")
    listed = await ctl(box, "mic", "devices")
    assert listed.output == "No microphone is known.\nmicrophone: cannot be used\nPlug a microphone in.\n"


async def test_discard_asks_first_and_then_destroys(box: Box):
    session_id = (await begun(box, "mic", "start")).output.strip()
    kept = await ctl(box, "mic", "discard", given="n\n")
    assert kept.exit_code == 1
    assert box.recorder.session is not None
    gone = await ctl(box, "mic", "discard", "--yes")
    assert gone.output == f"destroyed {session_id}\n"
    assert await box.sessions.get(session_id) is None


async def test_what_cannot_be_is_said_with_what_to_do(box: Box):
    stopped = await ctl(box, "mic", "stop")
    assert stopped.exit_code == 1
    assert "records nothing" in stopped.output
    unknown = await ctl(box, "listen", "nowhere")
    assert unknown.exit_code == 1
    assert "no session has this id" in unknown.output
    down = await asyncio.to_thread(CliRunner().invoke, main, ["mic", "test", "--url", "http://127.0.0.1:9"])
    assert down.exit_code == 1
    assert "No daemon answers" in down.output


def test_a_level_is_judged_in_words_that_say_what_to_do():
    level = {"rms_dbfs": -20.0, "peak_dbfs": -10.0, "clipping": False, "silent": False}

    def said(speech: float = 2.0, **changed: object) -> str:
        return verdict(
            TrialHeard(
                seconds=5.0,
                lost_seconds=0.0,
                speech_seconds=speech,
                level=SoundLevel(**(level | changed)),
                text="",
                language=None,
                device=None,
            )
        )

    assert said() == "good"
    assert said(0.0) == "nobody spoke"
    assert "too loud" in said(clipping=True)
    assert "faint" in said(peak_dbfs=-50.0)
    assert "switch" in said(0.0, silent=True)
    assert "switch" in said(0.0, peak_dbfs=-120.0)
