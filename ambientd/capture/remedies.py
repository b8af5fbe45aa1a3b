"""What to tell a person when there is no sound."""

from __future__ import annotations

from typing import Final

from ambientd.core.microphone import Reason

_REMEDY: Final = {
    Reason.DISABLED: "Set microphone.enabled = true and restart the service.",
    Reason.NO_PORTAUDIO: "Install the package libportaudio2.",
    Reason.NO_DEVICE: "Plug a microphone in; it is picked up by itself.",
    Reason.NO_ACCESS: "Add the service's user to the group audio, and restart the service.",
    Reason.DEVICE_BUSY: "End the other program that is recording, or choose another microphone.",
    Reason.DEVICE_LOST: "Plug it in again; it is picked up by itself.",
    Reason.STALLED: "It is being opened again; if that does not help, pull it out and put it back in.",
    Reason.FAILED: "Pull it out and put it back in; the service's log tells more.",
}


def remedy(reason: Reason, wanted: str = "") -> str:
    """What a person can do, one sentence.  ``wanted``: the device the settings ask for."""
    if reason is Reason.NO_DEVICE and wanted:
        return f'Plug in the microphone "{wanted}", or choose another: set microphone.device.'
    return _REMEDY[reason]
