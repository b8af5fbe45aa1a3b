"""The settings of the room's microphone."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ambientd.config.kinds import Count, Seconds, Table, Unit


def _device(text: str) -> str:
    # Numbers are given anew at each start, and other ones to the service than to a shell: it would be another device.
    if re.fullmatch(r"\s*\d+\s*", text) or re.match(r"\s*(plug)?hw:", text):
        raise ValueError('must be a name or a USB id such as "0d8c:0014", never a number')
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return text.strip()


LEAST_RATE: Final = 8_000
"""Hz: below that there is no speech."""


def _rate(rate: int) -> int:
    if 0 < rate < LEAST_RATE:
        raise ValueError("must be 0, or at least 8000")
    return rate


class Microphone(Table):
    """The microphone of the box itself; it is open only while a session or a test listens."""

    enabled: bool = True
    """Whether the box may use a microphone of its own; browsers and programs that send audio are not concerned."""
    device: Annotated[str, AfterValidator(_device)] = Field(default="", max_length=200)
    """Which one: its USB id ("0d8c:0014", with "@1-2" the one in that socket), its name or a part of that;
    empty takes a USB microphone, else the system's own choice."""
    channel: Count = Field(default=0, ge=0, le=32)
    """Channel to be heard, counted from 1; 0 takes the mean of both, or of all that the device has."""
    rate: Annotated[int, Unit("Hz"), AfterValidator(_rate)] = Field(default=0, ge=0, le=192_000)
    """Samples per second the device is asked for; 0 takes its own. Inside the box everything is 16 kHz."""
    stall: Seconds = Field(default=2.0, ge=0.5, le=60)
    """Time without sound from the device after which it is closed and opened again."""
    restart_first: Seconds = Field(default=3.0, ge=0.1, le=60)
    """Time a device that failed is left alone before it is tried again; doubled with each failure."""
    restart_most: Seconds = Field(default=30.0, ge=0.1, le=600)
    """Longest time between two attempts."""
    silence: Seconds = Field(default=5.0, ge=0.5, le=600)
    """Time of digital silence, not one sample different from the next, after which it counts as switched off."""
