"""An engine built for any processor takes its arithmetic from the libraries beside it, and from nowhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ambientd.engine import kernels
from ambientd.errors import EngineUnavailable

REGISTRY = """
#include <stdio.h>
#include <stddef.h>
static size_t count = 0;
size_t ggml_backend_reg_count(void) { return count; }
void ggml_backend_load_all_from_path(const char *path) { printf("%s\\n", path); fflush(stdout); count += FOUND; }
"""
LOAD = (
    "import sys; from pathlib import Path; from ambientd.engine.kernels import load; load(Path(sys.argv[1]))"
)


def registry(directory: Path, found: int) -> None:
    """A library with ggml's two functions, that finds so many kernels and prints where it looked."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (directory / "libggml-cpu-x64.so").touch()
    source = directory / "registry.c"
    source.write_text(REGISTRY)
    library = directory / kernels.LIBRARY
    subprocess.run([compiler, "-shared", "-fPIC", f"-DFOUND={found}", "-o", library, source], check=True)


def test_they_are_loaded_once_and_from_the_bindings_own_directory(tmp_path: Path):
    registry(tmp_path, found=1)
    twice = f"{LOAD}; load(Path(sys.argv[1]))"

    done = subprocess.run(
        [sys.executable, "-c", twice, tmp_path], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == f"{tmp_path}\n"


def test_where_none_runs_the_engine_is_unavailable_and_says_what_to_do(tmp_path: Path):
    registry(tmp_path, found=0)

    with pytest.raises(
        EngineUnavailable, match="none of the engine's kernels runs on this processor"
    ) as refused:
        kernels.load(tmp_path)
    assert "apt install --reinstall" in refused.value.hint


def test_an_engine_for_one_processor_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "libggml-cpu.so.0").touch()
    (tmp_path / kernels.LIBRARY).touch()
    opened: list[str] = []
    monkeypatch.setattr(kernels.ctypes, "CDLL", opened.append)

    kernels.load(tmp_path)
    assert opened == [], "there is nothing to ask the registry for"
