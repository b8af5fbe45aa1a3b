"""The settings of what the room's own microphone records."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ambientd.config.kinds import Count, Seconds, Table


def _path(path: str) -> str:
    if path and (not path.startswith("/") or not path.isprintable()):
        raise ValueError('must be empty or an absolute path: it begins with "/"')
    return path


class Recording(Table):
    """Sessions of the room's own microphone; those of browsers and programs are not concerned."""

    stop_after_silence: Seconds = Field(default=600.0, ge=0, le=86_400)
    """Time in which nobody speaks after which a recording ends by itself; 0 never."""
    continue_after_restart: bool = True
    """Whether a recording that a crash cut off goes on by itself, if the service is back within server.resume_grace."""
    start_by_voice: bool = False
    """Whether a recording begins by itself when somebody speaks; the microphone is then open all the time."""
    button: Annotated[str, AfterValidator(_path)] = ""
    """A push button or pedal, such as "/dev/input/by-id/usb-...-event-kbd": short starts and stops, long pauses and
    resumes; empty has none."""
    button_key: Count = Field(default=0, ge=0, le=767)
    """Number of the key that counts, as evtest shows it; 0 takes any."""
    hook: Annotated[str, AfterValidator(_path)] = ""
    """Program that is run when the state changes, with the state as its one argument: off, armed, listening, recording,
    paused, trouble or unavailable; for a light or a tone. Empty runs none."""
    hook_timeout: Seconds = Field(default=5.0, ge=0.1, le=60)
    """Time after which that program is killed."""
