"""A real daemon as tests run it, and where their data are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
MODELS = Path(os.environ.get("AMBIENTD_MODELS__DIRECTORY", ROOT / ".state" / "models"))


@dataclass
class Daemon:
    """A real daemon in a process of its own, on a free port."""

    state: Path
    models: Path
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "ambientd")
    """What Python runs: the daemon, or one with an engine that makes its words up."""
    process: subprocess.Popen[str] | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it has written."""
        return (self.state / "log").read_text()

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AMBIENTD_", "WEBSOCKET_"))
        }
        environment = kept | {
            "AMBIENTD_SERVER__PORT": "0",
            "AMBIENTD_LAN__ENABLED": "false",
            "AMBIENTD_STORE__DIRECTORY": str(self.state),
            "AMBIENTD_MODELS__DIRECTORY": str(self.models),
            **self.environment,
        }
        with (self.state / "log").open("a") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, *self.program],
                cwd=ROOT,
                env=environment,
                stderr=log,
                stdout=log,
                text=True,
            )
        deadline = time.monotonic() + 60
        while not (ready := re.search(r"daemon: ready .*port=(\d+)", self.log[begin:])):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the daemon did not start:\n{self.log[begin:]}")
            time.sleep(0.05)
        self.port = int(ready[1])

    def stop(self, how: signal.Signals = signal.SIGTERM, *, within: float = 25) -> float:
        """Stops it; gives the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(within)
        return time.monotonic() - began

    def kill(self) -> None:
        """Pulls the plug."""
        self.stop(signal.SIGKILL)
