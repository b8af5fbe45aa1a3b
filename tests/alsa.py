"""A microphone without hardware: ALSA's plugin ``file``, whose samples come out of a file through real PortAudio."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from ambientd.capture.child import LIBRARY

NAME = "filemic"


def has_portaudio() -> bool:
    """Whether this machine has PortAudio."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def file_microphone(folder: Path, samples: np.ndarray) -> Path:
    """An ``asound.conf`` (for ``ALSA_CONFIG_PATH``) with a microphone that gives int16 ``samples``, then silence.

    It must be opened with the rate and the number of channels the samples have: the plugin takes any.
    """
    sound = folder / "room.raw"
    samples.astype("<i2").tofile(sound)
    configuration = folder / "asound.conf"
    # The last one cannot be opened: PortAudio 19.6 stops the process if it can list every device there is
    # (an assertion in BuildDeviceList).
    configuration.write_text(
        "pcm.nothing { type null }\n"
        f'pcm.{NAME} {{ type file  slave.pcm nothing  file /dev/null  infile "{sound}"  format raw }}\n'
        "pcm.absent { type hw  card 31 }\n"
    )
    return configuration
