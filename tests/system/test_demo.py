"""``make demo`` shows what it promises, and leaves nothing running and nothing lying about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import DATA, ROOT

pytestmark = pytest.mark.model


def test_the_visit_goes_in_and_the_answers_come_back(models: Path, tmp_path: Path):
    environment = os.environ | {
        "AMBIENTD_MODELS__DIRECTORY": str(models),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(DATA.parent))),
        "TMPDIR": str(tmp_path),
        "COLUMNS": "120",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "central.demo", "--fast"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        said, _ = demo.communicate(timeout=150)

    assert demo.returncode == 0, said
    assert "ibuprofen" in said
    assert "What does the patient take?" in said
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
