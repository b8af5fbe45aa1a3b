"""Whole recordings: what the daemon commits and refines, beside plain offline decodes and the seed's fixed chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

from ambientd.core.audio import RATE
from bench import peers, reliability
from bench.accuracy import Outcome, load_plain, outcome, plain, run, seed
from bench.loops import words_in_loops
from bench.playback import track
from bench.product import Product, Told, text
from bench.recordings import Recording, consultations, visit
from bench.report import Section
from bench.score import total

EXCERPT: Final = 90
"""Seconds of each recording for the seed's scheme, which costs more than real time."""

COMMITTED: Final = "committed by the daemon"
REFINED: Final = "the same, and refined"
OFFLINE: Final = "whisper.cpp offline, same model"

COLUMNS: Final = [
    "way",
    "WER %",
    "of offline's",
    "sub / del / ins",
    "WER % by recording",
    "words in loops",
    "CPU s per s",
]


def beginnings(recordings: Sequence[Recording], seconds: float | None) -> list[Recording]:
    """The first ``seconds`` of each, its reference cut at the last word that ends in them; ``None`` for all of it."""
    if seconds is None:
        return list(recordings)
    cut = [
        track(recording.name, recording.audio, recording.reference, words, seconds)
        for recording, words in zip(recordings, peers.word_times(recordings), strict=True)
    ]
    return [Recording(each.name, each.audio, each.reference) for each in cut]


def rows(outcomes: Iterable[Outcome], recordings: Sequence[Recording]) -> list[list[str]]:
    """One row for each way: all its errors together, and its cost."""
    length = sum(len(recording.audio) for recording in recordings) / RATE
    by_way: dict[str, list[Outcome]] = {}
    for each in outcomes:
        by_way.setdefault(each.way, []).append(each)
    offline = total(each.score for each in by_way[OFFLINE]).wer
    shown = []
    for way, found in by_way.items():
        errors = total(each.score for each in found)
        shown.append(
            [
                way,
                f"{errors.wer:.2f}",
                f"{errors.wer / offline:.2f}" if offline else "",
                f"{errors.substitutions} / {errors.deletions} / {errors.insertions}",
                ", ".join(f"{each.score.wer:.1f}" for each in found),
                str(sum(words_in_loops(each.text) for each in found)),
                f"{sum(each.cpu for each in found) / length:.3f}",
            ]
        )
    return shown


def _ours(recording: Recording, told: Told) -> list[Outcome]:
    return [
        outcome(recording, COMMITTED, text(told.live), told.live_cpu),
        outcome(recording, REFINED, text(told.final), told.live_cpu + told.final_cpu),
    ]


def _of(recordings: Sequence[Recording], seconds: float | None) -> str:
    words = sum(len(recording.reference.split()) for recording in recordings)
    looped = sum(words_in_loops(recording.reference) for recording in recordings)
    whole = "" if seconds is None else f"the first {seconds:g} s of "
    return (
        f"{whole}{len(recordings)} recordings, {words:,} words in the references, {looped} of them in what"
        " would count as a loop"
    )


def accuracy(seconds: float | None = None) -> list[Section]:
    """Accuracy of all ways, and from the same decodes what the probabilities of ours are worth."""
    product = Product()
    bare = load_plain(product.path)
    whole = beginnings(consultations() or [visit()], seconds)
    outcomes: list[Outcome] = []
    live, final = reliability.Claims(), reliability.Claims()
    for recording in whole:
        told = product.hear(recording.audio)
        outcomes += _ours(recording, told)
        outcomes.append(run(OFFLINE, lambda audio: plain(bare, audio), recording))
        live.add(recording.reference, told.live)
        final.add(recording.reference, told.final)
    for beam in (1, 5):
        for recording, heard in zip(whole, peers.faster_whisper(whole, beam), strict=True):
            way = f"faster-whisper int8 offline, beam {beam}"
            outcomes.append(outcome(recording, way, heard["text"], heard["cpu"]))
    offline = Section(
        "offline",
        "Whole recordings",
        COLUMNS,
        rows(outcomes, whole),
        f"{_of(whole, seconds)}. {product.path.stem}, one thread, the vocabulary that comes with ambientd; the second"
        " hearing's CPU includes that of the first.",
        [asdict(each) for each in outcomes],
    )
    return [
        offline,
        reliability.section("reliability", "What a probability means: committed text", live),
        reliability.section("reliability-refined", "What a probability means: refined text", final),
    ]


def against_seed(seconds: float | None = None) -> list[Section]:
    """The seed's scheme on the beginnings of the recordings."""
    length = seconds or EXCERPT
    product = Product()
    bare = load_plain(product.path)
    short = beginnings(consultations() or [visit()], length)
    outcomes: list[Outcome] = []
    for recording in short:
        outcomes += _ours(recording, product.hear(recording.audio))
        outcomes.append(run(OFFLINE, lambda audio: plain(bare, audio), recording))
        outcomes.append(run("seed: 2.0 s chunks, 0.5 s overlap", lambda audio: seed(bare, audio), recording))
    return [
        Section(
            "seed",
            "The seed's scheme",
            COLUMNS,
            rows(outcomes, short),
            f"{_of(short, length)}. All judged by the references.",
        )
    ]
