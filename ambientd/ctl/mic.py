"""``ambientctl mic``: the room's microphone, seen, tried out and recorded from a shell."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from ambientd.api.models.room import MicrophoneStanding, TrialHeard
from ambientd.client_rest import Rest
from ambientd.ctl import daemon
from ambientd.ctl.options import as_json, tell

_STATES = {
    "off": "not in use",
    "starting": "being opened",
    "live": "sound comes in",
    "stalled": "no sound comes any more; it is being opened again",
    "unavailable": "cannot be used",
}


@click.group()
def mic() -> None:
    """See, try out and record with the room's own microphone."""


@mic.command()
@as_json
@daemon.at_url
def devices(url: str, *, as_json: bool) -> None:
    """List the microphones there are, and how the one in use does."""
    told = daemon.speak(url, Rest.microphone)
    if as_json:
        tell(told.model_dump(mode="json"))
        return
    used = told.device.id if told.device else None
    for device in told.devices:
        mark = "*" if device.id == used else " "
        channels = f"{device.channels} channel{'s' * (device.channels != 1)}"
        click.echo(f"{mark} {device.id}  {device.name}, {channels}, {device.rate} Hz")
    if not told.devices:
        click.echo("No microphone is known.")
    _state(told)


@mic.command()
@as_json
@daemon.at_url
def test(url: str, *, as_json: bool) -> None:
    """Hear five seconds, and show the level and what was understood; nothing is stored."""
    if not as_json:
        click.echo("Say something: five seconds are heard.", err=True)
    told = daemon.speak(url, Rest.try_microphone)
    if as_json:
        tell(told.model_dump(mode="json"))
        return
    name = told.device.name if told.device else "the microphone"
    click.echo(f"{name}: {told.seconds:.1f} s, {told.speech_seconds:.1f} s of them speech")
    level = told.level
    click.echo(f"Level {level.rms_dbfs:.0f} dBFS, loudest {level.peak_dbfs:.0f} dBFS: {verdict(told)}")
    if told.lost_seconds:
        click.echo(f"{told.lost_seconds:.1f} s were not captured.")
    click.echo(f"Understood: {told.text}" if told.text else "No words were understood.")


@mic.command()
@click.option("--language", metavar="CODE", help="Language spoken, such as en, or auto.")
@click.option("--encounter", metavar="ID", help="The clinic's number of the visit.")
@click.option(
    "--details",
    type=click.File(),
    metavar="FILE",
    help="JSON with encounter, patient and consent; - reads standard input.  Names do not belong on a command line.",
)
@click.option("--ephemeral", is_flag=True, help="Keep nothing once it has ended.")
@click.option("--later", is_flag=True, help="Only record; the box transcribes when it is idle.")
@daemon.at_url
def start(
    url: str,
    language: str | None,
    encounter: str | None,
    details: IO[str] | None,
    *,
    ephemeral: bool,
    later: bool,
) -> None:
    """Record from now on; prints the session's id once sound comes in."""
    body = _details(details)
    given = {
        "language": language,
        "encounter": encounter,
        "ephemeral": ephemeral or None,
        "later": later or None,
    }
    body |= {name: value for name, value in given.items() if value is not None}
    click.echo(daemon.speak(url, lambda box: box.record(**body)).session_id)


@mic.command()
@daemon.at_url
def pause(url: str) -> None:
    """Hear nothing until "mic resume"; time stands still."""
    _state(daemon.speak(url, Rest.pause))


@mic.command()
@daemon.at_url
def resume(url: str) -> None:
    """Go on after a pause."""
    _state(daemon.speak(url, Rest.resume))


@mic.command()
@daemon.at_url
def stop(url: str) -> None:
    """End the recording; returns when all that was heard is stored."""
    _over("stored", daemon.speak(url, Rest.stop))


@mic.command()
@click.confirmation_option(prompt="Destroy what is being recorded?")
@daemon.at_url
def discard(url: str) -> None:
    """Destroy the recording that is under way, with all that was heard."""
    _over("destroyed", daemon.speak(url, Rest.discard_recording))


def verdict(told: TrialHeard) -> str:
    """What a level means, from what a test tells."""
    level = told.level
    if level.silent or level.peak_dbfs <= -100:  # noqa: PLR2004 - no converter is as quiet
        return "digital silence; a switch on the microphone is off, or it is muted"
    if level.clipping:
        return "too loud; put it further away, or turn it down"
    if told.speech_seconds and level.peak_dbfs < -40:  # noqa: PLR2004 - a voice at a metre peaks near -20
        return "faint; put it nearer, or turn it up"
    return "good" if told.speech_seconds else "nobody spoke"


def _details(source: IO[str] | None) -> dict[str, Any]:
    if source is None:
        return {}
    try:
        found = json.load(source)
    except ValueError as error:
        raise click.BadParameter("it holds no JSON", param_hint="--details") from error
    if not isinstance(found, dict):
        raise click.BadParameter("it must hold one JSON object", param_hint="--details")
    return found


def _over(how: str, told: MicrophoneStanding) -> None:
    click.echo(f"{how} {told.last.session_id}" if told.last else how)


def _state(told: MicrophoneStanding) -> None:
    """One line on the session, one on the microphone."""
    session = told.session
    if session is not None:
        name = session.session_id or "a session of somebody else's"
        click.echo(f"{session.state}: {name}, {session.elapsed_seconds:.0f} s")
    elif told.armed:
        click.echo("waiting for somebody to speak")
    click.echo(f"microphone: {_STATES.get(told.state, told.state)}")
    if told.remedy:
        click.echo(told.remedy)
