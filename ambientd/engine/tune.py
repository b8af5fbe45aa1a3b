"""What this machine does best: lanes and threads, tried on a few seconds of speech, and the result kept.

More lanes serve more rooms, more threads serve one room sooner; which wins depends on caches, memory and the
hypervisor, and no table knows them.  The weights' quantisation changes words as well as speed, so it is
compared and never changed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ambientd.core.audio import RATE, Samples
from ambientd.core.decoding import Request
from ambientd.core.prompt import prompt_for
from ambientd.engine.machine import Machine, free_memory, resident, this_machine
from ambientd.engine.whisper import Whisper
from ambientd.errors import EngineUnavailable

FILE: Final = "tune.json"
"""Name of the kept result, in the store's directory."""

SAMPLE: Final = Path(__file__).parent / "sample.ogg"
"""Twelve seconds of a synthetic consultation: a usual piece."""

RAM_SHARE: Final = 0.6
"""Of the memory that is free, what contexts may take: conversations, the database and the system need the rest."""

CLOSE: Final = 0.1
"""Two lanes are worth so much of the throughput: with one, each preview stands in the way of a final."""

UNDISTURBED: Final = 0.8
"""Share of the processor time asked for that a measurement must have got to be believed."""

AGAIN: Final = 1.15
"""What talk costs beyond a single decode of each second: pieces heard again, ends carried over, and the work beside the
engine.  Source: measured, docs/benchmarks.md: 0.071 core seconds a second at 24 rooms, 0.062 for the decodes alone."""

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to use the machine, as measured."""

    quantisation: str
    lanes: int
    threads: int
    speed: float
    """Seconds of speech decoded in a second, all lanes together."""
    latency: float
    """Seconds the sample took while all lanes were at work."""
    memory: int
    """Bytes a lane took."""
    share: float = 1.0
    """Of the processor time that lanes and threads asked for, what they got: below 1 something else was running."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The result kept."""

    machine: Machine
    model: str
    quantisation: str
    lanes: int
    threads: int
    cost: float
    """Lane seconds a second of talk takes, all in all."""
    trials: tuple[Trial, ...]
    advice: tuple[str, ...]
    measured_at: str
    """UTC, ISO 8601."""

    @property
    def disturbed(self) -> bool:
        """Whether something else was using the machine, so that the figures are not its own."""
        return min(trial.share for trial in self.trials) < UNDISTURBED


def plans(cores: int) -> list[tuple[int, int]]:
    """Lanes and threads worth trying: all cores, shared out evenly, and half of them for where two share a core."""
    even = [(cores // threads, threads) for threads in range(1, cores + 1) if cores % threads == 0]
    return list(dict.fromkeys([(1, 1), *even, (max(1, cores // 2), 1)]))


def measure(
    weights: Path,
    quantisation: str,
    audio: Samples,
    plan: tuple[int, int],
    *,
    seconds: float,
) -> Trial:
    """Decodes ``audio`` again and again, on all lanes at once, for at least so many ``seconds``.

    Raises:
        EngineUnavailable: whisper.cpp cannot load the weights.
        DecodeFailed: it cannot decode.
    """
    lanes, threads = plan
    request = Request(audio, 0, len(audio), "en", prompt_for("en", None))
    before = resident()
    used: list[float] = []
    began = threading.Barrier(lanes, action=lambda: used.append(time.process_time()))

    def lane() -> tuple[int, float, float, int]:
        context = Whisper(weights, name=weights.stem, threads=threads)
        try:
            context.hear(request)  # the first touches the memory
            memory = resident()
            began.wait()
            start = time.monotonic()
            done = 0
            while not done or time.monotonic() - start < seconds:
                context.hear(request)
                done += 1
            used.append(time.process_time())
            return done, start, time.monotonic(), memory
        finally:
            began.abort()  # whoever waits for a lane that failed must not wait for ever
            context.close()

    with ThreadPoolExecutor(lanes) as pool:
        jobs = [pool.submit(lane) for _ in range(lanes)]
        found = []
        faults: list[BaseException] = []
        for job in jobs:
            if (fault := job.exception()) is None:
                found.append(job.result())
            else:
                faults.append(fault)
    faults.sort(key=lambda fault: isinstance(fault, threading.BrokenBarrierError))
    if faults:
        raise faults[0]
    elapsed = max(end for _, _, end, _ in found) - min(start for _, start, _, _ in found)
    done = sum(count for count, _, _, _ in found)
    return Trial(
        quantisation,
        lanes,
        threads,
        speed=done * len(audio) / RATE / elapsed,
        latency=sum((end - start) / count for count, start, end, _ in found) / lanes,
        memory=max(0, max(memory for *_, memory in found) - before) // lanes,
        share=(max(used) - used[0]) / (elapsed * lanes * threads),
    )


def tune(
    model: str,
    weights: dict[str, Path],
    quantisation: str,
    audio: Samples,
    *,
    seconds: float = 4.0,
    told: Callable[[Trial], None] = lambda _: None,
) -> Tuning:
    """Measures this machine with the model's installed ``weights`` (quantisation -> file).

    ``quantisation``: the one in the settings, which decides; the others are tried with the winner's layout.
    ``told``: called after each trial.

    Raises:
        EngineUnavailable: there is not the memory for a single lane, or the weights do not load.
        DecodeFailed: whisper.cpp cannot decode.
    """
    machine = this_machine()
    trials: list[Trial] = []

    def attempt(name: str, plan: tuple[int, int]) -> None:
        trials.append(measure(weights[name], name, audio, plan, seconds=seconds))
        told(trials[-1])

    spare = RAM_SHARE * free_memory()
    for plan in plans(machine.cores):
        known = trials[0].memory if trials else weights[quantisation].stat().st_size
        if plan[0] * known > spare:
            if not trials:
                raise EngineUnavailable(
                    f"one lane of {model} needs {known >> 20} MB, and {int(spare) >> 20} MB are to spare",
                    hint="Stop other programs, or choose a smaller model.",
                )
            continue
        attempt(quantisation, plan)
    best = choose(trials)
    for other in weights:
        if other != quantisation:
            attempt(other, (best.lanes, best.threads))
    return Tuning(
        machine,
        model,
        quantisation,
        best.lanes,
        best.threads,
        cost=AGAIN * best.lanes / best.speed,
        trials=tuple(trials),
        advice=tuple(advice(machine, best, trials)),
        measured_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def choose(trials: list[Trial]) -> Trial:
    """The layout that decodes most speech in a second; more than one lane wins against one that is hardly faster."""
    best = max(trials, key=lambda trial: trial.speed)
    several = [trial for trial in trials if trial.lanes > 1 and trial.speed >= (1 - CLOSE) * best.speed]
    return max(several, key=lambda trial: trial.speed, default=best)


def advice(machine: Machine, best: Trial, trials: list[Trial]) -> list[str]:
    """What the operator might change, one sentence each."""
    found = []
    if "LLAMAFILE" not in machine.kernels:
        found.append(
            "The engine is the build for any processor; one built for this is about 1.7 times as fast."
        )
    faster = max(
        (t for t in trials if t.quantisation != best.quantisation), key=lambda t: t.speed, default=None
    )
    if faster and faster.speed > 1.05 * best.speed:
        found.append(
            f'engine.quantisation = "{faster.quantisation}" is {faster.speed / best.speed:.2f} times as fast; it may'
            " hear a little differently, and takes"
            f" {faster.memory >> 20} MB a lane instead of {best.memory >> 20}."
        )
    if "AVX512_BF16" in machine.kernels and "bf16" not in {trial.quantisation for trial in trials}:
        found.append(
            "This processor computes in bf16: ambientctl model fetch NAME --quantisation bf16, then tune again."
        )
    return found


def save(tuning: Tuning, directory: Path) -> Path:
    """Keeps the result in the store's directory; a crash leaves the old one or the new one."""
    path = directory / FILE
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({"version": _VERSION, **asdict(tuning)}, indent=1) + "\n")
    scratch.replace(path)
    return path


def load(directory: Path) -> Tuning | None:
    """The result kept, if there is one and it can be read."""
    try:
        fields: dict[str, Any] = json.loads((directory / FILE).read_text())
        if fields.pop("version") != _VERSION:
            return None
        machine = fields.pop("machine")
        return Tuning(
            Machine(machine["processor"], machine["cores"], tuple(machine["kernels"])),
            trials=tuple(Trial(**trial) for trial in fields.pop("trials")),
            advice=tuple(fields.pop("advice")),
            **fields,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # without one the daemon takes its own guess
