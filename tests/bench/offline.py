"""Whole recordings: what the daemon commits, beside plain offline decodes and the seed's fixed chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from running import MODELS

from ambientd.core.audio import RATE
from ambientd.engine import models
from ambientd.engine.vad import VoiceDetector
from ambientd.engine.whisper import Whisper
from bench import peers
from bench.accuracy import Outcome, committed, load_plain, plain, refined, run, seed
from bench.recordings import Recording, consultations, noises, visit
from bench.report import Section
from bench.score import score, total

EXCERPT: Final = 180
"""Seconds of each recording for the seed's scheme, which costs more than real time."""

COLUMNS: Final = ["way", "words", "WER %", "sub / del / ins", "CPU s per s"]


def rows(outcomes: Iterable[Outcome], recordings: Sequence[Recording]) -> list[list[str]]:
    """One row for each way: all its errors together, and its cost."""
    lengths = {recording.name: len(recording.audio) / RATE for recording in recordings}
    by_way: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_way.setdefault(outcome.way, []).append(outcome)
    shown = []
    for way, found in by_way.items():
        errors = total(outcome.score for outcome in found)
        seconds = sum(lengths[outcome.name] for outcome in found)
        cpu = sum(outcome.cpu * lengths[outcome.name] for outcome in found) / seconds
        kinds = f"{errors.substitutions} / {errors.deletions} / {errors.insertions}"
        shown.append([way, str(errors.words), f"{errors.wer:.2f}", kinds, f"{cpu:.4f}"])
    return shown


def accuracy() -> list[Section]:
    """Both tables of accuracy, and what is made up where nobody speaks."""
    path = models.resolve("base", "q8_0", MODELS)
    whisper = Whisper(path, name=path.stem, threads=1)
    detector = VoiceDetector(models.resolve("silero-vad", "", MODELS))
    bare = load_plain(path)

    whole = consultations() or [visit()]
    ways = {
        "committed by the daemon": committed(whisper, detector),
        "the same, and refined": refined(whisper, detector),
        "whisper.cpp offline, same model": lambda audio: plain(bare, audio),
    }
    outcomes = [run(way, decode, recording) for recording in whole for way, decode in ways.items()]
    for beam in (1, 5):
        for recording, heard in zip(whole, peers.faster_whisper(whole, beam), strict=True):
            cpu = heard["cpu"] / (len(recording.audio) / RATE)
            way = f"faster-whisper int8 offline, beam {beam}"
            outcomes.append(Outcome(recording.name, way, score(recording.reference, heard["text"]), cpu, ""))
    silent = noises()
    made_up = sum(run("", committed(whisper, detector), noise).score.insertions for noise in silent)
    offline = Section(
        "offline",
        "Whole recordings",
        COLUMNS,
        rows(outcomes, whole),
        f"{len(whole)} recordings; {path.stem}, one thread. Words made up in {len(silent)} recordings without speech:"
        f" {made_up}.",
    )

    short = [replace(recording, audio=recording.audio[: EXCERPT * RATE]) for recording in whole]
    # The references have no times, so an excerpt is judged by what the offline decode heard of it.
    short = [replace(recording, reference=plain(bare, recording.audio)) for recording in short]
    ways = {
        "committed by the daemon": committed(whisper, detector),
        "seed: 2.0 s chunks, 0.5 s overlap": lambda audio: seed(bare, audio),
    }
    outcomes = [run(way, decode, recording) for recording in short for way, decode in ways.items()]
    against = Section(
        "seed",
        "The seed's scheme",
        COLUMNS,
        rows(outcomes, short),
        f"The first {EXCERPT} s of each recording, judged by what a plain offline decode hears in it.",
    )
    return [offline, against]
