"""What the store does is done whole or not at all, whenever the plug is pulled.

A few moments at random each time; as many as ``$AMBIENTD_KILLS`` says for a thorough run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from killing import OPERATIONS

PROGRAM = Path(__file__).with_name("killing.py")
TIMES = int(os.environ.get("AMBIENTD_KILLS", "8"))
SEED = int(os.environ.get("AMBIENTD_SEED", "20260115"))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_survives_kill_9(operation: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, PROGRAM, operation, str(TIMES), str(SEED), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    print(f"{operation}: {found}")  # noqa: T201 - the figures of a thorough run

    assert found["faults"] == []
    assert found["killed"] == TIMES
