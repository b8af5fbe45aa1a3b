"""Speech to order: the short visits of ``names/visits.txt`` spoken by Kokoro, for counting names heard right.

It runs in an environment of its own (``pip install kokoro-onnx soundfile soxr``), where ambientd need not be:

    python tests/bench/spoken.py MODEL VOICES FOLDER

MODEL is Kokoro's ONNX file, VOICES a folder of its voices (float32, shape (n, 1, 256)), FOLDER takes one FLAC file a
visit.  What is there already is not made again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

VISITS = Path(__file__).parent / "names" / "visits.txt"

DOCTORS = ("am_michael", "bf_emma", "af_bella", "bm_george", "am_fenrir", "af_nicole", "bm_lewis", "af_kore")
PATIENTS = ("af_heart", "bm_fable", "am_puck", "bf_isabella", "af_sarah", "am_onyx", "bf_alice")
"""Numbers without a common divisor: hardly a pair speaks twice."""

RATE = 16_000
LEAD, BETWEEN, AFTER = 0.6, (0.45, 0.7, 0.95), 1.5
"""Seconds of silence before the first turn, between turns, and at the end."""
NOISE = 0.0008
"""Of a room, so that nothing is digitally silent."""


def visits() -> list[list[tuple[str, str]]]:
    """The visits: turns as who speaks (D or P) and what is said, names still in braces."""
    lines = [line for line in VISITS.read_text("utf-8").splitlines() if not line.startswith("#")]
    blocks = "\n".join(lines).strip().split("\n\n")
    return [[(line[0], line[3:].strip()) for line in block.splitlines() if line] for block in blocks]


def names(text: str) -> list[str]:
    """What stands in braces."""
    return re.findall(r"\{([^}]+)\}", text)


def said(text: str) -> str:
    """The sentence without the braces."""
    return text.replace("{", "").replace("}", "")


def speak(engine: Any, number: int, turns: list[tuple[str, str]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One visit as float32[n], 16 kHz."""
    import soxr  # noqa: PLC0415 - only where speech is made

    voices = {"D": DOCTORS[number % len(DOCTORS)], "P": PATIENTS[number % len(PATIENTS)]}
    chance = np.random.default_rng(number)
    parts = [np.zeros(round(LEAD * RATE), np.float32)]
    for turn, (who, text) in enumerate(turns):
        voice = voices[who]
        lang = "en-gb" if voice.startswith("b") else "en-us"
        audio, rate = engine.create(said(text), voice=voice, speed=1.0 + 0.05 * (number % 3), lang=lang)
        parts += [soxr.resample(audio, rate, RATE), np.zeros(round(BETWEEN[turn % 3] * RATE), np.float32)]
    parts.append(np.zeros(round(AFTER * RATE), np.float32))
    whole = np.concatenate(parts)
    whole *= 0.5 / max(abs(whole).max(), 1e-6)
    return (whole + NOISE * chance.standard_normal(len(whole))).astype(np.float32)


def main(model: str, voices: str, folder: str) -> None:
    """Speaks what is not there yet."""
    import soundfile  # noqa: PLC0415 - only where speech is made
    from kokoro_onnx import Kokoro  # noqa: PLC0415

    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    packed = out / "voices.npz"
    np.savez(
        packed,
        **{
            name: np.fromfile(Path(voices) / f"{name}.bin", np.float32).reshape(-1, 1, 256)
            for name in (*DOCTORS, *PATIENTS)
        },
    )
    engine = Kokoro(model, str(packed))
    for number, turns in enumerate(visits()):
        path = out / f"visit-{number:02}.flac"
        if not path.exists():
            soundfile.write(path, speak(engine, number, turns), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(*sys.argv[1:4])
