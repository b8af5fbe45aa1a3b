"""Recordings with what was said in them: beside the project where there are any, else the sample visit."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ambientd.audiofile import read_audio
from ambientd.core.audio import RATE, Samples, from_pcm16

ROOT: Final = Path(__file__).parent.parent.parent
SHARED: Final = ROOT.parent / "shared" / "data"
VISIT: Final = ROOT / "tests" / "data" / "visit.flac"

_KINDS: Final = {
    "recorded silence": ("am-almost-silent", "am-digital-silence", "kgs-silence", "leopard-empty"),
    "room noise": ("sb-noise1", "sb-noise5"),
    "dishes": ("pra-dishes",),
    "a dog": ("esc50-1-100032-A-0",),
    "hold music": ("librosa-147793_setuniman_sweet_waltz_0i_22mi",),
}


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


def without_speech() -> dict[str, Samples]:
    """What a room sounds like in which nobody speaks, by kind: every word heard in it is made up.

    The recordings lie beside the project; without them there is digital silence, which needs none.
    """
    found = {"digital silence": np.zeros(RATE, np.float32)}
    for kind, names in _KINDS.items():
        files = [SHARED / "non_speech" / f"{name}.flac" for name in names]
        if all(file.is_file() for file in files):
            found[kind] = np.concatenate([load(file) for file in files])
    return found
