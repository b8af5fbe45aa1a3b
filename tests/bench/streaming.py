"""The daemon under load in real time: latency of words shown and committed, sessions held, CPU and memory."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from running import MODELS, Daemon

from ambientd.engine import models
from bench import peers
from bench.accuracy import load_plain, plain
from bench.gauges import Meter, watched
from bench.playback import Ambientd, Played, Speaker, Track, play_all, play_each, track
from bench.recordings import Recording, consultations, visit
from bench.report import Section
from bench.score import score, total

POINTS: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Level:
    """So many sessions at once; with one, each recording is a session, one after the other."""

    label: str
    sessions: int
    seconds: float
    """Of each recording."""
    query: str = ""
    """What the clients ask for."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the daemon, where they are not what it comes with."""


LEVELS: Final = (
    Level("1 session, partials", 1, 90, "?partials=1"),
    # What committed text alone costs.
    Level("1 session, heard once", 1, 90, settings=(("AMBIENTD_REFINEMENT__ENABLED", "false"),)),
    # Long enough for a drift to show.
    Level("6 sessions, partials", 6, 180, "?partials=1"),
    Level("12 sessions", 12, 180),
    Level("24 sessions", 24, 180),
    # More than there is room for: the others must not suffer.
    Level("36 sessions", 36, 90),
)

PEER: Final = Level("WhisperLive, 1 session", 1, 90)

COLUMNS: Final = [
    "sessions",
    "kept up",
    "refused",
    "WER % (offline)",
    "committed p50 / p95 / p99, s",
    "shown, s",
    "stable, s",
    "changed: shown / stable, %",
    "end to last line p95, s",
    "CPU s per s",
    "loop delay p99 / max, ms",
    "memory, MB",
    "audio kept for the second hearing, MB",
    "MB per further session",
]

NOTE: Final = (
    "the clients run on the same cores. One session is each recording after the other, taken together. Latency is"
    " counted from the end of a word. Offline is whisper.cpp, same model, on the same audio. Settings are those the"
    " daemon comes with, admission included; *heard once* is without the second hearing. A session refused (1013)"
    " counts in no other column. A further session is counted from the level before, the audio for the second hearing"
    " left out."
)


async def run(repeat: int, seconds: float | None = None) -> Section:
    """Every level, the runs of each ``repeat`` times; medians.  ``seconds``: of each recording, for a quick look."""
    recordings = consultations() or [visit()]
    timed = peers.word_times(recordings)
    lengths = {level: min(seconds or level.seconds, level.seconds) for level in (*LEVELS, PEER)}
    tracks = {length: _tracks(recordings, timed, length) for length in sorted(set(lengths.values()))}
    offline = await asyncio.to_thread(_offline, tracks)
    results: dict[str, list[dict[str, Any]]] = {}
    async with peers.whisper_live() as peer:
        for _ in range(repeat):
            for level in LEVELS:
                found = await _level(level, tracks[lengths[level]])
                results.setdefault(level.label, []).append(found | {"offline": offline[lengths[level]]})
            if peer:
                url, pid = peer
                found = await _peer(url, pid, tracks[lengths[PEER]])
                results.setdefault(PEER.label, []).append(found | {"offline": offline[lengths[PEER]]})
    shown = {level.label: lengths[level] for level in (*LEVELS, PEER) if level.label in results}
    told = ", ".join(f"{length:g} s" for length in dict.fromkeys(shown.values()))
    return Section(
        "streaming",
        "Live sessions in real time",
        COLUMNS,
        [_row(label, found, results) for label, found in results.items()],
        f"{len(recordings)} recordings, the first {told} of each; {_medians(repeat)}; {NOTE}",
        results,
    )


def _medians(repeat: int) -> str:
    return "one run" if repeat == 1 else f"medians of {repeat}"


def _tracks(
    recordings: Sequence[Recording], timed: Sequence[Sequence[tuple[str, float]]], length: float
) -> list[Track]:
    """The beginnings of the recordings, with the times of their words."""
    return [
        track(recording.name, recording.audio, recording.reference, words, length)
        for recording, words in zip(recordings, timed, strict=True)
    ]


def _offline(tracks: Mapping[float, Sequence[Track]]) -> dict[float, float]:
    """WER of whisper.cpp on the same beginnings."""
    bare = load_plain(models.resolve("base", "q8_0", MODELS))
    return {
        length: total(score(each.reference, plain(bare, each.audio)) for each in found).wer
        for length, found in tracks.items()
    }


async def _level(level: Level, tracks: Sequence[Track]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as state:
        daemon = Daemon(Path(state), MODELS, dict(level.settings))
        await asyncio.to_thread(daemon.start)
        try:
            assert daemon.process
            async with watched(daemon.process.pid, daemon.url) as meter:
                played = await _played(level, tracks, daemon.url, lambda: Ambientd(level.query))
            return figures(played, meter)
        finally:
            await asyncio.to_thread(daemon.stop, within=60)


async def _peer(url: str, pid: int, tracks: Sequence[Track]) -> dict[str, Any]:
    async with watched(pid) as meter:
        played = await _played(PEER, tracks, url, peers.WhisperLive)
    return figures(played, meter)


async def _played(
    level: Level, tracks: Sequence[Track], url: str, speaker: Callable[[], Speaker]
) -> list[Played]:
    if level.sessions == 1:
        return await play_each(tracks, url, speaker)
    return await play_all(tracks, level.sessions, url, speaker)


def figures(played: Sequence[Played], meter: Meter) -> dict[str, Any]:
    """Of one run."""
    admitted = [each for each in played if not each.refused]
    words = sum(each.words for each in admitted) or 1
    return {
        "wer": total(each.score for each in admitted).wer,
        "admitted": len(admitted),
        "refused": len(played) - len(admitted),
        "kept_up": sum(each.kept_up for each in admitted),
        "failed": sorted(each.failed for each in admitted if each.failed),
        "commit": _points([delay for each in admitted for delay in each.commit]),
        "display": _points([delay for each in admitted for delay in each.display]),
        "stable": _points([delay for each in admitted for delay in each.stable]),
        "tail": _points([each.tail for each in admitted]),
        "shown_changed": 100 * sum(each.shown_changed for each in admitted) / words,
        "stable_changed": 100 * sum(each.stable_changed for each in admitted) / words,
        "cpu": meter.cpu / (sum(each.seconds for each in admitted) or 1),
        "cores": meter.cpu / meter.wall,
        "rss": meter.peak / 2**20,
        "reels": meter.reels / 2**20,
        "loop": [1000 * meter.delay(0.5), 1000 * meter.delay(0.99), 1000 * meter.slowest],
    }


def _points(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, POINTS)] if values else []


def _further(label: str, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Memory of one session more, by the difference to the level before, where that differs by sessions alone."""
    levels = {level.label: level for level in LEVELS}
    names = list(results)
    before = names[names.index(label) - 1] if names.index(label) else ""
    here, there = levels.get(label), levels.get(before)
    if (
        here is None
        or there is None
        or there.sessions == 1
        or (here.query, here.seconds) != (there.query, there.seconds)
    ):
        return ""

    def own(name: str) -> float:
        return median(run["rss"] - run["reels"] for run in results[name])

    more = median(run["admitted"] for run in results[label]) - median(
        run["admitted"] for run in results[before]
    )
    return f"{(own(label) - own(before)) / more:.1f}" if more > 0 else ""


def _row(
    label: str, runs: Sequence[Mapping[str, Any]], results: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    def mid(name: str) -> float:
        return median(run[name] for run in runs)

    def points(name: str) -> str:
        columns = zip(*(run[name] for run in runs if run[name]), strict=True)
        return " / ".join(f"{median(column):.1f}" for column in columns)

    ours = label != PEER.label
    partials = "partials" in label or not ours
    tails = [run["tail"][1] for run in runs if run["tail"]]
    return [
        label,
        f"{mid('kept_up'):.0f} of {mid('admitted'):.0f}",
        f"{mid('refused'):.0f}",
        f"{mid('wer'):.2f} ({mid('offline'):.2f})",
        points("commit"),
        points("display") if partials else "as committed",
        points("stable") if partials and ours else "",
        f"{mid('shown_changed'):.1f} / {mid('stable_changed'):.1f}" if partials and ours else "",
        f"{median(tails):.1f}" if tails else "",
        f"{mid('cpu'):.3f}",
        " / ".join(f"{median(run['loop'][at] for run in runs):.0f}" for at in (1, 2)) if ours else "",
        f"{mid('rss'):.0f}",
        f"{mid('reels'):.1f}" if ours else "",
        _further(label, results),
    ]
