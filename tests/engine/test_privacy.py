"""The engine's libraries keep to themselves: no report to their makers, and no file of what they did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from running import ROOT

PROGRAM = "import ambientd.engine.vad, ambientd.engine.whisper"


def test_loading_the_engine_leaves_no_report_to_be_sent(tmp_path: Path):
    """A bare environment: with the CI's own, onnxruntime would hold its tongue by itself."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=bare
        | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
    )

    # What it would send waits in a file first, beside the id of this machine.
    assert [path.name for path in tmp_path.rglob("*")] == []
