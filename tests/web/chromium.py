"""Debian's Chromium as the tests start it, and the sound its fake microphone plays."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import soundfile
from playwright.async_api import Page

CHROMIUM = Path("/usr/bin/chromium")

QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""No service of the browser's own may reach out of a test."""

FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

OpenPage = Callable[..., Awaitable[Page]]
"""The fixture ``open_page``."""


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    """16-bit WAV of float samples in [-1, 1]; float64[n] or float64[n, channels]."""
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def trust(home: Path, authority: str) -> None:
    """Installs a box's authority (PEM) where a Chromium of this home looks for those it trusts; needs certutil."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    pem = home / "authority.pem"
    pem.write_text(authority)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-N", "-d", database, "--empty-password"], check=True)
    subprocess.run(
        ["certutil", "-A", "-d", database, "-t", "C,,", "-n", "ambientd", "-i", str(pem)], check=True
    )
