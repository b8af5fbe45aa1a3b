"""Recordings with what was said in them: beside the project where there are any, else the sample visit."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ambientd.audiofile import read_audio
from ambientd.core.audio import Samples, from_pcm16

ROOT: Final = Path(__file__).parent.parent.parent
SHARED: Final = ROOT.parent / "shared" / "data"
VISIT: Final = ROOT / "tests" / "data" / "visit.flac"


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio and its reference text."""

    name: str
    audio: Samples
    reference: str


def load(path: Path) -> Samples:
    """The whole file as float32, 16 kHz, mono."""
    return np.concatenate([from_pcm16(block) for block in read_audio(path)])


def visit() -> Recording:
    """The scripted visit that is part of the project."""
    turns = json.loads(VISIT.with_name("visit.turns.json").read_text())
    return Recording("visit", load(VISIT), " ".join(turn["text"] for turn in turns))


def consultations() -> list[Recording]:
    """Recorded consultations; none where they do not lie beside the project."""
    found = []
    for path in sorted((SHARED / "medical_en").glob("*.mp3")):
        lines = path.with_suffix(".txt").read_text("utf-8", "replace").splitlines()
        reference = " ".join(re.sub(r"^[DP]:\s*", "", line) for line in lines if line.strip())
        found.append(Recording(path.stem, load(path), reference))
    return found


def noises() -> list[Recording]:
    """Silence, noise and music: every word heard in them is made up."""
    return [Recording(path.stem, load(path), "") for path in sorted((SHARED / "non_speech").glob("*.flac"))]
