"""Measures accuracy and cost on this machine: ``make bench``.

With recordings beside the project all of them are used, otherwise the sample visit.  The seed's scheme costs more
than real time, so it gets the first three minutes of each recording, and the daemon the same beside it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ambientd.config import load
from ambientd.core.audio import RATE
from ambientd.engine import models
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper, kernels
from bench.accuracy import Outcome, committed, load_plain, plain, run, seed
from bench.recordings import Recording, consultations, noises, visit
from bench.score import total

EXCERPT = 180
"""Seconds of each recording for the seed's scheme."""


def processor() -> str:
    """What /proc/cpuinfo calls the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def table(title: str, outcomes: Iterable[Outcome], recordings: list[Recording]) -> Table:
    """One row for each way: all its errors together, and its cost."""
    lengths = {recording.name: len(recording.audio) / RATE for recording in recordings}
    shown = Table(title=title)
    for column in ("way", "words", "WER %", "sub / del / ins", "CPU s per s"):
        shown.add_column(column)
    by_way: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_way.setdefault(outcome.way, []).append(outcome)
    for way, found in by_way.items():
        errors = total(outcome.score for outcome in found)
        cpu = sum(outcome.cpu * lengths[outcome.name] for outcome in found)
        seconds = sum(lengths[outcome.name] for outcome in found)
        kinds = f"{errors.substitutions} / {errors.deletions} / {errors.insertions}"
        shown.add_row(way, str(errors.words), f"{errors.wer:.2f}", kinds, f"{cpu / seconds:.4f}")
    return shown


def main() -> None:
    """Runs every benchmark and prints its table."""
    console = Console()
    settings = load()
    path = models.resolve("base", "q8_0", settings.models.directory)
    whisper = Whisper(path, name=path.stem, threads=1)
    detector = VoiceDetector(models.resolve("silero-vad", "", settings.models.directory))
    bare = load_plain(path)
    console.print(f"{processor()}, one thread, {path.stem}, kernels {' '.join(kernels())}")

    whole = consultations() or [visit()]
    ways = {
        "committed by the daemon": committed(whisper, detector),
        "plain offline": lambda audio: plain(bare, audio),
    }
    outcomes = [run(way, decode, recording) for recording in whole for way, decode in ways.items()]
    console.print(table("Whole recordings", outcomes, whole))

    short = [replace(recording, audio=recording.audio[: EXCERPT * RATE]) for recording in whole]
    # The references have no times, so an excerpt is judged by what the offline decode heard of it.
    short = [replace(recording, reference=plain(bare, recording.audio)) for recording in short]
    ways = {
        "committed by the daemon": committed(whisper, detector),
        "seed: 2.0 s chunks, 0.5 s overlap": lambda audio: seed(bare, audio),
    }
    outcomes = [run(way, decode, recording) for recording in short for way, decode in ways.items()]
    console.print(table("First three minutes, against the offline decode", outcomes, short))

    silent = noises()
    made_up = sum(run("", committed(whisper, detector), noise).score.insertions for noise in silent)
    console.print(f"Words made up in {len(silent)} recordings without speech: {made_up}")


if __name__ == "__main__":
    main()
