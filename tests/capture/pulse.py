"""A microphone without hardware: a sound server of the test's own, with a sink whose monitor is the microphone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAME = "room"


def missing() -> str:
    """What this machine lacks for it; empty if nothing."""
    programs = [name for name in ("pulseaudio", "paplay", "pactl") if shutil.which(name) is None]
    if programs:
        return f"no {' '.join(programs)}: apt install pulseaudio pulseaudio-utils"
    plugins = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    return "" if plugins else "no ALSA plugin for PulseAudio: apt install libasound2-plugins"


@dataclass
class Server:
    """A PulseAudio server in a folder of its own."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    players: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What leads its clients to it, and PortAudio to its microphone."""
        return {
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "PULSE_RUNTIME_PATH": str(self.folder / "pulse"),
            "PULSE_SERVER": f"unix:{self.folder}/socket",
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }

    def start(self) -> None:
        """Starts it and waits until its microphone is there."""
        self.folder.chmod(0o700)
        # For the last one see alsa.py.
        (self.folder / "asound.conf").write_text(
            f'pcm.{NAME} {{ type pulse  device "{NAME}.monitor" }}\nctl.{NAME} {{ type pulse }}\n'
            "pcm.absent { type hw  card 31 }\n"
        )
        (self.folder / "socket").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
                *("--disallow-exit", "--log-level=error"),
                *("-L", f"module-native-protocol-unix socket={self.folder}/socket auth-anonymous=1"),
                *("-L", f"module-null-sink sink_name={NAME} rate=48000 channels=2"),
            ],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while f"{NAME}.monitor" not in self._ask("list", "short", "sources"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("the sound server did not start")
            time.sleep(0.05)

    def play(self, recording: Path) -> None:
        """Begins to play a recording, in real time."""
        player = subprocess.Popen(
            ["paplay", f"--device={NAME}", recording],
            env={**os.environ, **self.environment},
            stderr=subprocess.DEVNULL,
        )
        self.players.append(player)

    def stop(self) -> None:
        """Ends it at once, and whoever plays."""
        for process in (self.process, *self.players):
            if process is not None:
                process.kill()
                process.wait()
        self.players.clear()

    def _ask(self, *what: str) -> str:
        answer = subprocess.run(
            ["pactl", *what],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout
