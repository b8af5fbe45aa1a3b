"""What many tests need: where the weights are, and a running daemon."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from running import MODELS, Daemon
from small_disk import mount, unmount

# The same examples every time: a change is judged by what it changed.  HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of real weights; tests that need them skip where there are none."""
    for name in ("base-q8_0.bin", "silero-vad.onnx"):
        if not (MODELS / name).is_file():
            pytest.skip(f"no {name} in {MODELS}: run make model")
    return MODELS


@pytest.fixture(scope="module")
def daemon(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon shared by the tests of a module."""
    running = Daemon(tmp_path_factory.mktemp("state"), models)
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


@pytest.fixture
def own_daemon(models: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon not yet started, for tests that set it up or kill it."""
    running = Daemon(tmp_path, models)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop(signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 MB; tests that need it skip where nothing can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if why := mount(folder, tmp_path / "image"):
        pytest.skip(why)
    yield folder
    unmount(folder)
