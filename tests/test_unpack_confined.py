"""The process that reads recordings, as the service runs it: no memory may be writable and executable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running import DATA, ROOT

CONFINED = """
import ctypes, runpy
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h; what MemoryDenyWriteExecute= comes to
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    raise SystemExit(77)
runpy.run_module("ambientd.unpack", run_name="__main__")
"""


@pytest.mark.parametrize("name", ["visit.flac", "names.webm"])
def test_recordings_are_read_where_no_code_can_be_made(name: str) -> None:
    path: Path = DATA / name
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], input=path.read_bytes(), capture_output=True, cwd=ROOT, check=False
    )
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it (Linux 6.3 can)")
    assert done.returncode == 0
    head, _, rest = done.stdout.partition(b"\n")
    assert head.startswith(b'{"seconds": ')
    assert len(rest) > 100_000
    assert done.stdout.endswith(b"{}\n")
