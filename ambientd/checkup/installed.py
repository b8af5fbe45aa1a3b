"""Whether what the daemon stands on is there: the model, the libraries, the settings."""

from __future__ import annotations

import ctypes
from typing import Final

from ambientd.config import Settings, doubts
from ambientd.core.checks import Finding, Severity
from ambientd.engine import models
from ambientd.errors import ModelError

PORTAUDIO: Final = "libportaudio.so.2"


def quick(settings: Settings) -> list[Finding]:
    """Settings and libraries."""
    return [advice(settings), portaudio()]


def advice(settings: Settings) -> Finding:
    """Settings that work and are seldom meant."""
    found = doubts(settings)
    if not found:
        return Finding("settings.valid", "Settings", reason="Valid, and nothing in them is unusual.")
    return Finding(
        "settings.valid",
        "Settings",
        Severity.WARNING,
        "; ".join(found) + ".",
        "Change the setting, unless that is what is wanted.",
        "ambientd --check-config",
    )


def model(settings: Settings) -> Finding:
    """The weights of recogniser and voice detector, their checksums computed anew."""
    engine, directories = settings.engine, settings.models.directories
    try:
        weights = models.resolve(engine.model, engine.quantisation, *directories)
        models.resolve(engine.vad_model, "", *directories)
    except ModelError as error:
        named = error.hint.partition("`")[2].partition("`")[0]
        return Finding(
            "engine.model",
            "Model",
            Severity.CRITICAL,
            _sentence(error.message),
            error.hint,
            named or "ambientctl model list",
        )
    except OSError as error:
        return Finding(
            "engine.model",
            "Model",
            Severity.WARNING,
            f"{error.filename} cannot be read: {error.strerror}.",
            "Look as root.",
            "sudo ambientctl doctor",
        )
    return Finding("engine.model", "Model", reason=f"{weights.stem}: its checksum is right.")


def portaudio() -> Finding:
    """The library that the room's microphone needs; WebSocket sessions do without."""
    try:
        ctypes.CDLL(PORTAUDIO)
    except OSError:
        return Finding(
            "capture.portaudio",
            "PortAudio",
            Severity.WARNING,
            f"{PORTAUDIO} is not installed: the box's own microphone cannot be used.",
            "Install it; WebSocket clients are not concerned.",
            "apt install libportaudio2",
        )
    return Finding("capture.portaudio", "PortAudio", reason="Installed.")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
