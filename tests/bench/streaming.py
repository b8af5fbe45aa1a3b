"""The daemon under load in real time: latency of words shown and committed, sessions held, CPU and memory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import psutil
from running import MODELS, Daemon

from bench import peers
from bench.playback import Ambientd, Played, Track, play_all, track
from bench.recordings import Recording, consultations, visit
from bench.report import Section
from bench.score import total

SECONDS: Final = 180
"""Of each recording: long enough for a drift to show."""

LEVELS: Final = ((1, "?partials=1"), (6, "?partials=1"), (12, ""), (24, ""))
"""Sessions at once, and what they ask for."""

POINTS: Final = (50, 95, 99)


@dataclass(slots=True)
class Meter:
    """CPU seconds and the largest memory of a process and its children."""

    process: psutil.Process
    peak: int = 0

    def cpu(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    async def watch(self) -> None:
        while True:
            with suppress(psutil.NoSuchProcess):
                family = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))
            await asyncio.sleep(0.5)


async def measured(pid: int, playing: Awaitable[list[Played]], seconds: float) -> dict[str, Any]:
    """The figures of one run of ``seconds`` of audio a session against the process ``pid``."""
    meter = Meter(psutil.Process(pid))
    watching = asyncio.create_task(meter.watch())
    before, began = meter.cpu(), time.monotonic()
    played = await playing
    cpu, wall = meter.cpu() - before, time.monotonic() - began
    watching.cancel()
    words = sum(each.words for each in played) or 1
    errors = total(each.score for each in played)
    return {
        "wer": errors.wer,
        "kept_up": sum(each.kept_up for each in played),
        "commit": _points([delay for each in played for delay in each.commit]),
        "display": _points([delay for each in played for delay in each.display]),
        "stable": _points([delay for each in played for delay in each.stable]),
        "tail": _points([each.tail for each in played]),
        "shown_changed": 100 * sum(each.shown_changed for each in played) / words,
        "stable_changed": 100 * sum(each.stable_changed for each in played) / words,
        "cpu": cpu / (seconds * len(played)),
        "cores": cpu / wall,
        "rss": meter.peak / 2**20,
    }


def tracks() -> list[Track]:
    """The beginnings of the recordings, with the times of their words."""
    found: list[Recording] = consultations() or [visit()]
    return [
        track(recording.name, recording.audio, recording.reference, words, SECONDS)
        for recording, words in zip(found, peers.word_times(found), strict=True)
    ]


async def run(repeat: int) -> Section:
    """Every level, the runs of each ``repeat`` times; medians."""
    chosen = tracks()
    length = sum(len(each.audio) for each in chosen) / len(chosen) / 16_000
    results: dict[str, list[dict[str, Any]]] = {}
    async with peers.whisper_live() as peer:
        for _ in range(repeat):
            for sessions, query in LEVELS:
                label = f"{sessions} session{'s' if sessions > 1 else ''}" + (", partials" if query else "")
                results.setdefault(label, []).append(await _level(chosen, sessions, query, length))
            if peer:
                url, pid = peer
                alone = play_all(chosen[:1], 1, url, peers.WhisperLive)
                results.setdefault("WhisperLive, 1 session", []).append(await measured(pid, alone, length))
    return Section(
        "streaming",
        "Live sessions in real time",
        [
            "sessions",
            "kept up",
            "WER %",
            "committed p50 / p95 / p99, s",
            "shown, s",
            "stable, s",
            "changed: shown / stable, %",
            "end to last line p95, s",
            "CPU s per s",
            "memory, MB",
        ],
        [_row(label, found) for label, found in results.items()],
        f"{len(chosen)} recordings, the first {SECONDS} s of each; medians of {repeat}; the clients run on the same"
        " cores. Latency is counted from the end of a word.",
        results,
    )


async def _level(chosen: Sequence[Track], sessions: int, query: str, length: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as state:
        daemon = Daemon(Path(state), MODELS)
        await asyncio.to_thread(daemon.start)
        try:
            assert daemon.process
            playing = play_all(chosen, sessions, daemon.url, lambda: Ambientd(query))
            return await measured(daemon.process.pid, playing, length)
        finally:
            await asyncio.to_thread(daemon.stop)


def _points(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, POINTS)] if values else []


def _row(label: str, runs: Sequence[dict[str, Any]]) -> list[str]:
    def mid(name: str) -> float:
        return median(run[name] for run in runs)

    def points(name: str) -> str:
        columns = zip(*(run[name] for run in runs if run[name]), strict=True)
        return " / ".join(f"{median(column):.1f}" for column in columns)

    partials = "partials" in label or "WhisperLive" in label
    return [
        label,
        f"{mid('kept_up'):.0f}",
        f"{mid('wer'):.2f}",
        points("commit"),
        points("display") if partials else "as committed",
        points("stable") if "partials" in label else "",
        f"{mid('shown_changed'):.1f} / {mid('stable_changed'):.1f}" if "partials" in label else "",
        f"{median(run['tail'][1] for run in runs if run['tail']):.1f}",
        f"{mid('cpu'):.3f}",
        f"{mid('rss'):.0f}",
    ]
